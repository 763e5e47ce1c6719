"""Drivers who follow a way: pure pursuit for the wheel, the intelligent driver model for the pedals.

Sources: Coulter 1992, CMU-RI-TR-92-01 (pure pursuit); Treiber, Hennecke, Helbing 2000, arXiv:cond-mat/0002177, eq. 2
and 3 (the model of the gap). CARLA's Traffic Manager would do the others' driving as well, but from threads of the
client's, so that an episode couldn't be played again to the bit.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from haltere.sims.carla.route.roads import STEP_M, Way, wrapped

FloatArray = NDArray[np.float64]
Command = tuple[float, float]
"""Steering, 1 is all to the right; and pedals, 1 is full throttle and -1 the full brake."""

LOOK_M = 45
_GAP_M, _GAP_S, _UP_MPS2, _DOWN_MPS2 = 2.5, 1.2, 1.8, 2.5
"""Of the model: least gap, headway, and what is comfortable up and down."""
_FULL_THROTTLE_MPS2, _FULL_BRAKE_MPS2 = 3.5, 8.0
BETWEEN_M = 0.4
"""Room that is left beside another."""
_FORESEEN_S = (0.7, 1.4)
_SAME_WAY = 0.5
_MOVING_MPS = 0.5
_AIM_M, _AIM_S = 3.0, 0.45
_BRAKES_AT_MPS2 = 5.0
"""A light that turns red too late for this is passed."""


@dataclass(frozen=True)
class Seen:
    """Everybody on the road now, N of them.

    Attributes:
        place: (N, 2) middles [m].
        turned: (N,) [rad].
        speed: (N,) ahead [m/s].
        half: (N, 2) half of length and width [m].
    """

    place: FloatArray
    turned: FloatArray
    speed: FloatArray
    half: FloatArray

    @cached_property
    def ahead(self) -> FloatArray:
        """(N, 2) unit vectors."""
        return np.stack([np.cos(self.turned), np.sin(self.turned)], axis=1)

    @cached_property
    def discs(self) -> FloatArray:
        """Three along each of them, (N, 3, 2), each as wide as it is."""
        room = np.maximum(self.half[:, 0] - self.half[:, 1], 0.0)
        away = room[:, None, None] * np.array([-1.0, 0.0, 1.0])[None, :, None] * self.ahead[:, None]
        middles: FloatArray = self.place[:, None] + away
        return middles


@dataclass(frozen=True)
class Car:
    """What a driver knows of his car.

    Attributes:
        wheelbase_m: between its axles.
        most_rad: how far its wheels turn.
    """

    wheelbase_m: float
    most_rad: float


class Driver:
    """Follows a way; knows the lights on it.

    Attributes:
        way: where he goes.
        at: number of the way's point that he is at.
    """

    def __init__(self, number: int, car: Car, way: Way, stops: dict[int, list[int]]) -> None:
        """Begin.

        Args:
            number: which of those in ``Seen`` he is; outside of junctions, of two whose ways cross the one of the
                larger number waits.
            car: what he drives.
            way: where to.
            stops: at which points of the way there are lights, and the numbers of these.
        """
        self.number, self.car, self.way = number, car, way
        self.at = 0
        self._stops = sorted(stops.items())

    def stop_ahead(self, closed: frozenset[int], front_m: float, speed_mps: float = 0.0) -> float:
        """How far his bumper is from the next line where he has to stop [m]; infinite where there is none.

        Args:
            closed: lights that aren't green.
            front_m: from his middle to his bumper.
            speed_mps: lines that he can't stop at any more at this speed are left out.
        """
        for point, lights in self._stops:
            gap = STEP_M * (point - self.at) - front_m
            if gap >= -1.0 and not closed.isdisjoint(lights) and speed_mps**2 <= 2.0 * _BRAKES_AT_MPS2 * (gap + 1.0):
                return gap
        return np.inf

    def command(self, seen: Seen, limit_mps: float, closed: frozenset[int], held_m: float = np.inf) -> Command:
        """What he does now.

        Args:
            seen: everybody.
            limit_mps: how fast he may drive.
            closed: lights that aren't green.
            held_m: from his bumper to a junction that he may not enter yet.
        """
        me = self.number
        self.at, _, _ = self.way.nearest(seen.place[me], self.at)
        speed, front = float(seen.speed[me]), float(seen.half[me, 0])
        gap, leads_mps = self._before(seen, front)
        line = self.stop_ahead(closed, front, speed)
        end = self.way.length_m - STEP_M * self.at
        if min(line, end, held_m) < gap:
            gap, leads_mps = max(min(line, end, held_m), 0.0), 0.0
        wanted = max(self._wanted(limit_mps), 0.1)
        least = _GAP_M + max(0.0, speed * _GAP_S + speed * (speed - leads_mps) / (2.0 * np.sqrt(_UP_MPS2 * _DOWN_MPS2)))
        speeding = (speed / wanted) ** 4
        pull = _UP_MPS2 * (1.0 - speeding - (least / max(gap, 0.1)) ** 2)
        if gap < 0.5 * _GAP_M and speed < 1.0:
            pull = -_DOWN_MPS2
        pedal = pull / (_FULL_THROTTLE_MPS2 if pull > 0.0 else _FULL_BRAKE_MPS2)
        return self._wheel(seen, speed), float(np.clip(pedal, -1.0, 1.0))

    def _wanted(self, limit_mps: float) -> float:
        """The limit, and less before bends: as fast as allows to slow down to each of them in comfort."""
        bends = self.way.bend_mps[self.at : self.at + LOOK_M]
        before = STEP_M * np.arange(len(bends))
        return float(min(limit_mps, np.sqrt(bends**2 + 2.0 * 0.6 * _DOWN_MPS2 * before).min()))

    def _wheel(self, seen: Seen, speed: float) -> float:
        me = self.number
        rear = seen.place[me] - 0.5 * self.car.wheelbase_m * seen.ahead[me]
        aim = min(self.at + round((_AIM_M + _AIM_S * speed) / STEP_M), len(self.way.points) - 1)
        x, y = self.way.points[aim] - rear
        bearing = wrapped(np.arctan2(y, x) - seen.turned[me])
        far = max(float(np.hypot(x, y)), 1.0)
        return float(np.clip(np.arctan2(2.0 * self.car.wheelbase_m * np.sin(bearing), far) / self.car.most_rad, -1, 1))

    def _before(self, seen: Seen, front: float) -> tuple[float, float]:
        """Gap to the first who is, or soon will be, on the way ahead [m]; and how fast he goes along it [m/s]."""
        me = self.number
        # The way ahead begins at the bumper's point; who is beside him isn't before him.
        first = self.at + int(front / STEP_M)
        ahead = self.way.points[first : first + LOOK_M]
        if not len(ahead):
            return np.inf, 0.0
        others = np.delete(np.arange(len(seen.turned)), me)
        near = others[np.abs(seen.place[others] - seen.place[me]).max(axis=1) < LOOK_M + 20.0]
        gap, leads = np.inf, 0.0
        discs, directions = seen.discs, seen.ahead
        for who in near.tolist():
            room = seen.half[who, 1] + seen.half[me, 1] + BETWEEN_M
            moved = [0.0]
            crosses = float(directions[who] @ directions[me]) < _SAME_WAY
            if crosses and who < me and seen.speed[who] > _MOVING_MPS:
                moved += [seen.speed[who] * after for after in _FORESEEN_S]
            where = (discs[who][None] + np.array(moved)[:, None, None] * directions[who]).reshape(-1, 2)
            met = (((ahead[:, None] - where[None]) ** 2).sum(axis=2) < room**2).any(axis=1)
            if met.any():
                at = int(met.argmax())
                if STEP_M * at < gap:
                    turned = self.way.turned[first + at]
                    along = directions[who] @ np.array([np.cos(turned), np.sin(turned)])
                    gap, leads = STEP_M * at, max(0.0, float(seen.speed[who] * along))
        return gap, leads
