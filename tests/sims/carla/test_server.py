"""The server, through CARLA's unmodified client alone."""

import math
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from haltere.configs.errors import RequestError
from haltere.sims.carla.server.embedded import EmbeddedServer
from haltere.sims.carla.server.serving import ServerOptions
from haltere.sims.carla.towns import town_names
from haltere.sims.carla.towns.network import Crossing, Street, network
from haltere.sims.carla.towns.opendrive import text_of

carla = pytest.importorskip("carla", reason="CARLA's client has no wheel for this machine")

DRIVE_ABOUT = Path(__file__).with_name("drive_about.py")
TIMEOUT_S = 20.0
STEP_S = 0.05


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """A grid town."""
    with EmbeddedServer.of("grid") as running:
        yield running


@pytest.fixture(scope="module")
def client(server: EmbeddedServer) -> Any:  # noqa: ANN401 -- carla.Client
    """Connected."""
    connected = carla.Client(server.host, server.port)
    connected.set_timeout(TIMEOUT_S)
    return connected


@pytest.fixture
def world(client: Any) -> Iterator[Any]:  # noqa: ANN401 -- carla.World
    """In synchronous mode, and empty again afterwards."""
    found = client.get_world()
    settings = found.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, STEP_S
    found.apply_settings(settings)
    yield found
    spawned = [actor.id for actor in found.get_actors() if actor.type_id.split(".")[0] not in ("traffic", "spectator")]
    client.apply_batch_sync([carla.command.DestroyActor(number) for number in spawned], True)


def spawned(world: Any, name: str = "vehicle.tesla.model3", spot: int = 0, **attributes: str) -> Any:  # noqa: ANN401
    """An actor at a spawn point, seen by the client."""
    blueprint = world.get_blueprint_library().find(name)
    for key, value in attributes.items():
        blueprint.set_attribute(key, value)
    actor = world.spawn_actor(blueprint, world.get_map().get_spawn_points()[spot])
    world.tick()
    return actor


def test_the_client_knows_the_server(client: Any) -> None:  # noqa: ANN401
    """One version at both ends, and our maps."""
    assert client.get_server_version() == client.get_client_version() == "0.9.16"
    assert [name.split("/")[-1] for name in client.get_available_maps()] == list(town_names())


def test_time_goes_by_in_steps(world: Any) -> None:  # noqa: ANN401
    """One frame a call, one step a frame, none by itself."""
    frame = world.tick()
    before = world.get_snapshot().timestamp
    assert [world.tick() for _ in range(20)] == [frame + 1 + number for number in range(20)]
    after = world.get_snapshot().timestamp
    assert after.elapsed_seconds - before.elapsed_seconds == pytest.approx(20 * STEP_S)
    assert after.delta_seconds == pytest.approx(STEP_S)
    time.sleep(0.3)
    assert world.tick() == frame + 21


def test_time_goes_by_itself_without_synchronous_mode(world: Any) -> None:  # noqa: ANN401
    """As fast as on the wall."""
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = False, None
    world.apply_settings(settings)
    first, began = world.wait_for_tick(TIMEOUT_S), time.monotonic()
    while time.monotonic() - began < 1.0:
        last = world.wait_for_tick(TIMEOUT_S)
    passed = last.timestamp.elapsed_seconds - first.timestamp.elapsed_seconds
    assert 0.3 < passed < 1.5 and last.frame > first.frame + 3


def test_a_vehicle_stands_on_the_road(world: Any) -> None:  # noqa: ANN401
    """It falls from its spawn point onto its wheels, and stays."""
    car = spawned(world)
    spot = world.get_map().get_spawn_points()[0].location
    for _ in range(60):
        world.tick()
    where = car.get_location()
    assert math.hypot(where.x - spot.x, where.y - spot.y) < 0.05 and abs(where.z) < 0.05
    assert car.get_velocity().length() < 0.02
    middle = car.bounding_box
    assert middle.location.z == pytest.approx(middle.extent.z) and middle.extent.x > middle.extent.y > 0.5


def test_a_vehicle_is_driven(world: Any) -> None:  # noqa: ANN401
    """Throttle takes it ahead, brake stops it, reverse takes it back, and its state says so."""
    car = spawned(world)
    ahead = car.get_transform().get_forward_vector()

    def along(number: int, **control: Any) -> float:  # noqa: ANN401 -- of carla.VehicleControl
        car.apply_control(carla.VehicleControl(**control))
        before = car.get_location()
        for _ in range(number):
            world.tick()
        moved = car.get_location() - before
        return float(moved.x * ahead.x + moved.y * ahead.y)

    assert along(60, throttle=0.7) > 5.0
    assert car.get_velocity().length() > 3.0 and car.get_control().throttle == pytest.approx(0.7)
    assert car.get_control().gear >= 1
    along(100, brake=1.0)
    assert car.get_velocity().length() < 0.05
    assert along(60, throttle=0.5, reverse=True) < -1.0 and car.get_control().gear == -1
    along(60, hand_brake=True)
    assert car.get_velocity().length() < 0.05


def test_a_place_that_is_taken_is_refused(world: Any) -> None:  # noqa: ANN401
    """With CARLA's own sentence, or None where it was only tried."""
    car = spawned(world)
    blueprint = world.get_blueprint_library().find("vehicle.audi.tt")
    with pytest.raises(RuntimeError, match="Spawn failed because of collision at spawn position"):
        world.spawn_actor(blueprint, car.get_transform())
    assert world.try_spawn_actor(blueprint, car.get_transform()) is None
    assert world.try_spawn_actor(blueprint, world.get_map().get_spawn_points()[1]) is not None


def test_a_wrong_wish_gets_a_sentence(world: Any, client: Any) -> None:  # noqa: ANN401
    """Of CARLA's own exception type."""
    car = spawned(world)
    car.destroy()
    control = carla.command.ApplyVehicleControl(car.id, carla.VehicleControl())
    assert f"actor {car.id} not found" in client.apply_batch_sync([control])[0].error
    with pytest.raises(RuntimeError, match="no town named 'grit'; did you mean 'grid'"):
        client.load_world("grit")
    with pytest.raises(IndexError):
        world.get_blueprint_library().find("vehicle.tesla.model4")


def test_what_is_attached_goes_along_and_goes_with_it(world: Any) -> None:  # noqa: ANN401
    """A sensor at the mirror."""
    car = spawned(world)
    blueprint = world.get_blueprint_library().find("sensor.other.collision")
    offset = carla.Transform(carla.Location(1.0, 0.5, 1.6), carla.Rotation(yaw=30.0))
    sensor = world.spawn_actor(blueprint, offset, attach_to=car)
    car.apply_control(carla.VehicleControl(throttle=1.0, steer=0.4))
    for _ in range(40):
        world.tick()
    expected, found = car.get_transform().transform(offset.location), sensor.get_transform()
    assert found.location.distance(expected) < 1e-2 and sensor.parent.id == car.id
    assert (found.rotation.yaw - car.get_transform().rotation.yaw - 30.0) % 360.0 == pytest.approx(0.0, abs=0.2)
    car.destroy()
    world.tick()
    assert not world.get_snapshot().has_actor(sensor.id)


def test_physics_can_be_changed(world: Any) -> None:  # noqa: ANN401
    """A heavier car gathers speed more slowly, and what was set comes back."""
    speeds = []
    for mass_kg in (1500.0, 4500.0):
        car = spawned(world)
        physics = car.get_physics_control()
        assert len(physics.wheels) == 4 and physics.mass > 500.0 and len(physics.forward_gears) >= 1
        physics.mass = mass_kg
        car.apply_physics_control(physics)
        car.apply_control(carla.VehicleControl(throttle=0.8))
        for _ in range(60):
            world.tick()
        assert car.get_physics_control().mass == pytest.approx(mass_kg)
        speeds.append(car.get_velocity().length())
        car.destroy()
    assert speeds[1] < 0.7 * speeds[0]


def test_a_batch_is_many_calls(world: Any, client: Any) -> None:  # noqa: ANN401
    """Spawning and driving in one, an answer each, and a failure stops nothing."""
    spots = world.get_map().get_spawn_points()
    blueprint = world.get_blueprint_library().find("vehicle.mini.cooper_s")
    spawn = [
        carla.command.SpawnActor(blueprint, spot).then(
            carla.command.ApplyVehicleControl(carla.command.FutureActor, carla.VehicleControl(throttle=1.0))
        )
        for spot in (*spots[:3], spots[0])
    ]
    answers = client.apply_batch_sync(spawn, True)
    assert [answer.has_error() for answer in answers] == [False, False, False, True]
    assert "collision" in answers[3].error
    for _ in range(40):
        world.tick()
    cars = world.get_actors([answer.actor_id for answer in answers[:3]])
    assert len(cars) == 3 and all(car.get_velocity().length() > 2.0 for car in cars)


def test_a_world_is_loaded_anew(world: Any, client: Any) -> None:  # noqa: ANN401
    """Nobody is left, time begins anew, the episode is another one; settings stay where they are asked to."""
    spawned(world)
    again = client.reload_world(False)
    assert again.id != world.id and len(again.get_actors().filter("vehicle.*")) == 0
    assert again.get_settings().synchronous_mode
    assert again.get_snapshot().timestamp.elapsed_seconds < 3 * STEP_S


@pytest.mark.parametrize("name", town_names())
def test_every_town_is_loaded(name: str, client: Any) -> None:  # noqa: ANN401
    """And a vehicle stands in it."""
    world = client.load_world(name)
    try:
        assert world.get_map().name.endswith(name) and len(world.get_map().get_topology()) > 3
        car = world.try_spawn_actor(
            world.get_blueprint_library().filter("vehicle.*")[0], world.get_map().get_spawn_points()[0]
        )
        assert car is not None
    finally:
        client.load_world("grid")


def test_a_clients_own_map_is_a_world(client: Any) -> None:  # noqa: ANN401
    """A block of four streets, as text."""
    corners = [Crossing(x, y) for x, y in ((0.0, 0.0), (80.0, 0.0), (80.0, 80.0), (0.0, 80.0))]
    block = network(corners, [Street(number, (number + 1) % 4) for number in range(4)])
    text = text_of("block", block.roads, block.junctions)
    try:
        world = client.generate_opendrive_world(text, carla.OpendriveGenerationParameters())
        assert world.get_map().to_opendrive() == text
    finally:
        client.load_world("grid")


def test_a_collision_is_felt(world: Any) -> None:  # noqa: ANN401
    """By a sensor on the car that drives into another one: who, and how hard."""
    car = spawned(world)
    sensor = world.spawn_actor(
        world.get_blueprint_library().find("sensor.other.collision"), carla.Transform(), attach_to=car
    )
    felt: queue.Queue[Any] = queue.Queue()
    sensor.listen(felt.put)
    ahead = car.get_transform()
    ahead.location += 14.0 * ahead.get_forward_vector()
    other = world.spawn_actor(world.get_blueprint_library().find("vehicle.mini.cooper_s"), ahead)
    time.sleep(0.5)  # until the sensor listens
    car.apply_control(carla.VehicleControl(throttle=1.0))
    for _ in range(80):
        world.tick()
    event = felt.get(timeout=TIMEOUT_S)
    back = car.get_transform().get_forward_vector()
    impulse = event.normal_impulse
    assert (event.actor.id, event.other_actor.id) == (car.id, other.id)
    assert impulse.x * back.x + impulse.y * back.y < -500.0 and event.frame > 0
    sensor.stop()


def felt(world: Any, car: Any, ticks: int, place: Any = None, **attributes: str) -> list[Any]:  # noqa: ANN401
    """What an IMU on a car sends over some ticks."""
    blueprint = world.get_blueprint_library().find("sensor.other.imu")
    for key, value in attributes.items():
        blueprint.set_attribute(key, value)
    sensor = world.spawn_actor(blueprint, place or carla.Transform(), attach_to=car)
    came: queue.Queue[Any] = queue.Queue()
    sensor.listen(came.put)
    time.sleep(0.5)  # until it listens
    last = [world.tick() for _ in range(ticks)][-1]
    found = [came.get(timeout=TIMEOUT_S)]
    while found[-1].frame < last and not (attributes.get("sensor_tick") and came.empty()):
        found.append(came.get(timeout=TIMEOUT_S))
    sensor.destroy()
    return found


def test_an_imu_feels_gravity_and_the_engine(world: Any) -> None:  # noqa: ANN401
    """At rest nothing but gravity; ahead what the speed gains, in its own frame; and where north is."""
    car = spawned(world)
    for _ in range(40):
        world.tick()
    rest = felt(world, car, 5)[-1]
    assert (rest.accelerometer.x, rest.accelerometer.y) == pytest.approx((0.0, 0.0), abs=0.02)
    assert rest.accelerometer.z == pytest.approx(9.81, abs=0.02) and abs(rest.gyroscope.z) < 1e-3
    yaw = math.radians(car.get_transform().rotation.yaw)
    assert rest.compass == pytest.approx((yaw + math.pi / 2) % (2 * math.pi), abs=0.01)
    tipped = felt(world, car, 5, carla.Transform(carla.Location(), carla.Rotation(pitch=90.0)))[-1]
    assert tipped.accelerometer.x == pytest.approx(9.81, abs=0.05)
    car.apply_control(carla.VehicleControl(throttle=0.6))
    before = car.get_velocity().length()
    moving = felt(world, car, 20)
    gained = car.get_velocity().length() - before
    assert sum(each.accelerometer.x for each in moving) * STEP_S == pytest.approx(gained, rel=0.1)


def test_an_imu_has_its_period_and_its_noise(world: Any) -> None:  # noqa: ANN401
    """Every fifth tick; noise of the size and seed that are asked for."""
    car = spawned(world)
    for _ in range(40):
        world.tick()
    frames = [each.frame for each in felt(world, car, 40, sensor_tick="0.25")]
    assert {second - first for first, second in pairwise(frames)} == {5}
    noisy = {"noise_accel_stddev_x": "0.5", "noise_gyro_bias_z": "0.25", "noise_seed": "3"}
    first, again = (felt(world, car, 300, **noisy) for _ in range(2))
    values = [each.accelerometer.x for each in first]
    assert values[:50] == [each.accelerometer.x for each in again][:50]
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
    assert spread == pytest.approx(0.5, rel=0.2) and abs(mean) < 0.15
    assert all(each.gyroscope.z == pytest.approx(0.25, abs=1e-3) for each in first)


def test_a_speed_is_held(world: Any) -> None:  # noqa: ANN401
    """By CARLA's Ackermann control."""
    car = spawned(world)
    car.apply_ackermann_control(carla.VehicleAckermannControl(speed=6.0))
    for _ in range(160):
        world.tick()
    assert car.get_velocity().length() == pytest.approx(6.0, abs=0.3)
    car.apply_ackermann_control(carla.VehicleAckermannControl(speed=0.0))
    for _ in range(160):
        world.tick()
    assert car.get_velocity().length() < 0.2


def test_somebody_walks(world: Any) -> None:  # noqa: ANN401
    """At his speed, to where he looks."""
    walker = spawned(world, "walker.pedestrian.0001")
    for _ in range(20):
        world.tick()
    before = walker.get_location()
    walker.apply_control(carla.WalkerControl(carla.Vector3D(0.0, 1.0, 0.0), 1.5, False))
    for _ in range(40):
        world.tick()
    moved = walker.get_location() - before
    assert (moved.x, moved.y) == pytest.approx((0.0, 3.0), abs=0.1)
    assert walker.get_transform().rotation.yaw == pytest.approx(90.0) and walker.get_control().speed == 1.5


def test_lights_go_by_their_plan(world: Any) -> None:  # noqa: ANN401
    """Never two phases of one junction green at once; each light is green at some time; freezing stops them."""
    lights = list(world.get_actors().filter("traffic.traffic_light"))
    green, at_once = set(), []
    for _ in range(int(90 / STEP_S)):
        world.tick()
        shown = {light.id: light.get_state() for light in lights}
        green |= {number for number, state in shown.items() if state == carla.TrafficLightState.Green}
        if _ % 40 == 0:
            at_once.append(shown)
    assert green == {light.id for light in lights}
    groups = [{other.id for other in light.get_group_traffic_lights()} for light in lights[:8]]
    for shown, group in ((shown, group) for shown in at_once for group in groups):
        assert 0 < sum(shown[number] != carla.TrafficLightState.Green for number in group)
    world.freeze_all_traffic_lights(True)
    before = [light.get_state() for light in lights]
    for _ in range(int(20 / STEP_S)):
        world.tick()
    assert [light.get_state() for light in lights] == before
    world.freeze_all_traffic_lights(False)


def test_a_tick_that_fails_is_not_the_last_one() -> None:
    """Without synchronous mode: a receiver where no number of four bytes reaches fails every tick; time goes on."""
    with EmbeddedServer.of("parking") as server:
        client = carla.Client(server.host, server.port)
        client.set_timeout(20.0)
        world = client.get_world()
        library, spot = world.get_blueprint_library(), world.get_map().get_spawn_points()[0]
        spot.rotation.yaw = -45.0  # so that x and y add up
        car = world.spawn_actor(library.find("vehicle.audi.tt"), spot)
        far = carla.Transform(carla.Location(3e38, 3e38, 0.0))
        receiver = world.spawn_actor(library.find("sensor.other.gnss"), far, attach_to=car)
        receiver.listen(lambda reading: None)
        time.sleep(1.0)  # until it listens
        frames = [world.wait_for_tick(5.0).frame for _ in range(5)]
        assert frames == sorted(set(frames))
        receiver.destroy()


def test_three_servers_agree_to_the_bit() -> None:
    """The same calls, the same states over 2,000 ticks."""
    digests = set()
    for _ in range(3):
        with EmbeddedServer.of("grid") as fresh:
            script = [sys.executable, str(DRIVE_ABOUT), fresh.host, str(fresh.port), "2000"]
            done = subprocess.run(script, capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == 0, done.stderr
            digests.add(done.stdout)
    assert len(digests) == 1 and len(digests.pop()) > 32


def test_a_server_ends_with_its_owner() -> None:
    """Even where that one is killed."""
    code = (
        "from haltere.sims.carla.server.embedded import EmbeddedServer\nimport time\n"
        "server = EmbeddedServer.of('grid')\nprint(server.pid, flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        os.kill(owner.pid, signal.SIGKILL)
    until = time.monotonic() + 10.0
    while time.monotonic() < until and _lives(pid):
        time.sleep(0.1)
    assert not _lives(pid)


def _lives(pid: int) -> bool:
    """Whether there is such a process that isn't a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_wrong_map_is_refused() -> None:
    """Before anything listens."""
    with pytest.raises(RequestError, match="no town named 'gird'; did you mean 'grid'"):
        EmbeddedServer.of("gird")


def test_a_port_in_use_is_refused(server: EmbeddedServer) -> None:
    """And named."""
    with pytest.raises(RequestError, match=f"port {server.port}"):
        EmbeddedServer(ServerOptions(port=server.port))
