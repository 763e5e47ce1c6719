"""Ctrl-C during training: the first is answered and lets the iteration finish, the second stops at once."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType


class Interrupt:
    """While entered, the first SIGINT sets ``requested`` and says so; the next raises ``KeyboardInterrupt``.

    Outside the main thread, where Python takes no signal handlers, it changes nothing.
    """

    def __init__(self, answer: Callable[[], None] | None = None) -> None:
        """Not requested.

        Args:
            answer: called once, soon after the first SIGINT, in a thread of its own.
        """
        self.requested = False
        self.answer = answer
        self._answering: threading.Thread | None = None
        self._before: object = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        if self.answer is not None:
            # Not here: the signal may have come in the middle of a write, and a stream can't be entered twice.
            self._answering = threading.Thread(target=self.answer, daemon=True)
            self._answering.start()

    def __enter__(self) -> "Interrupt":
        """Take over SIGINT."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give SIGINT back."""
        if self._answering is not None:
            self._answering.join()
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)  # type: ignore[arg-type] # what signal.signal itself returned
