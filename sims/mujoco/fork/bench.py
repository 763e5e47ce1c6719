"""What the fork costs on top of the physics engine, measured in one process."""

import time
from collections.abc import Callable

import numpy as np

from haltere.sims.mujoco.fork.config import ForkConfig
from haltere.sims.mujoco.fork.task import ManipFork
from haltere.sims.speed import speeds

WORLDS = 64
ROUND_STEPS = 1000


def measure(
    config: ForkConfig, *, rounds: int = 8, progress: Callable[[int, int], None] | None = None
) -> dict[str, float]:
    """Steps per CPU-second of the full vector environment, and of MuJoCo's part of the same steps.

    Both alternate, step by step: the bare physics starts from the worlds' present state and leaves it as it is, with
    the commands of the step before. The experts act, so that blocks are pushed as they are in demonstrations;
    their own thinking isn't counted. CPU time counts every thread, and one is used.

    Args:
        config: of the task.
        rounds: how often the worlds are reset; the first round warms up and isn't counted.
        progress: called with the rounds done and all of them.

    Returns:
        ``full_steps_per_cpu_s`` and ``bare_steps_per_cpu_s`` (medians over rounds), and ``ratio``, the median of the
        rounds' own ratios.
    """
    env = ManipFork(config, WORLDS)
    expert = env.expert()
    full_s, bare_s = np.zeros(rounds), np.zeros(rounds)
    for number in range(rounds):
        obs, _ = env.reset(seed=list(range(number * WORLDS, (number + 1) * WORLDS)))
        for _ in range(ROUND_STEPS):
            action = np.asarray(expert.act(obs)["action"], np.float32)
            begin_s = time.process_time()
            env.bare_step()
            middle_s = time.process_time()
            obs, *_ = env.step(action)
            full_s[number] += time.process_time() - middle_s
            bare_s[number] += middle_s - begin_s
        if progress:
            progress(number + 1, rounds)
    env.close()
    return speeds(full_s, bare_s, WORLDS * ROUND_STEPS)
