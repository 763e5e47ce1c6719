"""A film of the fork: the table from above, the paddle's trail, its command, and what it plans."""

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
from haltere.sims.mujoco.fork.constants import TABLE
from haltere.sims.mujoco.fork.draws import FloatArray
from haltere.sims.mujoco.fork.physics import PADDLE_VELOCITY
from haltere.sims.mujoco.fork.worlds import TRAIL_STEPS, Worlds

_SMOOTH = 2
_PX_PER_M = 1050.0
_LEFT_M, _MIDDLE_PX = -0.09, HEIGHT / 2 + 4
_GLASS: Rgb = (125, 211, 252)
_BLOCK: Rgb = (180, 142, 104)
_PADDLE: Rgb = (86, 156, 255)
_TABLE: Rgb = (24, 30, 42)
_ARROW_M = 0.09
_PLAN_PX, _PLAN_PX_AMONG = 4, 2


def frame(world: Worlds, aux: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """Draw a world as it is now, and its paddle's way so far; the paddle starts at the left and goes right.

    Args:
        world: one world.
        aux: what the actor shows. ``"action"`` (2,) is drawn as an arrow. ``"chunk"``, (H, 2), or (K, H, 2) for
            K of them, are commands from now on, drawn as the ways that the paddle would go if it touched nothing.

    Returns:
        (540, 960, 3) RGB.

    Raises:
        HaltereError: an action or a chunk isn't finite, or not of that shape.
    """
    image = Image.new("RGB", (WIDTH * _SMOOTH, HEIGHT * _SMOOTH), BACK)
    pen = ImageDraw.Draw(image)
    paddle = world.paddle[0]
    _ground(pen, world)
    past = np.arange(max(0, int(world.clock[0]) - TRAIL_STEPS + 1), int(world.clock[0]) + 1) % TRAIL_STEPS
    trail = world.trail[0, past]
    _line(pen, trail[np.isfinite(trail).all(axis=1)], mixed(_TABLE, _PADDLE, 0.6), 5)
    _square(pen, world)
    if "chunk" in aux:
        ways = planned(paddle, world.physics.state[0, PADDLE_VELOCITY], checked_plans("ManipFork", aux["chunk"], 2))
        for way in ways:
            _line(pen, way, READ, _PLAN_PX if len(ways) == 1 else _PLAN_PX_AMONG)
    _paddle(pen, paddle)
    if "action" in aux:
        action = np.clip(checked("ManipFork", "action", aux["action"], 2), -1.0, 1.0)
        _line(pen, np.stack([paddle, paddle + _ARROW_M * action]), TEXT, 4)
    image = image.resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    _words(ImageDraw.Draw(image), world, planning="chunk" in aux)
    return np.asarray(image)


def planned(place: FloatArray, velocity: FloatArray, plans: FloatArray) -> FloatArray:
    """Where K plans of H commands lead, (K, H + 1, 2) [m], if nothing is in the way.

    The servos' first-order lag in MuJoCo's own steps, summed up for each control period.
    """
    kept_a_step = 1.0 - TABLE.sim_dt_s / TABLE.servo_s
    kept = kept_a_step**TABLE.substeps
    lag_s = TABLE.servo_s * kept_a_step * (1.0 - kept)
    speed = np.broadcast_to(velocity, (len(plans), 2))
    ways = [np.broadcast_to(place, (len(plans), 2))]
    for command in np.moveaxis(TABLE.paddle_mps * np.clip(plans, -1.0, 1.0), 1, 0):
        ways.append(ways[-1] + command * TABLE.ctrl_dt_s + (speed - command) * lag_s)
        speed = command + kept * (speed - command)
    return np.stack(ways, axis=1)


def _px(points: FloatArray) -> list[tuple[float, float]]:
    """Pixels of points of the table, (P, 2) [m]: ahead is right, left is up."""
    x = (points[:, 0] - _LEFT_M) * _PX_PER_M * _SMOOTH
    y = (_MIDDLE_PX - points[:, 1] * _PX_PER_M) * _SMOOTH
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _line(pen: ImageDraw.ImageDraw, points: FloatArray, colour: Rgb, width: int) -> None:
    if len(points) > 1:
        pen.line(_px(points), fill=colour, width=width * _SMOOTH // 2, joint="curve")


def _ground(pen: ImageDraw.ImageDraw, world: Worlds) -> None:
    """The table with its middle line, the goal and the pane."""
    scene = world.scene
    pen.rectangle([0, 40 * _SMOOTH, WIDTH * _SMOOTH, (HEIGHT - 32) * _SMOOTH], fill=_TABLE)
    _line(pen, np.array([(-1.0, 0.0), (2.0, 0.0)]), PANEL, 2)
    goal = np.array([scene.goal_x[0], scene.goal_y[0]])
    corner = TABLE.goal_m * np.array([(-1, 1), (1, -1)])
    pen.ellipse(_px(goal + corner), fill=mixed(_TABLE, RIGHT, 0.35), outline=RIGHT, width=_SMOOTH)
    side = TABLE.block_half_m * np.array([(-1, 1), (1, -1)])
    pen.rectangle(_px(goal + side), outline=mixed(_TABLE, RIGHT, 0.6), width=_SMOOTH)
    half = np.array([TABLE.pane_thick_m, -scene.pane_half[0]])
    pane = np.array([scene.pane_x[0], 0.0])
    pen.rectangle(_px(np.stack([pane - half, pane + half])), fill=_GLASS)


def _square(pen: ImageDraw.ImageDraw, world: Worlds) -> None:
    """The block, with a stroke from its centre to its face ahead."""
    yaw = float(world.yaw[0])
    ahead, left = np.array([np.cos(yaw), np.sin(yaw)]), np.array([-np.sin(yaw), np.cos(yaw)])
    half = TABLE.block_half_m
    corners = [half * (a * ahead + b * left) for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
    solved = bool(world.solved[0])
    pen.polygon(_px(world.block[0] + np.array(corners)), fill=RIGHT if solved else _BLOCK)
    _line(pen, world.block[0] + np.stack([0.0 * ahead, half * ahead]), BACK, 3)


def _paddle(pen: ImageDraw.ImageDraw, at: FloatArray) -> None:
    """The bar with its round ends."""
    radius, half = TABLE.bar_radius_m, TABLE.paddle_half_m
    box = _px(at + np.array([(-radius, half), (radius, -half)]))
    pen.rounded_rectangle(box, radius=radius * _PX_PER_M * _SMOOTH, fill=_PADDLE)


def _words(pen: ImageDraw.ImageDraw, world: Worlds, *, planning: bool) -> None:
    """The clock, which way it went, when it was shoved, and what things are."""
    gone = {0: "", 1: "went left", -1: "went right"}[int(world.side[0])]
    if world.shoved[0]:
        gone += f", shoved at step {int(world.shoved[0])}"
    words = "the pane is broken" if world.broke[0] else gone
    pen.text((EDGE, 12), f"step {int(world.clock[0])}", font=font(16), fill=QUIET)
    pen.text((WIDTH / 2, 12), words, font=font(16), fill=TEXT, anchor="ma")
    error = f"block {100.0 * float(world.error_m[0]):.1f} cm from its goal"
    pen.text((WIDTH - EDGE, 12), error, font=font(16), fill=QUIET, anchor="ra")
    legend = [(EDGE, "paddle", _PADDLE), (100, "pane", _GLASS), (165, "block", _BLOCK), (235, "goal", RIGHT)]
    for left, name, colour in [*legend, (300, "plan", READ)] if planning else legend:
        pen.text((left, HEIGHT - 25), name, font=font(14), fill=colour)
