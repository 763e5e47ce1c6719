"""A progress bar on standard error, which leaves standard output to the result."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextlib.contextmanager
def progress_bar(unit: str) -> Iterator[Callable[..., None]]:
    """Show a bar while the block runs; silent where standard error isn't a terminal.

    Args:
        unit: what is counted, such as ``episodes``.

    Yields:
        ``update(done, total)`` or ``update(done, total, steps)``, the latter with the agent steps so far.
    """
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        row = bar.add_task(unit, total=None)

        def update(done: int, total: int, steps: int | None = None) -> None:
            text = unit if steps is None else f"{unit}, {steps:,} steps"
            bar.update(row, completed=done, total=total, description=text)

        yield update
