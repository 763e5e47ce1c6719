"""What the environment costs on top of the physics engine, measured in one process."""

import time
from collections.abc import Callable

import numpy as np

from haltere.sims.mujoco.swarm.config import SwarmForestConfig
from haltere.sims.mujoco.swarm.task import HOVER, SwarmForest
from haltere.sims.speed import speeds

WORLDS = 64
BURST_STEPS = 25
BURSTS_PER_FLIGHT = 6  # 1.5 s: near-hover commands without feedback keep most drones off the floor for that long
JITTER = 0.02  # standard deviation of the commands around hover


def measure(
    config: SwarmForestConfig, *, flights: int = 12, progress: Callable[[int, int], None] | None = None
) -> dict[str, float]:
    """Agent steps per CPU-second of the full vector environment and of ``mj_step`` alone on the same scenes.

    Bursts of both alternate: each burst of bare physics starts from the worlds' present state, contacts included, and
    leaves it as it is; the environment's burst goes on from there. Drones fly near-hover commands with a jitter. CPU
    time counts every thread, and one thread is used.

    Args:
        config: the forest.
        flights: how often the worlds are reset; the first flight warms up and isn't counted.
        progress: called with the flights done and all of them.

    Returns:
        ``full_steps_per_cpu_s``, ``bare_steps_per_cpu_s``, a step being one drone's control step (medians over
        flights), and ``ratio``, the median of the flights' own ratios.
    """
    env = SwarmForest(config, WORLDS, threads=1)
    generator = np.random.default_rng(0)
    shape = (BURST_STEPS, WORLDS, config.drones, 4)
    actions = (HOVER + JITTER * generator.standard_normal(shape)).astype(np.float32)
    full_s, bare_s = np.zeros(flights), np.zeros(flights)
    for flight in range(flights):
        env.reset(seed=list(range(flight * WORLDS, (flight + 1) * WORLDS)))
        for _ in range(BURSTS_PER_FLIGHT):
            bare_s[flight] += env.bare_cpu_s(BURST_STEPS)
            begin_s = time.process_time()
            for action in actions:
                env.step(action)
            full_s[flight] += time.process_time() - begin_s
        if progress:
            progress(flight + 1, flights)
    env.close()
    return speeds(full_s, bare_s, WORLDS * config.drones * BURST_STEPS * BURSTS_PER_FLIGHT)
