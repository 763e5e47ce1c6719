"""What a run of the control loop amounted to: latencies as shares of the period, and every counter."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KEPT = 1 << 17
"""Latencies that are remembered: twenty minutes at 100 Hz in 1 MiB each."""

_WORDS = {"stalled": "left to the watchdog"}
"""Outcomes of a slot whose own name would be mistaken for something else."""

_PERCENTILES = (50.0, 99.0, 99.9, 100.0)


class Latencies:
    """The last durations of one kind, in memory that was set aside before."""

    def __init__(self) -> None:
        """None yet."""
        self._ring: NDArray[np.int64] = np.zeros(_KEPT, np.int64)
        self._count = 0

    def add(self, duration_ns: int) -> None:
        """Keep one in place of the oldest."""
        self._ring[self._count % _KEPT] = duration_ns
        self._count += 1

    def span(self) -> "Span | None":
        """Their percentiles; None where there are none."""
        if self._count == 0:
            return None
        return Span(*(float(value) / 1000.0 for value in np.percentile(self._ring[: self._count], _PERCENTILES)))


@dataclass(frozen=True)
class Span:
    """Percentiles of a duration [µs]."""

    median_us: float
    p99_us: float
    p999_us: float
    max_us: float


@dataclass(frozen=True)
class LoopReport:
    """What ``ControlLoop.run`` returns.

    Attributes:
        task: Gymnasium id that the model was trained for.
        period_us: of the loop [µs].
        seconds: how long it ran.
        ticks: slots of a period each, every one with a command of its own.
        latency: from the start of a slot to its command, the late waking of the system included; of the
            flight, without the way to the safe action at its end; None without ticks.
        wake: from the start of a slot to the beginning of its tick.
        work: from the beginning of a tick to its command: observation, policy, limits.
        overruns: ticks that took longer than a period.
        stalls: ticks that were under way when the watchdog took their slot.
        skipped: slots that the watchdog took before any tick had begun in them.
        alarms: how often the safe action began.
        outcomes: slots by how they ended.
        mode: what the loop was doing at the end, before it was stopped.
        at_rest: whether the last command was the safe action.
        errors: the last message of each kind of failure.
        black_boxes: files that were written.
    """

    task: str
    period_us: float
    seconds: float
    ticks: int
    latency: Span | None
    wake: Span | None
    work: Span | None
    overruns: int
    stalls: int
    skipped: int
    alarms: int
    outcomes: Mapping[str, int]
    mode: str
    at_rest: bool
    errors: Mapping[str, str]
    black_boxes: Sequence[str]

    @property
    def p99_share(self) -> float:
        """99th percentile of the latency, as a share of the period; infinite without ticks."""
        return self.latency.p99_us / self.period_us if self.latency else float("inf")

    def as_dict(self) -> dict[str, Any]:
        """Plain data, with the shares of the period beside the latencies."""
        shares = {"median": None, "p99": None, "p999": None, "max": None}
        if self.latency:
            shares = {name: getattr(self.latency, f"{name}_us") / self.period_us for name in shares}
        return {**asdict(self), "latency_share": shares}

    def as_text(self) -> str:
        """A table for people; the ticks that only stopped the loop aren't among those that it counts."""
        stopped = self.outcomes.get("stopped", 0)
        lines = [
            f"{self.task}: {self.ticks - stopped:,} ticks of {self.period_us / 1000.0:g} ms in {self.seconds:.1f} s",
            "",
            f"{'':<10}{'median':>14}{'p99':>14}{'p99.9':>14}{'most':>14}{'p99 share':>12}",
        ]
        for name, span in (("latency", self.latency), ("wake", self.wake), ("work", self.work)):
            if span:
                cells = "".join(f"{value:>11.1f} µs" for value in asdict(span).values())
                lines.append(f"{name:<10}{cells}{span.p99_us / self.period_us:>12.2%}")
        counts = (
            f"{self.overruns} overruns of a period",
            f"{self.stalls} ticks overtaken by the watchdog",
            f"{self.skipped} that it took before they began",
            f"{self.alarms} faults answered with the safe action",
        )
        end = "sent, as at every end" if self.at_rest else "NOT reached"
        lines += ["", ", ".join(counts), f"stopped while {self.mode}; the safe action was {end}"]
        ended = {_WORDS.get(name, name): count for name, count in self.outcomes.items() if name != "stopped" and count}
        lines.append("slots: " + (", ".join(f"{count:,} {name}" for name, count in ended.items()) or "none"))
        lines += [f"{kind}: {message}" for kind, message in self.errors.items()]
        lines += [f"black box: {path}" for path in self.black_boxes]
        return "\n".join(lines)
