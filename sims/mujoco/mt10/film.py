"""A film of the ten: Meta-World's scene through MuJoCo's renderer, what the policy is told, and what it commands."""

import atexit
import importlib
import threading
from collections.abc import Mapping
from functools import cache
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from haltere.configs.errors import RequestError
from haltere.sims.drawing import BACK, EDGE, HEIGHT, PANEL, QUIET, READ, RIGHT, TEXT, WIDTH, checked, font
from haltere.sims.mujoco.gl import working_gl
from haltere.sims.mujoco.mt10.constants import ACTION_SIZE, NAMES
from haltere.sims.mujoco.mt10.worlds import Worlds

_VIEW = 500
_SIDE = EDGE + _VIEW + 24
_EYE = {"lookat": (0.0, 0.68, 0.12), "distance": 1.15, "azimuth": 135.0, "elevation": -28.0}
"""Where it is seen from: Meta-World's own cameras hang upside down."""
_MOST_GEOMS = 1000
_MOTIONS = ("x, right", "y, ahead", "z, up", "grip")
_BAR_PX, _ROW_PX = 150, 34


def frame(worlds: Worlds, world: int, sentence: str, aux: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """Draw a world as it is now.

    Args:
        worlds: all of them.
        world: which one.
        sentence: what the policy is told in it.
        aux: what the actor shows. ``"action"`` (4,) is drawn as bars.

    Returns:
        (540, 960, 3) RGB.

    Raises:
        RequestError: no OpenGL draws here.
        HaltereError: an action isn't finite, or not of that shape.
    """
    image = Image.new("RGB", (WIDTH, HEIGHT), BACK)
    image.paste(Image.fromarray(view(worlds, world)), (EDGE, EDGE))
    pen = ImageDraw.Draw(image)
    pen.text((_SIDE, EDGE), f"step {int(worlds.clock[world])}", font=font(16), fill=QUIET)
    if worlds.solved[world]:
        pen.text((WIDTH - EDGE, EDGE), "success", font=font(16), fill=RIGHT, anchor="ra")
    pen.text((_SIDE, 70), "it is told", font=font(14), fill=QUIET)
    for number, line in enumerate(_lines(f"“{sentence}”")):
        pen.text((_SIDE, 92 + 34 * number), line, font=font(26), fill=TEXT)
    kind = int(worlds.kind[world])
    pen.text((_SIDE, 200), f"sub-task {kind}: {NAMES[kind]}", font=font(16), fill=QUIET)
    if "action" in aux:
        _bars(pen, np.clip(checked("ManipMT10", "action", aux["action"], ACTION_SIZE), -1.0, 1.0))
    return np.asarray(image)


def view(worlds: Worlds, world: int, side_px: int = _VIEW) -> NDArray[np.uint8]:
    """A world from ahead and above, (side, side, 3) RGB.

    Args:
        worlds: all of them.
        world: which one.
        side_px: of the picture.

    Raises:
        RequestError: no OpenGL draws here.
    """
    scene = worlds.bench(world)
    with scene.lock:
        worlds.put(world)
        mujoco.mj_forward(scene.model, scene.data)
        return _renderer(int(worlds.kind[world]), side_px, threading.get_ident()).draw(scene.model, scene.data)


class _Renderer:
    """One scene's meshes and textures in a context of OpenGL's; shadows and multisampling would take most of the time.

    A context belongs to the thread that made it.
    """

    def __init__(self, model: mujoco.MjModel, side_px: int) -> None:
        backend = working_gl()
        if backend is None:
            raise RequestError("ManipMT10 can't be drawn: neither EGL nor OSMesa draws here; install Mesa's libegl1")
        model.vis.quality.shadowsize, model.vis.quality.offsamples = 0, 0
        model.vis.global_.offwidth = max(model.vis.global_.offwidth, side_px)
        model.vis.global_.offheight = max(model.vis.global_.offheight, side_px)
        self._gl = importlib.import_module(f"mujoco.{backend}").GLContext(side_px, side_px)
        self._gl.make_current()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        self._scene = mujoco.MjvScene(model, maxgeom=_MOST_GEOMS)
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self._scene.flags[flag] = 0
        self._side_px = side_px
        atexit.register(self.free)  # while OpenGL's modules are still there

    def free(self) -> None:
        self._gl.make_current()
        self._context.free()
        self._gl.free()

    def draw(self, model: mujoco.MjModel, data: mujoco.MjData) -> NDArray[np.uint8]:
        self._gl.make_current()
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        eye = mujoco.MjvCamera()
        for name, value in _EYE.items():
            setattr(eye, name, value)
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(model, data, mujoco.MjvOption(), None, eye, everything, self._scene)
        viewport = mujoco.MjrRect(0, 0, self._side_px, self._side_px)
        picture = np.empty((self._side_px, self._side_px, 3), np.uint8)
        mujoco.mjr_render(viewport, self._scene, self._context)
        mujoco.mjr_readPixels(picture, None, viewport, self._context)
        upright: NDArray[np.uint8] = picture[::-1]
        return upright


@cache
def _renderer(kind: int, side_px: int, thread: int) -> _Renderer:
    from haltere.sims.mujoco.mt10.benches import bench

    del thread  # one for each
    return _Renderer(bench(kind).model, side_px)


def _lines(text: str) -> list[str]:
    """Words in lines that fit beside the view."""
    lines = [""]
    for word in text.split():
        if font(26).getlength(f"{lines[-1]} {word}") > WIDTH - EDGE - _SIDE:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _bars(pen: ImageDraw.ImageDraw, action: NDArray[np.float32]) -> None:
    """Each component from its zero line to the right or left."""
    middle = _SIDE + 90 + _BAR_PX
    for number, (name, value) in enumerate(zip(_MOTIONS, action.tolist(), strict=True)):
        top = 300 + number * _ROW_PX
        pen.text((_SIDE, top - 2), name, font=font(15), fill=QUIET)
        pen.rectangle((middle - _BAR_PX, top, middle + _BAR_PX, top + 16), fill=PANEL)
        left, right = sorted((middle, middle + value * _BAR_PX))
        pen.rectangle((left, top, right, top + 16), fill=READ)
