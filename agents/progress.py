"""How far a training run is: a bar on a terminal, one line an interval anywhere else."""

import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

INTERVAL_S = 10.0
_FIRST_S = 4.0  # nobody waits ten seconds to see that something happens
_WINDOW = 20


def duration(seconds: float) -> str:
    """Seconds in words: ``42 s``, ``12 min``, ``3 h 05 min``."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


class TrainingProgress:
    """Shows steps, steps/s, time left, return and success rate on standard error."""

    def __init__(self, total: int, steps: int, console: Console | None = None) -> None:
        """Begin at ``steps`` of ``total``.

        Args:
            total: agent steps of the whole run.
            steps: agent steps already taken by earlier sessions.
            console: where to show it; standard error where None.
        """
        self._total = total
        self._console = console or Console(stderr=True)
        self._seen: deque[tuple[float, int]] = deque([(time.perf_counter(), steps)], maxlen=_WINDOW)
        self._last_line_s = time.perf_counter()
        self._bar = Progress(TextColumn("{task.description}"), BarColumn(), console=self._console, transient=True)
        self._task = self._bar.add_task(f"{steps:,} steps", total=total, completed=steps)

    @property
    def steps_per_s(self) -> float:
        """Over the last iterations; 0 before the first."""
        (start_s, start), (now_s, now) = self._seen[0], self._seen[-1]
        return (now - start) / (now_s - start_s) if now_s > start_s else 0.0

    def update(self, steps: int, row: Mapping[str, float]) -> None:
        """Take note of one iteration.

        Args:
            steps: agent steps taken so far.
            row: its metrics; ``episode/return`` and ``episode/success`` are shown.
        """
        now = time.perf_counter()
        self._seen.append((now, steps))
        if self._console.is_terminal:
            self._bar.update(self._task, completed=steps, description=self.line(steps, row))
        elif now - self._last_line_s >= INTERVAL_S or steps >= self._total:
            self._last_line_s = now
            self.note(self.line(steps, row))

    def begin(self) -> None:
        """Say that the first iteration is under way, where no bar shows it: its line comes only once it is done."""
        if not self._console.is_terminal:
            self.note("first iteration ...")

    def line(self, steps: int, row: Mapping[str, float]) -> str:
        """One line of text about where training stands."""
        rate = self.steps_per_s
        parts = [f"{steps:,} of {self._total:,} steps", f"{rate:,.0f} steps/s"]
        if rate and steps < self._total:
            parts.append(f"{duration((self._total - steps) / rate)} left")
        for name, digits in (("return", 2), ("success", 3)):
            if f"episode/{name}" in row:
                parts.append(f"{name} {row[f'episode/{name}']:.{digits}f}")
        return ", ".join(parts)

    def note(self, text: str) -> None:
        """Say something on a line of its own."""
        if self._console.is_terminal:
            self._console.print(text, highlight=False, markup=False)
        else:
            # Not through rich, which would wrap the line at the 80 columns that it assumes of a file.
            print(text, file=self._console.file, flush=True)

    def __enter__(self) -> "TrainingProgress":
        """Show the bar."""
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        if self._console.is_terminal:
            self._bar.stop()


class Lines:
    """What a log gets in place of a bar."""

    def __init__(self, unit: str, say: Callable[[str], None]) -> None:
        """Begin now.

        Args:
            unit: what is counted, such as ``episodes``.
            say: gets each line.
        """
        self._unit, self._say = unit, say
        self._due_s = time.monotonic() + _FIRST_S

    def update(self, done: int, total: int, steps: int | None = None) -> None:
        """Say how far it is, where the last line is long ago and it isn't the end.

        Args:
            done: of the units.
            total: of them.
            steps: agent steps so far, which go on while no unit is done.
        """
        now_s = time.monotonic()
        if done < total and now_s >= self._due_s:
            self._due_s = now_s + INTERVAL_S
            self._say(f"{done:,} of {total:,} {self._unit}{'' if steps is None else f', {steps:,} steps'}")


def warn(text: str) -> None:
    """Tell the user something on standard error."""
    print(f"warning: {text}", file=sys.stderr, flush=True)
