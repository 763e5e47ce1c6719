"""A film of Ballet: what the agent sees, what it is told, what it does, and which past moment it reads.

Pillow draws; unlike OpenCV it needs no library of the system's, and it brings its own font.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from haltere.configs.errors import HaltereError
from haltere.sims.ballet.constants import COLOURS, DIRECTIONS, MOVES, ROOM, STEP, WORDS
from haltere.sims.ballet.picture import FloatArray, Painter
from haltere.sims.ballet.sprites import CELL_PX, palette, shape_tiles
from haltere.sims.ballet.worlds import SLOT_CELL, Worlds

WIDTH, HEIGHT = 960, 540
Rgb = tuple[int, int, int]
_BACK: Rgb = (14, 18, 26)
_PANEL: Rgb = (30, 37, 50)
_TEXT: Rgb = (226, 232, 240)
_QUIET: Rgb = (150, 163, 184)
_READ: Rgb = (255, 196, 61)
_RIGHT: Rgb = (74, 222, 128)
_EDGE, _ZOOM = 20, 4
_VIEW = ROOM * CELL_PX * _ZOOM
_RIGHT_X = _EDGE + _VIEW + 28
_BAR_TOP, _BAR_FOOT, _LINE_HEIGHT = 452, 496, 12
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
        image = Image.new("RGB", (WIDTH, HEIGHT), _BACK)
        pen = ImageDraw.Draw(image)
        image.paste(self._view(world, _ZOOM), (_EDGE, _EDGE))
        asked = _asked(world)
        if asked:
            _mark(pen, world)
        _words(pen, world, asked)
        if "action" in aux:
            _compass(pen, _checked("action", aux["action"], len(DIRECTIONS)), asked)
        weights = next((_checked(name, aux[name]) for name in ("read", "attention") if name in aux), None)
        now = int(world.clock[0])
        steps = max(int(world.show[0]) + _LEAST_CHOICE_STEPS, now + 1)
        if weights is not None:
            self._reading(image, pen, world, weights[: now + 1], steps)
        _time_line(image, pen, world, steps)
        return np.asarray(image)

    def _view(self, world: Worlds, zoom: int) -> Image.Image:
        """What the agent sees, ``zoom`` times as large."""
        pixels = np.rint(255 * self._painter.paint(world)[0].transpose(1, 2, 0)).astype(np.uint8)
        return Image.fromarray(pixels.repeat(zoom, axis=0).repeat(zoom, axis=1))

    def _reading(
        self, image: Image.Image, pen: ImageDraw.ImageDraw, world: Worlds, weights: FloatArray, steps: int
    ) -> None:
        """Weights as bars over the time line, and the moment that weighs most."""
        most = int(weights.argmax())
        top = max(float(weights[most]), 1e-9)
        for step, weight in enumerate(weights.tolist()):
            height = max(weight, 0.0) / top * (_BAR_FOOT - _BAR_TOP)
            if height >= 1.0:
                left, right = _at(step, steps), max(_at(step + 1, steps) - 1, _at(step, steps) + 1)
                pen.rectangle((left, _BAR_FOOT - height, right, _BAR_FOOT), fill=_READ)
        pen.text((_EDGE, _BAR_TOP - 22), "what it reads from memory", font=_font(14), fill=_READ)
        others = np.flatnonzero(~np.isclose(weights[most:], weights[most], rtol=1e-4, atol=0.0))
        first, last = most, most + int(others[0] if len(others) else len(weights) - most) - 1
        steps_read = f"step {first}" if first == last else f"steps {first} to {last}"
        left, top_y = _RIGHT_X + 272, 192
        pen.text((left, top_y - 42), f"most read: {steps_read}", font=_font(14), fill=_READ)
        what, asked_for = _dances(world, first, last)
        pen.text((left, top_y - 24), what, font=_font(14), fill=_RIGHT if asked_for else _READ)
        image.paste(self._view(world.one(0, min((first + last + 1) // 2, int(world.show[0]))), 2), (left, top_y))
        pen.rectangle((left - 2, top_y - 2, left + 199, top_y + 199), outline=_READ, width=2)


def _mark(pen: ImageDraw.ImageDraw, world: Worlds) -> None:
    """A frame around the right dancer. The agent doesn't see it."""
    slot = world.layout.slot[0, world.layout.target[0]]
    place = np.array(divmod(int(SLOT_CELL[slot]), ROOM)) - np.array(divmod(int(world.agent[0]), ROOM)) + ROOM // 2
    if ((place < 0) | (place >= ROOM)).any():
        return
    cell = CELL_PX * _ZOOM
    top, left = (_EDGE + cell * place).tolist()
    pen.rectangle((left - 4, top - 4, left + cell + 3, top + cell + 3), outline=_RIGHT, width=3)


def _words(pen: ImageDraw.ImageDraw, world: Worlds, asked: bool) -> None:
    """The instruction, large; the clock and what is going on."""
    clock, limit = int(world.clock[0]), int(world.limit[0])
    pen.text((_RIGHT_X, _EDGE), f"step {clock} / {limit}", font=_font(18), fill=_QUIET)
    pen.text((WIDTH - _EDGE, _EDGE), _moment(world, clock), font=_font(18), fill=_QUIET, anchor="ra")
    pen.text((_RIGHT_X, 58), "it is told", font=_font(14), fill=_QUIET)
    word = WORDS[int(world.word[0])].replace("_", " ")
    pen.text((_RIGHT_X, 76), f"“{word}”", font=_font(42), fill=_TEXT)
    if asked:
        pen.text((_RIGHT_X, _EDGE + _VIEW), "green: the right dancer", font=_font(14), fill=_RIGHT, anchor="ls")


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


def _compass(pen: ImageDraw.ImageDraw, scores: FloatArray, counts: bool) -> None:
    """The score of each direction, and an arrow to the largest; faint where no action counts."""
    middle = np.array([_RIGHT_X + 112.0, 292.0])
    pen.text((_RIGHT_X, 152), "it goes" if counts else "it would go (ignored)", font=_font(14), fill=_QUIET)
    low, high = float(scores.min()), float(scores.max())
    for direction, score in enumerate(scores.tolist()):
        share = (score - low) / (high - low) if high > low else 0.0
        towards = STEP[direction, ::-1] / np.hypot(*STEP[direction])
        x, y = middle + 74 * towards
        radius = 5 + 11 * share
        colour = _mixed(_PANEL, _TEXT if counts else _QUIET, 0.25 + 0.75 * share)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
        label = middle + 104 * towards
        pen.text((label[0], label[1]), DIRECTIONS[direction], font=_font(12), fill=_QUIET, anchor="mm")
    towards = STEP[int(scores.argmax()), ::-1]
    end = middle + 50 * towards / np.hypot(*towards)
    pen.line((*middle, *end), fill=_TEXT if counts else _PANEL, width=5)


def _time_line(image: Image.Image, pen: ImageDraw.ImageDraw, world: Worlds, steps: int) -> None:
    """When each dancer dances, in its colour and with its shape; the question; and now."""
    top, foot = _BAR_FOOT + 2, _BAR_FOOT + 2 + _LINE_HEIGHT
    pen.rectangle((_at(0, steps), top, _at(steps, steps), foot), fill=_PANEL)
    layout, period = world.layout, MOVES - 1 + int(world.layout.delay[0])
    for dancer in range(int(layout.dancers[0])):
        begin = dancer * period
        left, right = _at(begin, steps), _at(begin + MOVES, steps)
        colour = list(COLOURS.values())[int(layout.colour[0, dancer])]
        asked = dancer == int(layout.target[0]) and _asked(world)
        pen.rectangle((left, top, right, foot), fill=colour, outline=_RIGHT if asked else _QUIET, width=2)
        icon = _icon(int(layout.shape[0, dancer]), int(layout.colour[0, dancer]))
        middle = (left + right) // 2
        image.paste(icon, (middle - icon.width // 2, foot + 4))
        if asked:
            pen.text((middle + icon.width, foot + 4), "asked for", font=_font(13), fill=_RIGHT)
    question = _at(int(world.show[0]), steps)
    pen.line((question, top - 4, question, foot + 8), fill=_TEXT, width=1)
    pen.text((question + 5, foot + 4), "question", font=_font(13), fill=_TEXT)
    now = _at(int(world.clock[0]), steps)
    pen.line((now, _BAR_TOP, now, foot + 3), fill=_TEXT, width=2)


def _at(step: int, steps: int) -> int:
    """Where a step begins on the time line [px]."""
    return _EDGE + round((WIDTH - 2 * _EDGE) * step / steps)


@cache
def _icon(shape: int, colour: int) -> Image.Image:
    """A dancer, twice as large as it is seen."""
    tile = 255 * shape_tiles(CELL_PX)[shape, ..., None] * palette()[colour]
    return Image.fromarray(np.rint(tile).astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1))


@cache
def _font(size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    return ImageFont.load_default(size)


def _mixed(one: Rgb, other: Rgb, share: float) -> Rgb:
    """A colour between two."""
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _checked(name: str, value: NDArray[Any], size: int | None = None) -> FloatArray:
    """One finite number a step, or for each of ``size`` things; the mean over leading axes."""
    array = np.asarray(value, np.float32)
    if array.ndim < 1 or not array.size or not np.isfinite(array).all() or size not in (None, array.shape[-1]):
        wanted = "(..., S)" if size is None else f"({size},)"
        raise HaltereError(f"Ballet can't be drawn: {name} must be finite and {wanted}, got shape {array.shape}")
    mean: FloatArray = array.reshape(-1, array.shape[-1]).mean(axis=0)
    return mean
