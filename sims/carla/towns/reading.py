"""A town of any OpenDRIVE map: read by CARLA's own reader, so that server and client agree on every lane."""

import math
from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.sims.carla.geometry import BoundingBox, Rotation, Transform, Vector
from haltere.sims.carla.scene import Ground
from haltere.sims.carla.towns.landscape import scene_of
from haltere.sims.carla.towns.lanes import limit_kmh, strips_of
from haltere.sims.carla.towns.opendrive import LIGHT_TYPE, SLOT_TYPE
from haltere.sims.carla.towns.town import Limits, Sign, Town, TrafficLight
from haltere.sims.carla.towns.walks import Walkways

SPAWNS_M, ABOVE_M, APART_M, CLEAR_M = 12.0, 0.5, 6.0, 8.0
"""Along a lane from one spawn point to the next, above it, least from any other, and least from a junction."""
SIGNS = ("205", "206", "274")
UNLIMITED_KMH = 30.0
"""Where the map says nothing, as CARLA has it."""
SAMPLES_M, CELL_M, AROUND_M = 2.0, 2.0, 60.0


def town_of(name: str, opendrive: str, seed: int = 0) -> Town:
    """A town of a map.

    Args:
        name: of the town.
        opendrive: the map, as text.
        seed: of what grows beside its roads.

    Raises:
        RequestError: the text is no OpenDRIVE, or has no lane to drive on.
    """
    import carla  # an extra, which a user of other simulators needn't have

    try:
        root = ElementTree.fromstring(opendrive)
    except (ElementTree.ParseError, ValueError) as error:
        raise RequestError(f"{name}: not an OpenDRIVE map: {error}") from None
    if root.tag != "OpenDRIVE" or root.find("road") is None:
        raise RequestError(f"{name}: not an OpenDRIVE map: its root must be <OpenDRIVE> with a <road>")
    try:
        read = carla.Map(name, opendrive)
        samples = read.generate_waypoints(SAMPLES_M)
    except RuntimeError as error:
        raise RequestError(f"{name}: not an OpenDRIVE map: {error}") from None
    places = np.array([_place(point) for point in samples]).reshape(-1, 4)
    if not len(places):
        raise RequestError(f"{name}: the map has no lane to drive on")
    if not np.isfinite(places).all():
        raise RequestError(f"{name}: CARLA's reader makes no number of its lanes; spirals of one curvature do that")
    ground = _ground(places)
    lights = tuple(_lights(read))
    signs = tuple(_signs(read))
    slots = tuple(_slots(root, read))
    strips, crosswalks = tuple(strips_of(root, read)), tuple(_crosswalks(read))
    scene = scene_of(strips, crosswalks, ground, (lights, signs, slots), seed)
    limits = _limits(root, [point.road_id for point in samples], places)
    walkways = Walkways(strips, crosswalks, ground)
    return Town(name, opendrive, tuple(_spawn_points(read)), scene, limits, walkways, lights, signs, slots)


def _crosswalks(read: Any) -> Iterator[NDArray[np.float64]]:  # noqa: ANN401 -- carla.Map
    """(n, 3) outlines: CARLA lists their corners one after another, and ends each with its first one."""
    outline: list[tuple[float, float, float]] = []
    for corner in read.get_crosswalks():
        place = (corner.x, corner.y, corner.z)
        if outline and np.allclose(place, outline[0], atol=1e-3):
            yield np.array(outline)
            outline = []
        else:
            outline.append(place)


def _place(point: Any) -> tuple[float, float, float, float]:  # noqa: ANN401 -- carla.Waypoint
    """Where it is, and how wide its lane."""
    where = point.transform.location
    return where.x, where.y, where.z, point.lane_width


def _spawn_points(read: Any) -> Iterator[Transform]:  # noqa: ANN401 -- carla.Map
    """Along every lane outside junctions, in the order of roads and lanes."""
    taken: list[tuple[float, float, float]] = []
    points = [point for point in read.generate_waypoints(SPAWNS_M) if _is_clear(point)]
    for point in sorted(points, key=lambda each: (each.road_id, each.section_id, each.lane_id, each.s)):
        where, turned = point.transform.location, point.transform.rotation
        if any(math.hypot(where.x - x, where.y - y) < APART_M and _alike(turned.yaw, yaw) for x, y, yaw in taken):
            continue
        taken.append((where.x, where.y, turned.yaw))
        yield Transform(
            Vector(where.x, where.y, where.z + ABOVE_M), Rotation(turned.pitch, turned.yaw % 360.0, turned.roll)
        )


def _is_clear(point: Any) -> bool:  # noqa: ANN401 -- carla.Waypoint
    """Whether neither it nor what is close before or behind it lies in a junction."""
    near = [point, *point.next(CLEAR_M), *point.previous(CLEAR_M)]
    return not any(each.is_junction for each in near)


def _lights(read: Any) -> Iterator[TrafficLight]:  # noqa: ANN401 -- carla.Map
    """One for each signal, with the box before it in which vehicles are told of it."""
    for mark in sorted(read.get_all_landmarks_of_type(LIGHT_TYPE), key=lambda each: each.id):
        lanes = [
            read.get_waypoint_xodr(mark.road_id, lane, mark.s)
            for first, last in mark.get_lane_validities()
            for lane in range(first, last + 1)
            if lane != 0
        ]
        lanes = [lane for lane in lanes if lane is not None]
        if not lanes:
            continue
        junction = _next_junction(lanes[0])
        yaw = lanes[0].transform.rotation.yaw
        middle = np.mean([_place(lane)[:3] for lane in lanes], axis=0)
        across = sum(lane.lane_width for lane in lanes)
        back = np.array([math.cos(math.radians(yaw)), math.sin(math.radians(yaw)), 0.0]) * 3.0
        stops = BoundingBox(Vector(*(middle - back).tolist()), Vector(4.0, across / 2, 2.0), Rotation(yaw=yaw))
        foot = mark.transform.location
        place = Transform(Vector(foot.x, foot.y, middle[2].item()), Rotation(yaw=yaw % 360.0))
        yield TrafficLight(mark.id, place, stops, junction, phase=round(yaw / 90.0) % 2)


def _slots(root: ElementTree.Element, read: Any) -> Iterator[BoundingBox]:  # noqa: ANN401 -- carla.Map
    """Of the map's objects of that type, beside roads that have a lane on their right."""
    for road in root.iter("road"):
        for item in road.iterfind("objects/object"):
            if item.get("type") != SLOT_TYPE:
                continue
            try:
                s, t, along, across = (float(item.attrib[name]) for name in ("s", "t", "length", "width"))
                lane = read.get_waypoint_xodr(int(road.attrib["id"]), -1, s)
            except (KeyError, ValueError, OverflowError) as error:
                raise RequestError(f"object {item.get('id')}: not a parking space: {error!r}") from None
            if lane is not None:
                where, yaw_deg = lane.transform.location, lane.transform.rotation.yaw
                right, turned = -t - lane.lane_width / 2, math.radians(yaw_deg)
                x, y = where.x - math.sin(turned) * right, where.y + math.cos(turned) * right
                half = Vector(across / 2, along / 2, 0.0)
                yield BoundingBox(Vector(x, y, where.z), half, Rotation(yaw=yaw_deg + (90.0 if right > 0 else -90.0)))


def _signs(read: Any) -> Iterator[Sign]:  # noqa: ANN401 -- carla.Map
    """Those that rule a lane."""
    for kind in SIGNS:
        for mark in sorted(read.get_all_landmarks_of_type(kind), key=lambda each: each.id):
            yaw_deg, foot = _yaw_of_lanes(mark, read), mark.transform.location
            if yaw_deg is not None:
                place = Transform(Vector(foot.x, foot.y, foot.z), Rotation(yaw=yaw_deg))
                yield Sign(mark.id, kind, place, mark.value)


def _yaw_of_lanes(sign: Any, read: Any) -> float | None:  # noqa: ANN401 -- carla.Landmark, carla.Map
    """Of the lanes that a sign is for, against which it looks; None where it is for none."""
    for first, last in sign.get_lane_validities():
        for number in range(first, last + 1):
            lane = read.get_waypoint_xodr(sign.road_id, number, sign.s) if number else None
            if lane is not None:
                return float(lane.transform.rotation.yaw)
    return None


def _next_junction(point: Any) -> int:  # noqa: ANN401 -- carla.Waypoint
    """Number of the junction that a lane leads to within 50 m; -1 where there is none."""
    for ahead_m in range(1, 50):
        following = point.next(float(ahead_m))
        if following and following[0].is_junction:
            return int(following[0].get_junction().id)
    return -1


def _raster(places: NDArray[np.float64]) -> tuple[float, float, NDArray[np.int64]]:
    """Corner of a grid around all places, and which cell each lies in, (n, 2) of row and column."""
    low = places[:, :2].min(0) - AROUND_M
    cells = ((places[:, :2] - low) / CELL_M).round().astype(np.int64)
    return float(low[0]), float(low[1]), cells[:, ::-1]


def _nearest(places: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[float, float, NDArray[np.float32]]:
    """A grid around all places with the value of the nearest one, of several in a cell the last one's; its corner."""
    x_m, y_m, cells = _raster(places)
    found = np.full(cells.max(0) + round(AROUND_M / CELL_M) + 1, np.nan, np.float32)
    found[cells[:, 0], cells[:, 1]] = values
    empty = np.isnan(found)
    _, labels = cv2.distanceTransformWithLabels(empty.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    # Labels count the known cells from 1, in the order of rows.
    return x_m, y_m, found[~empty][labels - 1]


def _limits(root: ElementTree.Element, roads: Sequence[int], places: NDArray[np.float64]) -> Limits:
    """Of each place's road."""
    by_road = {int(road.attrib["id"]): limit_kmh(road) for road in root.iter("road")}
    kmh = np.array([by_road.get(road) or UNLIMITED_KMH for road in roads])
    x_m, y_m, found = _nearest(places, kmh)
    return Limits(x_m, y_m, CELL_M, found)


def _ground(places: NDArray[np.float64]) -> Ground:
    """The height of the nearest lane."""
    x_m, y_m, heights = _nearest(places, places[:, 2])
    if np.ptp(places[:, 2]) < 1e-3:
        side = max(heights.shape) * CELL_M
        return Ground(x_m, y_m, side, np.full((2, 2), places[0, 2], np.float32))
    return Ground(x_m, y_m, CELL_M, heights)


def _alike(first_deg: float, second_deg: float) -> bool:
    return abs((first_deg - second_deg + 180.0) % 360.0 - 180.0) < 90.0
