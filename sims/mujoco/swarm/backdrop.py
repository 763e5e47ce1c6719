"""What stands still in a picture of the forest: floor, cylinders and shadows, drawn once an episode with their depth.

The camera doesn't move during an episode, so that the renderer (MuJoCo's, or PyBullet's where there is no GL) draws
the scenery once, at twice the size for smooth edges, and a frame costs only what moves. A frame through MuJoCo's
renderer on a CPU would cost 28 ms without smooth edges and 83 ms with them, through TinyRenderer 80 ms.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError, unknown_name
from haltere.sims.mujoco.swarm.view import FloatArray, View

RENDERER_VARIABLE = "HALTERE_RENDERER"
RENDERERS = ("mujoco", "tiny")
SUPERSAMPLE = 2
NEAR_M = 0.5
FAR_M = 80.0

FLOOR_RGB = (0.15, 0.19, 0.26)
CYLINDER_RGB = (0.50, 0.42, 0.37)
LIGHT = (-0.45, 0.40, 1.0)
"""Direction from the scene to the light, world; the shadows' and both renderers'."""
_SKY_TOP = np.array([10.0, 13.0, 21.0])
_SKY_BOTTOM = np.array([26.0, 34.0, 50.0])
_SHADOW = 0.45
_GRID_RGB = np.array([74.0, 92.0, 122.0], np.float32)
_GRID_M = 1.0
_LINE_M = 0.014


@dataclass(frozen=True)
class Scenery:
    """What is drawn once.

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
    """The finished scenery.

    Attributes:
        rgb: (H, W, 3) uint8.
        depth: (H, W) distance along the optical axis of what each pixel shows [m]; ``FAR_M`` where it shows the sky.
        renderer: ``mujoco-egl``, ``mujoco-osmesa`` or ``tiny``.
    """

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    renderer: str


DrawScenery = Callable[[Scenery, View], tuple[NDArray[np.uint8], NDArray[np.float32]]]
"""Colours (H, W, 3) and depth (H, W) [m] of the bare scenery, without shadows; ``FAR_M`` where nothing is."""


def choose_renderer() -> tuple[str, DrawScenery]:
    """MuJoCo's renderer where GL works, else TinyRenderer; ``HALTERE_RENDERER=mujoco|tiny`` decides instead.

    Raises:
        RequestError: the variable names another renderer, or asks for MuJoCo's where no GL works.
    """
    wanted = os.environ.get(RENDERER_VARIABLE, "")
    if wanted not in ("", *RENDERERS):
        raise unknown_name(f"renderer ({RENDERER_VARIABLE})", wanted, RENDERERS)
    found = None if wanted == "tiny" else _mujoco()
    if found is None and wanted == "mujoco":
        raise RequestError(
            f"{RENDERER_VARIABLE}=mujoco, but neither EGL nor OSMesa draws here: install Mesa's libegl1, or unset it"
        )
    return found or _tiny()


def draw_backdrop(scenery: Scenery, view: View) -> Backdrop:
    """Draw the scenery with the renderer of choice, then its shadows, the floor's grid and the sky."""
    name, draw = choose_renderer()
    large = replace(view, width=view.width * SUPERSAMPLE, height=view.height * SUPERSAMPLE)
    rgb, depth = draw(scenery, large)
    picture = rgb.astype(np.float32)
    share = np.linspace(0.0, 1.0, large.height)[:, None]
    row, column = np.nonzero(depth >= FAR_M * 0.99)
    picture[row, column] = ((1.0 - share) * _SKY_TOP + share * _SKY_BOTTOM)[row]
    _paint_floor(picture, depth, scenery, large)
    blocks = picture.reshape(view.height, SUPERSAMPLE, view.width, SUPERSAMPLE, 3)
    nearest = depth.reshape(view.height, SUPERSAMPLE, view.width, SUPERSAMPLE).min(axis=(1, 3))
    return Backdrop(np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8), nearest, name)


def linear_depth(buffer: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance along the optical axis [m] from an OpenGL depth buffer in [0, 1] between ``NEAR_M`` and ``FAR_M``."""
    distance = NEAR_M * FAR_M / (FAR_M - buffer.astype(np.float64) * (FAR_M - NEAR_M))
    return distance.astype(np.float32)


def _mujoco() -> tuple[str, DrawScenery] | None:
    from haltere.sims.mujoco.gl import working_gl

    backend = working_gl()
    if backend is None:
        return None
    from haltere.sims.mujoco.swarm.backdrop_mujoco import draw

    return f"mujoco-{backend}", lambda scenery, view: draw(scenery, view, backend)


def _tiny() -> tuple[str, DrawScenery]:
    from haltere.sims.mujoco.swarm.backdrop_tiny import draw

    return "tiny", draw


def _paint_floor(picture: NDArray[np.float32], depth: NDArray[np.float32], scenery: Scenery, view: View) -> None:
    """Grid lines and the cylinders' shadows, in place, wherever a pixel shows the floor: the same for any renderer."""
    points = view.unproject(depth)
    floor = (np.abs(points[..., 2]) < 0.02) & (depth < FAR_M * 0.99)
    x, y = points[floor, 0], points[floor, 1]
    colour = picture[floor]
    softness = depth[floor] / np.float32(view.focal_px)  # one pixel's width on the floor
    from_line = np.minimum(np.abs(x - np.rint(x / _GRID_M) * _GRID_M), np.abs(y - np.rint(y / _GRID_M) * _GRID_M))
    line = np.clip((_LINE_M + softness - from_line) / softness, 0.0, 1.0) * np.clip(_LINE_M / softness, 0.0, 1.0)
    colour += 0.6 * line[:, None] * (_GRID_RGB - colour)
    shadow = np.zeros(len(x), dtype=bool)
    # Plain floats keep the arrays in single precision: this loop is most of the work.
    reach_x, reach_y = (-part / LIGHT[2] * scenery.drawn_height_m for part in LIGHT[:2])
    for foot_x, foot_y in scenery.obstacle.tolist():
        dx, dy = x - foot_x, y - foot_y
        along = np.clip((dx * reach_x + dy * reach_y) / (reach_x**2 + reach_y**2), 0.0, 1.0)
        shadow |= (dx - along * reach_x) ** 2 + (dy - along * reach_y) ** 2 < scenery.radius_m**2
    colour[shadow] *= 1.0 - _SHADOW
    picture[floor] = colour
