"""Our towns and anybody's maps, as CARLA's own reader sees them."""

import math
from pathlib import Path
from typing import Any

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haltere.configs.errors import RequestError
from haltere.sims.carla.scene import Label
from haltere.sims.carla.towns import load_town, town_names
from haltere.sims.carla.towns.opendrive import Lane, Piece, Pose, Road, joining, text_of
from haltere.sims.carla.towns.reading import town_of

carla = pytest.importorskip("carla", reason="CARLA's client has no wheel for this machine")


LIGHTS = {"grid": 32, "europe": 4, "highway": 0, "parking": 4}
"""How many each has."""


@pytest.fixture(scope="module", params=town_names())
def name(request: pytest.FixtureRequest) -> str:
    """Each of ours."""
    return str(request.param)


@pytest.fixture(scope="module")
def read(name: str) -> Any:  # noqa: ANN401 -- carla.Map
    """By CARLA."""
    return carla.Map(name, load_town(name).opendrive)


def test_every_lane_is_a_number(read: Any) -> None:  # noqa: ANN401
    """Every half metre, and its neighbours of any kind; and it goes on."""
    points = read.generate_waypoints(0.5)
    assert len(points) > 1000
    for point in points:
        for each in (point, point.get_right_lane(), point.get_left_lane()):
            if each is not None:
                where, turned = each.transform.location, each.transform.rotation
                assert all(map(math.isfinite, (where.x, where.y, where.z, turned.yaw, each.lane_width)))
        assert point.next(2.0)


def test_everywhere_leads_everywhere(read: Any) -> None:  # noqa: ANN401
    """By the topology that routes are planned on."""
    graph = networkx.DiGraph()
    for first, last in read.get_topology():
        ends = [(round(each.transform.location.x, 1), round(each.transform.location.y, 1)) for each in (first, last)]
        graph.add_edge(*ends)
    assert graph.number_of_nodes() > 50 and networkx.is_strongly_connected(graph)


def test_roads_join_without_a_step(read: Any) -> None:  # noqa: ANN401
    """A lane goes on within 2 cm, and in the same direction, where a road ends and the next begins."""
    for _, last in read.get_topology():
        for following in last.next(0.02):
            where, there = last.transform, following.transform
            assert where.location.distance(there.location) < 0.04
            assert abs((where.rotation.yaw - there.rotation.yaw + 180.0) % 360.0 - 180.0) < 1.0


def test_vehicles_are_spawned_on_lanes(name: str, read: Any) -> None:  # noqa: ANN401
    """In their middle, along them, outside junctions, and apart from each other."""
    spots = load_town(name).spawn_points
    assert len(spots) >= 100
    places = np.array([(spot.location.x, spot.location.y) for spot in spots])
    for spot in spots:
        where = carla.Location(spot.location.x, spot.location.y, spot.location.z)
        lane = read.get_waypoint(where)
        turned = abs((lane.transform.rotation.yaw - spot.rotation.yaw + 180.0) % 360.0 - 180.0)
        # CARLA's reader finds a lane's nearest place to some decimetres along it, but to millimetres across.
        apart, right = where - lane.transform.location, lane.transform.get_right_vector()
        assert abs(apart.x * right.x + apart.y * right.y) < 0.02 and apart.length() < 0.8
        assert apart.z == pytest.approx(0.5, abs=0.01) and turned < 1.0
        assert not lane.is_junction
    apart = np.linalg.norm(places[:, None] - places, axis=-1) + 1e3 * np.eye(len(places))
    assert apart.min() > 3.0


def test_nothing_stands_on_a_lane(name: str, read: Any) -> None:  # noqa: ANN401
    """No building and no tree, whatever the seed."""
    points = [point.transform.location for point in read.generate_waypoints(1.0)]
    lanes = np.array([(point.x, point.y) for point in points])
    for seed in (0, 1, 2):
        things = load_town(name, seed).scene.things
        assert sum(thing.label is Label.BUILDINGS for thing in things) > 50
        for thing in things:
            yaw, half = math.radians(thing.box.rotation.yaw), thing.box.extent
            apart = lanes - (thing.box.location.x, thing.box.location.y)
            along = np.abs(apart @ (math.cos(yaw), math.sin(yaw))) - half.x
            across = np.abs(apart @ (-math.sin(yaw), math.cos(yaw))) - half.y
            assert np.maximum(along, across).min() > 1.75


def test_a_seed_grows_the_same_town(name: str) -> None:
    """And another one another."""
    again = town_of(name, load_town(name).opendrive, 0)
    assert again.scene.things == load_town(name).scene.things
    assert load_town(name, 1).scene.things != again.scene.things


def test_lights_are_where_the_map_has_them(name: str, read: Any) -> None:  # noqa: ANN401
    """Each with its box on the lanes that it rules, before its junction; crossing streams are never free at once."""
    lights = load_town(name).lights
    marks = read.get_all_landmarks_of_type("1000001")
    assert {light.signal for light in lights} == {mark.id for mark in marks} and len(lights) == LIGHTS[name]
    for light in lights:
        middle = light.stops.location
        lane = read.get_waypoint(carla.Location(middle.x, middle.y, middle.z))
        yaw = abs((lane.transform.rotation.yaw - light.stops.rotation.yaw + 180.0) % 360.0 - 180.0)
        assert yaw < 1.0 and not lane.is_junction
        ahead = lane.next(20.0)[0]
        assert ahead.is_junction and ahead.get_junction().id == light.junction
    for first in lights:
        for second in lights:
            if first.junction == second.junction and first.phase == second.phase:
                turned = (first.stops.rotation.yaw - second.stops.rotation.yaw) % 180.0
                assert min(turned, 180.0 - turned) < 30.0
    assert len(read.get_crosswalks()) > 10


poses = st.builds(Pose, st.floats(-50, 50), st.floats(-50, 50), st.floats(-3.0, 3.0))


@given(poses, st.floats(1.0, 40.0), st.floats(1.0, 40.0), st.floats(-2.5, 2.5).filter(lambda turn: abs(turn) > 0.05))
def test_line_and_arc_join_two_poses(start: Pose, ahead: float, behind: float, turn: float) -> None:
    """Without a step, in place or in direction."""
    end = start.moved(ahead).turned(turn).moved(behind)
    at = start
    for piece in joining(start, end):
        assert (piece.start.x, piece.start.y) == pytest.approx((at.x, at.y), abs=1e-6) and piece.length > 0.0
        assert math.remainder(piece.start.heading - at.heading, 2 * math.pi) == pytest.approx(0.0, abs=1e-6)
        at = piece.end
    assert (at.x, at.y) == pytest.approx((end.x, end.y), abs=1e-6)
    assert math.remainder(at.heading - end.heading, 2 * math.pi) == pytest.approx(0.0, abs=1e-6)


def test_what_no_arc_joins_is_refused() -> None:
    """The end lies behind."""
    with pytest.raises(ValueError, match="no arc leads"):
        joining(Pose(0.0, 0.0, 0.0), Pose(-10.0, 5.0, 1.5))


def test_a_file_is_a_town(tmp_path: Path) -> None:
    """With hills: the ground has the height of its lanes."""
    road = Road(1, [Piece(Pose(0.0, 0.0, 0.0), 300.0)], [Lane(-1), Lane(1)])
    text = text_of("hills", [road], [])
    rising = '<elevation s="0" a="0" b="0" c="0" d="0" />'
    assert rising in text
    path = tmp_path / "hills.xodr"
    path.write_text(text.replace(rising, '<elevation s="0" a="1" b="0.05" c="0" d="0"/>'))
    town = load_town(str(path))
    assert town.name == "hills" and len(town.spawn_points) > 10
    ground = town.scene.ground
    for x in (20.0, 150.0, 280.0):
        row, column = round((1.75 - ground.y_m) / ground.cell_m), round((x - ground.x_m) / ground.cell_m)
        assert ground.heights[row, column] == pytest.approx(1.0 + 0.05 * x, abs=0.12)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nonsense", "map: not an OpenDRIVE map: syntax error"),
        ("<OpenDRIVE/>", "map: not an OpenDRIVE map: its root must be"),
        ("<Open><road/></Open>", "map: not an OpenDRIVE map: its root must be"),
        (text_of("a", [Road(1, [Piece(Pose(0, 0, 0), 50.0)], [Lane(-1, "sidewalk")])], []), "map: the map has no lane"),
    ],
)
def test_what_is_no_map_is_refused(text: str, sentence: str) -> None:
    """In one sentence."""
    with pytest.raises(RequestError, match=sentence):
        town_of("map", text)


def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    """With the nearest one; CARLA's paths and any case are taken."""
    with pytest.raises(RequestError, match="no town named 'grit'; did you mean 'grid'"):
        load_town("grit")
    with pytest.raises(RequestError, match=r"none\.xodr: No such file"):
        load_town(str(tmp_path / "none.xodr"))
    assert load_town("/Game/Carla/Maps/Grid") is load_town("grid")


def test_speed_limits_are_the_maps(name: str, read: Any) -> None:  # noqa: ANN401
    """On every lane that of its road's signs, or of its type where it has none."""
    limits, checked = load_town(name).limits, 0
    by_road = {mark.road_id: mark.value for mark in read.get_all_landmarks_of_type("274")}
    for point in read.generate_waypoints(7.0):
        if point.road_id in by_road and not any(each.is_junction for each in (*point.next(4.0), *point.previous(4.0))):
            where = point.transform.location
            column = round((where.x - limits.x_m) / limits.cell_m)
            row = round((where.y - limits.y_m) / limits.cell_m)
            assert limits.kmh[row, column] == pytest.approx(by_road[point.road_id])
            checked += 1
    assert checked > 100


def test_slots_lie_beside_aisles_and_apart() -> None:
    """64 on the parking lanes as CARLA's reader has them, each across its aisle; no other town has any."""
    town = load_town("parking")
    read, slots = carla.Map("parking", town.opendrive), town.slots
    assert len(slots) == 64 and not any(load_town(name).slots for name in town_names() if name != "parking")
    for slot in slots:
        where = carla.Location(slot.location.x, slot.location.y, slot.location.z)
        lane = read.get_waypoint(where, False, carla.LaneType.Parking)
        assert lane is not None and lane.transform.location.distance(where) < 0.5
        assert (slot.extent.x, slot.extent.y) == pytest.approx((2.8, 1.45))
        turned = math.radians(slot.rotation.yaw)
        behind = where - (slot.extent.x + 1.0) * carla.Location(math.cos(turned), math.sin(turned))
        aisle = read.get_waypoint(behind, False, carla.LaneType.Driving)
        assert aisle is not None and abs((aisle.transform.rotation.yaw - slot.rotation.yaw) % 180.0 - 90.0) < 1.0
    middles = np.array([(slot.location.x, slot.location.y) for slot in slots])
    apart = np.linalg.norm(middles[:, None] - middles, axis=-1) + 1e3 * np.eye(64)
    assert apart.min() == pytest.approx(2.9, abs=0.01)
