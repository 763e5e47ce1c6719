"""A film of Ballet: what the agent sees, what it is told, what it does, and which past moment it reads."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from haltere.sims.ballet.constants import DIRECTIONS, MOVES, ROOM, WORDS
from haltere.sims.ballet.picture import FloatArray, Painter
from haltere.sims.ballet.worlds import SLOT_CELL, Worlds
from haltere.sims.drawing import (
    BACK,
    EDGE,
    HEIGHT,
    QUIET,
    READ,
    RIGHT,
    TEXT,
    WIDTH,
    TimeLine,
    checked,
    compass,
    font,
)
from haltere.sims.things import CELL_PX, COLOURS, palette, shape_tiles

_ZOOM = 4
_VIEW = ROOM * CELL_PX * _ZOOM
_SIDE = EDGE + _VIEW + 28
_LEAST_CHOICE_STEPS = 16
"""Steps after the question that the time line has room for; where there are more, it grows."""


class BalletCamera:
    """Draws one world, frame after frame; each frame depends on its arguments alone."""

    def __init__(self) -> None:
        """Prepare the shapes in their published size, whatever the agent's own resolution."""
        self._painter = Painter(ROOM * CELL_PX)

    def frame(self, world: Worlds, aux: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
        """Draw a world as it is now.

        Args:
            world: one world.
            aux: what the actor shows. ``"action"`` (8,) is drawn as a compass. ``"read"``, or else ``"attention"``,
                (..., S) is the weight on each step of the episode, its first step first, drawn on the time line; the
                mean over leading axes counts, such as heads. The steps that weigh most, neighbours of equal weight, are
                named with the dance that they hold, and shown as they looked halfway through.

        Returns:
            (540, 960, 3) RGB.

        Raises:
            HaltereError: weights or scores aren't finite, or not of that shape.
        """
        image = Image.new("RGB", (WIDTH, HEIGHT), BACK)
        pen = ImageDraw.Draw(image)
        image.paste(self._view(world, _ZOOM), (EDGE, EDGE))
        asked = _asked(world)
        if asked:
            _mark(pen, world)
        _words(pen, world, asked)
        if "action" in aux:
            scores = checked("Ballet", "action", aux["action"], len(DIRECTIONS))
            pen.text((_SIDE, 152), "it goes" if asked else "it would go (ignored)", font=font(14), fill=QUIET)
            compass(pen, (_SIDE + 112, 292), scores, DIRECTIONS, bold=asked, zoom=1.5)
        weights = next((checked("Ballet", name, aux[name]) for name in ("read", "attention") if name in aux), None)
        now = int(world.clock[0])
        line = TimeLine(max(int(world.show[0]) + _LEAST_CHOICE_STEPS, now + 1))
        if weights is not None:
            most = line.bars(pen, weights[: now + 1])
            self._reading(image, pen, world, weights[: now + 1], most)
        _time_line(image, pen, world, line)
        return np.asarray(image)

    def _view(self, world: Worlds, zoom: int) -> Image.Image:
        """What the agent sees, ``zoom`` times as large."""
        pixels = np.rint(255 * self._painter.paint(world)[0].transpose(1, 2, 0)).astype(np.uint8)
        return Image.fromarray(pixels.repeat(zoom, axis=0).repeat(zoom, axis=1))

    def _reading(
        self, image: Image.Image, pen: ImageDraw.ImageDraw, world: Worlds, weights: FloatArray, most: int
    ) -> None:
        """The moment that weighs most: the step ``most`` and its neighbours of equal weight."""
        others = np.flatnonzero(~np.isclose(weights[most:], weights[most], rtol=1e-4, atol=0.0))
        first, last = most, most + int(others[0] if len(others) else len(weights) - most) - 1
        steps_read = f"step {first}" if first == last else f"steps {first} to {last}"
        left, top_y = _SIDE + 272, 192
        pen.text((left, top_y - 42), f"most read: {steps_read}", font=font(14), fill=READ)
        what, asked_for = _dances(world, first, last)
        pen.text((left, top_y - 24), what, font=font(14), fill=RIGHT if asked_for else READ)
        image.paste(self._view(world.one(0, min((first + last + 1) // 2, int(world.show[0]))), 2), (left, top_y))
        pen.rectangle((left - 2, top_y - 2, left + 199, top_y + 199), outline=READ, width=2)


def _mark(pen: ImageDraw.ImageDraw, world: Worlds) -> None:
    """A frame around the right dancer. The agent doesn't see it."""
    slot = world.layout.slot[0, world.layout.target[0]]
    place = np.array(divmod(int(SLOT_CELL[slot]), ROOM)) - np.array(divmod(int(world.agent[0]), ROOM)) + ROOM // 2
    if ((place < 0) | (place >= ROOM)).any():
        return
    cell = CELL_PX * _ZOOM
    top, left = (EDGE + cell * place).tolist()
    pen.rectangle((left - 4, top - 4, left + cell + 3, top + cell + 3), outline=RIGHT, width=3)


def _words(pen: ImageDraw.ImageDraw, world: Worlds, asked: bool) -> None:
    """The instruction, large; the clock and what is going on."""
    clock, limit = int(world.clock[0]), int(world.limit[0])
    pen.text((_SIDE, EDGE), f"step {clock} / {limit}", font=font(18), fill=QUIET)
    pen.text((WIDTH - EDGE, EDGE), _moment(world, clock), font=font(18), fill=QUIET, anchor="ra")
    pen.text((_SIDE, 58), "it is told", font=font(14), fill=QUIET)
    word = WORDS[int(world.word[0])].replace("_", " ")
    pen.text((_SIDE, 76), f"“{word}”", font=font(42), fill=TEXT)
    if asked:
        pen.text((_SIDE, EDGE + _VIEW), "green: the right dancer", font=font(14), fill=RIGHT, anchor="ls")


def _moment(world: Worlds, clock: int) -> str:
    """What goes on at a time of the episode, in words."""
    dancers = int(world.layout.dancers[0])
    dancer, move = divmod(clock, MOVES - 1 + int(world.layout.delay[0]))
    if dancer >= dancers:
        return "choice"
    return f"dance {dancer + 1} of {dancers}" if move < MOVES else "rest"


def _dances(world: Worlds, first: int, last: int) -> tuple[str, bool]:
    """What went on from one step to another, in words, and whether it holds the dance that is asked for by now."""
    dancers, period = int(world.layout.dancers[0]), MOVES - 1 + int(world.layout.delay[0])
    seen = [dancer for dancer in range(dancers) if dancer * period <= last and dancer * period + MOVES > first]
    if not seen:
        return _moment(world, first), False
    numbers = f"dance {seen[0] + 1}" if len(seen) == 1 else f"dances {seen[0] + 1} to {seen[-1] + 1}"
    asked = _asked(world)
    right = asked and int(world.layout.target[0]) in seen
    return f"{numbers} of {dancers}{', asked for' if right else ', not asked for' if asked else ''}", right


def _asked(world: Worlds) -> bool:
    """Whether the question has been put."""
    return int(world.clock[0]) >= int(world.show[0])


def _time_line(image: Image.Image, pen: ImageDraw.ImageDraw, world: Worlds, line: TimeLine) -> None:
    """When each dancer dances, in its colour and with its shape; the question; and now."""
    line.ground(pen)
    layout, period = world.layout, MOVES - 1 + int(world.layout.delay[0])
    for dancer in range(int(layout.dancers[0])):
        begin = dancer * period
        colour = list(COLOURS.values())[int(layout.colour[0, dancer])]
        asked = dancer == int(layout.target[0]) and _asked(world)
        line.span(pen, begin, begin + MOVES, colour, RIGHT if asked else QUIET)
        icon = _icon(int(layout.shape[0, dancer]), int(layout.colour[0, dancer]))
        middle, top = line.at(begin + MOVES / 2), HEIGHT - icon.height - 8
        image.paste(icon, (middle - icon.width // 2, top))
        if asked:
            pen.text((middle - icon.width, top), "asked for", font=font(13), fill=RIGHT, anchor="ra")
    line.mark(pen, int(world.show[0]), "question")
    line.now(pen, int(world.clock[0]))


@cache
def _icon(shape: int, colour: int) -> Image.Image:
    """A dancer, twice as large as it is seen."""
    tile = 255 * shape_tiles(CELL_PX)[shape, ..., None] * palette()[colour]
    return Image.fromarray(np.rint(tile).astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1))
