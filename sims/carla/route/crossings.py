"""Who may enter a junction: first come, first served, so that nobody blocks another for good.

Source: the rule of reservations of Dresner and Stone 2008, "A multiagent approach to autonomous intersection
management" (JAIR 31), with whole ways through a junction for its tiles.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from haltere.sims.carla.route.drivers import BETWEEN_M, Driver, Seen
from haltere.sims.carla.route.roads import STEP_M, Way

FloatArray = NDArray[np.float64]
_APART_M = 8.0
"""Junctions nearer to each other than a car is long are entered as one."""
_ASK_M, _BRAKES_MPS2 = 10.0, 2.5
"""Asked for this far ahead, and as far more as it takes to stop in comfort."""
_MORE_M = 0.5
"""Room that a car takes in a bend beside what it is wide."""
_STANDS_MPS = 0.5
_PATIENCE_S = 3.0
"""Who may go and stands for so long is asked to wait his turn again."""
_SAME_LANE_M = 1.0


@dataclass(frozen=True)
class Stretch:
    """Where a way leads through a junction, or through some without room between them.

    Attributes:
        first: number of the way's first point in it.
        last: and of its last.
        points: (n, 2) these points [m].
        out: (n + some, 2) these, and the room that the car needs behind them.
    """

    first: int
    last: int
    points: FloatArray
    out: FloatArray

    @cached_property
    def _bounds(self) -> tuple[FloatArray, FloatArray]:
        return self.points.min(axis=0), self.points.max(axis=0)

    def crosses(self, other: "Stretch", room_m: float) -> bool:
        """Whether two who come from different lanes would meet in it."""
        if np.hypot(*(self.points[0] - other.points[0])) < _SAME_LANE_M:
            return False
        (low, high), (other_low, other_high) = self._bounds, other._bounds
        if (low > other_high + room_m).any() or (other_low > high + room_m).any():
            return False
        away = ((self.points[:, None] - other.points[None]) ** 2).sum(axis=2)
        return bool(away.min() < room_m**2)


def stretches(way: Way, length_m: float) -> list[Stretch]:
    """All of a way, for a car of that length."""
    inside = np.flatnonzero(way.junction)
    apart = np.flatnonzero(np.diff(inside) > round(_APART_M / STEP_M)) + 1
    room = round((length_m + BETWEEN_M) / STEP_M) + 1
    found = []
    for part in np.split(inside, apart):
        if len(part):
            first, last = int(part[0]), int(part[-1])
            found.append(Stretch(first, last, way.points[first : last + 1], way.points[first : last + 1 + room]))
    return found


class Crossings:
    """The turns of everybody on the road at the junctions before them.

    A turn is asked for when a car is near; it is given to whoever meets nobody in the junction that has been given
    his, or has asked before; and has room behind it. Who is in a junction has his turn, asked or not.
    """

    def __init__(self, drivers: Sequence[Driver], half: FloatArray, step_s: float) -> None:
        """Nobody has asked yet.

        Args:
            drivers: of everybody.
            half: (N, 2) half of length and width of everybody [m].
            step_s: of time between two calls of ``settle``.
        """
        self._drivers, self._half = drivers, half
        self._ahead = [stretches(driver.way, 2.0 * float(size[0])) for driver, size in zip(drivers, half, strict=True)]
        self._patience = round(_PATIENCE_S / step_s)
        self._next = [0] * len(drivers)
        """The first stretch that a driver hasn't left."""
        self._asked: dict[tuple[int, int], bool] = {}
        """Whether the turn of a driver at a stretch of his is given, in the order in which they have asked."""
        self._stood = [0] * len(drivers)
        self._meet: dict[tuple[int, int, int, int], bool] = {}
        self._held = [np.inf] * len(drivers)

    def held_m(self, number: int) -> float:
        """How far a driver's bumper is from the next junction that isn't his to enter yet [m], or infinite."""
        return self._held[number]

    def settle(self, seen: Seen, closed: frozenset[int]) -> None:
        """Ask, give and take back; once a step, when everybody has moved.

        Args:
            seen: everybody.
            closed: lights that aren't green.
        """
        for number in range(len(self._drivers)):
            self._ask(number, float(seen.speed[number]), closed)
        standing = np.flatnonzero(np.abs(seen.speed) < _STANDS_MPS)
        self._held = [np.inf] * len(self._drivers)
        before: list[tuple[int, int]] = []
        for turn, given in self._asked.items():
            who, which = turn
            if not given and not any(self._met(turn, other) for other in before):
                given = self._asked[turn] = self._room(turn, seen, standing)
            if not given:
                self._held[who] = min(self._held[who], self._gap(who, self._ahead[who][which]))
            before.append(turn)

    def _gap(self, number: int, stretch: Stretch) -> float:
        return STEP_M * (stretch.first - self._drivers[number].at) - float(self._half[number, 0])

    def _ask(self, number: int, speed: float, closed: frozenset[int]) -> None:
        front = float(self._half[number, 0])
        line = self._drivers[number].stop_ahead(closed, front, speed)
        near = _ASK_M + speed**2 / (2.0 * _BRAKES_MPS2)
        self._stood[number] = self._stood[number] + 1 if abs(speed) < _STANDS_MPS else 0
        for which in range(self._next[number], len(self._ahead[number])):
            stretch, turn = self._ahead[number][which], (number, which)
            gap = self._gap(number, stretch)
            if gap > near or 0.0 < gap > line:
                self._drop(number, which)
                break
            if STEP_M * (self._drivers[number].at - stretch.last) > front:
                self._asked.pop(turn, None)
                self._next[number] = which + 1
            elif gap <= 0.0:
                self._asked[turn] = True
            elif self._asked.setdefault(turn, False) and self._stood[number] >= self._patience:
                self._asked.pop(turn)
                self._asked[turn], self._stood[number] = False, 0

    def _drop(self, number: int, which: int) -> None:
        """A driver isn't near a stretch any more, and so to none behind it, whatever he had asked for when faster."""
        for turn in [turn for turn in self._asked if turn[0] == number and turn[1] >= which]:
            del self._asked[turn]

    def _met(self, one: tuple[int, int], other: tuple[int, int]) -> bool:
        """Whether two turns can't be taken at once."""
        if one[0] == other[0]:
            return False
        pair = (*min(one, other), *max(one, other))
        if pair not in self._meet:
            room = float(self._half[one[0], 1] + self._half[other[0], 1]) + BETWEEN_M + _MORE_M
            self._meet[pair] = self._ahead[one[0]][one[1]].crosses(self._ahead[other[0]][other[1]], room)
        return self._meet[pair]

    def _room(self, turn: tuple[int, int], seen: Seen, standing: NDArray[np.intp]) -> bool:
        """Whether nobody stands on the way through, or where the car will be behind it."""
        who, which = turn
        others = standing[standing != who]
        out = self._ahead[who][which].out
        reach = (seen.half[others, 1] + seen.half[who, 1] + BETWEEN_M)[:, None]
        away = np.sqrt(((seen.discs[others][:, :, None] - out) ** 2).sum(axis=3).min(axis=2))
        return not (away < reach).any()
