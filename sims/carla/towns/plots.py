"""Where there is room: land that no lane and nothing else takes."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from haltere.sims.carla.towns.lanes import Strip

CELL_M, LARGEST_CELLS = 0.5, 5000
AROUND_M = 80.0


class Plots:
    """Land around lanes, in cells."""

    def __init__(self, strips: Sequence[Strip]) -> None:
        """All that no lane of any kind takes is free."""
        places = np.concatenate([strip.outline[:, :2] for strip in strips])
        self.low = places.min(0) - AROUND_M
        size = places.max(0) + AROUND_M - self.low
        self._cell_m = max(CELL_M, float(size.max()) / LARGEST_CELLS)
        columns, rows = np.ceil(size / self._cell_m).astype(int) + 1
        self.high = self.low + size
        self._taken = np.zeros((rows, columns), np.uint8)
        for strip in strips:
            # Triangle by triangle, for a lane may lie over itself.
            left, right = (self._cells(edge[:, :2]) for edge in (strip.left, strip.right))
            faces = np.stack([left[:-1], left[1:], right[1:], right[:-1]], 1)
            for face in faces:
                cv2.fillConvexPoly(self._taken, face, 1)

    def _cells(self, places: NDArray[np.float64]) -> NDArray[np.int32]:
        """Columns and rows."""
        return np.asarray(((places - self.low) / self._cell_m).round(), np.int32)

    def take(
        self, middle: Sequence[float] | NDArray[np.float64], half: tuple[float, float], yaw_deg: float, margin_m: float
    ) -> bool:
        """Take a rectangle if it and a margin around it are free.

        Args:
            middle: x and y.
            half: its length and width.
            yaw_deg: of its length.
            margin_m: on all sides; it stays free.
        """
        reach = math.hypot(*half) + margin_m + self._cell_m
        first = np.floor((np.asarray(middle[:2]) - reach - self.low) / self._cell_m).astype(int)
        last = np.ceil((np.asarray(middle[:2]) + reach - self.low) / self._cell_m).astype(int) + 1
        rows, columns = self._taken.shape
        if (first < 0).any() or last[0] > columns or last[1] > rows:
            return False
        here = self._taken[first[1] : last[1], first[0] : last[0]]
        y, x = np.ogrid[first[1] : last[1], first[0] : last[0]]
        x_m = x * self._cell_m + (self.low[0] - middle[0])
        y_m = y * self._cell_m + (self.low[1] - middle[1])
        c, s = math.cos(math.radians(yaw_deg)), math.sin(math.radians(yaw_deg))
        beyond = np.maximum(np.abs(x_m * c + y_m * s) - half[0], np.abs(y_m * c - x_m * s) - half[1])
        # A cell is free as a whole or not at all.
        if here[beyond < margin_m + 0.75 * self._cell_m].any():
            return False
        here[beyond < 0.5 * self._cell_m] = 1
        return True
