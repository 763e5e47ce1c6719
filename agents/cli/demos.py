"""``haltere demos``: record demonstrations of a task's expert, or check those that were recorded."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Le
from pydantic import ConfigDict

from haltere.agents.cli.common import Episodes, Request, read_request
from haltere.agents.cli.progress import progress_bar, starting
from haltere.agents.cli.words import output_file, write_json
from haltere.configs.errors import RequestError

if TYPE_CHECKING:
    from haltere.sims.datasets.check import CheckReport

PARTS = ("env",)
LAST_SEED = 2**62


@dataclass(frozen=True)
class DemosOptions:
    """Record what the task's expert does as a LeRobotDataset v3.0 folder, or check such a folder.

    Stopped at any time, the same command goes on. --check plays the recorded actions in the simulator again, and leaves
    with 1 where anything is wrong.

    Attributes:
        out: folder of the dataset, to record into; demos/TASK, where ``train`` looks for it, if none is given.
        episodes: number of seeds to play; an episode that fails isn't kept.
        seed: first episode seed; those from 800000 are refused: policies are tried and evaluated on them.
        workers: processes that play side by side; changes speed, not results.
        keep_failures: keep episodes without success too.
        check: folder of the dataset, to check instead of recording.
        tolerance: difference on replay that is none, in standard deviations of the entry of the observation.
        json: write what came of it to this file, or to standard output where it is ``-``.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    out: str | None = None
    episodes: Episodes = 100
    seed: Annotated[int, Ge(0), Le(LAST_SEED)] = 0
    workers: Annotated[int, Ge(1), Le(256)] = 1
    keep_failures: bool = False
    check: str | None = None
    tolerance: Annotated[float, Gt(0.0), Le(1.0)] = 1e-3
    json: str | None = None


def run(argv: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    request = read_request("demos", argv, DemosOptions, PARTS)
    if request is None:
        return 0
    options = request.options
    if options.out is not None and options.check is not None:
        raise RequestError("--out: records, and --check looks at what was recorded; drop one")
    if options.check is not None:
        _check_alone(options)
    if options.json not in (None, "-"):
        output_file(str(options.json), "json")
    return _record(request) if options.check is None else _check(request, Path(options.check))


def _check_alone(options: DemosOptions) -> None:
    """Refuse what says how to record beside ``--check``, which plays what was recorded as it was.

    Raises:
        RequestError: such an option has another value than its default.
    """
    for name in ("episodes", "seed", "workers", "keep_failures"):
        if getattr(options, name) != getattr(DemosOptions, name):
            raise RequestError(f"--{name.replace('_', '-')}: has no meaning beside --check, which plays all again")


def _record(request: Request[DemosOptions]) -> int:
    from haltere.sims.datasets.record import plan_recording, record

    options, recipe = request.options, request.recipe()
    folder = Path(options.out or f"demos/{recipe.task_name}")
    plan = plan_recording(
        recipe.module,
        recipe.task_id,
        recipe.env,
        seed=options.seed,
        episodes=options.episodes,
        keep_failures=options.keep_failures,
    )
    starting(f"recording {options.episodes:,} episode{'' if options.episodes == 1 else 's'} into {folder}")
    begin_s = time.perf_counter()
    try:
        with progress_bar("episodes") as progress:
            done = record(plan, folder, workers=options.workers, progress=progress)
    except KeyboardInterrupt:
        print("what was recorded is kept; the same command goes on", file=sys.stderr)
        raise
    wall_s = time.perf_counter() - begin_s
    if options.json is not None:
        facts: dict[str, Any] = {"task": recipe.task_name, "out": str(folder), **vars(done), "wall_s": wall_s}
        write_json(facts, options.json)
    if options.json != "-":
        print(f"{recipe.task_name}: {done.episodes:,} of {done.played:,} episodes, {done.frames:,} frames, in {folder}")
        if done.steps:
            print(f"{done.steps:,} steps in {wall_s:.1f} s ({done.steps / max(wall_s, 1e-9):,.0f}/s)")
    return 0


def _check(request: Request[DemosOptions], folder: Path) -> int:
    from haltere.sims.datasets.check import check_dataset

    options, recipe = request.options, request.recipe()
    starting(f"checking {folder}")
    with progress_bar("episodes") as progress:
        report = check_dataset(
            folder,
            module=recipe.module,
            task_id=recipe.task_id,
            env=recipe.env,
            tolerance=options.tolerance,
            progress=progress,
        )
    if options.json is not None:
        write_json(report.as_dict(), options.json)
    if options.json != "-":
        print(as_text(report))
    return 1 if report.faults else 0


def as_text(report: "CheckReport") -> str:
    """A check's findings for people."""
    holds = f": {report.episodes:,} episodes, {report.frames:,} frames" if report.episodes else ""
    lines = [f"{report.folder}{holds}; checked against {report.task}"]
    if report.replayed:
        lines.append(
            f"{report.replayed:,} episodes played again: success {report.replayed_success:.3f}, recorded "
            f"{report.recorded_success:.3f}"
        )
        width = max(len(key) for key in report.drift)
        for key, drift in report.drift.items():
            where = "" if drift.episode is None else f", first in episode {drift.episode}, frame {drift.frame}"
            lines.append(f"  {key:<{width}}  at most {drift.max:.3g} apart{where}")
    lines += [f"warning: {warning}" for warning in report.warnings]
    lines += [f"fault: {fault}" for fault in report.faults]
    count = len(report.faults)
    lines.append(f"{count} fault{'' if count == 1 else 's'}" if count else "clean")
    return "\n".join(lines)
