"""Progress on standard error, which leaves standard output to the result: a bar, or a line now and then in a log."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from haltere.agents.progress import Lines


def starting(what: str) -> None:
    """Say before something that takes its time what it is."""
    print(f"{what} ...", file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress_bar(unit: str) -> Iterator[Callable[..., None]]:
    """Show a bar while the block runs; where standard error isn't a terminal, a line now and then.

    Args:
        unit: what is counted, such as ``episodes``.

    Yields:
        ``update(done, total)`` or ``update(done, total, steps)``, the latter with the agent steps so far.
    """
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    lines = Lines(unit, lambda line: print(line, file=sys.stderr, flush=True))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        row = bar.add_task(unit, total=None)

        def update(done: int, total: int, steps: int | None = None) -> None:
            text = unit if steps is None else f"{unit}, {steps:,} steps"
            bar.update(row, completed=done, total=total, description=text)
            if not console.is_terminal:
                lines.update(done, total, steps)

        yield update
