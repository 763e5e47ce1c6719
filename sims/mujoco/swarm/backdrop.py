"""What stands still in a picture of the forest: floor, cylinders, shadows; drawn once an episode, with its depth.

The camera doesn't move during an episode, so the renderer (MuJoCo's, or PyBullet's where there is no GL) draws the
scenery once at twice the size, and each frame costs only what moves. Measured on one core: 28 ms a frame for MuJoCo
without any anti-aliasing and 80 ms for TinyRenderer, against about 6 ms for a frame over a finished backdrop.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError, unknown_name
from haltere.sims.mujoco.swarm.view import FloatArray, View

RENDERER_VARIABLE = "HALTERE_RENDERER"
SUPERSAMPLE = 2
FAR_M = 80.0
NEAR_M = 0.5

FLOOR_RGB = (0.115, 0.150, 0.215)
CYLINDER_RGB = (0.47, 0.40, 0.36)
_SKY_TOP = np.array([9.0, 12.0, 20.0])
_SKY_BOTTOM = np.array([22.0, 30.0, 46.0])


@dataclass(frozen=True)
class Forest:
    """The scenery.

    Attributes:
        obstacle: (C, 2) axes of the cylinders, world [m].
        radius_m: of every cylinder.
        drawn_height_m: where the cylinders are cut off for the view; they really reach the ceiling.
        room_m: side of the room.
    """

    obstacle: FloatArray
    radius_m: float
    drawn_height_m: float
    room_m: float


@dataclass(frozen=True)
class Backdrop:
    """A drawn forest.

    Attributes:
        rgb: (H, W, 3) uint8.
        depth: (H, W) distance along the optical axis of what is seen in each pixel [m]; ``FAR_M`` where nothing is.
        renderer: ``mujoco-egl``, ``mujoco-osmesa`` or ``tiny``.
    """

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    renderer: str


DrawForest = Callable[[Forest, View], tuple[NDArray[np.uint8], NDArray[np.float32]]]


def _mujoco() -> tuple[str, DrawForest] | None:
    from haltere.sims.mujoco.gl import working_gl

    backend = working_gl()
    if backend is None:
        return None
    from haltere.sims.mujoco.swarm.backdrop_mujoco import draw

    return f"mujoco-{backend}", lambda forest, view: draw(forest, view, backend)


def _tiny() -> tuple[str, DrawForest]:
    from haltere.sims.mujoco.swarm.backdrop_tiny import draw

    return "tiny", draw


def choose_renderer() -> tuple[str, DrawForest]:
    """MuJoCo's renderer where GL works, else TinyRenderer; ``HALTERE_RENDERER=mujoco|tiny`` decides instead.

    Raises:
        RequestError: the variable names another renderer, or asks for MuJoCo's where no GL works.
    """
    wanted = os.environ.get(RENDERER_VARIABLE, "")
    if wanted not in ("", "mujoco", "tiny"):
        raise unknown_name(f"renderer for {RENDERER_VARIABLE}", wanted, ("mujoco", "tiny"))
    found = None if wanted == "tiny" else _mujoco()
    if found is None and wanted == "mujoco":
        raise RequestError(
            f"{RENDERER_VARIABLE}=mujoco, but neither EGL nor OSMesa draws here; install Mesa's EGL (libegl1) or unset it"
        )
    return found or _tiny()


def draw_backdrop(forest: Forest, view: View) -> Backdrop:
    """Draw the scenery with the renderer of choice, smooth its edges and put a sky behind it."""
    name, draw = choose_renderer()
    large = View(view.eye, view.target, view.fovy_deg, view.width * SUPERSAMPLE, view.height * SUPERSAMPLE)
    rgb, depth = draw(forest, large)
    picture = rgb.astype(np.float32)
    share = np.linspace(0.0, 1.0, large.height)[:, None, None]
    sky = (1 - share) * _SKY_TOP + share * _SKY_BOTTOM
    picture = np.where((depth >= FAR_M * 0.99)[..., None], sky, picture)
    blocks = picture.reshape(view.height, SUPERSAMPLE, view.width, SUPERSAMPLE, 3)
    nearest = depth.reshape(view.height, SUPERSAMPLE, view.width, SUPERSAMPLE).min(axis=(1, 3))
    return Backdrop(np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8), nearest, name)


def linear_depth(buffer: NDArray[np.float32], near: float, far: float) -> NDArray[np.float32]:
    """Distance along the optical axis [m] from an OpenGL depth buffer in [0, 1], 0 at the near plane."""
    distance = near * far / (far - buffer.astype(np.float64) * (far - near))
    return np.asarray(distance, dtype=np.float32)
