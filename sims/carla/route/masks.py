"""The bird's-eye masks that an agent sees.

Source: VLM-RL (Huang et al. 2024, arXiv:2412.15544) and its code: 192 x 192 at 5 px/m, the agent 40 px above the
lower edge; road, lane marks, and vehicles now and 15, 10 and 5 steps ago. They are shown as two pictures of three
channels each, which any policy and any film takes.
"""

from collections import deque
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from haltere.sims.carla.route.boxes import Boxes
from haltere.sims.carla.route.roads import PX_PER_M, Roads

SIDE_PX = 192
FOOT_PX = 40
HISTORY = (1, 16, 11, 6)
"""Of which steps vehicles are drawn, counted from the end: 1 is now."""
CHANNELS = 3
"""Of each of two pictures, as every policy that takes pictures takes them: road, marks, now; and before."""
FloatArray = NDArray[np.float64]


class Masks:
    """Draws what one agent sees, who is at the middle of the columns and looks up."""

    def __init__(self, roads: Roads) -> None:
        """Draw from these roads; nothing has happened yet."""
        self._roads = roads
        self._past: deque[FloatArray] = deque(maxlen=max(HISTORY))

    def forget(self) -> None:
        """Nothing has happened yet."""
        self._past.clear()

    def keep(self, others: Boxes) -> None:
        """Remember where others are at this step."""
        self._past.append(others.corners())

    def seen(self, place: FloatArray, turned: float) -> NDArray[np.uint8]:
        """The masks (6, 192, 192) of one who is at (2,) and turned so; what was before the first step is the first."""
        drawn = np.zeros((2 + len(HISTORY), SIDE_PX, SIDE_PX), np.uint8)
        back = self._back(place, turned)
        for channel, picture in enumerate((self._roads.road, self._roads.marks)):
            flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
            drawn[channel] = cv2.warpAffine(picture, back, (SIDE_PX, SIDE_PX), flags=flags)
        for channel, steps in enumerate(HISTORY, start=2):
            corners = self._past[max(len(self._past) - steps, 0)]
            fill(drawn[channel], self.pixels(corners, place, turned))
        return drawn

    def _back(self, place: FloatArray, turned: float) -> FloatArray:
        """From a mask's column and row to the picture's, (2, 3)."""
        cos, sin = np.cos(turned), np.sin(turned)
        middle = (place - self._roads.corner) * PX_PER_M
        # A row up is ahead; a column on is to the right. The pictures' rows are x, and their columns y.
        matrix = np.array([[cos, -sin, 0.0], [-sin, -cos, 0.0]])
        matrix[:, 2] = middle[::-1] - matrix[:, :2] @ np.array([SIDE_PX / 2, SIDE_PX - FOOT_PX])
        return matrix

    @staticmethod
    def pixels(places: FloatArray, place: FloatArray, turned: float, zoom: int = 1) -> NDArray[np.int32]:
        """Column and row in a mask of places (..., 2); in one that is ``zoom`` times as large."""
        cos, sin = np.cos(turned), np.sin(turned)
        away = places - place
        ahead, right = away @ np.array([cos, sin]), away @ np.array([-sin, cos])
        rows = SIDE_PX - FOOT_PX - PX_PER_M * ahead
        columns = SIDE_PX / 2 + PX_PER_M * right
        drawn: NDArray[np.int32] = np.rint(zoom * np.stack([columns, rows], axis=-1)).astype(np.int32)
        return drawn


def fill(image: NDArray[np.uint8], boxes: NDArray[np.int32], colour: int | Sequence[int] = 255) -> None:
    """Fill quadrangles (N, 4, 2) that may lie beside the image."""
    for corners in boxes:
        if (corners.max(axis=0) >= 0).all() and (corners.min(axis=0) < image.shape[0]).all():
            cv2.fillConvexPoly(image, corners, colour)
