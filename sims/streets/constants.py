"""Every size and word of the streets. All of them are ours."""

import numpy as np
from numpy.typing import NDArray

DIRECTIONS = ("N", "E", "S", "W")
"""What each choice of the agent means; the opposite of direction d is (d + 2) % 4."""
STEP: NDArray[np.int64] = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])
"""Rows and columns that a street in each direction leads, (4, 2)."""
MOST_SIDE = 8
"""Junctions along a side of the largest neighbourhood."""
LOOK = 16
"""Numbers that a junction's appearance consists of, each -1 or 1."""
LEAST_WAY = 2
"""Streets from a start to its goal, at the least."""
PARTS = 8
"""Parts of an episode, of equally many goals, that are reported one by one."""
MIX_SIZE = (3, 4, 5, 6)
"""What ``mix`` draws from."""
