"""Boxes from above: where they are, and which of them touch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Boxes:
    """N upright boxes in CARLA's frame.

    Attributes:
        middle: (N, 2) x and y [m].
        turned: (N,) yaw [rad].
        half: (N, 2) half of their length and width [m].
        low: (N,) z of their feet [m].
        high: (N,) and of their tops.
    """

    middle: FloatArray
    turned: FloatArray
    half: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def of(cls, boxes: list[Any]) -> "Boxes":
        """Of ``carla.BoundingBox`` in the world's frame."""
        rows = [
            (b.location.x, b.location.y, np.radians(b.rotation.yaw), b.extent.x, b.extent.y, b.location.z, b.extent.z)
            for b in boxes
        ]
        x, y, turned, length, width, z, height = np.array(rows, np.float64).reshape(-1, 7).T
        half = np.stack([length, width], axis=1)
        return cls(np.stack([x, y], axis=1), turned, half, z - height, z + height)

    def __len__(self) -> int:
        """How many."""
        return len(self.turned)

    def __getitem__(self, which: Any) -> "Boxes":  # noqa: ANN401 -- whatever indexes an array
        """Some of them."""
        return Boxes(self.middle[which], self.turned[which], self.half[which], self.low[which], self.high[which])

    def corners(self) -> FloatArray:
        """(N, 4, 2), one after another around each."""
        cos, sin = np.cos(self.turned), np.sin(self.turned)
        along, across = np.stack([cos, sin], axis=1), np.stack([-sin, cos], axis=1)
        signs = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)])
        away: FloatArray = (signs[None, :, :1] * (self.half[:, :1] * along)[:, None]) + (
            signs[None, :, 1:] * (self.half[:, 1:] * across)[:, None]
        )
        return self.middle[:, None] + away

    def touching(self, other: "Boxes", gap_m: float) -> NDArray[np.bool_]:
        """Whether the one box ``other`` comes within a gap of each of these, (N,).

        By separating axes: two rectangles are apart where one of their four sides' directions tells them apart.
        """
        away = self.middle - other.middle
        reach = np.hypot(*self.half.T) + np.hypot(*other.half[0]) + gap_m
        met: NDArray[np.bool_] = (np.hypot(*away.T) <= reach) & (self.low <= other.high) & (self.high >= other.low)
        for i in np.flatnonzero(met).tolist():
            met[i] = _meet(self[i : i + 1], other, gap_m)
        return met


def _meet(one: Boxes, other: Boxes, gap_m: float) -> bool:
    corners = np.concatenate([one.corners(), other.corners()])
    for turned in (one.turned[0], other.turned[0]):
        for angle in (turned, turned + 0.5 * np.pi):
            shade = corners @ np.array([np.cos(angle), np.sin(angle)])
            if shade[0].max() + gap_m < shade[1].min() or shade[1].max() + gap_m < shade[0].min():
                return False
    return True
