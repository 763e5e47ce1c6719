"""What the cameras see: one that stands beside the table, and one at the hand that looks down past the fingers."""

import threading
from functools import cache
from typing import Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from haltere.sims.mujoco.mt10.benches import bench
from haltere.sims.mujoco.mt10.worlds import Worlds
from haltere.sims.mujoco.offscreen import Renderer, from_outside, of_model

SIDE_PX = 64
CameraName = Literal["side", "hand"]
CAMERAS: dict[str, tuple[CameraName, ...]] = {
    "both": ("side", "hand"),
    "side": ("side",),
    "hand": ("hand",),
    "none": (),
}
"""By what a configuration calls them."""
HAND_CAMERA = "gripperPOV"
"""Meta-World's own, 90 degrees wide."""
STANDING = from_outside((0.0, 0.70, 0.10), 0.9, azimuth=125.0, elevation=-40.0)
"""45 degrees wide, from the left and above: goals and objects lie in it, and the arm seldom hides them."""
UNSEEN = ("pedestal_feet", "pedestal", "torso", "head", "right_arm_base_link", "right_l0")
"""Of the arm, what neither camera ever sees: a seventh of the time of a picture."""


def pictures(worlds: Worlds, world: int, names: tuple[CameraName, ...]) -> NDArray[np.uint8]:
    """What cameras see of a world as it is now, (cameras, 64, 64, 3) RGB.

    Raises:
        RequestError: no OpenGL draws here.
    """
    scene = worlds.bench(world)
    with scene.lock:
        worlds.put(world)
        # Of what mj_forward does, the part that is for pictures.
        mujoco.mj_kinematics(scene.model, scene.data)
        mujoco.mj_comPos(scene.model, scene.data)
        mujoco.mj_camlight(scene.model, scene.data)
        cameras = [STANDING if name == "side" else of_model(scene.model, HAND_CAMERA) for name in names]
        return _renderer(int(worlds.kind[world]), threading.get_ident()).draw(scene.data, *cameras)


@cache
def _renderer(kind: int, thread: int) -> Renderer:
    del thread  # one for each
    return Renderer(bench(kind).model, SIDE_PX, "ManipPixels", UNSEEN)
