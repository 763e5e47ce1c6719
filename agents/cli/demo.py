"""``haltere demo``: the whole tour in under two minutes, and one page that tells it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge
from pydantic import ConfigDict

from haltere.agents.cli.common import PROCESSORS, Episodes, Threads, read_options
from haltere.agents.recipe import resolve

TASK = "swarm"


@dataclass(frozen=True)
class DemoOptions:
    """Export the trained swarm, prove the file, fly it, film it, time it, and write one self-contained page.

    Attributes:
        out: folder for the page and everything that it shows.
        episodes: how many to fly.
        seed: first episode seed; training uses those below 900000. Its episode is the one that is filmed.
        actor: zoo (the task's own), zoo:NAME, a policy folder or a run folder.
        threads: native threads; changes speed, not results.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    out: str = "demo"
    episodes: Episodes = 16
    seed: Annotated[int, Ge(0)] = 900_000
    actor: str = "zoo"
    threads: Threads = PROCESSORS


def run(argv: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    options = read_options("demo", argv, DemoOptions)
    if options is None:
        return 0
    recipe = resolve(TASK)
    from haltere.agents.demo import Tour, tour

    given = Tour(recipe, options.actor, Path(options.out), options.episodes, options.seed, options.threads, _tell)
    path = tour(given)
    print(f"open {path} in a browser: it needs nothing else")
    return 0


def _tell(line: str) -> None:
    print(line, flush=True)
