"""Actors for memory-rooms that know nothing but what is sensed: one that remembers all of it, others that can't.

Written from the units that the task declares; nothing here is shared with the task.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Obs = Mapping[str, NDArray[Any]]
ANGLES = np.deg2rad(45.0 * np.arange(8))


def scores(ahead: float, left: float) -> NDArray[np.float32]:
    """How well each of eight directions of the body, counter-clockwise from ahead, leads where one wants to go."""
    return (np.cos(ANGLES) * ahead + np.sin(ANGLES) * left).astype(np.float32)


def boxes_of(obs: Obs, lane: int) -> list[tuple[float, float, bool]]:
    """Forward and left [m] of each box that is there, and whether it is open."""
    rows = obs["boxes"][lane].reshape(8, 3).astype(float)
    square = (rows[:, :2] ** 2).sum(axis=1)
    return [(row[0] / by, row[1] / by, row[2] == 1.0) for row, by in zip(rows, square, strict=True) if by > 0.0]


class Rememberer:
    """Keeps, for every object, where in the room the box stood that showed it; walks there when asked."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.known: list[dict[bytes, tuple[float, float]]] = []

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Forget."""
        if mask is None:
            self.known = []
        else:
            for lane in np.flatnonzero(mask):
                self.known[lane] = {}

    def act(self, obs: Obs) -> dict[str, NDArray[Any]]:
        """Watch, or walk."""
        lanes = len(obs["self"])
        self.known = self.known or [{} for _ in range(lanes)]
        return {"action": np.stack([self._one(obs, lane) for lane in range(lanes)])}

    def _one(self, obs: Obs, lane: int) -> NDArray[np.float32]:
        cos, sin, x, y = obs["self"][lane, :4].astype(float)
        for ahead, left, opened in boxes_of(obs, lane):
            if opened:
                place = x + cos * ahead - sin * left, y + sin * ahead + cos * left
                self.known[lane][obs["shown"][lane].tobytes()] = place
        if obs["instruction"][lane, 0] == 1.0:
            return np.zeros(8, np.float32)
        to_x, to_y = self.known[lane].get(obs["instruction"][lane, 1:].tobytes(), (0.0, 0.0))
        return scores(cos * (to_x - x) + sin * (to_y - y), cos * (to_y - y) - sin * (to_x - x))


class Nearest:
    """Walks to the nearest box: it goes by what it senses now, and never fails to arrive."""

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Nothing is remembered."""

    def act(self, obs: Obs) -> dict[str, NDArray[Any]]:
        """Towards the nearest."""
        lanes = range(len(obs["self"]))
        near = [min(boxes_of(obs, lane), key=lambda box: box[0] ** 2 + box[1] ** 2) for lane in lanes]
        return {"action": np.stack([scores(ahead, left) for ahead, left, _ in near])}


class Numbered(Nearest):
    """Walks to the box that comes in one row of the observation."""

    def __init__(self, row: int) -> None:
        """Always that row."""
        self.row = row

    def act(self, obs: Obs) -> dict[str, NDArray[Any]]:
        """Towards that box."""
        rows = [boxes_of(obs, lane)[self.row] for lane in range(len(obs["self"]))]
        return {"action": np.stack([scores(ahead, left) for ahead, left, _ in rows])}
