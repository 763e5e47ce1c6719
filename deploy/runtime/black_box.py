"""The last seconds of a run, kept in memory that was set aside before it, and written to a file when something fails.

The file is a NumPy archive without pickle, ``numpy.load`` opens it, that holds ``reason.json`` beside its arrays: why
it was written, the contract's names, and every counter. ``haltere/black_box.hpp`` writes the same file from C++.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import IntegrityError, RequestError
from haltere.deploy.contract import Contract
from haltere.deploy.runtime.governor import Decision
from haltere.deploy.store import write_file

FORMAT = 1
REASON_NAME = "reason.json"
LOOP, WATCHDOG = 0, 1
MAX_BYTES = 1 << 30
MEMORY_BYTES = 16 << 20
"""Most that the ring takes: it is copied within a tick when something fails."""
COLUMNS: Mapping[str, type[np.generic]] = {
    "slot": np.int64,
    "slots": np.int64,
    "outcome": np.uint8,
    "mode": np.uint8,
    "by": np.uint8,
    "begun_ns": np.int64,
    "sent_ns": np.int64,
}
"""What is kept of each decision beside its numbers. ``by`` is 0 for the loop and 1 for the watchdog; times count from
the start of the run, and ``begun_ns`` is -1 where no tick had begun."""
_VECTORS = ("obs", "action", "command")


class BlackBox:
    """A ring of the last decisions with what led to them.

    An observation that nobody had, and an action that was never made, are rows of NaN.
    """

    def __init__(self, contract: Contract, seconds: float) -> None:
        """Set memory aside for ``seconds`` of decisions, or as many as fit in 16 MiB where those are fewer."""
        self._inputs = [{"name": t.name, "shape": list(t.shape), "unit": t.unit} for t in contract.sensed]
        self._about = {"task": contract.task, "policy": contract.policy, "weights": contract.weights}
        sizes = (sum(int(np.prod(t.shape)) for t in contract.sensed), *[len(contract.action_low)] * 2)
        rows = max(1, min(round(seconds / contract.ctrl_dt_s), MEMORY_BYTES // (4 * sum(sizes))))
        self._columns: dict[str, NDArray[Any]] = {name: np.zeros(rows, dtype) for name, dtype in COLUMNS.items()}
        self._columns |= {
            name: np.zeros((rows, size), np.float32) for name, size in zip(_VECTORS, sizes, strict=True)
        }
        self._rows, self._count = rows, 0

    def record(
        self,
        decision: Decision,
        *,
        by: int,
        begun_ns: int,
        sent_ns: int,
        obs: NDArray[np.float32] | None,
        action: NDArray[np.float32] | None,
    ) -> None:
        """Keep one decision in place of the oldest.

        Args:
            decision: what was commanded and why.
            by: ``LOOP`` or ``WATCHDOG``.
            begun_ns: when the tick began, from the start of the run; -1 where none did.
            sent_ns: when the command was sent.
            obs: (O,) all observations end to end.
            action: (A,) as the policy wanted it, before bounds and slew limits.
        """
        row, columns = self._count % self._rows, self._columns
        values = (decision.slot, decision.slots, decision.outcome, decision.mode, by, begun_ns, sent_ns)
        for name, value in zip(COLUMNS, values, strict=True):
            columns[name][row] = value
        columns["obs"][row] = np.nan if obs is None else obs
        columns["action"][row] = np.nan if action is None else action
        columns["command"][row] = decision.command
        self._count += 1

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """A copy of every row that is in use, oldest first."""
        if self._count <= self._rows:
            return {name: column[: self._count].copy() for name, column in self._columns.items()}
        oldest = self._count % self._rows
        return {name: np.roll(column, -oldest, axis=0) for name, column in self._columns.items()}

    def write(self, path: Path, rows: Mapping[str, NDArray[Any]], reason: Mapping[str, Any]) -> None:
        """Write a snapshot to a file, which appears whole or not at all.

        Args:
            path: the file.
            rows: what ``snapshot`` gave.
            reason: plain data that says why.

        Raises:
            OSError: it can't be written.
        """
        about = {"format": FORMAT, "language": "python", **self._about, "inputs": self._inputs, **reason}
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(REASON_NAME, json.dumps(about, indent=1) + "\n")
            for name, array in rows.items():
                with archive.open(f"{name}.npy", "w") as file:
                    np.lib.format.write_array(file, array, allow_pickle=False)
        write_file(path, buffer.getvalue())


@dataclass(frozen=True, eq=False)
class Recording:
    """A black box, read back.

    Attributes:
        reason: why it was written, and the run's counters.
        columns: each name of ``COLUMNS``, one number a decision.
        obs: observation by key, (rows, ...).
        action: (rows, A) what the policy wanted.
        command: (rows, A) what the actuators were told.
    """

    reason: dict[str, Any]
    columns: dict[str, NDArray[Any]]
    obs: dict[str, NDArray[np.float32]]
    action: NDArray[np.float32]
    command: NDArray[np.float32]


def read_black_box(path: Path) -> Recording:
    """Read what ``BlackBox.write`` or the C++ loop wrote; nothing in it is run.

    Raises:
        RequestError: there is no such file.
        IntegrityError: it is no black box, or damaged.
    """
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= MAX_BYTES else b""
    except OSError as error:
        raise RequestError(f"{path}: {error.strerror or error}; expected a black box") from error
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = max(size, sum(member.file_size for member in archive.infolist()))
            if size > MAX_BYTES:
                raise ValueError(f"holds {size} bytes, and it is never larger than {MAX_BYTES}")
            reason = json.loads(archive.read(REASON_NAME))
            columns = {name: _read_array(archive, name) for name in (*COLUMNS, *_VECTORS)}
        return _recording(reason, columns)
    except Exception as error:  # zipfile, json and numpy.format raise whatever a damaged file makes them stumble over
        raise IntegrityError(f"{path}: not a whole black box: {' '.join(str(error).split())[:200]}") from error


def _read_array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(f"{name}.npy") as file:
        array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(file.read()), allow_pickle=False)
    return array


def _recording(reason: dict[str, Any], columns: dict[str, NDArray[Any]]) -> Recording:
    if reason["format"] != FORMAT:
        raise ValueError(f"format {reason['format']}, expected {FORMAT}")
    rows = len(columns["slot"])
    for name, array in columns.items():
        fits = array.dtype == COLUMNS.get(name, np.float32) and array.ndim == 1 + (name in _VECTORS)
        if not fits or len(array) != rows:
            raise ValueError(f"{name} is {array.shape} {array.dtype}")
    vectors = {name: columns.pop(name) for name in _VECTORS}
    shapes = {str(entry["name"]).removeprefix("obs."): tuple(entry["shape"]) for entry in reason["inputs"]}
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
    parts = np.split(vectors["obs"], ends[:-1], axis=1)
    obs = {key: part.reshape(rows, *shape) for (key, shape), part in zip(shapes.items(), parts, strict=True)}
    return Recording(reason, columns, obs, vectors["action"], vectors["command"])
