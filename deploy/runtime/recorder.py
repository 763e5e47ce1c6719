"""Writes the black box to files without keeping the control loop waiting: a thread of its own does it."""

import queue
import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from numpy.typing import NDArray

from haltere.deploy.runtime.black_box import BlackBox

MOST_FILES = 16
"""Files of one run that its faults may write: one that returns mustn't fill the disk."""


class Snapshot(NamedTuple):
    """What a file is made of.

    Attributes:
        reason: why it is written.
        rows: of the black box.
        about: plain data on the run; ``slot`` at least.
    """

    reason: str
    rows: Mapping[str, NDArray[Any]]
    about: Mapping[str, Any]


class Recorder:
    """While entered, writes a file for every snapshot that it is given; ``write`` works at any time.

    The thread keeps the loop's priority, where it has one. Both share Python's lock, and a thread without priority can
    be kept from running by any other program just while it holds it.

    Attributes:
        paths: files written so far.
        errors: why a file couldn't be written.
    """

    def __init__(self, box: BlackBox, folder: Path | None, settle_in: Callable[[], None]) -> None:
        """Not started.

        Args:
            box: knows how a file is written.
            folder: where to; made when the first file is. None writes nothing.
            settle_in: called first, in the thread.
        """
        self._box, self._folder, self._settle_in = box, folder, settle_in
        self._given: queue.SimpleQueue[Snapshot | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="haltere-recorder", daemon=True)
        self.paths: list[str] = []
        self.errors: list[str] = []

    def put(self, snapshot: Snapshot) -> None:
        """Have a file written soon; returns at once."""
        self._given.put(snapshot)

    def write(self, snapshot: Snapshot) -> Path | None:
        """Write a file now.

        Returns:
            Its path; None where there is no folder to write to.

        Raises:
            OSError: it can't be written.
        """
        if self._folder is None:
            return None
        reason, rows, about = snapshot
        slug = re.sub(r"[^a-z0-9]+", "-", reason.lower()).strip("-")[:40]
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{stamp}-{about['slot']:08d}-{slug}.npz"
        self._box.write(path, rows, {"reason": reason, "written": stamp, **about})
        self.paths.append(str(path))
        return path

    def __enter__(self) -> None:
        """Start the thread."""
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what was given, then end."""
        self._given.put(None)
        self._thread.join()

    def _serve(self) -> None:
        self._settle_in()
        while (snapshot := self._given.get()) is not None:
            if len(self.paths) >= MOST_FILES:
                self.errors.append(f"{MOST_FILES} files written, no more for this run: {snapshot.reason}")
                continue
            try:
                self.write(snapshot)
            except OSError as error:
                self.errors.append(f"{error.filename or self._folder}: {error.strerror or error}")
