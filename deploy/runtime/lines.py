"""JSON lines on standard input and output, so that a program in any language can be the robot.

    we     {"haltere": "0.1.0", "ctrl_dt_s": 0.01, "inputs": [{"name", "shape", "dtype", "unit"}, ...],
            "action": {"name", "shape", "dtype", "unit", "low", "high"}}
    robot  {"inputs": [...], "action": {...}}     what it gives and takes; must be the same, units word for word
    robot  {"obs": {"self": [...], ...}}          whenever it has one; the newest counts, from when it was read
    we     {"tick": 0, "action": [...], "mode": "running", "outcome": "good"}        one a control period
    robot  (end of file)                          the safe action, and the end

Observations hold numbers; ``null`` stands for one that the robot hasn't, and is read as NaN, which is never acted on.
A line that isn't such an object counts as a malformed observation, and one that is longer than any observation is
thrown away unread, since it would keep Python's lock from the loop. Where the robot doesn't read, nothing waits for it.
"""

import json
import math
import os
import select
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haltere.configs.installation import installed_version
from haltere.deploy.contract import Contract, Tensor
from haltere.deploy.errors import ObservationError
from haltere.deploy.runtime.governor import Decision
from haltere.deploy.runtime.interface import Reading

_NUMBER_BYTES = 32
"""A float64 takes at most 24 characters in JSON; the rest is for what separates two."""
_SPARE_BYTES = 1024
_NUMBERS = {int, float, type(None)}
"""What JSON's numbers become, and null; its truth values are of a type of their own."""


def longest_line(contract: Contract) -> int:
    """Bytes that a declaration or an observation of this contract may take [B], with room to spare for white space."""
    numbers = sum(math.prod(tensor.shape) for tensor in contract.sensed)
    return numbers * _NUMBER_BYTES + 2 * len(json.dumps(_greeting(contract))) + _SPARE_BYTES


class Lines:
    """Lines from a file descriptor. Python's own reader keeps a lock while it waits, which would crash our exit.

    Attributes:
        most: bytes that a line may have; no more are ever kept, but for one read's.
    """

    def __init__(self, descriptor: int, most: int) -> None:
        """Nothing read yet."""
        self.most = most
        self._descriptor, self._buffer = descriptor, bytearray()
        self._skipping = False

    def next(self) -> bytes | None:
        """Wait for the next line; empty at the end of file.

        None stands for a line that is too long. It is said as soon as that is known; what still comes of it is lost.
        """
        searched = 0
        while True:
            end = self._buffer.find(b"\n", searched) + 1
            searched = len(self._buffer)
            if self._skipping and end:
                del self._buffer[:end]
                self._skipping, searched = False, 0
                continue
            if self._skipping:
                self._buffer.clear()
                searched = 0
            elif (end or searched) > self.most:
                self._skipping = True
                return None
            elif end:
                return self._taken(end)
            piece = os.read(self._descriptor, 1 << 16)
            if not piece:
                return self._taken(len(self._buffer))
            self._buffer += piece

    def _taken(self, end: int) -> bytes:
        line = bytes(self._buffer[:end])
        del self._buffer[:end]
        return line


def declare(contract: Contract, lines: Lines, write: int) -> tuple[tuple[Tensor, ...], Tensor]:
    """Say what the model takes and gives, and hear what the robot gives and takes.

    Args:
        contract: of the model.
        lines: the robot's.
        write: file descriptor for ours.

    Returns:
        Its observations and its action, as it declared them; nobody has compared them with the contract yet.

    Raises:
        ObservationError: its first line is no declaration.
        ContractError: a name or shape in it is impossible.
    """
    _write(write, _greeting(contract))
    line = lines.next()
    if line is None:
        raise ObservationError(f"standard input: the first line has more than the {lines.most} bytes that it may have")
    try:
        said = json.loads(line)
        return tuple(_tensor(entry) for entry in said["inputs"]), _tensor(said["action"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        shown = line[:60].decode(errors="replace").strip() or "nothing"
        raise ObservationError(
            f"standard input: the first line must declare 'inputs' and 'action' as our greeting does, got {shown}"
        ) from error


def _greeting(contract: Contract) -> dict[str, Any]:
    return {
        "haltere": installed_version(),
        "ctrl_dt_s": contract.ctrl_dt_s,
        "inputs": [asdict(tensor) for tensor in contract.sensed],
        "action": {**asdict(contract.outputs[0]), "low": contract.action_low, "high": contract.action_high},
    }


def _tensor(entry: dict[str, Any]) -> Tensor:
    name, dtype, unit = (str(entry[key]) for key in ("name", "dtype", "unit"))
    return Tensor(name, tuple(int(dim) for dim in entry["shape"]), dtype, unit)


class LineSource:
    """The newest observation that came in.

    Attributes:
        tensors: as declared.
    """

    def __init__(self, tensors: tuple[Tensor, ...], lines: Lines) -> None:
        """Not listening yet.

        Args:
            tensors: what the robot declared.
            lines: the robot's.
        """
        self.tensors = tensors
        self._lines = lines
        self._newest: Reading | None = None
        self._listener: threading.Thread | None = None
        self._ended: Callable[[], None] = lambda: None

    def call_at_end(self, ended: Callable[[], None]) -> None:
        """Have ``ended`` called at the end of file."""
        self._ended = ended

    def read(self) -> Reading | None:
        """The newest observation with the time of its arrival; None before the first."""
        if self._listener is None:
            # Only now, so that it inherits the loop's priority: it shares Python's lock with it.
            self._listener = threading.Thread(target=self._listen, name="haltere-stdin", daemon=True)
            self._listener.start()
        return self._newest

    def _listen(self) -> None:
        while (line := self._lines.next()) != b"":
            self._newest = Reading({} if line is None else _observation(line), time.monotonic_ns())
        self._ended()


def _observation(line: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of one line; empty, and so no observation of any contract, where it has none."""
    try:
        with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite, and is seen as that
            return {str(key): _array(value) for key, value in json.loads(line)["obs"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}


def _array(value: object) -> NDArray[Any]:
    """What a list holds, as float32; numpy would read a number out of a text or a truth value as well."""
    things = np.array(value, dtype=object)
    if not {type(thing) for thing in things.flat} <= _NUMBERS:
        raise TypeError("not numbers alone")
    return things.astype(np.float32)


class LineSink:
    """Writes one line a command, as long as somebody reads them.

    Attributes:
        tensor: as declared.
    """

    def __init__(self, tensor: Tensor, write: int) -> None:
        """Write to a file descriptor.

        Args:
            tensor: what the robot declared.
            write: the descriptor.
        """
        self.tensor = tensor
        self._write = write
        self._poll = select.poll()
        self._poll.register(write, select.POLLOUT)

    def send(self, decision: Decision) -> None:
        """Write the command.

        Raises:
            BlockingIOError: the reader has fallen behind; nothing was written.
            BrokenPipeError: there is no reader any more.
        """
        ready = self._poll.poll(0)
        # A pipe is writable when it has room for PIPE_BUF bytes, which is more than any line of a command.
        if not ready or not ready[0][1] & (select.POLLOUT | select.POLLERR):
            raise BlockingIOError("the reader of standard output has fallen behind")
        line = {
            "tick": decision.slot,
            "action": [float(value) for value in decision.command],
            "mode": decision.mode.name.lower(),
            "outcome": decision.outcome.name.lower(),
        }
        _write(self._write, line)


def _write(descriptor: int, value: dict[str, Any]) -> None:
    data = (json.dumps(value) + "\n").encode()
    while data:
        data = data[os.write(descriptor, data) :]
