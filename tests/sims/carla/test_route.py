"""Driving a route: its road, its boxes and its drivers, beside what CARLA's own client and sensor say."""

import time
from collections.abc import Iterator
from typing import Any

import carla
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import haltere.sims  # noqa: F401 -- registers the tasks
from haltere.configs.errors import HaltereError, RequestError
from haltere.sims.carla.route.boxes import Boxes
from haltere.sims.carla.route.config import EndpointConfig, RouteConfig
from haltere.sims.carla.route.crossings import Crossings, stretches
from haltere.sims.carla.route.drivers import Car, Driver, Seen
from haltere.sims.carla.route.masks import FOOT_PX, SIDE_PX
from haltere.sims.carla.route.roads import PX_PER_M, Way
from haltere.sims.carla.route.world import RouteWorld
from haltere.sims.carla.server.embedded import EmbeddedServer
from haltere.sims.registration import load_task, make_vector
from haltere.sims.task import TaskVectorEnv

Env = TaskVectorEnv[Any]
TOWNS = ("grid", "europe", "highway", "parking")
SEED = 940_100


@pytest.fixture(scope="module", params=TOWNS)
def town(request: pytest.FixtureRequest) -> Iterator[Env]:
    """Each town with twelve others."""
    env = make_vector("carla-route", 1, town=request.param, vehicles=12)
    yield env
    env.close()


def road_of(env: Env) -> RouteWorld:
    """The one world."""
    road: RouteWorld = env._worlds.roads[0]  # type: ignore[attr-defined]
    return road


def driven(env: Env, seed: int) -> dict[str, float]:
    """What the expert's episode came to."""
    obs, _ = env.reset(seed=[seed])
    expert = env.expert()
    while True:
        obs, _, terminated, truncated, infos = env.step(expert.act(obs)["action"])
        if terminated[0] or truncated[0]:
            return {name: float(values[0]) for name, values in infos["episode"].items()}


def test_the_expert_arrives_in_every_town(town: Env) -> None:
    """Among others, in its lane, at no red light."""
    for seed in (SEED, SEED + 1):
        came = driven(town, seed)
        assert came["success"] == came["completion"] == 1.0
        assert came["collisions"] == came["red_lights"] == 0.0
        assert came["off_lane"] < 0.02
        assert came["speed_mps"] == pytest.approx(1000.0 * came["distance_km"] / (came["steps"] / 15.0), rel=1e-4)


def test_a_route_keeps_to_lanes(town: Env) -> None:
    """Every point of it is, by the client's map, in the middle of a lane that leads that way."""
    road = road_of(town)
    for seed in range(SEED, SEED + 5):
        town.reset(seed=[seed])
        assert 100.0 <= road.way.length_m <= 300.0
        for place, turned in zip(road.way.points[1:-1], road.way.turned[1:-1], strict=True):
            waypoint = road.endpoint.map.get_waypoint(carla.Location(*place.tolist()))
            where = waypoint.transform
            assert np.hypot(where.location.x - place[0], where.location.y - place[1]) < 0.5
            if not waypoint.is_junction:  # where lanes cross, the nearest may be another's
                assert np.cos(np.radians(where.rotation.yaw) - turned) > 0.9


def test_masks_show_the_road_that_the_map_has(town: Env) -> None:
    """A pixel is road where the client's map has a lane, in all but a few at the edges; the agent stands on it."""
    road, generator = road_of(town), np.random.default_rng(3)
    obs, _ = town.reset(seed=[SEED + 2])
    mask = obs["now"][0, 0]
    assert mask[SIDE_PX - FOOT_PX, SIDE_PX // 2] == 1.0
    ahead = road.seen.ahead[0]
    right, alike = np.array([-ahead[1], ahead[0]]), []
    for row, column in generator.integers(SIDE_PX, size=(400, 2)).tolist():
        away = (SIDE_PX - FOOT_PX - row) * ahead + (column - SIDE_PX / 2) * right
        place = road.seen.place[0] + away / PX_PER_M
        on = road.endpoint.map.get_waypoint(carla.Location(*place.tolist()), project_to_road=False) is not None
        alike.append(on == (mask[row, column] > 0.5))
    assert np.mean(alike) > 0.95
    assert 0.02 < mask.mean() < 0.9


def test_others_are_where_the_server_has_them(town: Env) -> None:
    """The newest of the masks of vehicles covers those in view, and nothing else."""
    road, shown = road_of(town), 0
    for seed in range(SEED + 3, SEED + 40):
        obs, _ = town.reset(seed=[seed])
        for _ in range(5):
            obs = town.step(town.expert().act(obs)["action"])[0]
        ahead, newest = road.seen.ahead[0], obs["now"][0, 2]
        right, area = np.array([-ahead[1], ahead[0]]), 0.0
        for vehicle in road.endpoint.world.get_actors().filter("vehicle.*"):
            where, size = vehicle.get_transform().location, vehicle.bounding_box.extent
            away = np.array([where.x, where.y]) - road.seen.place[0]
            row, column = SIDE_PX - FOOT_PX - PX_PER_M * away @ ahead, SIDE_PX / 2 + PX_PER_M * away @ right
            if vehicle.attributes["role_name"] == "hero":
                assert newest[round(row), round(column)] == 0.0
                continue
            if 0 < row < SIDE_PX - 1 and 0 < column < SIDE_PX - 1:
                assert newest[round(row), round(column)] == 1.0
                shown += 1
            # The edges of what is filled are half a pixel further out than those of a box, or less.
            near = max(abs(row - SIDE_PX / 2), abs(column - SIDE_PX / 2)) < SIDE_PX
            area += near * (2.0 * size.x * PX_PER_M + 2.0) * (2.0 * size.y * PX_PER_M + 2.0)
        assert newest.sum() <= area
        if shown >= 3:
            return
    raise AssertionError("nobody was ever in view")


@pytest.fixture(scope="module")
def wild() -> Iterator[Env]:
    """A town where one may leave the road."""
    env = make_vector("carla-route", 1, town="grid", vehicles=60, off_route_m=20.0, limit_s=20.0)
    yield env
    env.close()


def test_a_collision_is_what_the_sensor_of_collisions_says(wild: Env) -> None:
    """Its first event and the end of an episode are at the same step, or there is neither."""
    road, ends = road_of(wild), []
    for number in range(6):
        wild.reset(seed=[SEED + number])
        world, events = road.endpoint.world, []
        agent = next(a for a in world.get_actors() if a.attributes.get("role_name") == "hero")
        kind = world.get_blueprint_library().find("sensor.other.collision")
        sensor = world.spawn_actor(kind, carla.Transform(), attach_to=agent)
        sensor.listen(lambda event, events=events: events.append(event.frame))
        time.sleep(1.0)  # until it listens
        generator, collided, steps = np.random.default_rng(number), False, 0
        wheel = float(generator.uniform(-0.3, 0.3)) if number % 2 else 0.0
        frame = 0
        while not collided and steps < 290:
            road.step(np.array([wheel, 0.8]))
            frame, collided, steps = world.get_snapshot().frame, road.collided, steps + 1
        time.sleep(0.3)
        sensor.stop()
        assert bool(events) == collided, number
        if collided:
            assert min(events) == frame
        ends.append(collided)
    assert sum(ends) >= 3


def test_equal_seeds_are_equal_roads_on_a_server_that_runs() -> None:
    """On somebody's own server, whose settings come back and which keeps nothing of it; one world at a time."""
    with EmbeddedServer.of("grid") as server:
        client = carla.Client(server.host, server.port)
        client.set_timeout(20.0)
        settings = {"vehicles": 4, "carla": {"host": server.host, "port": server.port, "timeout_s": 20.0}}
        before = len(client.get_world().get_actors().filter("vehicle.*"))
        env = make_vector("carla-route", 1, **settings)
        embedded = make_vector("carla-route", 1, vehicles=4)
        assert driven(env, SEED) == driven(embedded, SEED)
        embedded.close()
        env.close()
        assert not client.get_world().get_settings().synchronous_mode
        assert len(client.get_world().get_actors().filter("vehicle.*")) == before
        with pytest.raises(RequestError, match="at most 1"):
            make_vector("carla-route", 2, **settings)
        with pytest.raises(RequestError, match="grid"):
            make_vector("carla-route", 1, town="grit", **settings)


def test_wrong_requests_say_so() -> None:
    """No such town, no route of that length, nobody who answers, too many worlds."""
    with pytest.raises(RequestError, match="grit"):
        make_vector("carla-route", 1, town="grit")
    with pytest.raises(RequestError, match="at most 16"):
        make_vector("carla-route", 17)
    with pytest.raises(RequestError, match="shortest_m is 300, more than"):
        make_vector("carla-route", 1, shortest_m=300.0, longest_m=100.0)
    task = load_task("carla-route")
    assert task.most_worlds(RouteConfig()) == 16
    assert task.most_worlds(RouteConfig(carla=EndpointConfig("somewhere"))) == 1
    with pytest.raises(HaltereError, match=r"127\.0\.0\.1:9 didn't connect: time-out of 1000ms"):
        make_vector("carla-route", 1, carla={"host": "127.0.0.1", "port": 9, "timeout_s": 1.0})
    env = make_vector("carla-route", 1, town="grid", shortest_m=9000.0, longest_m=9001.0)
    with pytest.raises(RequestError, match="no route of 9000 to 9001 m"):
        env.reset(seed=[1])
    env.close()


def test_who_stands_fails_and_who_leaves_the_route_too() -> None:
    """Each by its own setting, and the last reward is what failing costs."""
    env = make_vector("carla-route", 1, vehicles=0, standing_s=2.0)
    env.reset(seed=[SEED])
    steps = 0
    while True:
        _, reward, terminated, _, _ = env.step(np.array([[0.0, -1.0]], np.float32))
        steps += 1
        if terminated[0]:
            break
    assert steps == 30
    assert reward[0] == pytest.approx(-10.0, abs=0.01)
    env.reset(seed=[SEED])
    for _ in range(200):
        _, reward, terminated, _, infos = env.step(np.array([[1.0, 0.5]], np.float32))
        if terminated[0]:
            break
    assert terminated[0]
    assert reward[0] < -9.0
    assert infos["episode"]["success"][0] == 0.0
    env.close()


def test_it_can_be_looked_at(town: Env) -> None:
    """A picture of one size, with the action in it."""
    town.reset(seed=[SEED])
    bare = town.film(0)
    shown = town.film(0, {"action": np.array([0.5, -0.5], np.float32)})
    assert bare.shape == shown.shape == (576, 840, 3)
    assert (bare != shown).any(axis=2).sum() > 100
    with pytest.raises(HaltereError):
        town.film(0, {"action": np.array([np.nan, 0.0])})


ANGLES = st.floats(-3.2, 3.2)
NEAR = st.floats(-6.0, 6.0)
SIZES = st.floats(0.2, 3.0)


@given(x=NEAR, y=NEAR, turned=ANGLES, own=ANGLES, length=SIZES, width=SIZES)
def test_boxes_touch_where_points_of_one_are_in_the_other(
    x: float, y: float, turned: float, own: float, length: float, width: float
) -> None:
    """By a grid of points in each: none in the other where they're apart, and all around where they touch."""
    one = Boxes(np.array([[x, y]]), np.array([turned]), np.array([[length, width]]), np.zeros(1), np.ones(1))
    other = Boxes(np.zeros((1, 2)), np.array([own]), np.array([[2.0, 1.0]]), np.zeros(1), np.ones(1))
    steps = np.stack(np.meshgrid(np.linspace(-1, 1, 41), np.linspace(-1, 1, 41)), axis=-1).reshape(-1, 2)

    def shared(box: Boxes, within: Boxes, more: float) -> bool:
        cos, sin = np.cos(box.turned[0]), np.sin(box.turned[0])
        places = box.middle[0] + (steps * box.half[0]) @ np.array([[cos, sin], [-sin, cos]])
        cos, sin = np.cos(within.turned[0]), np.sin(within.turned[0])
        inside = np.abs((places - within.middle[0]) @ np.array([[cos, -sin], [sin, cos]])) <= within.half[0] + more
        return bool(inside.all(axis=1).any())

    if shared(one, other, -1e-9) or shared(other, one, -1e-9):
        assert one.touching(other, 0.0)[0]
    if one.touching(other, 0.0)[0]:
        assert shared(one, other, 0.2) or shared(other, one, 0.2)
    above = Boxes(one.middle, one.turned, one.half, np.full(1, 2.0), np.full(1, 3.0))
    assert not above.touching(other, 0.0)[0]


def drive(
    way: Way, stops: dict[int, list[int]], closed: frozenset[int], others: list[float], steps: int
) -> list[float]:
    """Speeds of a kinematic car that takes the driver's pedals, on a straight way; others stand along it."""
    car, speed, x = Car(2.8, 0.7), 8.0, 0.0
    driver, speeds = Driver(0, car, way, stops), []
    for _ in range(steps):
        place = np.array([[x, 0.0], *([other, 0.0] for other in others)])
        count = len(place)
        seen = Seen(place, np.zeros(count), np.array([speed, *[0.0] * len(others)]), np.tile([2.4, 1.0], (count, 1)))
        wheel, pedals = driver.command(seen, 13.9, closed)
        assert abs(wheel) < 1e-6
        speed = max(0.0, speed + (3.5 if pedals > 0.0 else 8.0) * pedals / 15.0)
        x += speed / 15.0
        speeds.append(speed)
    speeds.append(x)
    return speeds


def test_a_driver_stops_for_lights_and_for_others() -> None:
    """With his bumper before the line, or some metres behind who stands; at green he goes by at the limit."""
    line = np.stack([np.arange(300.0), np.zeros(300)], axis=1)
    way = Way.of(line, np.full(300, 3.5))
    *speeds, x = drive(way, {80: [7]}, frozenset({7}), [], 400)
    assert speeds[-1] < 0.1
    assert 72.0 < x + 2.4 < 80.5
    *speeds, x = drive(way, {80: [7]}, frozenset(), [], 150)
    assert x > 90.0
    assert 12.0 < speeds[-1] <= 14.0
    *speeds, x = drive(way, {}, frozenset(), [90.0], 400)
    assert speeds[-1] < 0.1
    assert 0.5 < 90.0 - x - 4.8 < 6.0


def lefts() -> list[Way]:
    """Four ways to the left over a crossing of 24 m, one from each side."""
    turn = np.linspace(0.0, np.pi / 2, 40)[1:-1]
    bend = np.stack([-12.0 + 13.75 * np.sin(turn), -1.75 + 13.75 * (1.0 - np.cos(turn))], axis=1)
    first = np.stack([np.linspace(-50.0, -12.0, 39), np.full(39, -1.75)], axis=1)
    last = np.stack([np.full(39, 1.75), np.linspace(12.0, 50.0, 39)], axis=1)
    points = np.concatenate([first, bend, last])
    inside = np.abs(points).max(axis=1) < 12.0
    quarter = np.array([[0.0, 1.0], [-1.0, 0.0]])
    return [
        Way.of(points @ np.linalg.matrix_power(quarter, number), np.full(len(points), 3.5), inside)
        for number in range(4)
    ]


def turned_left(held: bool) -> tuple[list[float], bool]:
    """How far each of four has come in 40 s who all turn left at once, and whether two of them touched."""
    ways, half = lefts(), np.tile([2.4, 1.0], (4, 1))
    drivers = [Driver(number, Car(2.8, 0.7), way, {}) for number, way in enumerate(ways)]
    crossings = Crossings(drivers, half, 1.0 / 15.0)
    along, speed, touched = np.array([10.0, 9.5, 9.0, 8.5]), np.full(4, 8.0), False
    for _ in range(600):
        points = [np.stack([np.interp(x, np.arange(len(w.points)), column) for column in (*w.points.T, w.turned)])
                  for x, w in zip(along, ways, strict=True)]  # fmt: skip
        x, y, turned = np.array(points).T
        seen = Seen(np.stack([x, y], axis=1), turned, speed, half)
        crossings.settle(seen, frozenset())
        pedals = [
            driver.command(seen, 13.9, frozenset(), crossings.held_m(driver.number) if held else np.inf)[1]
            for driver in drivers
        ]
        speed = np.maximum(0.0, speed + np.where(np.array(pedals) > 0.0, 3.5, 8.0) * pedals / 15.0)
        along = along + speed / 15.0
        boxes = Boxes(seen.place, turned, half, np.zeros(4), np.ones(4))
        touched |= any(boxes[one + 1 :].touching(boxes[one : one + 1], 0.0).any() for one in range(3))
    return along.tolist(), touched


def test_nobody_blocks_a_crossing_for_good() -> None:
    """Four who turn left at once all get through, one after another; without turns some stand there for ever."""
    along, touched = turned_left(held=True)
    assert min(along) > 85.0
    assert not touched
    along, _ = turned_left(held=False)
    assert min(along) < 65.0


def test_who_slows_down_lets_go_of_turns_far_ahead() -> None:
    """Asked for when he was fast; others needn't wait for him at a junction that he isn't near."""
    inside = np.zeros(120, np.bool_)
    inside[[*range(24, 30), *range(45, 55)]] = True
    ahead = Way.of(np.stack([np.arange(120.0), np.zeros(120)], axis=1), np.full(120, 3.5), inside)
    aside = np.arange(120)
    through = (aside >= 15) & (aside < 25)
    across = Way.of(np.stack([np.full(120, 50.0), np.arange(120.0) - 20.0], axis=1), np.full(120, 3.5), through)
    drivers = [Driver(0, Car(2.8, 0.7), ahead, {}), Driver(1, Car(2.8, 0.7), across, {})]
    half, places = np.tile([2.4, 1.0], (2, 1)), np.array([[0.0, 0.0], [50.0, -20.0]])
    crossings = Crossings(drivers, half, 1.0 / 15.0)
    crossings.settle(Seen(places, np.array([0.0, np.pi / 2]), np.array([14.0, 8.0]), half), frozenset())
    assert crossings.held_m(1) == pytest.approx(15.0 - 2.4)
    crossings.settle(Seen(places, np.array([0.0, np.pi / 2]), np.array([2.0, 8.0]), half), frozenset())
    assert crossings.held_m(1) == np.inf


def test_junctions_without_room_between_them_are_one() -> None:
    """Two that are 5 m apart are entered at once, one that is 20 m further on is not; and a road may have none."""
    inside = np.zeros(120, np.bool_)
    inside[[*range(20, 30), *range(35, 45), *range(65, 75)]] = True
    way = Way.of(np.stack([np.arange(120.0), np.zeros(120)], axis=1), np.full(120, 3.5), inside)
    assert [(part.first, part.last) for part in stretches(way, 4.8)] == [(20, 44), (65, 74)]
    assert stretches(Way.of(way.points, way.width), 4.8) == []


def test_a_way_is_even_and_knows_its_bends() -> None:
    """On a circle: points a metre apart, places found again, and the speed at which 2 m/s^2 pull sideways."""
    angle = np.linspace(0.0, np.pi, 700)
    way = Way.of(20.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1), np.full(700, 3.5))
    assert way.length_m == pytest.approx(20.0 * np.pi, abs=1.0)
    assert np.hypot(*np.diff(way.points, axis=0).T) == pytest.approx(1.0, abs=0.01)
    assert way.bend_mps[5:-10] == pytest.approx(np.sqrt(2.0 * 20.0), rel=0.02)
    at, along, aside = way.nearest(19.0 * np.array([np.cos(1.0), np.sin(1.0)]), 15)
    assert at == 20
    assert along == pytest.approx(20.0, abs=0.1)
    assert aside == pytest.approx(1.0, abs=0.02)
