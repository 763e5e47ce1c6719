"""A film of the streets: the map, the agent and its goal, what became of the goals before, and what it reads."""

import colorsys
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
    TimeLine,
    checked,
    compass,
    font,
    mixed,
)
from haltere.sims.streets.constants import DIRECTIONS, LOOK
from haltere.sims.streets.worlds import Worlds

_MAP = 404
_SIDE = EDGE + _MAP + 32
_AGENT: Rgb = (86, 156, 255)
_LEAST_STEPS = 64
_DOTS = 4


class StreetsCamera:
    """Draws one world, frame after frame; each frame depends on its arguments alone."""

    def frame(self, world: Worlds, aux: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
        """Draw a world as it is now.

        Args:
            world: one world.
            aux: what the actor shows. ``"action"`` (4,) is drawn as a compass, north at the top. ``"read"``, or else
                ``"attention"``, (..., S) is the weight on each step of the episode, its first step first, drawn on the
                time line; the mean over leading axes counts, such as heads.

        Returns:
            (540, 960, 3) RGB.

        Raises:
            HaltereError: weights or scores aren't finite, or not of that shape.
        """
        image = Image.new("RGB", (WIDTH, HEIGHT), BACK)
        pen = ImageDraw.Draw(image)
        _map(image, pen, world)
        _words(image, pen, world)
        if "action" in aux:
            pen.text((_SIDE, 236), "it goes", font=font(14), fill=QUIET)
            scores = checked("MemoryStreets", "action", aux["action"], len(DIRECTIONS))
            compass(pen, (_SIDE + 84, 340), scores, DIRECTIONS, bold=True)
        read = (checked("MemoryStreets", name, aux[name]) for name in ("read", "attention") if name in aux)
        weights = next(read, None)
        clock = int(world.clock[0])
        line = TimeLine(max(_LEAST_STEPS, clock + 1))
        if weights is not None:
            line.bars(pen, weights[: clock + 1])
        _time_line(pen, world, line)
        return np.asarray(image)


def _card(look: int, side_px: int) -> Image.Image:
    """How a junction looks: its sixteen numbers as a pattern, in a colour that they give."""
    bits = ((look >> np.arange(LOOK)) & 1).reshape(_DOTS, _DOTS, 1)
    bright = np.array(colorsys.hsv_to_rgb((look * 0.618034) % 1.0, 0.65, 1.0))
    pixels = np.rint(255 * np.where(bits == 1, bright, 0.3 * bright)).astype(np.uint8)
    return Image.fromarray(pixels).resize((side_px, side_px), Image.Resampling.NEAREST)


def _map(image: Image.Image, pen: ImageDraw.ImageDraw, world: Worlds) -> None:
    """Open streets and junctions, with a frame around the goal and the agent where it is."""
    layout, size = world.layout, int(world.layout.size[0])
    side = round(layout.look.shape[1] ** 0.5)
    pitch = _MAP // size
    card = round(0.42 * pitch)
    middle = {
        row * side + column: (EDGE + pitch * column + pitch // 2, EDGE + pitch * row + pitch // 2)
        for row in range(size)
        for column in range(size)
    }
    for junction, at in middle.items():
        for to in layout.leads[0, junction].tolist():
            pen.line((*at, *middle[to]), fill=mixed(PANEL, QUIET, 0.5), width=max(4, pitch // 9))
    for junction, (x, y) in middle.items():
        image.paste(_card(int(layout.look[0, junction]), card), (x - card // 2, y - card // 2))
    x, y = middle[int(world.goal[0])]
    reach = card // 2 + 5
    pen.rectangle((x - reach, y - reach, x + reach, y + reach), outline=RIGHT, width=4)
    x, y = middle[int(world.here[0])]
    reach = max(7, card // 4)
    pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=_AGENT, outline=TEXT, width=3)


def _words(image: Image.Image, pen: ImageDraw.ImageDraw, world: Worlds) -> None:
    """The clock, the present goal, and the steps that the goals before took beside those that they need."""
    goals = world.record.shape[1]
    task = int(world.task[0])
    shortest = int(world.layout.way[0, world.start[0], world.goal[0]])
    pen.text((_SIDE, EDGE), f"step {int(world.clock[0])}", font=font(18), fill=QUIET)
    pen.text((WIDTH - EDGE, EDGE), f"goal {task + 1} of {goals}", font=font(18), fill=QUIET, anchor="ra")
    for left, label, junction in ((0, "it is at", world.here[0]), (130, "it is to find", world.goal[0])):
        pen.text((_SIDE + left, 58), label, font=font(14), fill=QUIET)
        image.paste(_card(int(world.layout.look[0, junction]), 84), (_SIDE + left, 82))
    words = f"{int(world.taken[0])} steps so far; the shortest way takes {shortest}"
    pen.text((_SIDE, 184), words, font=font(16), fill=TEXT)
    left, foot = _SIDE + 200, EDGE + _MAP
    pen.text((left, 236), "steps for each goal (green: needed)", font=font(14), fill=QUIET)
    tall = foot - 262
    most = max(int(world.record[0, :, 0].max()), 1)
    width = min(28, (WIDTH - EDGE - left) // goals)
    for number, (taken, needed, reached) in enumerate(world.record[0, :task].tolist()):
        at = left + number * width
        colour = _AGENT if reached else QUIET
        pen.rectangle((at, foot - round(tall * taken / most), at + width - 4, foot), fill=colour)
        pen.rectangle((at, foot - round(tall * min(needed, taken) / most), at + width - 4, foot), fill=RIGHT)


def _time_line(pen: ImageDraw.ImageDraw, world: Worlds, line: TimeLine) -> None:
    """From when to when each goal was looked for."""
    line.ground(pen)
    begin, task = 0, int(world.task[0])
    for number, taken in enumerate([*world.record[0, :task, 0].tolist(), int(world.taken[0])]):
        line.span(pen, begin, begin + taken, mixed(PANEL, _AGENT, 0.7 if number % 2 else 0.4))
        if taken >= line.steps // 24:
            pen.text((line.at(begin + taken / 2), 514), str(number + 1), font=font(13), fill=READ, anchor="ma")
        begin += taken
    line.now(pen, int(world.clock[0]))
