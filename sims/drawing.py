"""What the films of the memory tasks have in common: colours, letters, objects, a compass and a time line.

Pillow draws; unlike OpenCV it needs no library of the system's, and it brings its own font.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from haltere.configs.errors import HaltereError
from haltere.sims.things import CELL_PX, palette, shape_tiles

WIDTH, HEIGHT, EDGE = 960, 540, 20
Rgb = tuple[int, int, int]
BACK: Rgb = (14, 18, 26)
PANEL: Rgb = (30, 37, 50)
TEXT: Rgb = (226, 232, 240)
QUIET: Rgb = (150, 163, 184)
READ: Rgb = (255, 196, 61)
RIGHT: Rgb = (74, 222, 128)
_CARD: Rgb = (96, 106, 122)
_BAR_TOP, _BAR_FOOT, _LINE_HEIGHT = 452, 496, 12


@cache
def font(size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    """Pillow's own letters."""
    return ImageFont.load_default(size)


def mixed(one: Rgb, other: Rgb, share: float) -> Rgb:
    """A colour between two."""
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(one, other, strict=True))
    return red, green, blue


def checked(task: str, name: str, value: NDArray[Any], size: int | None = None) -> NDArray[np.float32]:
    """One finite number a step, or for each of ``size`` things; the mean over leading axes, such as heads.

    Raises:
        HaltereError: there are others.
    """
    array = np.asarray(value, np.float32)
    if array.ndim < 1 or not array.size or not np.isfinite(array).all() or size not in (None, array.shape[-1]):
        wanted = "(..., S)" if size is None else f"({size},)"
        raise HaltereError(f"{task} can't be drawn: {name} must be finite and {wanted}, got shape {array.shape}")
    mean: NDArray[np.float32] = array.reshape(-1, array.shape[-1]).mean(axis=0)
    return mean


def checked_plans(task: str, chunk: NDArray[Any], size: int) -> NDArray[np.float64]:
    """Commands of ``size`` numbers from now on: (H, size), or (K, H, size) for K of them -> (K, H, size).

    Raises:
        HaltereError: they are something else, or not finite.
    """
    array = np.asarray(chunk, np.float64)
    if array.ndim not in (2, 3) or array.shape[-1] != size or not array.size or not np.isfinite(array).all():
        wanted = f"(H, {size}) or (K, H, {size})"
        raise HaltereError(f"{task} can't be drawn: chunk must be finite, {wanted}, got {array.shape}")
    return array[None] if array.ndim == 2 else array


@cache
def thing(shape: int, colour: int, side_px: int) -> Image.Image:
    """A shape in a colour, each by its number, on a grey card, so that dark ones are seen too."""
    tile = shape_tiles(CELL_PX)[shape, ..., None]
    pixels = np.rint(tile * (255 * palette()[colour]) + (1.0 - tile) * np.array(_CARD)).astype(np.uint8)
    card = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), constant_values=0)
    card[[0, -1]], card[:, [0, -1]] = _CARD, _CARD
    return Image.fromarray(card).resize((side_px, side_px), Image.Resampling.NEAREST)


def compass(
    pen: ImageDraw.ImageDraw,
    middle: tuple[float, float],
    scores: NDArray[np.float32],
    names: Sequence[str],
    *,
    bold: bool,
    zoom: float = 1.0,
) -> None:
    """The score of each direction, of which the first points up and the others follow clockwise; faint if not bold."""
    low, high = float(scores.min()), float(scores.max())
    for direction, score in enumerate(scores.tolist()):
        share = (score - low) / (high - low) if high > low else 0.0
        angle = 2.0 * np.pi * direction / len(scores)
        x, y = float(np.sin(angle)), -float(np.cos(angle))
        left, top, radius = middle[0] + zoom * 48 * x, middle[1] + zoom * 48 * y, zoom * (4 + 8 * share)
        colour = mixed(PANEL, TEXT if bold else QUIET, 0.25 + 0.75 * share)
        pen.ellipse((left - radius, top - radius, left + radius, top + radius), fill=colour)
        label = middle[0] + zoom * 76 * x, middle[1] + zoom * 68 * y
        pen.text(label, names[direction], font=font(round(11 * zoom)), fill=QUIET, anchor="mm")
        if direction == int(scores.argmax()):
            end = middle[0] + zoom * 32 * x, middle[1] + zoom * 32 * y
            pen.line((*middle, *end), fill=TEXT if bold else PANEL, width=4)


@dataclass(frozen=True)
class TimeLine:
    """An episode from left to right, and how much of the attention lies on each of its steps.

    Attributes:
        steps: how many it has room for.
    """

    steps: int

    def at(self, step: float) -> int:
        """Where a step begins [px]."""
        return EDGE + round((WIDTH - 2 * EDGE) * step / self.steps)

    def bars(self, pen: ImageDraw.ImageDraw, weights: NDArray[np.float32]) -> int:
        """Draw the weight on each step as a bar over the line, the largest of full height; returns its step."""
        most = int(weights.argmax())
        top = max(float(weights[most]), 1e-9)
        for step in np.flatnonzero(weights > 0.0).tolist():
            height = float(weights[step]) / top * (_BAR_FOOT - _BAR_TOP)
            if height >= 1.0:
                left, right = self.at(step), max(self.at(step + 1) - 1, self.at(step) + 1)
                pen.rectangle((left, _BAR_FOOT - height, right, _BAR_FOOT), fill=READ)
        pen.text((EDGE, _BAR_TOP - 20), "what it reads from memory", font=font(13), fill=READ)
        return most

    def ground(self, pen: ImageDraw.ImageDraw) -> None:
        """Draw the line itself, empty."""
        pen.rectangle((self.at(0), _BAR_FOOT + 2, self.at(self.steps), _BAR_FOOT + 2 + _LINE_HEIGHT), fill=PANEL)

    def span(self, pen: ImageDraw.ImageDraw, first: float, end: float, colour: Rgb, outline: Rgb | None = None) -> None:
        """Draw steps ``first`` to ``end`` - 1 in a colour."""
        left, right = self.at(first), max(self.at(end), self.at(first) + 1)
        pen.rectangle((left, _BAR_FOOT + 2, right, _BAR_FOOT + 2 + _LINE_HEIGHT), fill=colour, outline=outline, width=2)

    def mark(self, pen: ImageDraw.ImageDraw, step: float, words: str) -> None:
        """Draw a stroke with words under it."""
        left = self.at(step)
        pen.line((left, _BAR_FOOT - 2, left, _BAR_FOOT + 2 + _LINE_HEIGHT + 8), fill=TEXT, width=1)
        anchor = "ra" if left > WIDTH - 100 else "la"
        pen.text((left + (5 if anchor == "la" else -5), _BAR_FOOT + 18), words, font=font(13), fill=TEXT, anchor=anchor)

    def now(self, pen: ImageDraw.ImageDraw, step: float) -> None:
        """Draw the present."""
        pen.line((self.at(step), _BAR_TOP, self.at(step), _BAR_FOOT + 5 + _LINE_HEIGHT), fill=TEXT, width=2)
