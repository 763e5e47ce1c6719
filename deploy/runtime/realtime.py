"""Keeping Python and the system out of a control loop's way, and giving back everything that was changed."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from haltere.configs.errors import RequestError

MOST_PRIORITY = 98
"""One below the most that Linux has: the watchdog runs one above the loop."""


@dataclass(frozen=True)
class Realtime:
    """What a control loop asks of the system.

    Attributes:
        priority: SCHED_FIFO priority of the loop; the watchdog gets one more. None leaves both to the fair scheduler,
            which may keep a thread waiting for many milliseconds when the machine is busy.
        cpu: core to pin the loop to; the watchdog keeps all of them. None pins nothing.
    """

    priority: int | None = None
    cpu: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no system has."""
        if self.priority is not None and not 1 <= self.priority <= MOST_PRIORITY:
            raise RequestError(f"realtime priority: must be from 1 to {MOST_PRIORITY}, got {self.priority}")
        if (self.priority, self.cpu) != (None, None) and not hasattr(os, "sched_setscheduler"):
            raise RequestError("realtime priority and cpu need Linux")
        if self.cpu is not None and self.cpu not in os.sched_getaffinity(0):
            cores = ", ".join(map(str, sorted(os.sched_getaffinity(0))))
            raise RequestError(f"cpu: this process may run on {cores}, got {self.cpu}")

    @contextmanager
    def quiet(self, period_ns: int) -> Iterator[None]:
        """While entered, this thread has its priority and core, and Python collects no garbage by itself.

        Args:
            period_ns: of the loop. A thread that computes in Python lets the watchdog in after a twentieth of it.

        Raises:
            RequestError: the system doesn't grant the priority.
        """
        collecting, interval, frozen = gc.isenabled(), sys.getswitchinterval(), gc.get_freeze_count()
        with self._scheduled():
            # What is there stays there: no collection in the loop looks at it again.
            gc.collect()
            gc.freeze()
            gc.disable()
            sys.setswitchinterval(min(interval, period_ns * 1e-9 / 20.0))
            try:
                yield
            finally:
                sys.setswitchinterval(interval)
                if not frozen:
                    gc.unfreeze()
                if collecting:
                    gc.enable()

    @contextmanager
    def _scheduled(self) -> Iterator[None]:
        if (self.priority, self.cpu) == (None, None):
            yield
            return
        policy, parameters, cores = os.sched_getscheduler(0), os.sched_getparam(0), os.sched_getaffinity(0)
        try:
            if self.priority is not None:
                _set_priority(self.priority + 1)  # the watchdog's: refused here rather than in its thread
                _set_priority(self.priority)
            if self.cpu is not None:
                os.sched_setaffinity(0, {self.cpu})
            yield
        finally:
            os.sched_setaffinity(0, cores)
            os.sched_setscheduler(0, policy, parameters)

    def for_watchdog(self, cores: set[int] | None) -> None:
        """Called by the watchdog's thread: above the loop, and on any of ``cores``."""
        if self.priority is not None:
            _set_priority(self.priority + 1)
        if self.cpu is not None and cores:
            os.sched_setaffinity(0, cores)

    def for_recorder(self, cores: set[int] | None) -> None:
        """Called by the recorder's thread: the loop's priority, and any of ``cores``."""
        if self.cpu is not None and cores:
            os.sched_setaffinity(0, cores)


def available_cores() -> set[int] | None:
    """The cores that this thread may run on; None where the system doesn't say."""
    return set(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def _set_priority(priority: int) -> None:
    """SCHED_FIFO for the calling thread."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except PermissionError:
        raise RequestError(
            f"realtime priority {priority}: not permitted; give the process CAP_SYS_NICE or a higher 'ulimit -r'"
        ) from None
