"""One row of metrics an iteration, as JSON lines and for TensorBoard, without a duplicate after a resume."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from haltere.deploy.store import write_file

METRICS_NAME = "metrics.jsonl"


def drop_rows_after(path: Path, steps: int) -> None:
    """Keep the rows up to a step. Later ones, and a last line cut short by a kill, are of a future that won't be."""
    if not path.exists():
        return
    kept = []
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        at = row.get("steps") if isinstance(row, dict) else None
        if isinstance(at, int | float) and at <= steps and line.endswith(b"\n"):
            kept.append(line)
    write_file(path, b"".join(kept))


class MetricsLog:
    """Appends to ``metrics.jsonl`` and ``tb/`` of a run folder."""

    def __init__(self, folder: Path, steps: int) -> None:
        """Open both, forgetting rows beyond ``steps``, where the run goes on from.

        Raises:
            OSError: they can't be written.
        """
        path = folder / METRICS_NAME
        drop_rows_after(path, steps)
        self._file = path.open("a", encoding="utf-8")
        if not steps:
            # A beginning after a stop before the first checkpoint: nothing of the first attempt is left in the run.
            for events in (folder / "tb").glob("events.out.tfevents.*"):
                events.unlink()
        self._board = SummaryWriter(str(folder / "tb"), purge_step=steps + 1 if steps else None)

    def write(self, steps: int, row: Mapping[str, float]) -> None:
        """Append one row; what isn't finite becomes ``null`` in JSON, which has no NaN.

        Raises:
            OSError: the disk is full.
        """
        finite = {name: value if math.isfinite(value) else None for name, value in row.items()}
        self._file.write(json.dumps({"steps": steps, **finite}, allow_nan=False) + "\n")
        self._file.flush()
        for name, value in row.items():
            self._board.add_scalar(name, value, steps)

    def sync(self) -> None:
        """Force all rows to the disk: before a checkpoint, so that no checkpoint is ahead of its metrics."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._board.flush()

    def close(self) -> None:
        """Close both.

        Raises:
            OSError: what was still to be written can't be.
        """
        self._file.close()
        self._board.close()
