"""Ctrl-C during training: the first lets the iteration finish, the second stops at once."""

import signal
import threading
from types import FrameType, TracebackType


class Interrupt:
    """While entered, the first SIGINT only sets ``requested``; the next raises ``KeyboardInterrupt``.

    Outside the main thread, where Python takes no signal handlers, it changes nothing.
    """

    def __init__(self) -> None:
        """Not requested."""
        self.requested = False
        self._before: object = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __enter__(self) -> "Interrupt":
        """Take over SIGINT."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give SIGINT back."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)  # type: ignore[arg-type] # what signal.signal itself returned
