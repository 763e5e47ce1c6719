"""The agent's ways round the block without touching it: straight lines by way of the outline's corners."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from haltere.sims.pusht.constants import AGENT_PX, BARS, OUTLINE, FloatArray
from haltere.sims.pusht.pushes import CLEAR_PX, pushes

BoolArray = NDArray[np.bool_]
GAP_PX = AGENT_PX + 4.0
"""The agent's middle stays as far off on the way from one corner to the next."""
_GAP_NOW_PX = AGENT_PX + 2.0
"""The same on the way from where it is, unless it is nearer already: less, so that it needn't stop at a corner."""
_THERE_PX = 3.0
_SHARES = np.linspace(0.0, 1.0, 41)
_OUT = (AGENT_PX + CLEAR_PX) / np.sqrt(2.0) + 6.0


def _corners() -> FloatArray:
    """Where ways bend, (8, 2) in the block's frame: off each corner, and in the two inner ones."""
    outward = np.sign(OUTLINE - [0.0, -30.0])
    off = np.where(np.isin(np.arange(len(OUTLINE)), [3, 6])[:, None], AGENT_PX + CLEAR_PX, _OUT)
    corners: FloatArray = OUTLINE + off * outward
    return corners


CORNERS = _corners()


def distance(points: FloatArray) -> FloatArray:
    """From the block, (...) [px], of points (..., 2) in its frame; 0 inside."""
    x, y = points[..., 0, None], points[..., 1, None]
    beside = np.maximum(np.maximum(BARS[:, 0] - x, x - BARS[:, 1]), 0.0)
    below = np.maximum(np.maximum(BARS[:, 2] - y, y - BARS[:, 3]), 0.0)
    gaps: FloatArray = np.sqrt(beside**2 + below**2).min(axis=-1)
    return gaps


def straight(begin: FloatArray, end: FloatArray, gap_px: float) -> FloatArray:
    """Lengths of the lines between (N, 2) and (M, 2) points, (N, M) [px]; infinite where one comes too near."""
    span = end[None] - begin[:, None]
    points = begin[:, None, None] + span[:, :, None] * _SHARES[:, None]
    free = (distance(points) >= gap_px - 1e-6).all(axis=-1)
    return np.where(free, np.sqrt((span**2).sum(axis=-1)), np.inf)


def _round(direct: FloatArray) -> FloatArray:
    """Shortest ways between corners, (K, K), of the direct ones (Floyd and Warshall)."""
    shortest = direct.copy()
    for by in range(len(shortest)):
        shortest = np.minimum(shortest, shortest[:, by, None] + shortest[by])
    return shortest


class Roads:
    """What there is to know of ways before anybody knows where the block lies.

    Attributes:
        direct: (8, 8) between corners, without another one [px].
        last: (8, C) from a corner to where the agent lines up for a push.
        between: (C, C) from lining up for one push to lining up for another.
    """

    def __init__(self) -> None:
        """Measure them all."""
        ready = pushes().ready
        self.direct = straight(CORNERS, CORNERS, GAP_PX)
        self.last = straight(CORNERS, ready, GAP_PX)
        by_corner = _by_corners(self.last.T, _round(self.direct), self.last)
        self.between = np.minimum(straight(ready, ready, GAP_PX), by_corner)


def _by_corners(first: FloatArray, corners: FloatArray, last: FloatArray) -> FloatArray:
    """Shortest of (N, K) + (K, K) + (K, M), (N, M)."""
    reached = (first[:, :, None] + corners).min(axis=1)
    shortest: FloatArray = (reached[:, :, None] + last).min(axis=1)
    return shortest


@cache
def roads() -> Roads:
    """Measured once a process."""
    return Roads()


def lengths(place: FloatArray, usable: BoolArray) -> FloatArray:
    """Of the ways from a place to each push, (C,) [px]; infinite where there is none.

    Args:
        place: (2,) of the agent, in the block's frame.
        usable: (8,) corners that lie on the board.
    """
    first, direct, corners = _from(place, usable)
    shortest: FloatArray = np.minimum(direct, _by_corners(first[None], corners, roads().last)[0])
    return shortest


def next_stop(place: FloatArray, contact: int, usable: BoolArray) -> FloatArray:
    """Where to go straight from a place on the way to a push, (2,) in the block's frame.

    Args:
        place: (2,) of the agent, in the block's frame.
        contact: number of the push.
        usable: (8,) corners that lie on the board.
    """
    ready: FloatArray = pushes().ready[contact]
    first, direct, corners = _from(place, usable)
    # A corner that it is at is behind it.
    whole = np.where(first < _THERE_PX, np.inf, first + (corners + roads().last[:, contact]).min(axis=1))
    best = int(np.argmin(whole))
    return ready if direct[contact] <= whole[best] or not np.isfinite(whole[best]) else CORNERS[best]


def _from(place: FloatArray, usable: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """To each corner (8,), straight to each push (C,), and between corners (8, 8)."""
    gap = min(_GAP_NOW_PX, float(distance(place)) - 0.5)
    open_roads = np.where(usable[:, None] & usable, roads().direct, np.inf)
    first = np.where(usable, straight(place[None], CORNERS, gap)[0], np.inf)
    return first, straight(place[None], pushes().ready, gap)[0], _round(open_roads)
