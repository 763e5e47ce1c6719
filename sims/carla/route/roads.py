"""What the map says of the roads: a graph of lanes, the ways along it, and two pictures of it from above."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

import carla
import cv2
import networkx
import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError

FloatArray = NDArray[np.float64]
ByteArray = NDArray[np.uint8]
Lane = tuple[int, int, int]
"""Road, section and lane of an OpenDRIVE map."""

PX_PER_M = 5
"""Source: the bird's-eye masks of VLM-RL (Huang et al. 2024, arXiv:2412.15544)."""
STEP_M = 1.0
_EDGE_M = 60.0
_MARK_M = 0.4
_SOLID, _BROKEN = 255, 128
_MOST_SIDEWAYS_MPS2 = 2.0
"""What drivers find comfortable in bends."""
_BEND_M = 4
"""Steps over which the bend of a way is measured."""


@dataclass(frozen=True)
class Way:
    """A way along lanes, as points ``STEP_M`` apart.

    Attributes:
        points: (n, 2) x and y in CARLA's frame [m].
        turned: (n,) heading [rad], from x to y.
        width: (n,) of the lane [m].
        bend_mps: (n,) how fast bends are driven.
        junction: (n,) whether the lane is one through a junction.
    """

    points: FloatArray
    turned: FloatArray
    width: FloatArray
    bend_mps: FloatArray
    junction: NDArray[np.bool_]

    @classmethod
    def of(cls, points: FloatArray, width: FloatArray, junction: NDArray[np.bool_] | None = None) -> "Way":
        """Through (m, 2) points, which may lie at any distance; with the widths there, and where junctions are."""
        junction = np.zeros(len(points), np.bool_) if junction is None else junction
        steps = np.hypot(*np.diff(points, axis=0).T)
        kept = np.concatenate([[True], steps > 1e-3])
        points, width, junction = points[kept], width[kept], junction[kept]
        along = np.concatenate([[0.0], np.cumsum(steps[kept[1:]])])
        at = np.arange(0.0, max(along[-1], 2.0 * STEP_M), STEP_M)
        even = np.stack([np.interp(at, along, points[:, axis]) for axis in (0, 1)], axis=1)
        direction = np.gradient(even, axis=0)
        turned = np.arctan2(direction[:, 1], direction[:, 0])
        ahead = np.minimum(np.arange(len(at)) + _BEND_M, len(at) - 1)
        bend = np.abs(wrapped(turned[ahead] - turned)) / (_BEND_M * STEP_M)
        bend_mps = np.sqrt(_MOST_SIDEWAYS_MPS2 / np.maximum(bend, 1e-4))
        return cls(even, turned, np.interp(at, along, width), bend_mps, np.interp(at, along, junction) > 0.5)

    @property
    def length_m(self) -> float:
        """From its first point to its last [m]."""
        return STEP_M * (len(self.points) - 1)

    def nearest(self, place: FloatArray, near: int, back: int = 5, ahead: int = 25) -> tuple[int, float, float]:
        """Where along it a place (2,) is.

        Args:
            place: x and y [m].
            near: number of a point that it isn't far from.
            back: how many points before that are looked at.
            ahead: how many after it.

        Returns:
            The number of the nearest point, how far along the way [m], and how far to the right of it [m].
        """
        first = max(0, near - back)
        away = place - self.points[first : near + ahead]
        at = first + int((away**2).sum(axis=1).argmin())
        cos, sin = np.cos(self.turned[at]), np.sin(self.turned[at])
        x, y = place - self.points[at]
        return at, float(STEP_M * at + np.clip(cos * x + sin * y, -STEP_M, STEP_M)), float(cos * y - sin * x)


@dataclass(frozen=True)
class Strip:
    """One lane from its beginning to its end; the arrays are (n, 2), (n,) and those of its marks.

    Attributes:
        points: its middle.
        width: its width.
        right: (n, 2) unit vectors to the right.
        marks: how each side of each point is marked, (n, 2): left and right; 0 not, else how bright.
        junction: whether it leads through one.
    """

    points: FloatArray
    width: FloatArray
    right: FloatArray
    marks: ByteArray
    junction: bool


class Roads:
    """The lanes of a map.

    Attributes:
        lanes: each lane's strip.
        graph: which lane leads to which; an edge is as long as the lane that it leaves [m].
        corner: (2,) least x and y of the pictures [m].
        road: (rows, columns) 255 where there is road; rows along x, columns along y, ``PX_PER_M`` each.
        marks: likewise, lane marks; broken ones are dimmer.
    """

    def __init__(self, town: Any) -> None:  # noqa: ANN401 -- carla.Map
        """Read a ``carla.Map``."""
        self.lanes: dict[Lane, Strip] = {}
        self.graph = networkx.DiGraph()
        for start, following in town.get_topology():
            lane = lane_of(start)
            if lane not in self.lanes:
                self.lanes[lane] = _strip(start)
            length = float(np.hypot(*np.diff(self.lanes[lane].points, axis=0).T).sum())
            self.graph.add_edge(lane, lane_of(following), length=length)
        for lane in [lane for lane in self.graph if lane not in self.lanes]:
            self.graph.remove_node(lane)  # one that leads nowhere is no start of the topology
        if not self.lanes:
            raise HaltereError(f"the map {town.name} has no lanes to drive in")
        self._draw()

    def _draw(self) -> None:
        everything = np.concatenate([strip.points for strip in self.lanes.values()])
        self.corner = everything.min(axis=0) - _EDGE_M
        rows, columns = np.ceil((everything.max(axis=0) + _EDGE_M - self.corner) * PX_PER_M).astype(int)
        self.road, self.marks = (np.zeros((rows, columns), np.uint8) for _ in range(2))
        for strip in self.lanes.values():
            left, right = (self.pixels(_side(strip, side)) for side in (-1, 1))
            for i in range(len(left) - 1):
                cv2.fillConvexPoly(self.road, np.array([left[i], left[i + 1], right[i + 1], right[i]]), _SOLID)
            for number, side in enumerate((left, right)):
                for i in np.flatnonzero(strip.marks[:-1, number]).tolist():
                    ends = tuple(side[i].tolist()), tuple(side[i + 1].tolist())
                    shade = int(strip.marks[i, number])
                    cv2.line(self.marks, *ends, shade, max(1, round(_MARK_M * PX_PER_M)))

    def pixels(self, places: FloatArray) -> NDArray[np.int32]:
        """Where (n, 2) places are in the pictures: OpenCV's column and row."""
        columns_rows: NDArray[np.int32] = np.rint((places - self.corner)[:, ::-1] * PX_PER_M).astype(np.int32)
        return columns_rows

    def way(self, lanes: list[Lane], first: int = 0, last: int | None = None) -> Way:
        """Along lanes, from a point of the first to a point of the last."""
        strips = [self.lanes[lane] for lane in lanes]
        points, width = [strip.points for strip in strips], [strip.width for strip in strips]
        if last is not None:
            points[-1], width[-1] = points[-1][: last + 1], width[-1][: last + 1]
        points[0], width[0] = points[0][first:], width[0][first:]
        inside = [np.full(len(part), strip.junction) for part, strip in zip(points, strips, strict=True)]
        return Way.of(np.concatenate(points), np.concatenate(width), np.concatenate(inside))

    def reached(self, lane: Lane, longest_m: float) -> dict[Lane, list[Lane]]:
        """Shortest ways from a lane to those that begin within so far of its own beginning."""
        if lane not in self.graph:
            return {}
        _, ways = networkx.single_source_dijkstra(self.graph, lane, cutoff=longest_m, weight="length")
        return dict(ways)

    def point(self, lane: Lane, place: FloatArray) -> int:
        """Number of the lane's point that is nearest to a place (2,)."""
        return int(((self.lanes[lane].points - place) ** 2).sum(axis=1).argmin())


def lane_of(waypoint: Any) -> Lane:  # noqa: ANN401 -- carla.Waypoint
    """Which lane a waypoint is of."""
    return int(waypoint.road_id), int(waypoint.section_id), int(waypoint.lane_id)


def wrapped(angle: FloatArray) -> FloatArray:
    """The same angles from -pi to pi."""
    return (angle + np.pi) % (2.0 * np.pi) - np.pi


_reading = Lock()


@lru_cache(maxsize=4)
def _read(opendrive: str, name: str) -> Roads:
    return Roads(carla.Map(name, opendrive))


def roads_of(town: Any) -> Roads:  # noqa: ANN401 -- carla.Map
    """The roads of a map; they are read once, and are shared by all worlds of it."""
    with _reading:
        return _read(town.to_opendrive(), town.name)


def _strip(start: Any) -> Strip:  # noqa: ANN401 -- carla.Waypoint
    waypoints = [start, *start.next_until_lane_end(STEP_M)]
    columns = [(*_flat(waypoint.transform), waypoint.lane_width) for waypoint in waypoints]
    x, y, yaw, width = np.array(columns).T
    marks = [] if start.is_junction else [list(_marks(waypoint)) for waypoint in waypoints]
    return Strip(
        np.stack([x, y], axis=1),
        width,
        np.stack([-np.sin(yaw), np.cos(yaw)], axis=1),
        np.array(marks, np.uint8) if marks else np.zeros((len(waypoints), 2), np.uint8),
        bool(start.is_junction),
    )


def _flat(where: Any) -> tuple[float, float, float]:  # noqa: ANN401 -- carla.Transform
    return where.location.x, where.location.y, np.radians(where.rotation.yaw)


def _marks(waypoint: Any) -> Iterator[int]:  # noqa: ANN401 -- carla.Waypoint
    for mark in (waypoint.left_lane_marking, waypoint.right_lane_marking):
        name = str(mark.type)
        yield 0 if name in ("NONE", "Other") else _BROKEN if name in ("Broken", "BrokenBroken") else _SOLID


def _side(strip: Strip, side: int) -> FloatArray:
    return strip.points + 0.5 * side * strip.width[:, None] * strip.right
