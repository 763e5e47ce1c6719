"""What an episode's seed decides: which sub-task it is, where its object and its goal are, and when the hand is shoved.

Meta-World draws a vector evenly from a box, and draws it again where object and goal are too near to each other. So
does this, from the same boxes, but from the episode's seed rather than from a global generator or a list of 50.
"""

import math

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError
from haltere.sims.chance import IntArray, key, uniform, words
from haltere.sims.mujoco.mt10.constants import SHOVE_STEPS
from haltere.sims.mujoco.shoves import shove

FloatArray = NDArray[np.float64]
_TRIES = 1000


def sub_tasks(seeds: IntArray, chosen: IntArray) -> IntArray:
    """Number of each episode's sub-task, (k,), for seeds (k,); ``chosen`` are those that there are."""
    return chosen[seeds % len(chosen)]


def vector(seed: int, low: FloatArray, high: FloatArray, least_gap_m: float) -> FloatArray:
    """Where object and goal are in an episode, (3,) or (6,) [m]: ``rand_vec`` in Meta-World's words.

    Args:
        seed: of the episode.
        low: of the box that is drawn from.
        high: the same.
        least_gap_m: between the first two and the fourth and fifth numbers; 0 where nothing is drawn again.

    Raises:
        HaltereError: no vector of a thousand had that gap.
    """
    start = key(np.array([seed], np.int64))
    for number in range(_TRIES):
        drawn: FloatArray = low + (high - low) * uniform(words(start, len(low), 1 + number * len(low)))[0]
        if least_gap_m == 0.0 or math.hypot(*(drawn[:2] - drawn[3:5])) >= least_gap_m:
            return drawn
    raise HaltereError(f"seed {seed}: {_TRIES} draws from {low} to {high} were nearer than {least_gap_m} m")


def shoves(seeds: IntArray) -> tuple[IntArray, FloatArray]:
    """When the hands of k episodes are shoved, where the configuration wants it, and in which direction.

    Args:
        seeds: (k,).

    Returns:
        (k,) control steps before it comes, and (k, 3) directions of unit length: level, and each as likely.
    """
    step, where = shove(seeds, *SHOVE_STEPS)
    angle = 2.0 * math.pi * where
    return step, np.stack([np.cos(angle), np.sin(angle), np.zeros(len(seeds))], axis=1)
