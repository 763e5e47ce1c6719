"""``haltere train``: a seeded run in a folder of its own, resumable exactly."""

import os
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le
from pydantic import ConfigDict

from haltere.agents.cli.common import CONFIG_NAME, Request, Threads, read_request
from haltere.agents.cli.words import HELP, say, split_words
from haltere.agents.recipe import check_overrides
from haltere.configs.catalogue import read_task_path
from haltere.configs.errors import RequestError

if TYPE_CHECKING:
    from haltere.agents.trainer import Trainer, TrainResult

PARTS = ("env", "policy", "trainer")
LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class TrainOptions:
    """Train a policy; progress, TensorBoard, JSONL and checkpoints go to the run folder.

    Attributes:
        seed: root of every random stream of the run; 0 where none is given.
        out: run folder; runs/TASK-TIME where none is given.
        resume: run folder to go on with, exactly where its last checkpoint is; needs no other option.
        threads: threads of the simulator, which never change a result; the processors of this machine where none is
            given, and the run's own with --resume.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    seed: Annotated[int, Ge(0), Le(LARGEST_SEED)] | None = None
    out: str | None = None
    resume: str | None = None
    threads: Threads | None = None


def run(argv: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    argv = _with_task(argv)
    request = read_request("train", argv, TrainOptions, PARTS)
    if request is None:
        return 0
    from haltere.agents.run_report import write_run_report

    resume = request.options.resume
    path = Path(resume or request.options.out or f"runs/{request.task}-{time.strftime('%Y%m%d-%H%M%S')}")
    try:
        trainer = _start(request, argv, path) if resume is None else _resume(request, path)
        result = trainer.fit()
    except KeyboardInterrupt:
        if not any(step.name.isdigit() for step in path.glob("checkpoints/*")):
            say(_nothing_saved(request.task, path))
        raise
    print(as_text(result))
    print(f"report: {write_run_report(result.run)}")
    return 0


def _with_task(argv: Sequence[str]) -> Sequence[str]:
    """The same words, with the run's own task before them where only ``--resume RUN`` says which one is meant."""
    if not argv or not argv[0].startswith("--") or any(word in HELP for word in argv):
        return argv
    resume = split_words(argv).get("resume", [])
    if len(resume) != 1:
        return argv
    return [read_task_path(_run_config(Path(resume[0]))).name, *argv]


def _run_config(path: Path) -> Path:
    """The configuration of the run to go on with.

    Raises:
        RequestError: there is none.
    """
    if not (path / CONFIG_NAME).is_file():
        raise RequestError(f"--resume: {path} is no run folder: it has no {CONFIG_NAME}")
    return path / CONFIG_NAME


def _nothing_saved(task: str, path: Path) -> str:
    """What an interrupt before the first checkpoint leaves, for people."""
    if path.is_dir():
        from haltere.agents.run_folder import RUN_NAME

        if (path / RUN_NAME).is_file():
            return f"nothing was saved yet: haltere train {task} --resume {path} begins the same run anew"
    return "nothing was saved yet, and there is no run to go on with"


def _start(request: Request[TrainOptions], argv: Sequence[str], path: Path) -> "Trainer":
    """A new run."""
    from haltere.agents.runs import start_run

    options, recipe = request.options, request.recipe()
    check_overrides(recipe, request.overrides, training=True)
    trainer = start_run(
        recipe,
        seed=options.seed or 0,
        path=path,
        threads=options.threads or len(os.sched_getaffinity(0)),
        command=shlex.join(["haltere", "train", *argv]),
    )
    say(f"training in {path}; Ctrl-C stops with a checkpoint")
    return trainer


def _resume(request: Request[TrainOptions], path: Path) -> "Trainer":
    """An earlier run, where its newest checkpoint is.

    Raises:
        RequestError: an option contradicts the run.
    """
    from haltere.agents.runs import resume_run

    options = request.options
    fixed = [name for name in ("seed", "out") if getattr(options, name) is not None]
    if fixed:
        raise RequestError(f"--{fixed[0]}: can't change with --resume: the run in {path} keeps its own")
    task = read_task_path(_run_config(path)).name
    if task != request.task:
        raise RequestError(f"--resume: the run in {path} is of task '{task}', not '{request.task}'")
    return resume_run(path, request.overrides, say, threads=options.threads)


def as_text(result: "TrainResult") -> str:
    """How the run ended, for people."""
    speed = result.steps / max(result.wall_s, 1e-9)
    return (
        f"{result.steps:,} steps in {result.wall_s:,.0f} s ({speed:,.0f}/s)\n"
        f"policy: {result.policy} (fly it with --actor {result.run})"
    )
