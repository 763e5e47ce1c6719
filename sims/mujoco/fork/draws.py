"""What an episode's seed decides: where everything lies, how much the block rubs, and when the paddle is shoved where.

Each place to the side, and the yaw, is drawn from a range that is symmetric about the middle line, and independently
of all others: a scene is as likely as its mirror image.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from haltere.sims.chance import IntArray, key, uniform, words
from haltere.sims.mujoco.fork.constants import SHOVE_STEPS, TABLE
from haltere.sims.mujoco.shoves import shove

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """What k episodes begin with; (k,) each, in the table's frame [m, rad].

    Attributes:
        start_x: of the paddle.
        start_y: of the paddle.
        ahead_mps: velocity of the paddle [m/s].
        aside_mps: the same, to the left [m/s].
        pane_x: middle of the pane.
        pane_half: half of its width.
        block_x: centre of the block.
        block_y: the same.
        block_yaw: its yaw.
        goal_x: where the block belongs.
        goal_y: the same.
        friction: coefficient, between block and table.
    """

    start_x: FloatArray
    start_y: FloatArray
    ahead_mps: FloatArray
    aside_mps: FloatArray
    pane_x: FloatArray
    pane_half: FloatArray
    block_x: FloatArray
    block_y: FloatArray
    block_yaw: FloatArray
    goal_x: FloatArray
    goal_y: FloatArray
    friction: FloatArray


SCENE_SIZE = len(fields(Scene))
_RANGES = np.array(
    [
        *(TABLE.start_x_m, TABLE.start_y_m, TABLE.ahead_mps, TABLE.aside_mps, TABLE.pane_x_m, TABLE.pane_half_m),
        *(TABLE.block_ahead_m, TABLE.block_y_m, TABLE.block_yaw_rad, TABLE.goal_ahead_m, TABLE.goal_y_m),
        TABLE.friction,
    ]
)


def scenes(seeds: IntArray) -> Scene:
    """Draw the scenes of k episodes from their seeds, (k,)."""
    low, high = _RANGES.T
    part = (low + (high - low) * uniform(words(key(seeds), SCENE_SIZE))).T
    start_x, start_y, ahead_mps, aside_mps, pane_x, pane_half, ahead, block_y, yaw, goal_ahead, aside, friction = part
    block_x = pane_x + ahead
    return Scene(
        *(start_x, start_y, ahead_mps, aside_mps, pane_x, pane_half, block_x, block_y, yaw),
        *(block_x + goal_ahead, block_y + aside, friction),
    )


@dataclass(frozen=True)
class Shove:
    """What happens to the paddles of k episodes where the configuration wants it.

    Attributes:
        step: (k,) control steps before it comes, or more while the paddle isn't behind the pane yet.
        side: (k,) 1 to the left, -1 to the right.
    """

    step: IntArray
    side: FloatArray


def shoves(seeds: IntArray) -> Shove:
    """Draw the shoves of k episodes from their seeds, (k,); each step and each side is as likely as the others."""
    step, where = shove(seeds, *SHOVE_STEPS)
    return Shove(step, np.where(where < 0.5, 1.0, -1.0))
