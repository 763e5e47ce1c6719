"""Simple solids with colours, put together into shapes."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from haltere.sims.carla.scene import NOTHING, Label, Mesh, Shape

Color = tuple[int, int, int]
Rows = Sequence[Sequence[float]]
PAINT: Color = (128, 128, 128)
"""In a solid's colour: the actor's own."""

_FACES: Mapping[str, tuple[int, int, int, int]] = {
    # Corners of a block are numbered 4 (x is high) + 2 (y is high) + (z is high).
    "rear": (0, 1, 3, 2),
    "front": (4, 6, 7, 5),
    "left": (0, 4, 5, 1),
    "right": (2, 3, 7, 6),
    "under": (0, 2, 6, 4),
    "top": (1, 5, 7, 3),
}


class Solids:
    """Collects solids; each has one label."""

    def __init__(self, label: Label) -> None:
        """What is added gets ``label``, which may be changed in between."""
        self.label = label
        self._vertices: list[NDArray[np.float64]] = []
        self._triangles: list[NDArray[np.int32]] = []
        self._colors: list[tuple[int, int, int]] = []
        self._labels: list[int] = []
        self._painted: list[bool] = []
        self._count = 0

    def add(self, vertices: Rows | NDArray[np.float64], polygons: Sequence[Sequence[int]], color: Color) -> None:
        """Convex polygons over (n, 3) vertices [m]."""
        points = np.asarray(vertices, np.float64)
        fans = [(own[0], own[k - 1], own[k]) for own in polygons for k in range(2, len(own))]
        self._vertices.append(points)
        self._triangles.append(np.array(fans, np.int32).reshape(-1, 3) + self._count)
        self._colors += [color] * len(fans)
        self._labels += [int(self.label)] * len(fans)
        self._painted += [color is PAINT] * len(fans)
        self._count += len(points)

    def block(
        self, low: Sequence[float], high: Sequence[float], color: Color, faces: Mapping[str, Color | None] | None = None
    ) -> None:
        """A box between two corners; ``faces`` have colours of their own, or are left out where ``None``."""
        self.tapered(
            (low[0], high[0], low[1], high[1], low[2]), (low[0], high[0], low[1], high[1], high[2]), color, faces
        )

    def tapered(
        self, foot: Sequence[float], top: Sequence[float], color: Color, faces: Mapping[str, Color | None] | None = None
    ) -> None:
        """Between two level rectangles (x0, x1, y0, y1, z)."""
        levels = (foot, top)
        corners = [(level[i], level[2 + j], level[4]) for i in (0, 1) for j in (0, 1) for level in levels]
        for name, face in _FACES.items():
            own = (faces or {}).get(name, color)
            if own is not None:
                self.add([corners[corner] for corner in face], [(0, 1, 2, 3)], own)

    def wheel(self, x: float, y: float, radius: float, width: float, sides: int = 8) -> None:
        """A tyre on the ground about an axle along y, whose outside is at y; with a hub."""
        turn = (np.arange(sides) + 0.5) * 2 * np.pi / sides
        reach = radius / np.cos(np.pi / sides)
        ring = np.stack([x + radius * np.sin(turn), np.full(sides, y), radius - radius * np.cos(turn)], axis=1)
        ring[:, 2] = radius + (ring[:, 2] - radius) * reach / radius
        inner = ring - [0, np.copysign(width, y) if y else width, 0]
        after = [(k + 1) % sides for k in range(sides)]
        treads = [(k, after[k], sides + after[k], sides + k) for k in range(sides)]
        self.add(np.concatenate([ring, inner]), [*treads, tuple(range(sides))], (28, 28, 30))
        hub = np.stack([np.full(4, x), np.full(4, y + np.copysign(0.01, y)), np.full(4, radius)], axis=1)
        hub[:, 0] += 0.5 * radius * np.array([-1, 0, 1, 0])
        hub[:, 2] += 0.5 * radius * np.array([0, -1, 0, 1])
        self.add(hub, [(0, 1, 2, 3)], (150, 152, 156))

    def tube(
        self, foot: tuple[float, float, float], top: float, radii: tuple[float, float], color: Color, sides: int = 8
    ) -> None:
        """Upright about ``foot``, as high as z = ``top``, with a lid; its radii are those of the corners."""
        turn = (np.arange(sides) + 0.5) * 2 * np.pi / sides
        x, y, z = foot
        # Divided by the largest cosine, so that flat sides face along the axes and reach the radius.
        reach = 1 / np.cos(np.pi / sides)
        rings = [
            np.stack([x + r * reach * np.cos(turn), y + r * reach * np.sin(turn), np.full(sides, at)], axis=1)
            for r, at in zip(radii, (z, top), strict=True)
        ]
        walls = [(k, (k + 1) % sides, sides + (k + 1) % sides, sides + k) for k in range(sides)]
        self.add(np.concatenate(rings), [*walls, tuple(range(sides, 2 * sides))], color)

    def limb(self, start: Sequence[float], end: Sequence[float], thick: float, color: Color) -> None:
        """A square bar from one point to another."""
        a, b = np.array(start, np.float64), np.array(end, np.float64)
        along = (b - a) / np.linalg.norm(b - a)
        side = np.cross(along, (0.0, 1.0, 0.0) if abs(along[1]) < 0.9 else (1.0, 0.0, 0.0))
        side *= 0.5 * thick / np.linalg.norm(side)
        other = np.cross(along, side)
        ring = np.array([side + other, side - other, -side - other, -side + other])
        walls = [(k, (k + 1) % 4, 4 + (k + 1) % 4, 4 + k) for k in range(4)]
        self.add(np.concatenate([a + ring, b + ring]), [*walls, (0, 1, 2, 3), (4, 5, 6, 7)], color)

    def shape(self, extent: Sequence[float]) -> Shape:
        """All of it, stretched a little so that it fills the box of half sizes ``extent`` that stands on the ground."""
        points = np.concatenate(self._vertices)
        low, high = points.min(axis=0), points.max(axis=0)
        half = np.asarray(extent, np.float64)
        points = (points - (low + high) / 2) * (2 * half / (high - low)) + [0, 0, half[2]]
        count = len(self._colors)
        mesh = Mesh(
            points.astype(np.float32),
            np.concatenate(self._triangles),
            np.array(self._colors, np.uint8),
            np.array(self._labels, np.uint8),
            np.full(count, NOTHING, np.int32),
        )
        return Shape(mesh, np.array(self._painted, np.bool_))
