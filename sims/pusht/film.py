"""A film of Push-T: the board from above, the agent's trail, where it is told to go, and what it plans."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from haltere.sims.drawing import (
    BACK,
    EDGE,
    HEIGHT,
    PANEL,
    QUIET,
    READ,
    RIGHT,
    TEXT,
    WIDTH,
    Rgb,
    checked,
    checked_plans,
    font,
    mixed,
)
from haltere.sims.pusht.constants import (
    AGENT_PX,
    BOARD_PX,
    GOAL_PX,
    GOAL_RAD,
    ORIGIN,
    OUTLINE,
    WALLS_PX,
    FloatArray,
    rotation,
)
from haltere.sims.pusht.worlds import Worlds

_SMOOTH = 2
_SIDE, _TOP = 480, 42
"""Of the board in a frame, and its distance from the frame's top."""
_BLOCK: Rgb = (180, 142, 104)
_AGENT: Rgb = (86, 156, 255)
_BOARD: Rgb = (24, 30, 42)
_TRAIL_STEPS = 128
_CROSS_PX = 7.0


def frame(worlds: Worlds, world: int, aux: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """Draw a world as it is now, and its agent's last 128 steps.

    Args:
        worlds: all of them.
        world: which.
        aux: what the actor shows. ``"action"`` (2,) is where the agent is told to go, drawn as a cross. ``"chunk"``,
            (H, 2), or (K, H, 2) for K of them, are such places from now on, drawn as lines.

    Returns:
        (540, 960, 3) RGB.

    Raises:
        HaltereError: an action or a chunk isn't finite, or not of that shape.
    """
    image = Image.new("RGB", (WIDTH * _SMOOTH, HEIGHT * _SMOOTH), BACK)
    pen = ImageDraw.Draw(image)
    shown = worlds.shown[world]
    _ground(pen)
    pen.polygon(_px(_block(shown[2:4], float(shown[4]))), fill=_BLOCK)
    clock = int(worlds.clock[world])
    _line(pen, worlds.trail[world, max(0, clock + 1 - _TRAIL_STEPS) : clock + 1], mixed(_BOARD, _AGENT, 0.6), 5)
    if "chunk" in aux:
        for plan in _targets(checked_plans("PushT", aux["chunk"], 2)):
            _line(pen, plan, READ, 4)
    (left, top), (right, foot) = _px(shown[:2] + AGENT_PX * np.array([(-1.0, -1.0), (1.0, 1.0)]))
    pen.ellipse([left, top, right, foot], fill=_AGENT)
    if "action" in aux:
        target = _targets(checked("PushT", "action", aux["action"], 2))
        for way in ((1.0, 1.0), (1.0, -1.0)):
            _line(pen, target + _CROSS_PX * np.array([(-1.0, -1.0), (1.0, 1.0)]) * way, TEXT, 5)
    image = image.resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    _words(ImageDraw.Draw(image), worlds, world, planning="chunk" in aux)
    return np.asarray(image)


def _targets(actions: NDArray[Any]) -> FloatArray:
    """Places on the board of actions (..., 2) [px]."""
    places: FloatArray = 0.5 * BOARD_PX * (1.0 + np.clip(actions.astype(np.float64), -1.0, 1.0))
    return places


def _block(origin: FloatArray, yaw: float) -> FloatArray:
    """The T's outline on the board, (8, 2) [px], by the package's origin."""
    outline: FloatArray = origin + (OUTLINE - ORIGIN) @ rotation(yaw).T
    return outline


def _px(points: FloatArray) -> list[tuple[float, float]]:
    """Pixels of the frame of points of the board, (P, 2)."""
    scaled = points * (_SIDE / BOARD_PX)
    x, y = ((WIDTH - _SIDE) / 2 + scaled[:, 0]) * _SMOOTH, (_TOP + scaled[:, 1]) * _SMOOTH
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _line(pen: ImageDraw.ImageDraw, points: FloatArray, colour: Rgb, width: int) -> None:
    if len(points) > 1:
        pen.line(_px(points), fill=colour, width=width * _SMOOTH // 2, joint="curve")


def _ground(pen: ImageDraw.ImageDraw) -> None:
    """The board with its walls and the goal."""
    low, high = WALLS_PX
    for corners, colour in (((0.0, BOARD_PX), PANEL), ((low, high), _BOARD)):
        pen.rectangle(_px(np.array([(corners[0],) * 2, (corners[1],) * 2])), fill=colour)
    pen.polygon(_px(_block(GOAL_PX, GOAL_RAD)), fill=mixed(_BOARD, RIGHT, 0.45))


def _words(pen: ImageDraw.ImageDraw, worlds: Worlds, world: int, *, planning: bool) -> None:
    """The clock, how much is covered, and what things are."""
    pen.text((EDGE, 12), f"step {int(worlds.clock[world])}", font=font(16), fill=QUIET)
    covered = f"{100.0 * float(worlds.coverage[world]):.0f} % of the goal covered"
    solved = bool(worlds.solved[world])
    pen.text((WIDTH - EDGE, 12), covered, font=font(16), fill=RIGHT if solved else QUIET, anchor="ra")
    legend = [("agent", _AGENT), ("block", _BLOCK), ("goal", RIGHT), ("target", TEXT), ("plan", READ)]
    for row, (name, colour) in enumerate(legend if planning else legend[:-1]):
        pen.text((EDGE, HEIGHT - 120 + 20 * row), name, font=font(14), fill=colour)
