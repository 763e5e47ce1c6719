"""What grows beside roads from a seed: houses along streets, trees, lamps, benches, fences, guard rails."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from haltere.sims.carla.scene import Ground, Label
from haltere.sims.carla.towns.lanes import DRIVEN, Strip
from haltere.sims.carla.towns.plots import CELL_M, Plots
from haltere.sims.carla.towns.shapes import Places
from haltere.sims.carla.towns.surface import FAST_KMH, heights_at
from haltere.sims.carla.towns.things import Things

MOST_BUILDINGS, MOST_STREET_TREES, MOST_TREES, MOST_LAMPS, MOST_SMALL = 150, 140, 260, 130, 60
"""However large the map is: every camera draws them all."""
LAMPS_M, TREES_M, RAIL_M, SMALL_M = 26.0, 11.0, 8.0, 38.0
"""Along a street from one to the next."""
_TREE_TRIES = 1500
_RED, _BRICK, _WOOD = (176, 40, 36), (150, 110, 92), (120, 96, 70)
_SUNK_M, _RAIL_ASIDE_M = 0.1, 1.0
Put = Callable[["Frontage", float], bool]
"""Puts one thing beside a border, so far along it, if there is room."""


@dataclass(frozen=True)
class Frontage:
    """The outer border of a road.

    Attributes:
        along_m: (n,) of each place, from the first.
        places: (n, 3), on the border.
        yaw_deg: (n,), along the border, so that the road lies to the left.
        fast: whether it is a motorway's.
        junction: whether it lies in one.
    """

    along_m: NDArray[np.float64]
    places: Places
    yaw_deg: NDArray[np.float64]
    fast: bool
    junction: bool

    def spot(self, along_m: float, outward_m: float) -> tuple[Places, float]:
        """A place beside the border, (3,), and the border's yaw there."""
        place = np.array([np.interp(along_m, self.along_m, self.places[:, axis]) for axis in range(3)])
        row = min(int(np.searchsorted(self.along_m, along_m)), len(self.along_m) - 1)
        yaw = float(self.yaw_deg[row])
        turned = math.radians(yaw)
        return place + np.array([-math.sin(turned), math.cos(turned), 0.0]) * outward_m, yaw

    @property
    def length_m(self) -> float:
        """Of the border."""
        return float(self.along_m[-1])


def frontages(strips: Sequence[Strip]) -> Iterator[Frontage]:
    """Of all roads."""
    for strip in strips:
        # Nothing grows before slots.
        if strip.kind == "Parking" or (strip.kind not in DRIVEN and strip.kind != "Sidewalk"):
            continue
        fast = (strip.limit_kmh or 0.0) >= FAST_KMH
        borders = [strip.right] if strip.outer else []
        if strip.alone:
            borders.append(strip.left[::-1])
        for places in borders:
            ahead = np.gradient(places[:, :2], axis=0)
            yaw = np.degrees(np.arctan2(ahead[:, 1], ahead[:, 0]))
            along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(places, axis=0), axis=1))])
            if along[-1] > 1.0:
                yield Frontage(along, places, yaw, fast, strip.junction)


class Growth:
    """Puts things where there is room."""

    def __init__(self, things: Things, plots: Plots, ground: Ground, chance: np.random.Generator) -> None:
        """Of one town."""
        self._things, self._plots, self._ground, self._chance = things, plots, ground, chance

    def grow(self, fronts: Sequence[Frontage]) -> None:
        """All kinds, in one order; what comes first gets the room."""
        # In any order, so that what there is at most is found all over a large map.
        shuffled = [fronts[n] for n in self._chance.permutation(len(fronts))]
        for front in fronts:
            if front.fast:
                self._rails(front)
        streets = [front for front in shuffled if not front.junction and not front.fast]
        self._every(streets, LAMPS_M, MOST_LAMPS, self._lamp)
        self._every(streets, SMALL_M, MOST_SMALL, self._small)
        count = 0
        for front in streets:
            if count < MOST_BUILDINGS:
                count += self._houses(front, MOST_BUILDINGS - count)
        self._every(streets, TREES_M, MOST_STREET_TREES, self._street_tree)
        self._trees()

    def _every(self, fronts: Sequence[Frontage], step_m: float, most: int, put: Put) -> None:
        count = 0
        for front in fronts:
            for along in np.arange(step_m / 4, front.length_m, step_m):
                if count < most:
                    count += put(front, float(along + self._chance.uniform(-0.5, 0.5)))

    def _foot(self, place: Places) -> tuple[float, float, float]:
        x, y = float(place[0]), float(place[1])
        return x, y, float(heights_at(self._ground, np.array([[x, y]]))[0]) - _SUNK_M

    def _rails(self, front: Frontage) -> None:
        ends = np.linspace(0.0, front.length_m, max(2, round(front.length_m / RAIL_M) + 1))
        spots = [front.spot(float(end), _RAIL_ASIDE_M)[0] for end in ends]
        for first, last in pairwise(spots):
            ahead = last - first
            half, yaw = math.hypot(ahead[0], ahead[1]) / 2, math.degrees(math.atan2(ahead[1], ahead[0]))
            # Rails touch each other at their ends.
            if self._plots.take((first + last) / 2, (half - 2 * CELL_M, 0.1), yaw, 0.05):
                self._things.rail(first, last)

    def _lamp(self, front: Frontage, along_m: float) -> bool:
        place, yaw = front.spot(along_m, 0.7)
        if not self._plots.take(place, (0.1, 0.1), yaw, 0.1):
            return False
        self._things.lamp(self._foot(place), yaw - 90.0)
        return True

    def _small(self, front: Frontage, along_m: float) -> bool:
        kind = int(self._chance.integers(5))
        half, outward = {0: ((0.8, 2.0), 1.6), 1: ((0.2, 0.2), 0.7), 2: ((0.2, 0.2), 0.8)}.get(kind, ((0.3, 0.8), 1.1))
        place, yaw = front.spot(along_m, outward)
        if not self._plots.take(place, half, yaw - 90.0, 0.1):
            return False
        foot = self._foot(place)
        if kind == 0:
            self._things.bus_stop(foot, yaw - 90.0)
        elif kind == 1:
            self._things.plain("hydrant", Label.STATIC, foot, (0.16, 0.16, 0.8), yaw, _RED)
        elif kind == 2:
            self._things.plain("bin", Label.STATIC, foot, (0.2, 0.2, 1.1), yaw, (70, 84, 72))
        else:
            self._things.bench(foot, yaw - 90.0)
        return True

    def _houses(self, front: Frontage, most: int) -> int:
        """Along a street, with fences or walls across some gaps."""
        count, along, set_back = 0, 1.0, float(self._chance.uniform(2.2, 5.0))
        while along < front.length_m - 6.0 and count < most:
            half = (float(self._chance.uniform(4.5, 9.0)), float(self._chance.uniform(4.0, 6.5)))
            place, yaw = front.spot(along + half[0], set_back + half[1])
            if not self._plots.take(place, half, yaw, 1.0):
                along += 3.0
                continue
            floors = int(self._chance.integers(2, 7))
            pitched = floors < 4 and self._chance.random() < 0.75
            self._things.building(self._foot(place), half, floors, yaw, bool(pitched))
            count += 1
            along += 2 * half[0]
            gap = float(self._chance.uniform(2.0, 9.0))
            if gap > 4.0 and self._chance.random() < 0.6:
                self._fence(front, along + gap / 2, gap / 2 - 1.0, set_back)
            along += gap
        return count

    def _fence(self, front: Frontage, along_m: float, half_m: float, outward_m: float) -> None:
        place, yaw = front.spot(along_m, outward_m)
        if self._plots.take(place, (half_m, 0.15), yaw, 0.1):
            wall = self._chance.random() < 0.4
            kind, label, color = ("wall", Label.WALLS, _BRICK) if wall else ("fence", Label.FENCES, _WOOD)
            half = (half_m, 0.12 if wall else 0.05, 1.3 if wall else 1.1)
            self._things.plain(kind, label, self._foot(place), half, yaw, color)

    def _street_tree(self, front: Frontage, along_m: float) -> bool:
        place, yaw = front.spot(along_m, 1.4)
        # Room for the crown, for houses at least.
        if not self._plots.take(place, (0.4, 0.4), yaw, 0.4):
            return False
        self._things.tree(self._foot(place), float(self._chance.uniform(4.0, 6.5)))
        return True

    def _trees(self) -> None:
        count = 0
        for place in self._chance.uniform(self._plots.low, self._plots.high, (_TREE_TRIES, 2)):
            if count < MOST_TREES and self._plots.take(place, (1.0, 1.0), 0.0, 1.5):
                self._things.tree(self._foot(np.append(place, 0.0)), float(self._chance.uniform(5.0, 10.0)))
                count += 1
