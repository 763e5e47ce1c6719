"""Shapes and colours of the dancers, and of other objects that a policy has to tell apart, and their pictures.

Source: the public environment of Lampinen et al. 2021, arXiv:2105.14039.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

SHAPES = (
    *("triangle", "empty_square", "plus", "inverse_plus", "ex", "inverse_ex", "circle", "empty_circle", "tee"),
    *("upside_down_tee", "h", "u", "upside_down_u", "vertical_stripes", "horizontal_stripes"),
)
COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "purple": (128, 0, 128),
    "orange": (255, 165, 0),
    "yellow": (255, 255, 0),
    "brown": (128, 64, 0),
    "pink": (255, 64, 255),
    "cyan": (0, 255, 255),
    "dark_green": (0, 100, 0),
    "dark_red": (100, 0, 0),
    "dark_blue": (0, 0, 100),
    "olive": (100, 100, 0),
    "teal": (0, 100, 100),
    "lavender": (215, 200, 255),
    "peach": (255, 210, 170),
    "rose": (255, 205, 230),
    "light_green": (200, 255, 200),
    "light_yellow": (255, 255, 200),
}
"""RGB, 8 bits each."""
CELL_PX = 9
"""Pixels along a side of a cell at the published resolution."""

_Grid = NDArray[np.int64]
_INSIDE: dict[str, Callable[[_Grid, _Grid], NDArray[np.bool_]]] = {
    "triangle": lambda x, y: y + 4 >= 2 * abs(x),
    "empty_square": lambda x, y: np.maximum(abs(x), abs(y)) >= 3,
    "plus": lambda x, y: np.minimum(abs(x), abs(y)) <= 1,
    "inverse_plus": lambda x, y: np.minimum(abs(x), abs(y)) > 1,
    "ex": lambda x, y: abs(abs(x) - abs(y)) <= 1,
    "inverse_ex": lambda x, y: abs(abs(x) - abs(y)) > 1,
    "circle": lambda x, y: x * x + y * y <= 16,
    "empty_circle": lambda x, y: abs(x * x + y * y - 16) < 6,
    "tee": lambda x, y: (abs(x) <= 1) | (y <= -2),
    "upside_down_tee": lambda x, y: (abs(x) <= 1) | (y >= 2),
    "h": lambda x, y: (abs(x) >= 2) | (abs(y) <= 1),
    "u": lambda x, y: (abs(x) >= 2) | (y >= 2),
    "upside_down_u": lambda x, y: (abs(x) >= 2) | (y <= -2),
    "vertical_stripes": lambda x, y: x % 2 == 0,
    "horizontal_stripes": lambda x, y: y % 2 == 0,
}
"""Whether a pixel belongs to a shape; x to the right and y down from the middle of the cell, both -4 to 4."""


def shape_tiles(cell_px: int) -> NDArray[np.float32]:
    """Every shape in white.

    Args:
        cell_px: 9, or 3: then each pixel is the mean of 3 x 3 published ones.

    Returns:
        (15, cell_px, cell_px), coverage in [0, 1], in the order of ``SHAPES``.
    """
    y, x = np.mgrid[-4:5, -4:5]
    full = np.array([np.broadcast_to(_INSIDE[name](x, y), x.shape) for name in SHAPES], np.float64)
    factor = CELL_PX // cell_px
    coarse = full.reshape(len(SHAPES), cell_px, factor, cell_px, factor).mean(axis=(2, 4))
    tiles: NDArray[np.float32] = coarse.astype(np.float32)
    return tiles


def palette() -> NDArray[np.float32]:
    """Every colour, (19, 3) RGB in [0, 1], in the order of ``COLOURS``."""
    colours: NDArray[np.float32] = np.array(list(COLOURS.values()), np.float32) / np.float32(255)
    return colours
