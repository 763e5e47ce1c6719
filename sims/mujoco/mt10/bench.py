"""What the ten cost on top of the physics engine, measured in one process."""

import time
from collections.abc import Callable

import numpy as np

from haltere.sims.mujoco.mt10.config import MT10Config
from haltere.sims.mujoco.mt10.task import ManipMT10
from haltere.sims.speed import speeds

WORLDS = 40
ROUND_STEPS = 30
"""Fewer than any episode takes: resets, which cost as much as 50 steps, are counted apart, as what they are."""


def measure(
    config: MT10Config,
    task: type[ManipMT10] = ManipMT10,
    *,
    rounds: int = 8,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Steps per CPU-second of the full vector environment, and of MuJoCo's part of the same steps.

    Both alternate, step by step: the bare physics starts from the worlds' present state and leaves it as it is. The
    experts act; their own thinking isn't counted, nor are resets. CPU time counts every thread, and one is used.

    Args:
        config: of the task.
        task: the class; what is made of the ten is measured by the same means.
        rounds: how often the worlds are reset; the first round warms up and isn't counted.
        progress: called with the rounds done and all of them.

    Returns:
        ``full_steps_per_cpu_s`` and ``bare_steps_per_cpu_s`` (medians over rounds), and ``ratio``, the median of the
        rounds' own ratios.
    """
    env = task(config, WORLDS)
    expert = env.expert()
    full_s, bare_s = np.zeros(rounds), np.zeros(rounds)
    for number in range(rounds):
        obs, _ = env.reset(seed=list(range(number * WORLDS, (number + 1) * WORLDS)))
        for _ in range(ROUND_STEPS):
            action = np.asarray(expert.act(obs)["action"], np.float32)
            bare_s[number] += env.bare_step()
            begin_s = time.process_time()
            obs, *_ = env.step(action)
            full_s[number] += time.process_time() - begin_s
        if progress:
            progress(number + 1, rounds)
    env.close()
    return speeds(full_s, bare_s, WORLDS * ROUND_STEPS)
