"""Sensors, through CARLA's unmodified client alone: beside its own boxes, transforms and formulas."""

import math
import queue
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from haltere.sims.carla.scene import Label
from haltere.sims.carla.server.embedded import EmbeddedServer

carla = pytest.importorskip("carla", reason="CARLA's client has no wheel for this machine")

from .connecting import STEP_S, connected  # noqa: E402 -- it needs the client

WIDE, HIGH, FOV_DEG = 320, 200, 80.0
FOCAL = WIDE / (2 * math.tan(math.radians(FOV_DEG) / 2))
SIZE = {"image_size_x": str(WIDE), "image_size_y": str(HIGH), "fov": str(FOV_DEG)}
BONNET = (1.2, 0.0, 2.0)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Of a server of its own."""
    with EmbeddedServer.of("grid") as server:
        yield connected(server)[0]


@pytest.fixture
def world(client: Any) -> Iterator[Any]:  # noqa: ANN401 -- of the carla package
    """Empty again afterwards."""
    found = client.get_world()
    yield found
    spawned = [actor.id for actor in found.get_actors() if actor.type_id.split(".")[0] not in ("traffic", "spectator")]
    client.apply_batch_sync([carla.command.DestroyActor(number) for number in spawned], True)


@pytest.fixture
def car(world: Any) -> Any:  # noqa: ANN401
    """At the first spawn point, on its wheels."""
    found = world.spawn_actor(
        world.get_blueprint_library().find("vehicle.tesla.model3"), world.get_map().get_spawn_points()[0]
    )
    for _ in range(30):
        world.tick()
    return found


def ahead_of(world: Any, car: Any, metres: float, color: str = "180,30,30") -> Any:  # noqa: ANN401
    """Another car on the same lane."""
    blueprint = world.get_blueprint_library().find("vehicle.mini.cooper_s")
    blueprint.set_attribute("color", color)
    place = car.get_transform()
    place.location += metres * place.get_forward_vector() + carla.Location(z=0.2)
    other = world.spawn_actor(blueprint, place)
    for _ in range(30):
        world.tick()
    return other


def sense(
    world: Any,  # noqa: ANN401
    wanted: Mapping[str, Mapping[str, str]],
    parent: Any = None,  # noqa: ANN401
    place: Any = None,  # noqa: ANN401
    ticks: int = 1,
) -> dict[str, list[Any]]:
    """What sensors at one place send over some ticks."""
    sensors, came = {}, {}
    for name, attributes in wanted.items():
        blueprint = world.get_blueprint_library().find(f"sensor.{name}")
        for key, value in attributes.items():
            blueprint.set_attribute(key, value)
        sensor = world.spawn_actor(blueprint, place or carla.Transform(carla.Location(*BONNET)), attach_to=parent)
        sensors[name], came[name] = sensor, queue.Queue[Any]()
        sensor.listen(came[name].put)
    time.sleep(0.5)  # until they listen
    last = [world.tick() for _ in range(ticks)][-1]
    time.sleep(0.3)  # those that send nothing tell nobody
    found = {}
    for name, waiting in came.items():
        found[name] = [waiting.get() for _ in range(waiting.qsize())]
        assert all(each.frame <= last for each in found[name])
        sensors[name].destroy()
    return found


def pixels(image: Any) -> NDArray[np.uint8]:  # noqa: ANN401
    """(height, width, 4): blue, green, red and opaque."""
    return np.frombuffer(image.raw_data, np.uint8).reshape(image.height, image.width, 4)


def numbers(image: Any) -> NDArray[np.int64]:  # noqa: ANN401
    """(height, width): whose each pixel is, as CARLA's example of bounding boxes decodes it."""
    shown = pixels(image).astype(np.int64)
    return np.asarray(shown[..., 1] + (shown[..., 0] << 8))


def depths(image: Any) -> NDArray[np.float64]:  # noqa: ANN401
    """By the formula in CARLA's documentation [m]."""
    blue, green, red = np.moveaxis(pixels(image)[..., :3].astype(float), -1, 0)
    return np.asarray(1000 * (red + green * 256 + blue * 65536) / (256**3 - 1))


def seen_at(image: Any, where: Any) -> tuple[float, float]:  # noqa: ANN401
    """Column and row of a place in the world, as CARLA's example of bounding boxes has it."""
    to_camera = np.array(image.transform.get_inverse_matrix())
    x, y, z, _ = to_camera @ [where.x, where.y, where.z, 1.0]
    return WIDE / 2 + FOCAL * y / x, HIGH / 2 - FOCAL * z / x


CAMERAS = {
    f"camera.{name}": SIZE for name in ("rgb", "depth", "semantic_segmentation", "instance_segmentation", "normals")
}


def test_cameras_show_a_car_where_it_is(world: Any, car: Any) -> None:  # noqa: ANN401
    """Its label, number and colour fill its box as CARLA projects it, and nothing beside; its depth is its back's."""
    other = ahead_of(world, car, 12.0)
    found = {name: images[-1] for name, images in sense(world, CAMERAS, car).items()}
    assert len({image.frame for image in found.values()}) == 1
    image = found["camera.rgb"]
    assert (image.width, image.height, image.fov) == (WIDE, HIGH, FOV_DEG)
    corners = [seen_at(image, corner) for corner in other.bounding_box.get_world_vertices(other.get_transform())]
    left, top = np.floor(np.min(corners, 0)).astype(int)
    right, bottom = np.ceil(np.max(corners, 0)).astype(int)
    instance, labels = pixels(found["camera.instance_segmentation"]), pixels(found["camera.semantic_segmentation"])
    of_it = (numbers(found["camera.instance_segmentation"]) == other.id) & (labels[..., 2] == Label.CAR)
    assert (instance[..., 2] == labels[..., 2]).all()
    assert 0.5 * (right - left) * (bottom - top) < of_it.sum()
    rows, columns = np.nonzero(of_it)
    assert left - 1 <= columns.min() and columns.max() <= right + 1
    assert top - 1 <= rows.min() and rows.max() <= bottom + 1
    red = pixels(image)[of_it].astype(int)
    assert np.mean((red[:, 2] > 1.5 * red[:, 0]) & (red[:, 2] > 1.5 * red[:, 1])) > 0.3
    gap = 12.0 - other.bounding_box.extent.x - BONNET[0]
    assert depths(found["camera.depth"])[of_it].min() == pytest.approx(gap, abs=0.15)


def test_the_road_lies_where_a_plane_does(world: Any, car: Any) -> None:  # noqa: ANN401
    """Depth of level ground is height times focal length over rows below the middle; its normal is upright."""
    found = {name: images[-1] for name, images in sense(world, CAMERAS, car).items()}
    labels, depth = pixels(found["camera.semantic_segmentation"])[..., 2], depths(found["camera.depth"])
    height = found["camera.depth"].transform.location.z
    rows, columns = np.nonzero((labels == Label.ROADS) & (np.arange(HIGH)[:, None] > 0.6 * HIGH))
    assert len(rows) > 3000
    expected = height * FOCAL / (rows + 0.5 - HIGH / 2)
    assert np.allclose(depth[rows, columns], expected, rtol=0.01)
    up = pixels(found["camera.normals"])[rows, columns].astype(float) / 127.5 - 1
    assert np.allclose(up[:, :3], (1.0, 0.0, 0.0), atol=0.02)
    assert (depth[labels == Label.SKY] == 1000.0).all() and (labels == Label.SKY).any()


def test_a_camera_within_its_vehicle_looks_through_it(world: Any, car: Any) -> None:  # noqa: ANN401
    """But one behind it sees it."""
    wanted = {"camera.instance_segmentation": SIZE}
    inside = sense(world, wanted, car, carla.Transform(carla.Location(0.0, 0.0, 1.0)))
    behind = sense(world, wanted, car, carla.Transform(carla.Location(-7.0, 0.0, 2.0)))
    shown = []
    for found in (inside, behind):
        shown.append(int((numbers(found["camera.instance_segmentation"][-1]) == car.id).sum()))
    assert shown[0] == 0 and shown[1] > 500


def test_flow_tells_where_everything_was(world: Any, car: Any) -> None:  # noqa: ANN401
    """By CARLA's own matrices of camera and cars at two frames: the road, a car that moves apart, and the sky."""
    other, places = ahead_of(world, car, 12.0), {}
    kept = world.on_tick(lambda snapshot: places.update({snapshot.frame: snapshot.find(other.id).get_transform()}))
    car.enable_constant_velocity(carla.Vector3D(x=9.0))
    car.apply_control(carla.VehicleControl(steer=0.6))
    other.enable_constant_velocity(carla.Vector3D(x=3.0, y=4.0))
    for _ in range(10):
        world.tick()
    kinds = ("camera.optical_flow", "camera.depth", "camera.instance_segmentation")
    found = sense(world, dict.fromkeys(kinds, SIZE), parent=car, ticks=3)
    world.remove_on_tick(kept)
    flows, depth, whose = found[kinds[0]], depths(found[kinds[1]][-1]), numbers(found[kinds[2]][-1])
    assert np.abs(np.frombuffer(flows[0].raw_data, np.float32)).max() < 1e-9
    before, now = flows[-2:]
    flow = np.frombuffer(now.raw_data, np.float32).reshape(HIGH, WIDE, 2)
    matrices = [np.array(image.transform.get_matrix()) for image in (before, now)]
    moved = [np.array(places[image.frame].get_matrix()) for image in (before, now)]
    checked = dict.fromkeys(("road", "car", "sky"), 0)
    for row, column in np.ndindex(HIGH, WIDE):
        kind = "car" if whose[row, column] == other.id else "sky" if depth[row, column] > 999.9 else "road"
        own = np.array([1.0, (column + 0.5 - WIDE / 2) / FOCAL, (HIGH / 2 - row - 0.5) / FOCAL])
        place = matrices[1] @ np.append(own * (1e9 if kind == "sky" else depth[row, column]), 1.0)
        if kind == "car":
            place = moved[0] @ np.linalg.inv(moved[1]) @ place
        ahead, right, up, _ = np.linalg.inv(matrices[0]) @ place
        was = np.array([WIDE / 2 + FOCAL * right / ahead, HIGH / 2 - FOCAL * up / ahead])
        wanted = (np.array([column + 0.5, row + 0.5]) - was) / (WIDE, HIGH)
        assert flow[row, column] == pytest.approx(wanted, abs=2e-3), (kind, row, column)
        checked[kind] += 1
    assert min(checked.values()) > 300
    assert np.abs(flow).max() > 0.01


def test_a_sensor_keeps_its_own_time(world: Any, car: Any) -> None:  # noqa: ANN401
    """A tick of 0.2 s is every fourth one of the world's; without one, every one."""
    often = sense(world, {"camera.depth": SIZE | {"sensor_tick": "0.2"}, "other.gnss": {}}, car, ticks=12)
    frames = [image.frame for image in often["camera.depth"]]
    assert len(frames) == 3 and np.diff(frames).tolist() == [4, 4]
    assert len(often["other.gnss"]) == 12


SCAN = {"channels": "16", "points_per_second": "64000", "range": "60", "rotation_frequency": "20"}


def test_a_labelled_scan_lies_on_what_it_met(world: Any, car: Any) -> None:  # noqa: ANN401
    """Road at its height, the other car's points in its box, which is CARLA's own; all channels alike."""
    other = ahead_of(world, car, 9.0)
    scan = sense(world, {"lidar.ray_cast_semantic": SCAN}, car, carla.Transform(carla.Location(z=2.4)))
    found = scan["lidar.ray_cast_semantic"][-1]
    points = np.array([(p.point.x, p.point.y, p.point.z, p.cos_inc_angle, p.object_idx, p.object_tag) for p in found])
    assert found.channels == 16 and sum(found.get_point_count(n) for n in range(16)) == len(points)
    assert max(found.get_point_count(n) for n in range(16)) == 64000 * STEP_S / 16
    matrix = np.array(found.transform.get_matrix())
    places = np.c_[points[:, :3], np.ones(len(points))] @ matrix.T
    road = points[:, 5] == Label.ROADS
    assert road.sum() > 200 and np.abs(places[road, 2]).max() < 0.02
    down = matrix[2, 3] / np.linalg.norm(points[road, :3], axis=1)
    assert np.allclose(points[road, 3], down, atol=0.01)
    of_it = points[points[:, 4] == other.id]
    assert len(of_it) > 20 and set(of_it[:, 5]) == {float(Label.CAR)}
    box = carla.BoundingBox(other.bounding_box.location, other.bounding_box.extent + carla.Vector3D(0.05, 0.05, 0.05))
    for place in places[points[:, 4] == other.id]:
        assert box.contains(carla.Location(*place[:3]), other.get_transform())


def test_a_scan_turns_and_fades(world: Any, car: Any) -> None:  # noqa: ANN401
    """One turn in 0.2 s: four ticks see four quarters. Intensity is exp(-a d); nothing is lost if nothing is to be."""
    kept = {"dropoff_general_rate": "0", "dropoff_zero_intensity": "0", "atmosphere_attenuation_rate": "0.02"}
    wanted = {"lidar.ray_cast": SCAN | kept | {"rotation_frequency": "5", "upper_fov": "-5"}}
    scans = sense(world, wanted, car, carla.Transform(carla.Location(z=2.4)), ticks=4)["lidar.ray_cast"]
    quarters = []
    for scan in scans:
        points = np.frombuffer(scan.raw_data, np.float32).reshape(-1, 4)
        distance = np.linalg.norm(points[:, :3], axis=1)
        assert np.allclose(points[:, 3], np.exp(-0.02 * distance), rtol=1e-3) and distance.max() <= 60.0
        across = np.degrees(np.arctan2(points[:, 1], points[:, 0])) % 360
        quarters.append(set((across // 90).astype(int)))
    assert [len(quarter) for quarter in quarters] == [1] * 4 and set.union(*quarters) == {0, 1, 2, 3}
    lossy = {"lidar.ray_cast": wanted["lidar.ray_cast"] | {"dropoff_general_rate": "0.5", "noise_stddev": "0.2"}}
    lost = sense(world, lossy, car, carla.Transform(carla.Location(z=2.4)))["lidar.ray_cast"][-1]
    assert 0.4 < len(lost) / len(scans[0]) < 0.6
    height = np.frombuffer(lost.raw_data, np.float32).reshape(-1, 4)[:, 2]
    assert 0.01 < np.std(height[np.abs(height + 2.4) < 0.5]) < 0.25


def test_a_radar_tells_how_fast_things_go_away(world: Any, car: Any) -> None:  # noqa: ANN401
    """What moves away is positive, what is approached negative; angles and depth are those of the other's box."""
    other = ahead_of(world, car, 20.0)
    wanted = {"other.radar": {"horizontal_fov": "10", "vertical_fov": "4", "points_per_second": "6000", "range": "50"}}
    place = carla.Transform(carla.Location(x=2.0, z=0.8))
    for actor, sign in ((other, 1.0), (car, -1.0)):
        before = [each.get_transform() for each in (car, other)]
        actor.set_target_velocity(6.0 * car.get_transform().get_forward_vector())
        echoes = sense(world, wanted, car, place, ticks=3)["other.radar"][-1]
        near = [echo for echo in echoes if abs(echo.azimuth) < math.radians(2) and abs(echo.altitude) < math.radians(1)]
        gap = car.get_location().distance(other.get_location()) - 2.0 - other.bounding_box.extent.x
        assert len(near) > 10
        assert np.median([echo.velocity for echo in near]) == pytest.approx(sign * 6.0, abs=0.5)
        assert np.median([echo.depth for echo in near]) == pytest.approx(gap, abs=0.3)
        for each, was in zip((car, other), before, strict=True):
            each.set_target_velocity(carla.Vector3D())
            each.set_transform(was)


def test_an_obstacle_ahead_is_told(world: Any, car: Any) -> None:  # noqa: ANN401
    """Who and how far; nothing where there is nothing, and never the road or the own car."""
    wanted = {"other.obstacle": {"distance": "20", "hit_radius": "0.5"}}
    place = carla.Transform(carla.Location(x=1.0, z=0.8))
    assert not sense(world, wanted, car, place, ticks=3)["other.obstacle"]
    other = ahead_of(world, car, 12.0)
    event = sense(world, wanted, car, place, ticks=3)["other.obstacle"][-1]
    assert (event.actor.id, event.other_actor.id) == (car.id, other.id)
    assert event.distance == pytest.approx(12.0 - 1.0 - other.bounding_box.extent.x, abs=0.3)


def test_a_receiver_is_where_the_map_says(world: Any, car: Any) -> None:  # noqa: ANN401
    """The client's own formula; and as far off as the attributes say, the same for the same seed."""
    exact = sense(world, {"other.gnss": {}}, car)["other.gnss"][-1]
    said = world.get_map().transform_to_geolocation(exact.transform.location)
    assert (exact.latitude, exact.longitude) == pytest.approx((said.latitude, said.longitude), abs=1e-9)
    assert exact.altitude == pytest.approx(exact.transform.location.z, abs=1e-3)
    wanted = {"other.gnss": {"noise_lat_bias": "0.5", "noise_alt_stddev": "2", "noise_seed": "3"}}
    first, again = (sense(world, wanted, car, ticks=20)["other.gnss"] for _ in range(2))
    assert first[0].latitude - exact.latitude == pytest.approx(0.5, abs=1e-6)
    heights = [each.altitude for each in first]
    assert 1.0 < np.std(heights) < 3.5 and heights == pytest.approx([each.altitude for each in again])


def test_rays_meet_road_and_roof(world: Any, car: Any) -> None:  # noqa: ANN401
    """From above: the car first, then the road under it; to the sky, nothing."""
    above = car.get_location() + carla.Location(z=10.0)
    found = world.cast_ray(above, above - carla.Location(z=12.0))
    labels = [int(point.label) for point in found]
    assert labels[0] == Label.CAR and labels[-1] in (Label.ROADS, Label.TERRAIN) and Label.ROADS in labels
    roof = car.get_location().z + 2 * car.bounding_box.extent.z
    assert found[0].location.z == pytest.approx(roof, abs=0.05)
    beside = above + 6.0 * car.get_transform().get_forward_vector()
    assert world.ground_projection(beside, 100.0).location.z == pytest.approx(0.0, abs=0.02)
    assert world.project_point(above, carla.Vector3D(0.0, 0.0, 1.0), 100.0) is None
    assert world.cast_ray(above, above + carla.Location(z=5.0)) == []


def test_a_light_shows_what_it_shows(world: Any) -> None:  # noqa: ANN401
    """Before each state a camera sees that colour, and not before another."""
    light = world.get_actors().filter("traffic.traffic_light")[0]
    light.freeze(True)
    at = light.get_transform()
    place = carla.Transform(at.location - 5.0 * at.get_forward_vector() + carla.Location(z=3.6), at.rotation)
    states = carla.TrafficLightState
    bright = {}
    for state, channels in ((states.Red, (2,)), (states.Green, (1,)), (states.Yellow, (1, 2))):
        light.set_state(state)
        world.tick()
        images = sense(world, {"camera.rgb": SIZE, "camera.semantic_segmentation": SIZE}, None, place)
        lamp = pixels(images["camera.semantic_segmentation"][-1])[..., 2] == Label.TRAFFIC_LIGHT
        shown = pixels(images["camera.rgb"][-1])[lamp][:, :3].astype(int)
        assert len(shown) > 300
        dark = [channel for channel in range(3) if channel not in channels]
        lit = np.all(shown[:, channels] > 150, axis=1) & np.all(shown[:, dark] < 140, axis=1)
        bright[state] = int(lit.sum())
    light.freeze(False)
    assert min(bright.values()) > 50


def test_wheels_are_those_that_there_are(world: Any) -> None:  # noqa: ANN401
    """Of two, the front one alone is steered; a third one is refused."""
    library, spot = world.get_blueprint_library(), world.get_map().get_spawn_points()[5]
    bike = world.spawn_actor(library.find("vehicle.vespa.zx125"), spot)
    bike.apply_control(carla.VehicleControl(steer=1.0))
    for _ in range(20):
        world.tick()
    places = carla.VehicleWheelLocation
    front, rear = (bike.get_wheel_steer_angle(wheel) for wheel in (places.Front_Wheel, places.Back_Wheel))
    assert front > 10.0 and rear == 0.0
    assert list(bike.get_bone_names())[1:] == ["Wheel_Front", "Wheel_Rear"]
    with pytest.raises(RuntimeError, match="has wheels 0 to 1, got 2"):
        bike.get_wheel_pitch_angle(places.BL_Wheel)


@pytest.mark.parametrize(
    ("name", "key", "value", "sentence"),
    [
        ("camera.rgb", "image_size_x", "0", "image_size_x must be 1 to 4096, got 0"),
        ("camera.depth", "fov", "200", "fov must be 1 to 170, got 200"),
        ("lidar.ray_cast", "channels", "100000", "channels must be 1 to 512, got 100000"),
        ("other.radar", "range", "-1", "range must be 0.01 to 10000, got -1"),
        ("other.gnss", "sensor_tick", "-1", "sensor_tick must be 0 to"),
    ],
)
def test_what_no_sensor_can_do_is_refused(world: Any, name: str, key: str, value: str, sentence: str) -> None:  # noqa: ANN401
    """When it is spawned, in one sentence."""
    blueprint = world.get_blueprint_library().find(f"sensor.{name}")
    blueprint.set_attribute(key, value)
    with pytest.raises(RuntimeError, match=sentence):
        world.spawn_actor(blueprint, carla.Transform())
