"""A film of the rooms: the room from above and aside, what the agent is told, what it does, and what it reads."""

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
    TimeLine,
    checked,
    compass,
    font,
    thing,
)
from haltere.sims.mujoco.rooms.constants import CALM, DIRECTIONS, OPEN_STEPS, PERIOD_STEPS
from haltere.sims.mujoco.rooms.scene import VIEW_HEIGHT, VIEW_WIDTH, draw_room
from haltere.sims.mujoco.rooms.worlds import Worlds
from haltere.sims.things import COLOURS, SHAPES

_SIDE = EDGE + VIEW_WIDTH + 20
_CLOCKWISE = [0, *range(len(DIRECTIONS) - 1, 0, -1)]
"""Choices in the order in which a compass shows them."""


class RoomsCamera:
    """Draws one world, frame after frame; each frame depends on its arguments alone."""

    def frame(self, world: Worlds, aux: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
        """Draw a world as it is now.

        Args:
            world: one world.
            aux: what the actor shows. ``"action"`` (8,) is drawn as a compass, ahead at the top. ``"read"``, or else
                ``"attention"``, (..., S) is the weight on each step of the episode, its first step first, drawn on the
                time line; the mean over leading axes counts, such as heads. What the step that weighs most showed is
                named.

        Returns:
            (540, 960, 3) RGB.

        Raises:
            HaltereError: weights or scores aren't finite, or not of that shape.
        """
        image = Image.new("RGB", (WIDTH, HEIGHT), BACK)
        pen = ImageDraw.Draw(image)
        image.paste(draw_room(world), (EDGE, EDGE))
        _words(image, pen, world)
        asked = bool(world.acts[0])
        if "action" in aux:
            scores = checked("MemoryRooms", "action", aux["action"], len(DIRECTIONS))[_CLOCKWISE]
            pen.text((_SIDE, 226), "it walks" if asked else "it would walk (it is led)", font=font(14), fill=QUIET)
            compass(pen, (_SIDE + 92, 332), scores, [DIRECTIONS[i] for i in _CLOCKWISE], bold=asked)
        weights = next((checked("MemoryRooms", name, aux[name]) for name in ("read", "attention") if name in aux), None)
        line = TimeLine(max(int(world.limit[0]), int(world.clock[0]) + 1))
        if weights is not None:
            most = line.bars(pen, weights[: int(world.clock[0]) + 1])
            _reading(image, pen, world, most)
        _time_line(pen, world, line)
        return np.asarray(image)


def _words(image: Image.Image, pen: ImageDraw.ImageDraw, world: Worlds) -> None:
    """The clock, what goes on, and the instruction with the object that it names."""
    clock, limit = int(world.clock[0]), int(world.limit[0])
    pen.text((_SIDE, EDGE), f"step {clock} / {limit}", font=font(16), fill=QUIET)
    pen.text((WIDTH - EDGE, EDGE), _moment(world), font=font(16), fill=QUIET, anchor="ra")
    pen.text((_SIDE, 58), "it is told", font=font(14), fill=QUIET)
    if not world.acts[0]:
        pen.text((_SIDE, 78), f"“{CALM}”", font=font(30), fill=TEXT)
        return
    shape, colour = divmod(int(world.asked[0]), len(COLOURS))
    pen.text((_SIDE, 76), f"“{list(COLOURS)[colour].replace('_', ' ')}", font=font(24), fill=TEXT)
    pen.text((_SIDE, 104), f"  {SHAPES[shape].replace('_', ' ')}”", font=font(24), fill=TEXT)
    image.paste(thing(shape, colour, 66), (_SIDE, 144))
    corner = EDGE + VIEW_WIDTH - 6, EDGE + VIEW_HEIGHT - 6
    pen.text(corner, "green: the right box", font=font(13), fill=RIGHT, anchor="rs")


def _moment(world: Worlds) -> str:
    """What goes on now, in words."""
    layout = world.layout
    if world.acts[0]:
        return "walk"
    show, within = divmod(int(world.clock[0]), int(layout.boxes[0]) * PERIOD_STEPS + int(layout.delay[0]))
    name = "show" if within < int(layout.boxes[0]) * PERIOD_STEPS else "delay"
    return f"{name} {show + 1} of {int(layout.shows[0])}"


def _reading(image: Image.Image, pen: ImageDraw.ImageDraw, world: Worlds, most: int) -> None:
    """What was shown in the step that weighs most."""
    left, top = _SIDE + 188, 226
    pen.text((left, top), f"most read: step {most}", font=font(13), fill=READ)
    box, screen, shown = (int(part[0]) for part in world.one(0, most).shown())
    if shown < 0:
        pen.text((left, top + 20), "nothing was shown", font=font(13), fill=READ)
        return
    where = f"box {box + 1}" if screen < 0 else f"screen {screen + 1}"
    pen.text((left, top + 20), f"this, in {where}", font=font(13), fill=READ)
    image.paste(thing(*divmod(shown, len(COLOURS)), 88), (left, top + 46))
    pen.rectangle((left - 2, top + 44, left + 89, top + 135), outline=READ, width=2)


def _time_line(pen: ImageDraw.ImageDraw, world: Worlds, line: TimeLine) -> None:
    """When each box opens, in its object's colour; the delays; the question; and now."""
    layout, clock = world.layout, int(world.clock[0])
    boxes, delay = int(layout.boxes[0]), int(layout.delay[0])
    colours = list(COLOURS.values())
    line.ground(pen)
    for show in range(int(layout.shows[0])):
        for turn in range(boxes):
            box = int(layout.order[0, turn])
            begin = show * (boxes * PERIOD_STEPS + delay) + turn * PERIOD_STEPS
            colour = colours[int(layout.objects[0, show * boxes + box]) % len(colours)]
            asked = bool(world.acts[0]) and show == 0 and box == int(layout.target[0])
            line.span(pen, begin, begin + OPEN_STEPS, colour, RIGHT if asked else PANEL)
        line.mark(pen, show * (boxes * PERIOD_STEPS + delay), f"show {show + 1}")
    line.mark(pen, int(world.question[0]), "question")
    line.now(pen, clock)
