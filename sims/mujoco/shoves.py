"""When an episode is disturbed, and which way: what its seed decides in every task that can be shoved."""

import numpy as np
from numpy.typing import NDArray

from haltere.sims.chance import IntArray, below, key, uniform, words

_SALT = np.uint64(0xE7037ED1A0B428DB)


def shove(seeds: IntArray, first: int, last: int) -> tuple[IntArray, NDArray[np.float64]]:
    """Draw the shoves of k episodes from their seeds, (k,).

    Args:
        seeds: of the episodes.
        first: control step that a shove may come before.
        last: the same; all between them are as likely.

    Returns:
        (k,) control steps before it comes, and (k,) a number in [0, 1) for the task to take a direction from.
    """
    when, where = words(key(seeds) ^ _SALT, 2).T
    return first + below(when, last - first + 1), uniform(where)
