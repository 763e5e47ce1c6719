"""Recording demonstrations: the expert of a task, one episode a seed, in as many processes as are wanted."""

import errno
import multiprocessing
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from haltere.configs.errors import HaltereError, RequestError
from haltere.configs.installation import installed_version
from haltere.configs.loader import dump
from haltere.sims.datasets.assemble import Assembly
from haltere.sims.datasets.columns import env_features, frame_rate
from haltere.sims.datasets.layout import Feature, Sizes
from haltere.sims.datasets.parts import Plan, part_folder, workspace
from haltere.sims.datasets.play import play_part
from haltere.sims.datasets.reader import Dataset, open_dataset
from haltere.sims.evaluate import config_digest
from haltere.sims.registration import task_class, task_config
from haltere.sims.rollout import Progress
from haltere.sims.task import FIRST_ROLLOUT_SEED

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


@dataclass(frozen=True)
class Recorded:
    """What a recording came to.

    Attributes:
        episodes: how many the dataset holds.
        frames: of all of them.
        played: seeds that were played; the others failed and weren't kept.
        steps: control steps that this call played; 0 where everything was there already.
    """

    episodes: int
    frames: int
    played: int
    steps: int


def plan_recording(
    module: str,
    task_id: str,
    env: Any,  # noqa: ANN401 -- the task's own configuration
    *,
    seed: int,
    episodes: int,
    keep_failures: bool = False,
) -> Plan:
    """What is to be recorded.

    Args:
        module: whose import registers the task.
        task_id: Gymnasium id.
        env: the task's configuration.
        seed: the first episode seed.
        episodes: seeds to play, one after the other.
        keep_failures: whether episodes without success stay; a swarm succeeds where all of its agents do.

    Raises:
        RequestError: there are no episodes, or the seeds aren't training's.
    """
    last = seed + episodes - 1
    if episodes < 1 or seed < 0:
        raise RequestError(f"a recording needs an episode and a seed of at least 0, got {episodes} and {seed}")
    if last >= FIRST_ROLLOUT_SEED:
        raise RequestError(
            f"episode seeds {seed} to {last} reach into those that policies are tried and evaluated on; demonstrations "
            f"use seeds below {FIRST_ROLLOUT_SEED}"
        )
    return Plan(
        task=task_id,
        module=module,
        env=dump(env),
        env_digest=config_digest(task_id, env),
        seed=seed,
        episodes=episodes,
        keep_failures=keep_failures,
        version=installed_version(),
    )


def record(
    plan: Plan, folder: Path, *, workers: int = 1, sizes: Sizes | None = None, progress: Progress | None = None
) -> Recorded:
    """Record a plan into a folder, or go on where an earlier call was stopped.

    Whenever it is stopped, by whatever, the same call goes on; what comes out is the same byte for byte, whatever the
    number of workers.

    Args:
        plan: from ``plan_recording``.
        folder: of the dataset; new, or this recording's.
        workers: processes that play; 1 plays in this one.
        sizes: when files are full; the published defaults where None.
        progress: ``progress(seeds done, seeds of the plan, steps)``.

    Raises:
        RequestError: the task has no expert, or something else lies in the folder.
        HaltereError: no episode succeeded, the disk is full, the folder can't be written to, or a worker died.
    """
    features, rate = _signature(plan)
    try:
        with workspace(folder, plan) as done:
            if done:
                return _recorded(open_dataset(folder), 0)
            steps = _play(plan, folder, workers, progress)
            episodes, frames = Assembly(plan, folder, features, rate, sizes or Sizes()).write()
            return Recorded(episodes, frames, plan.episodes, steps)
    except OSError as error:
        if error.errno not in _DISK:
            raise
        raise HaltereError(
            f"{folder}: can't be written: {os.strerror(error.errno)}; what is recorded stays, and the same command "
            "goes on from there"
        ) from error


def _recorded(dataset: Dataset, steps: int) -> Recorded:
    ours = dataset.ours or {}
    return Recorded(len(dataset.episodes), dataset.frames, int(ours.get("played", len(dataset.episodes))), steps)


def _signature(plan: Plan) -> tuple[dict[str, Feature], Any]:
    """The task's features and frame rate; refuses a task without an expert before anything is played."""
    cls = task_class(plan.module, plan.task)
    env = cls(task_config(cls, plan.env), 1)
    try:
        env.expert()
        return env_features(env), frame_rate(env)
    finally:
        env.close()


def _play(plan: Plan, folder: Path, workers: int, progress: Progress | None) -> int:
    """Play the parts that aren't there yet; the control steps of all of them."""
    missing = [part for part in range(plan.parts()) if not part_folder(folder, part).exists()]
    done = plan.episodes - sum(len(plan.seeds(part)) for part in missing)
    total = 0

    def within(episodes: int, _: int, steps: int) -> None:
        if progress is not None:
            progress(done + episodes, plan.episodes, total + steps)

    if workers == 1:
        parts: Iterable[tuple[int, int]] = ((part, play_part(plan, folder, part, within)) for part in missing)
    else:
        parts = _pooled(plan, folder, missing, workers)
    for part, steps in parts:
        done, total = done + len(plan.seeds(part)), total + steps
        within(0, 0, 0)
    return total


def _pooled(plan: Plan, folder: Path, parts: list[int], workers: int) -> Iterator[tuple[int, int]]:
    """Play parts in fresh processes: a fork would share the threads and the graphics of this one."""
    context = multiprocessing.get_context("spawn")
    over, open_end = context.Pipe(duplex=False)
    count = min(workers, max(1, len(parts)))
    with over, open_end, ProcessPoolExecutor(count, context, initializer=_end_in_time, initargs=(over,)) as pool:
        try:
            futures = _submitted(pool, plan, folder, parts)
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            # The pool has ended all workers but one that was begun while another died, and would wait for it for ever.
            open_end.close()
            raise HaltereError(
                f"{folder}: a worker was killed, perhaps for its memory; the same command goes on, with fewer --workers"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _submitted(pool: ProcessPoolExecutor, plan: Plan, folder: Path, parts: list[int]) -> dict[Future[int], int]:
    """Each part's future.

    Raises:
        BrokenProcessPool: a worker died meanwhile.
    """
    try:
        return {pool.submit(play_part, plan, folder, part): part for part in parts}
    except (OSError, ValueError) as error:
        # A worker that is begun just after another died finds its queue closed, which is an error without a number;
        # or, a moment later, that a pipe of it is no file any more.
        closed = error.errno is None if isinstance(error, OSError) else "fds_to_keep" in str(error)
        if not closed:
            raise
        raise BrokenProcessPool(str(error)) from error


def _end_in_time(over: Connection) -> None:
    """Leave when the parent is gone, however it went, or has closed the other end of a pipe: nobody else would tell."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel, over])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
