"""Sizes of Push-T as the package has them, in its pixels: a board of 512, x to the right, y down.

Source: gym-pusht 0.1.8, ``envs/pusht.py``. The block's frame, as it is used here, has its origin in the block's centre
of gravity; the package's is ``ORIGIN`` of it, in the middle of the T's top. The stem points along y.
"""

import math

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

CTRL_DT_S = 0.1
LIMIT_STEPS = 300
BOARD_PX = 512.0
WALLS_PX = (7.0, 504.0)
"""Their inner faces, along x and y alike. They hold the block; the agent passes through them."""
AGENT_PX = 15.0
"""Radius of the agent, a circle that moves as it is told, however heavy what it pushes."""
LAG_S = 0.2
"""How far behind a target that moves evenly the agent follows, as a time: its damping by its stiffness, 20 / 100."""
ORIGIN = np.array([0.0, -45.0])
SPREAD_PX2 = 3000.0
"""The block's moment of inertia by its mass: it turns about ``ORIGIN``'s opposite with the sum of two bars' moments."""
GOAL_PX = np.array([256.0, 256.0])
"""Where the package's origin of the block belongs."""
GOAL_RAD = math.pi / 4
SUCCESS = 0.95
"""More of the goal than that is to be covered."""
BARS = np.array([[-60.0, 60.0, -45.0, -15.0], [-15.0, 15.0, -15.0, 75.0]])
"""The top and the stem in the block's frame: x from, to, y from, to."""
OUTLINE = np.array([(-60, -45), (60, -45), (60, -15), (15, -15), (15, 75), (-15, 75), (-15, -15), (-60, -15)], float)


def _moments() -> tuple[FloatArray, float]:
    """The T's centroid, and the mean square distance of its points from there [px^2]."""
    sides, middles = np.diff(BARS.reshape(2, 2, 2))[..., 0], BARS.reshape(2, 2, 2).mean(axis=2)
    areas = sides.prod(axis=1)
    centroid = areas @ middles / areas.sum()
    squares = (sides**2).sum(axis=1) / 12.0 + ((middles - centroid) ** 2).sum(axis=1)
    return centroid, float(areas @ squares / areas.sum())


CENTROID, TURNING_PX2 = _moments()


def rotation(angle_rad: float) -> FloatArray:
    """(2, 2) matrix that turns x towards y."""
    cosine, sine = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[cosine, -sine], [sine, cosine]])
