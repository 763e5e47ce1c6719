"""Triangles of plain shapes: bands, boxes, roofs, cones; gathered into one mesh."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from haltere.sims.carla.scene import NOTHING, Label, Mesh

Places = NDArray[np.float64]
Foot = Sequence[float] | Places
"""x, y and z."""
_BOX = np.array([(0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7), (4, 5, 6, 7)])
"""Corners of a box's four sides and its top; the bottom is never seen."""


class Shapes:
    """A mesh in the making; colours are red, green and blue from 0 to 255."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._count = 0
        self._vertices: list[NDArray[np.float32]] = []
        self._triangles: list[NDArray[np.int32]] = []
        self._colors: list[NDArray[np.uint8]] = []
        self._labels: list[NDArray[np.uint8]] = []
        self._things: list[NDArray[np.int32]] = []

    def add(
        self, vertices: ArrayLike, triangles: ArrayLike, color: ArrayLike, label: Label, thing: int = NOTHING
    ) -> None:
        """Triangles of one label: (n, 3) vertices, (m, 3) rows of them, and (3,) one colour or (m, 3)."""
        places = np.asarray(vertices, np.float32)
        corners = np.asarray(triangles, np.int32).reshape(-1, 3)
        count = len(corners)
        self._vertices.append(places)
        self._triangles.append(corners + np.int32(self._count))
        self._colors.append(np.broadcast_to(np.clip(color, 0, 255).astype(np.uint8), (count, 3)))
        self._labels.append(np.full(count, label, np.uint8))
        self._things.append(np.full(count, thing, np.int32))
        self._count += len(places)

    def quads(self, corners: ArrayLike, color: ArrayLike, label: Label, thing: int = NOTHING) -> None:
        """(k, 4, 3) flat four-cornered faces; one colour or (k, 3)."""
        faces = np.asarray(corners, float).reshape(-1, 4, 3)
        first = 4 * np.arange(len(faces))[:, None, None]
        triangles = (first + np.array([(0, 1, 2), (0, 2, 3)])).reshape(-1, 3)
        colors = np.asarray(color, float)
        shades = np.repeat(colors, 2, 0) if colors.ndim == 2 else colors
        self.add(faces.reshape(-1, 3), triangles, shades, label, thing)

    def band(self, left: Places, right: Places, color: ArrayLike, label: Label, thing: int = NOTHING) -> None:
        """Between two borders, (n, 3) each."""
        faces = np.stack([left[:-1], left[1:], right[1:], right[:-1]], 1)
        self.quads(faces, color, label, thing)

    def box(self, foot: Foot, half: Foot, yaw_deg: float, color: ArrayLike, label: Label,
            thing: int = NOTHING) -> None:  # fmt: skip
        """Four sides and a top: ``half`` is half the length and width and the whole height."""
        corners = at(foot, yaw_deg, _corners(half))
        shades = np.asarray(color, float) * np.array([[0.94], [1.0], [0.94], [1.0], [0.98]])
        self.quads(corners[_BOX], shades, label, thing)

    def gable(self, foot: Foot, half: Foot, yaw_deg: float, color: ArrayLike, label: Label,
              thing: int = NOTHING) -> None:  # fmt: skip
        """A roof with its ridge along the length, as high as ``half`` says."""
        x, y, z = half
        places = at(foot, yaw_deg, np.array([(-x, -y, 0), (x, -y, 0), (x, y, 0), (-x, y, 0), (-x, 0, z), (x, 0, z)]))
        self.quads(places[[(0, 1, 5, 4), (2, 3, 4, 5)]], color, label, thing)
        self.add(places, [(1, 2, 5), (3, 0, 4)], np.asarray(color, float) * 0.9, label, thing)

    def spindle(self, foot: Foot, radius: float, heights: Sequence[float], color: ArrayLike, label: Label,
                thing: int = NOTHING, sides: int = 6) -> None:  # fmt: skip
        """Two cones base to base: heights of the lower tip, the widest ring and the upper tip above the foot."""
        angles = 2 * math.pi * np.arange(sides) / sides
        ring = np.stack([radius * np.cos(angles), radius * np.sin(angles), np.full(sides, heights[1])], 1)
        places = np.concatenate([ring, [(0, 0, heights[0]), (0, 0, heights[2])]]) + np.asarray(foot)
        rows = np.arange(sides)
        following = (rows + 1) % sides
        low = np.stack([rows, following, np.full(sides, sides)], 1)
        high = np.stack([rows, following, np.full(sides, sides + 1)], 1)
        shades = (
            np.asarray(color, float) * np.concatenate([np.full(sides, 0.8), np.linspace(0.92, 1.06, sides)])[:, None]
        )
        self.add(places, np.concatenate([low, high]), shades, label, thing)

    def mesh(self) -> Mesh:
        """All of it."""
        if not self._vertices:
            self.add(np.zeros((0, 3)), np.zeros((0, 3)), (0, 0, 0), Label.NONE)
        return Mesh(
            np.concatenate(self._vertices),
            np.concatenate(self._triangles),
            np.concatenate(self._colors),
            np.concatenate(self._labels),
            np.concatenate(self._things),
        )


def at(foot: Foot, yaw_deg: float, places: Places) -> Places:
    """Turned and moved: (n, 3)."""
    c, s = math.cos(math.radians(yaw_deg)), math.sin(math.radians(yaw_deg))
    turned = np.stack([places[:, 0] * c - places[:, 1] * s, places[:, 0] * s + places[:, 1] * c, places[:, 2]], 1)
    return np.asarray(turned + np.asarray(foot, float))


def _corners(half: Foot) -> Places:
    x, y, z = half
    flat = [(-x, -y), (x, -y), (x, y), (-x, y)]
    return np.array([(u, v, 0.0) for u, v in flat] + [(u, v, z) for u, v in flat])


def thinned(places: Places, tolerance_m: float) -> NDArray[np.int64]:
    """Which rows of (n, d) to keep so that straight lines between them miss none by more, in any of the d numbers."""
    keep = np.zeros(len(places), bool)
    keep[[0, -1]] = True
    spans = [(0, len(places) - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        share = np.linspace(0.0, 1.0, last - first + 1)[1:-1, None]
        missed = np.abs(places[first] * (1 - share) + places[last] * share - places[first + 1 : last]).max(1)
        worst = int(missed.argmax())
        if missed[worst] > tolerance_m:
            keep[first + 1 + worst] = True
            spans += [(first, first + 1 + worst), (first + 1 + worst, last)]
    return np.flatnonzero(keep)
