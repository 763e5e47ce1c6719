"""Time as the control loop sees it: one monotonic count of nanoseconds that nobody sets back."""

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits; a test brings one of its own."""

    def now_ns(self) -> int:
        """Nanoseconds since some fixed moment."""
        ...

    def sleep_ns(self, duration_ns: int) -> None:
        """Wait that long."""
        ...


class MonotonicClock:
    """The system's monotonic clock, the one that ``time.monotonic_ns`` reads."""

    def now_ns(self) -> int:
        """Nanoseconds since some fixed moment."""
        return time.monotonic_ns()

    def sleep_ns(self, duration_ns: int) -> None:
        """Wait that long; the system wakes a thread without real-time priority some 50 µs late."""
        time.sleep(duration_ns * 1e-9)
