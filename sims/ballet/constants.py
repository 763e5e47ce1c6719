"""Every fact of the published Ballet: the room, the dances, the shapes' names and the colours.

Source: Lampinen et al. 2021, "Towards mental time travel: a hierarchical memory for reinforcement learning agents",
arXiv:2105.14039; what the paper leaves out is as in the authors' public environment, google-deepmind/deepmind-research,
hierarchical_transformer_memory/pycolab_ballet.
"""

import numpy as np
from numpy.typing import NDArray

ROOM = 11
"""Cells along a side of the room, walls included."""
START = (5, 5)
"""Row and column of the agent when an episode begins: the middle."""
MOVES = 16
"""Moves of a dance."""
SLOTS = 8
"""Places for dancers: one in each compass direction, three cells from the start."""
REACH = 3
"""Moves from the start to a dancer."""

DIRECTIONS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
"""What each choice of the agent means, and where each slot lies."""
STEP: NDArray[np.int64] = np.array([(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)])
"""Rows and columns that a move in each direction goes, (8, 2)."""

DANCES = {
    "circle_cw": "N E S S W W N N E E S S W W N E",
    "circle_ccw": "N W S S E E N N W W S S E E N W",
    "up_and_down": "N S S N N S S N N S S N N S S N",
    "left_and_right": "E W W E E W W E E W W E E W W E",
    "diagonal_uldr": "NW SE SE NW NW SE SE NW NW SE SE NW NW SE SE NW",
    "diagonal_urdl": "NE SW SW NE NE SW SW NE NE SW SW NE NE SW SW NE",
    "plus_cw": "N S E W S N W E N S E W S N W E",
    "plus_ccw": "N S W E S N E W N S W E S N E W",
    "times_cw": "NE SW SE NW SW NE NW SE NE SW SE NW SW NE NW SE",
    "times_ccw": "NW SE SW NE SE NW NE SW NW SE SW NE SE NW NE SW",
    "zee": "NE W W E E SW NE SW SW E E W W NE SW NE",
    "chevron_down": "NW S SE NE N SW NE SW NE S SW NW N SE NW SE",
    "chevron_up": "SE N NW SW S NE SW NE SW N NE SE S NW SE NW",
}
"""The moves of each dance by its name, which is also how the agent is asked for it."""
WORDS = ("watch", *DANCES)
"""The vocabulary, in the order of the ``instruction`` observation."""

AGENT_LEVEL = 1.0
"""Brightness of the agent, a white square."""
WALL_LEVEL = 40 / 255
"""Brightness of the wall, dark grey; the floor and whatever lies outside the room are black."""

MIX_DANCERS = (2, 4, 8)
MIX_DELAY = (16, 48)
"""The published levels are every pair of these."""


def published_limit(dancers: int, delay: int) -> int:
    """Steps after which an episode is cut off: 320 up to a delay of 16, else 1024.

    Those are the published limits of the published levels. A longer show than any of theirs leaves the agent as long
    to choose as the longest of the short ones does, 72 steps.
    """
    return max(320 if delay <= 16 else 1024, dancers * (MOVES - 1 + delay) + 72)


def _paths() -> NDArray[np.int64]:
    """Where a dancer is after each move, from its slot: (13, 16, 2). Every dance ends where it began."""
    moves = [[DIRECTIONS.index(move) for move in dance.split()] for dance in DANCES.values()]
    return np.cumsum(STEP[np.array(moves)], axis=1)


PATHS = _paths()
