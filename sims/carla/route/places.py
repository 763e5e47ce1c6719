"""What an episode's seed decides: the route, who else is there, and where each of them goes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.sims.carla.route.config import RouteConfig
from haltere.sims.carla.route.roads import Lane, Roads, Way, lane_of
from haltere.sims.chance import below, key, word

_TRIES = 400
_ON_MPS = 36.0
"""Nobody is faster, so that nobody comes to the end of his way before the episode does."""
_LINE_M, _LINE_RAD = 2.0, 0.6
"""A light's line lies on a way that comes so near, in so much the same direction."""


class Draws:
    """Whole numbers that follow from a seed, one after another."""

    def __init__(self, seed: int) -> None:
        """Begin."""
        self._key, self._count = key(np.array([seed])), 0

    def below(self, limit: int) -> int:
        """From 0 to ``limit`` - 1."""
        self._count += 1
        return int(below(word(self._key, np.array([self._count])), limit)[0])


@dataclass(frozen=True)
class Start:
    """A spawn point, and where it is in its lane."""

    where: Any
    lane: Lane
    point: int


@dataclass(frozen=True)
class Line:
    """Where one stops for a light: its number, x and y [m], heading [rad]."""

    light: int
    place: NDArray[np.float64]
    turned: float


class Places:
    """The spawn points of a map and the lines of its lights."""

    def __init__(self, town: Any, world: Any, roads: Roads, config: RouteConfig) -> None:  # noqa: ANN401 -- CARLA's
        """Look at a ``carla.Map`` and a ``carla.World`` of it."""
        self._roads, self._config, self._name = roads, config, town.name
        self.starts = list(_starts(town, roads))
        self.lines = [
            Line(int(light.id), np.array([at.location.x, at.location.y]), float(np.radians(at.rotation.yaw)))
            for light in world.get_actors().filter("traffic.traffic_light*")
            for at in (waypoint.transform for waypoint in light.get_stop_waypoints())
        ]

    def route(self, draws: Draws) -> tuple[Start, Way]:
        """A start, and the shortest way along lanes to another spawn point.

        Raises:
            RequestError: there is no pair of them so far from each other.
        """
        low, high = self._config.shortest_m, self._config.longest_m
        for _ in range(_TRIES if len(self.starts) > 1 else 0):
            start, end = (self.starts[draws.below(len(self.starts))] for _ in range(2))
            ways = self._roads.reached(start.lane, high + 1000.0)
            if end.lane not in ways or (end.lane == start.lane and end.point <= start.point):
                continue
            way = self._roads.way(ways[end.lane], start.point, end.point)
            if low <= way.length_m <= high:
                return start, way
        raise RequestError(f"no route of {low:g} to {high:g} m along lanes was found in {self._name}")

    def others(self, draws: Draws, mine: Start) -> list[tuple[Start, Way]]:
        """Where others begin, at most one a spawn point, and where they go."""
        free = [start for start in self.starts if start is not mine]
        chosen = []
        for _ in range(min(self._config.vehicles, len(free))):
            start = free.pop(draws.below(len(free)))
            chosen.append((start, self._wander(start, draws)))
        return chosen

    def _wander(self, start: Start, draws: Draws) -> Way:
        lanes, length = [start.lane], 0.0
        while length < _ON_MPS * self._config.limit_s:
            following = sorted(self._roads.graph.successors(lanes[-1]))
            if not following:
                break
            length += self._roads.graph.edges[lanes[-1], following[0]]["length"]
            lanes.append(following[draws.below(len(following))])
        return self._roads.way(lanes, start.point)

    def stops(self, way: Way) -> dict[int, list[int]]:
        """Numbers of the way's points at which there is a line, and of the lights that it is for."""
        found: dict[int, list[int]] = {}
        for line in self.lines:
            away = ((way.points - line.place) ** 2).sum(axis=1)
            alike = np.cos(way.turned - line.turned) > np.cos(_LINE_RAD)
            near = alike & (away < _LINE_M**2)
            # A way may pass the same line again, later on.
            for at in np.flatnonzero(near & ~np.concatenate([[False], near[:-1]])).tolist():
                run = at + int(away[at : at + 5].argmin())
                found.setdefault(run, []).append(line.light)
        return found


def _starts(town: Any, roads: Roads) -> Any:  # noqa: ANN401 -- carla.Map; yields Start
    for where in town.get_spawn_points():
        lane = lane_of(town.get_waypoint(where.location))
        if lane in roads.lanes:
            yield Start(where, lane, roads.point(lane, np.array([where.location.x, where.location.y])))
