"""What Ballet costs, pictures included, and what of it the worlds alone cost; measured in one process."""

import time
from collections.abc import Callable

import numpy as np

from haltere.sims.ballet.config import BalletConfig
from haltere.sims.ballet.constants import DIRECTIONS
from haltere.sims.ballet.task import Ballet
from haltere.sims.speed import speeds

WORLDS = 64
BURST_STEPS = 50
LEAST_STEPS = 600
"""Of a round: more than the longest published show, so that the choices are part of what is measured."""


def measure(
    config: BalletConfig, *, rounds: int = 12, progress: Callable[[int, int], None] | None = None
) -> dict[str, float]:
    """Steps per CPU-second of the whole vector environment, and of the same worlds' step without any picture.

    Two sets of 64 equal worlds play the same random choices; bursts of the one and of the other alternate. One thread
    is used, and CPU time is counted.

    Args:
        config: the level.
        rounds: how often the worlds are reset; the first round warms up and isn't counted.
        progress: called with the rounds done and all of them.

    Returns:
        ``full_steps_per_cpu_s`` and ``bare_steps_per_cpu_s`` (medians over rounds), and ``ratio``, the median of the
        rounds' own ratios.
    """
    full, bare = Ballet(config, WORLDS), Ballet(config, WORLDS)
    bursts = -(-LEAST_STEPS // BURST_STEPS)
    generator = np.random.default_rng(0)
    full_s, bare_s = np.zeros(rounds), np.zeros(rounds)
    for number in range(rounds):
        seeds = list(range(number * WORLDS, (number + 1) * WORLDS))
        full.reset(seed=seeds)
        bare.reset(seed=seeds)
        for _ in range(bursts):
            actions = generator.uniform(-1.0, 1.0, (BURST_STEPS, WORLDS, len(DIRECTIONS))).astype(np.float32)
            choices = actions.argmax(axis=-1)
            begin_s = time.process_time()
            for action in actions:
                full.step(action)
            middle_s = time.process_time()
            for choice in choices:
                bare.bare_step(choice)
            full_s[number] += middle_s - begin_s
            bare_s[number] += time.process_time() - middle_s
        if progress:
            progress(number + 1, rounds)
    return speeds(full_s, bare_s, WORLDS * BURST_STEPS * bursts)
