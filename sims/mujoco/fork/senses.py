"""What the agents sense: one vector a world."""

import numpy as np
from numpy.typing import NDArray

from haltere.sims.mujoco.fork.physics import PADDLE_VELOCITY
from haltere.sims.mujoco.fork.worlds import Worlds

ROWS = (
    *("paddle x", "paddle y", "paddle velocity x", "paddle velocity y"),
    *("block x", "block y", "block cos yaw", "block sin yaw"),
    *("pane x", "pane half width", "goal x", "goal y"),
)
"""The rows of ``state``."""
UNITS = {
    "state": "x ahead and y left in the table's frame, whose line y = 0 is the middle [m, m/s]: " + ", ".join(ROWS),
    "action": "velocity that the paddle's servos aim at, ahead and left, as a share of 0.7 m/s",
}
Float32Array = NDArray[np.float32]


def observe(worlds: Worlds) -> dict[str, Float32Array]:
    """What W agents sense now: ``state`` (W, 12); see ``ROWS``."""
    yaw, scene = worlds.yaw, worlds.scene
    parts = (
        *(worlds.paddle, worlds.physics.state[:, PADDLE_VELOCITY], worlds.block, np.cos(yaw), np.sin(yaw)),
        *(scene.pane_x, scene.pane_half, scene.goal_x, scene.goal_y),
    )
    return {"state": np.column_stack(parts).astype(np.float32)}
