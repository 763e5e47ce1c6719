"""A film of the ten: Meta-World's scene through MuJoCo's renderer, what the policy is told, and what it commands."""

import threading
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from haltere.sims.drawing import BACK, EDGE, HEIGHT, PANEL, QUIET, READ, RIGHT, TEXT, WIDTH, checked, font
from haltere.sims.mujoco.mt10.constants import ACTION_SIZE, NAMES
from haltere.sims.mujoco.mt10.worlds import Worlds
from haltere.sims.mujoco.offscreen import Renderer, from_outside

_VIEW = 500
_SIDE = EDGE + _VIEW + 24
_EYE = from_outside((0.0, 0.68, 0.12), 1.15, azimuth=135.0, elevation=-28.0)
"""Where it is seen from: Meta-World's own cameras hang upside down."""
_MOTIONS = ("x, right", "y, ahead", "z, up", "grip")
_BAR_PX, _ROW_PX = 150, 34
_BARS_TOP, _BARS_TOP_ABOVE_PICTURES, _PICTURES_TOP = 300, 236, 392


def frame(
    worlds: Worlds,
    world: int,
    sentence: str,
    aux: Mapping[str, NDArray[Any]],
    repeat: int = 1,
    seen: Sequence[NDArray[np.uint8]] = (),
) -> NDArray[np.uint8]:
    """Draw a world as it is now.

    Args:
        worlds: all of them.
        world: which one.
        sentence: what the policy is told in it.
        aux: what the actor shows. ``"action"`` (4,) is drawn as bars.
        repeat: of Meta-World's steps, for how many a command holds.
        seen: pictures (side, side, 3) that the policy sees, drawn twice as large.

    Returns:
        (540, 960, 3) RGB.

    Raises:
        RequestError: no OpenGL draws here.
        HaltereError: an action isn't finite, or not of that shape.
    """
    image = Image.new("RGB", (WIDTH, HEIGHT), BACK)
    image.paste(Image.fromarray(view(worlds, world)), (EDGE, EDGE))
    pen = ImageDraw.Draw(image)
    shoved = worlds.shoved_at(world)
    said = f"step {int(worlds.clock[world]) // repeat}"
    said += "" if shoved is None else f", shoved at step {shoved // repeat}"
    pen.text((_SIDE, EDGE), said, font=font(16), fill=QUIET)
    if worlds.solved[world]:
        pen.text((WIDTH - EDGE, EDGE), "success", font=font(16), fill=RIGHT, anchor="ra")
    pen.text((_SIDE, 70), "it is told", font=font(14), fill=QUIET)
    for number, line in enumerate(_lines(f"“{sentence}”")):
        pen.text((_SIDE, 92 + 34 * number), line, font=font(26), fill=TEXT)
    kind = int(worlds.kind[world])
    pen.text((_SIDE, 200), f"sub-task {kind}: {NAMES[kind]}", font=font(16), fill=QUIET)
    if "action" in aux:
        action = np.clip(checked("ManipMT10", "action", aux["action"], ACTION_SIZE), -1.0, 1.0)
        _bars(pen, _BARS_TOP_ABOVE_PICTURES if seen else _BARS_TOP, action)
    left = _SIDE
    for picture in seen:
        twice = Image.fromarray(picture).resize((2 * picture.shape[1], 2 * picture.shape[0]), Image.Resampling.NEAREST)
        image.paste(twice, (left, _PICTURES_TOP))
        left += twice.width + EDGE
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
        renderer = _renderer(int(worlds.kind[world]), side_px, threading.get_ident())
        picture: NDArray[np.uint8] = renderer.draw(scene.data, _EYE)[0]
        return picture


@cache
def _renderer(kind: int, side_px: int, thread: int) -> Renderer:
    from haltere.sims.mujoco.mt10.benches import bench

    del thread  # one for each
    return Renderer(bench(kind).model, side_px, "ManipMT10")


def _lines(text: str) -> list[str]:
    """Words in lines that fit beside the view."""
    lines = [""]
    for word in text.split():
        if font(26).getlength(f"{lines[-1]} {word}") > WIDTH - EDGE - _SIDE:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _bars(pen: ImageDraw.ImageDraw, first: int, action: NDArray[np.float32]) -> None:
    """Each component from its zero line to the right or left, the first one that many pixels down."""
    middle = _SIDE + 90 + _BAR_PX
    for number, (name, value) in enumerate(zip(_MOTIONS, action.tolist(), strict=True)):
        top = first + number * _ROW_PX
        pen.text((_SIDE, top - 2), name, font=font(15), fill=QUIET)
        pen.rectangle((middle - _BAR_PX, top, middle + _BAR_PX, top + 16), fill=PANEL)
        left, right = sorted((middle, middle + value * _BAR_PX))
        pen.rectangle((left, top, right, top + 16), fill=READ)
