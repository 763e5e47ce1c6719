"""A thread that looks at every deadline, so that no actuator waits for a policy or a sensor that doesn't answer."""

import threading
from collections.abc import Callable
from types import TracebackType

from haltere.deploy.runtime.clock import Clock


class Watchdog:
    """While entered, calls ``bark`` at every deadline in a thread of its own.

    It gets its turn whenever the stuck code waits, sleeps or computes outside of Python, as ONNX Runtime does, and at
    the interpreter's switch interval where it computes in Python. Compiled code that keeps Python's lock keeps the
    watchdog out as well; a robot with such code wants the C++ loop.
    """

    def __init__(
        self, clock: Clock, deadline_ns: Callable[[], int], bark: Callable[[], None], settle_in: Callable[[], None]
    ) -> None:
        """Not started.

        Args:
            clock: tells the time.
            deadline_ns: the next deadline.
            bark: looks, and acts where the deadline was missed; mustn't raise.
            settle_in: called first, in the thread: gives it its priority.
        """
        self._clock, self._deadline_ns, self._bark, self._settle_in = clock, deadline_ns, bark, settle_in
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="haltere-watchdog", daemon=True)

    def __enter__(self) -> None:
        """Start watching."""
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, within one turn."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        self._settle_in()
        while not self._ended.wait(max(0, self._deadline_ns() - self._clock.now_ns()) * 1e-9):
            self._bark()
