"""Pictures of one MuJoCo model in a context of OpenGL's, without what would take most of the time."""

import atexit
import copy
import importlib
from collections.abc import Collection

import mujoco
import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.sims.mujoco.gl import working_gl

_MOST_GEOMS = 1000
_HIDDEN_GROUP = 5
"""MuJoCo draws groups 0 to 2."""


class Renderer:
    """One model's meshes and textures in a context; shadows, reflections and multisampling are left out.

    A context belongs to the thread that made it. The model that is drawn is a copy: what is set for pictures changes
    nothing about the physics, nor about other pictures.
    """

    def __init__(self, model: mujoco.MjModel, side_px: int, task: str, unseen: Collection[str] = ()) -> None:
        """Load everything.

        Args:
            model: what ``draw`` is given states of.
            side_px: of the pictures, which are square.
            task: its name, for the error.
            unseen: bodies that aren't drawn.

        Raises:
            RequestError: no OpenGL draws here.
        """
        backend = working_gl()
        if backend is None:
            wanted = "install Debian's libegl1 and libegl-mesa0, or libosmesa6"
            raise RequestError(f"{task} can't be drawn: neither EGL nor OSMesa draws here; {wanted}")
        self._model = copy.copy(model)
        quality, offscreen = self._model.vis.quality, self._model.vis.global_
        quality.shadowsize, quality.offsamples = 0, 0
        offscreen.offwidth, offscreen.offheight = max(offscreen.offwidth, side_px), max(offscreen.offheight, side_px)
        hidden = [self._model.body(name).id for name in unseen]
        self._model.geom_group[np.isin(self._model.geom_bodyid, hidden)] = _HIDDEN_GROUP
        self._gl = importlib.import_module(f"mujoco.{backend}").GLContext(side_px, side_px)
        self._gl.make_current()
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100)
        self._scene = mujoco.MjvScene(self._model, maxgeom=_MOST_GEOMS)
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self._scene.flags[flag] = 0
        self._options = mujoco.MjvOption()
        self._side_px = side_px
        atexit.register(self._free)  # while OpenGL's modules are still there

    def _free(self) -> None:
        self._gl.make_current()
        self._context.free()
        self._gl.free()

    def draw(self, data: mujoco.MjData, *cameras: mujoco.MjvCamera) -> NDArray[np.uint8]:
        """A state, whose positions are up to date, from each camera: (cameras, side, side, 3) RGB."""
        self._gl.make_current()
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        viewport = mujoco.MjrRect(0, 0, self._side_px, self._side_px)
        pictures = np.empty((len(cameras), self._side_px, self._side_px, 3), np.uint8)
        for picture, camera in zip(pictures, cameras, strict=True):
            everything = mujoco.mjtCatBit.mjCAT_ALL
            mujoco.mjv_updateScene(self._model, data, self._options, None, camera, everything, self._scene)
            mujoco.mjr_render(viewport, self._scene, self._context)
            mujoco.mjr_readPixels(picture, None, viewport, self._context)
        # OpenGL begins with the lowest row.
        upright: NDArray[np.uint8] = pictures[:, ::-1]
        return upright


def from_outside(
    lookat: tuple[float, float, float], distance: float, azimuth: float, elevation: float
) -> mujoco.MjvCamera:
    """A camera that no model has: where it looks at [m], from how far [m], and from where [deg]."""
    camera = mujoco.MjvCamera()
    camera.lookat[:] = lookat
    camera.distance, camera.azimuth, camera.elevation = distance, azimuth, elevation
    return camera


def of_model(model: mujoco.MjModel, name: str) -> mujoco.MjvCamera:
    """A model's own camera."""
    camera = mujoco.MjvCamera()
    camera.type, camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, model.camera(name).id
    return camera
