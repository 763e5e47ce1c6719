"""JSON lines on standard input and output, so that a program in any language can be the robot.

    we     {"haltere": "0.1.0", "ctrl_dt_s": 0.01, "inputs": [{"name", "shape", "dtype", "unit"}, ...],
            "action": {"name", "shape", "dtype", "unit", "low", "high"}}
    robot  {"inputs": [...], "action": {...}}     what it gives and takes; must be the same, units word for word
    robot  {"obs": {"self": [...], ...}}          whenever it has one; the newest counts, from when it was read
    we     {"tick": 0, "action": [...], "mode": "running", "outcome": "good"}        one a control period
    robot  (end of file)                          the safe action, and the end

A line that isn't such an object counts as a malformed observation. Where the robot doesn't read, nothing waits for it.
"""

import json
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

MAX_LINE_BYTES = 1 << 22


class Lines:
    """Lines from a file descriptor. Python's own reader keeps a lock while it waits, which would crash our exit."""

    def __init__(self, descriptor: int) -> None:
        """Nothing read yet."""
        self._descriptor, self._buffer = descriptor, bytearray()

    def next(self) -> bytes:
        """Wait for the next line; empty at the end of file. One that is too long comes in pieces."""
        while True:
            end = self._buffer.find(b"\n") + 1 or (len(self._buffer) if len(self._buffer) >= MAX_LINE_BYTES else 0)
            piece = b"" if end else os.read(self._descriptor, 1 << 16)
            if end or not piece:
                end = end or len(self._buffer)
                line = bytes(self._buffer[:end])
                del self._buffer[:end]
                return line
            self._buffer += piece


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
    greeting = {
        "haltere": installed_version(),
        "ctrl_dt_s": contract.ctrl_dt_s,
        "inputs": [asdict(tensor) for tensor in contract.inputs],
        "action": {**asdict(contract.outputs[0]), "low": contract.action_low, "high": contract.action_high},
    }
    _write(write, greeting)
    line = lines.next()
    try:
        said = json.loads(line)
        return tuple(_tensor(entry) for entry in said["inputs"]), _tensor(said["action"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        shown = line[:60].decode(errors="replace").strip() or "nothing"
        raise ObservationError(
            f"standard input: the first line must declare 'inputs' and 'action' as our greeting does, got {shown}"
        ) from error


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
        while line := self._lines.next():
            self._newest = Reading(_observation(line), time.monotonic_ns())
        self._ended()


def _observation(line: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of one line; empty, and so no observation of any contract, where it has none."""
    try:
        with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite, and is seen as that
            return {str(key): np.array(value, dtype=np.float32) for key, value in json.loads(line)["obs"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}


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
