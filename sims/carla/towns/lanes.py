"""Every lane of a map, of any kind, as CARLA's own reader has it: its two borders, place by place."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError

SAMPLES_M = 1.5
_END_M = 1e-3
"""The reader has no lane at the very end of a road."""
_KMH = {"km/h": 1.0, "mph": 1.609344, "m/s": 3.6}
DRIVEN = frozenset(
    "Driving Bidirectional Entry Exit OnRamp OffRamp Parking Shoulder Stop Border Restricted Biking RoadWorks "
    "Special1 Special2 Special3".split()
)
"""Kinds of lanes that are paved as a road is."""


@dataclass(frozen=True)
class Mark:
    """A line on a border.

    Attributes:
        kind: as ``LaneMarkingType`` has it, such as ``SolidBroken``.
        color: as ``LaneMarkingColor`` has it.
        width: of the line [m].
    """

    kind: str
    color: str
    width: float


@dataclass(frozen=True)
class Strip:
    """One lane of one lane section, in its own direction of travel; all places in CARLA's frame.

    Attributes:
        road: its number.
        lane: likewise; negative to the right of the road's reference.
        kind: as ``LaneType`` has it.
        junction: whether it lies in one.
        left: (n, 3) places of its left border [m].
        right: (n, 3), of its right one.
        marks: of the right border.
        middle_marks: of the left border, where that is the road's middle and no other lane's strip tells of it.
        outer: whether no lane lies to its right.
        alone: whether no lane lies to its left either, nor against it.
        limit_kmh: of the road; None where the map has none.
    """

    road: int
    lane: int
    kind: str
    junction: bool
    left: NDArray[np.float64]
    right: NDArray[np.float64]
    marks: Sequence[Mark | None]
    middle_marks: Sequence[Mark | None]
    outer: bool
    alone: bool
    limit_kmh: float | None

    @property
    def outline(self) -> NDArray[np.float64]:
        """(2 n, 3), around it."""
        return np.concatenate([self.left, self.right[::-1]])


def strips_of(root: ElementTree.Element, read: Any) -> Iterator[Strip]:  # noqa: ANN401 -- carla.Map
    """All lanes, in the order of the map.

    Args:
        root: the map.
        read: and as CARLA reads it.

    Raises:
        RequestError: a number in the map is none.
    """
    for road in root.iter("road"):
        try:
            yield from _of_road(road, read)
        except (KeyError, ValueError, OverflowError) as error:
            raise RequestError(f"road {road.get('id')}: not an OpenDRIVE road: {error!r}") from None


def _of_road(road: ElementTree.Element, read: Any) -> Iterator[Strip]:  # noqa: ANN401 -- carla.Map
    number, length = int(road.attrib["id"]), float(road.attrib["length"])
    junction, limit = road.get("junction", "-1") != "-1", limit_kmh(road)
    sections = road.findall("lanes/laneSection")
    starts = [float(section.attrib["s"]) for section in sections]
    for section, start, end in zip(sections, starts, [*starts[1:], length], strict=True):
        if not end - start > 4 * _END_M:
            continue
        count = max(2, math.ceil((end - start) / SAMPLES_M) + 1)
        places = np.linspace(start + _END_M, end - _END_M, count)
        numbers = sorted(int(lane.attrib["id"]) for lane in section.iter("lane"))
        for lane in numbers:
            if lane:
                # CARLA drives on the right: lanes of positive numbers lead back.
                along = places if lane < 0 else places[::-1]
                points = [read.get_waypoint_xodr(number, lane, float(s)) for s in along]
                if None not in points and str(points[0].lane_type) != "NONE":
                    yield _strip((number, lane), points, numbers, junction, limit)


def _strip(
    who: tuple[int, int],
    points: Sequence[Any],
    numbers: Sequence[int],
    junction: bool,
    limit_kmh: float | None,
) -> Strip:
    rows = np.array([_row(point) for point in points])
    # The heading of a lane that grows wider isn't its road's, along whose normal borders lie; they are close.
    yaw = np.radians(rows[:, 3])
    right = np.stack([-np.sin(yaw), np.cos(yaw), np.zeros(len(yaw))], 1) * rows[:, 4:5] / 2
    road, lane = who
    inner = lane == -1 or (lane == 1 and -1 not in numbers)
    marks = [_mark(point.right_lane_marking) for point in points]
    outward = lane + (1 if lane > 0 else -1)
    return Strip(
        road,
        lane,
        str(points[0].lane_type),
        junction,
        rows[:, :3] - right,
        rows[:, :3] + right,
        marks,
        [_mark(point.left_lane_marking) for point in points] if inner else [],
        outward not in numbers,
        abs(lane) == 1 and -lane not in numbers,
        limit_kmh,
    )


def _row(point: Any) -> tuple[float, float, float, float, float]:  # noqa: ANN401 -- carla.Waypoint
    """Its place, heading [deg] and width."""
    turned = point.transform
    where = turned.location
    return where.x, where.y, where.z, turned.rotation.yaw, point.lane_width


def _mark(mark: Any) -> Mark | None:  # noqa: ANN401 -- carla.LaneMarking
    if mark is None or str(mark.type) in ("NONE", "Other", "Curb", "Grass"):
        return None
    return Mark(str(mark.type), str(mark.color), min(max(mark.width, 0.1), 0.3))


def limit_kmh(road: ElementTree.Element) -> float | None:
    """The first one that a road has."""
    for speed in road.iterfind("type/speed"):
        try:
            return float(speed.attrib["max"]) * _KMH.get(speed.get("unit", "m/s"), 3.6)
        except (KeyError, ValueError):
            continue
    return None
