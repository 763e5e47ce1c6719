"""What the rooms cost on top of the physics engine, measured in one process."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from haltere.sims.lanes import choice_to_scores
from haltere.sims.mujoco.rooms.config import RoomsConfig
from haltere.sims.mujoco.rooms.constants import DIRECTIONS
from haltere.sims.mujoco.rooms.task import MemoryRooms
from haltere.sims.speed import speeds

WORLDS = 64
BURST_STEPS = 50
BURSTS = 12
MEASURED_DELAY = 100
"""Longer ones would leave no step of a round to walk and to begin anew."""


def measure(
    config: RoomsConfig, *, rounds: int = 8, progress: Callable[[int, int], None] | None = None
) -> dict[str, float]:
    """Steps per CPU-second of the full vector environment, and of MuJoCo's part of the same steps.

    Bursts of both alternate: the bare physics starts from the worlds' present state and leaves it as it is; the
    environment's burst goes on from there. Agents walk at random. CPU time counts every thread, and one is used.

    Args:
        config: the level; a delay above 100 is measured as 100.
        rounds: how often the worlds are reset; the first round warms up and isn't counted.
        progress: called with the rounds done and all of them.

    Returns:
        ``full_steps_per_cpu_s`` and ``bare_steps_per_cpu_s`` (medians over rounds), and ``ratio``, the median of the
        rounds' own ratios.
    """
    delay = MEASURED_DELAY if config.delay == "mix" else min(config.delay, MEASURED_DELAY)
    env = MemoryRooms(replace(config, delay=delay), WORLDS)
    generator = np.random.default_rng(0)
    full_s, bare_s = np.zeros(rounds), np.zeros(rounds)
    for number in range(rounds):
        env.reset(seed=list(range(number * WORLDS, (number + 1) * WORLDS)))
        for _ in range(BURSTS):
            choices = generator.integers(len(DIRECTIONS), size=(BURST_STEPS, WORLDS))
            begin_s = time.process_time()
            for action in choice_to_scores(choices, len(DIRECTIONS)):
                env.step(action)
            middle_s = time.process_time()
            for _ in range(BURST_STEPS):
                env.bare_step()
            full_s[number] += middle_s - begin_s
            bare_s[number] += time.process_time() - middle_s
        if progress:
            progress(number + 1, rounds)
    env.close()
    return speeds(full_s, bare_s, WORLDS * BURST_STEPS * BURSTS)
