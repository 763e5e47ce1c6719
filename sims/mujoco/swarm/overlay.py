"""Smooth 2-D drawing over a backdrop: dots, pictures and text, hidden where the scenery is nearer.

Pillow draws the small pictures: unlike OpenCV it needs no library of the system's, and it brings its own font.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from haltere.sims.mujoco.swarm.view import FloatArray

Rgb = tuple[int, int, int]
Tile = NDArray[np.uint8]
"""A small picture with transparency, (h, w, 4)."""
OVERSAMPLE = 4
HIDDEN = 0.2
"""What remains of the opacity of something that the scenery hides."""


class Canvas:
    """A frame in the making.

    Attributes:
        rgb: (H, W, 3) uint8.
    """

    def __init__(self, rgb: NDArray[np.uint8], depth: NDArray[np.float32]) -> None:
        """Start from a copy of the scenery's colours; ``depth`` (H, W) [m] says what hides what."""
        self.rgb = rgb.copy()
        self._depth = depth
        self._opacity = np.zeros(depth.size, np.float32)

    def dots(self, xy: FloatArray, depth: FloatArray, radius: FloatArray, alpha: FloatArray, colour: Rgb) -> None:
        """Soft discs of one colour; where they overlap, the most opaque counts, so that a row of them is one line.

        Args:
            xy: (P, 2) centres [px].
            depth: (P,) of each disc along the optical axis [m].
            radius: (P,) [px].
            alpha: (P,) opacity in [0, 1].
            colour: of all.
        """
        height, width = self._depth.shape
        reach = int(np.ceil(radius.max(initial=0.0))) + 1
        offset = np.arange(-reach, reach + 1)
        corner = np.floor(xy).astype(np.int64)
        column = corner[:, 0, None, None] + offset[None, None, :]
        row = corner[:, 1, None, None] + offset[None, :, None]
        away = np.hypot(column + 0.5 - xy[:, 0, None, None], row + 0.5 - xy[:, 1, None, None])
        cover = np.clip(radius[:, None, None] + 0.5 - away, 0.0, 1.0) * alpha[:, None, None]
        inside = (cover > 0.0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        flat = (row * width + column)[inside]
        cover = cover[inside]
        behind = np.broadcast_to(depth[:, None, None], inside.shape)[inside] > self._depth.ravel()[flat] + 0.05
        np.maximum.at(self._opacity, flat, np.where(behind, cover * HIDDEN, cover).astype(np.float32))
        pixels = self.rgb.reshape(-1, 3)
        # A pixel that comes twice is computed twice, to the same colour: cheaper than finding out.
        share = self._opacity[flat, None]
        pixels[flat] = np.rint(pixels[flat] * (1.0 - share) + share * np.array(colour, np.float32))
        self._opacity[flat] = 0.0

    def tile(self, tile: Tile, xy: tuple[float, float], depth: float | None = None) -> None:
        """Put a small picture, its top left corner at ``xy`` [px]; hidden behind scenery nearer than ``depth``."""
        height, width = self._depth.shape
        left, top = round(xy[0]), round(xy[1])
        rows = slice(max(top, 0), min(top + tile.shape[0], height))
        columns = slice(max(left, 0), min(left + tile.shape[1], width))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        part = tile[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left].astype(np.float32)
        share = part[..., 3:] / 255.0
        if depth is not None:
            share = np.where((self._depth[rows, columns] < depth - 0.05)[..., None], share * HIDDEN, share)
        under = self.rgb[rows, columns]
        self.rgb[rows, columns] = np.rint(under + share * (part[..., :3] - under))

    def centred(self, tile: Tile, xy: FloatArray, depth: float | None = None) -> None:
        """Put a small picture with its middle at ``xy`` [px]."""
        self.tile(tile, (float(xy[0]) - tile.shape[1] / 2, float(xy[1]) - tile.shape[0] / 2), depth)


def blank(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A transparent picture of ``OVERSAMPLE`` times the size, and a pen for it."""
    image = Image.new("RGBA", (width * OVERSAMPLE, height * OVERSAMPLE), (0, 0, 0, 0))
    return image, ImageDraw.Draw(image)


def smooth(image: Image.Image) -> Tile:
    """The picture at its own size; opacity is multiplied in meanwhile, so that edges get no dark rim."""
    return np.asarray(image.convert("RGBa").reduce(OVERSAMPLE).convert("RGBA"))
