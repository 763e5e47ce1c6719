"""The wire, through CARLA's unmodified client and through sockets that send what no client would."""

import asyncio
import contextlib
import json
import random
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from haltere.configs.errors import RequestError
from haltere.sims.carla.server.wire.endpoint import listen
from haltere.sims.carla.server.wire.rpc import LARGEST_MESSAGE, methods_of, remote
from haltere.sims.carla.server.wire.streams import Streams, token

carla = pytest.importorskip("carla", reason="CARLA's client has no wheel for this machine")

TIMEOUT_S = 20.0
PLACE = carla.Transform(carla.Location(1.0, -2.0, 3.0), carla.Rotation(pitch=4.0, yaw=-5.0, roll=6.0))


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int]]:
    """Of a server in a process of its own: the client holds Python's lock in some of its calls."""
    command = [sys.executable, str(Path(__file__).with_name("toy_server.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        yield tuple(json.loads(process.stdout.readline()))
        process.stdin.close()
        assert process.wait(TIMEOUT_S) == 0


@pytest.fixture(scope="module")
def world(ports: tuple[int, int]) -> carla.World:
    """Of CARLA's client."""
    client = carla.Client("127.0.0.1", ports[0])
    client.set_timeout(TIMEOUT_S)
    assert client.get_server_version() == client.get_client_version() == "0.9.16"
    return client.get_world()


@pytest.fixture(scope="module")
def car(world: carla.World) -> carla.Vehicle:
    """Spawned by its blueprint."""
    blueprint = world.get_blueprint_library().find("vehicle.toy.car")
    assert blueprint.get_attribute("color").recommended_values == ["1,2,3", "4,5,6"]
    assert not blueprint.get_attribute("number_of_wheels").is_modifiable
    blueprint.set_attribute("role_name", "hero")
    found = world.spawn_actor(blueprint, PLACE)
    assert found.attributes["role_name"] == "hero" and found.attributes["number_of_wheels"] == "4"
    assert (found.type_id, list(found.semantic_tags), found.bounding_box.extent.x) == ("vehicle.toy.car", [14], 2.0)
    return found


def same(first: Any, second: Any) -> bool:  # noqa: ANN401 -- any of CARLA's structures
    """All public fields of one are those of the other, as near as four bytes hold them."""
    if isinstance(first, (int, float, str, bool, type(None))):
        return first == pytest.approx(second, rel=1e-6) if isinstance(first, float) else first == second
    if hasattr(first, "__len__"):
        return len(first) == len(second) and all(same(*pair) for pair in zip(first, second, strict=True))
    names = [name for name in dir(first) if name[0].islower() and not callable(getattr(first, name))]
    return all(same(getattr(first, name), getattr(second, name)) for name in names)


def numbered(value: Any, start: float = 1.0) -> Any:  # noqa: ANN401 -- any of CARLA's structures
    """A different number in each field, so that two that change places are seen."""
    for number, name in enumerate(name for name in dir(value) if name[0].islower()):
        held = getattr(value, name)
        if isinstance(held, bool):
            setattr(value, name, not held)
        elif isinstance(held, (int, float)):
            setattr(value, name, type(held)(start + number))
    return value


def named_alike(value: Any, kept: Any) -> bool:  # noqa: ANN401 -- any of CARLA's structures, and ours as plain data
    """Whether each of our fields holds what the client's attribute of that name does."""
    if isinstance(kept, dict):
        return all(named_alike(getattr(value, name), inner) for name, inner in kept.items())
    if isinstance(kept, list):
        return len(value) == len(kept) and all(named_alike(*pair) for pair in zip(value, kept, strict=True))
    return same(value, kept)


def kept(ports: tuple[int, int], *arguments: Any) -> Any:  # noqa: ANN401 -- plain data
    """What the server holds, by the names of our fields."""
    with socket.create_connection(("127.0.0.1", ports[0]), TIMEOUT_S) as connection:
        return json.loads(called(connection, "kept", [[False], *arguments])[0][1])


def test_settings_come_back(world: carla.World, ports: tuple[int, int]) -> None:
    """Every field, and time that isn't fixed."""
    settings = numbered(carla.WorldSettings())
    settings.fixed_delta_seconds, settings.synchronous_mode = 0.05, True
    settings.max_substep_delta_time, settings.max_substeps = 0.011, 12
    world.apply_settings(settings)
    assert same(settings, world.get_settings()) and named_alike(settings, kept(ports, "settings"))
    settings.fixed_delta_seconds = None
    world.apply_settings(settings)
    assert world.get_settings().fixed_delta_seconds is None


def test_weather_comes_back(world: carla.World, ports: tuple[int, int]) -> None:
    """Every field."""
    weather = numbered(carla.WeatherParameters())
    world.set_weather(weather)
    assert same(weather, world.get_weather()) and named_alike(weather, kept(ports, "weather"))


def test_physics_come_back(car: carla.Vehicle, ports: tuple[int, int]) -> None:
    """Every field of engine, gears, wheels and body."""
    physics = numbered(carla.VehiclePhysicsControl())
    physics.torque_curve = [carla.Vector2D(1.0, 2.0), carla.Vector2D(3.0, 4.0)]
    physics.steering_curve = [carla.Vector2D(5.0, 6.0)]
    physics.forward_gears = [numbered(carla.GearPhysicsControl(), 10.0), numbered(carla.GearPhysicsControl(), 20.0)]
    physics.wheels = [numbered(carla.WheelPhysicsControl(), 30.0 * number) for number in range(1, 5)]
    physics.center_of_mass = carla.Vector3D(7.0, 8.0, 9.0)
    car.apply_physics_control(physics)
    found = car.get_physics_control()
    assert named_alike(physics, kept(ports, "physics", [True, car.id]))
    assert same(physics, found) and len(found.wheels) == 4 and found.wheels[1].radius == physics.wheels[1].radius
    assert not same(physics, carla.VehiclePhysicsControl())


def test_ackermann_settings_come_back(car: carla.Vehicle, ports: tuple[int, int]) -> None:
    """Every gain."""
    settings = numbered(carla.AckermannControllerSettings())
    car.apply_ackermann_controller_settings(settings)
    assert same(settings, car.get_ackermann_controller_settings())
    assert named_alike(settings, kept(ports, "ackermann"))


def test_the_worlds_state_is_what_was_sent(world: carla.World, car: carla.Vehicle, ports: tuple[int, int]) -> None:
    """Frame, time, and of a vehicle its place, velocity, control and speed limit."""
    control = numbered(carla.VehicleControl())
    car.apply_control(control)
    car.set_target_velocity(carla.Vector3D(7.0, 8.0, 9.0))
    frame = world.tick(TIMEOUT_S)
    snapshot = world.get_snapshot()
    assert (snapshot.frame, snapshot.timestamp.delta_seconds) == (frame, pytest.approx(0.05))
    assert snapshot.timestamp.elapsed_seconds == pytest.approx(0.05 * frame)
    seen = snapshot.find(car.id)
    assert same(seen.get_transform(), PLACE) and same(seen.get_velocity(), carla.Vector3D(7.0, 8.0, 9.0))
    assert named_alike(control, kept(ports, "states", [True, car.id])["control"])
    assert same(car.get_control(), control) and car.get_speed_limit() == 50.0
    assert car.get_traffic_light_state() == carla.TrafficLightState.Green and not car.is_at_traffic_light()


def test_every_tick_reaches_who_listens(world: carla.World, ports: tuple[int, int]) -> None:
    """In order, none left out, and none twice because somebody else has begun to listen."""
    seen: list[int] = []
    listening = world.on_tick(lambda snapshot: seen.append(snapshot.frame))
    ticked = [world.tick(TIMEOUT_S) for _ in range(50)]
    with socket.create_connection(("127.0.0.1", ports[1]), TIMEOUT_S) as stranger:
        stranger.sendall(struct.pack("<I", 1))
        assert stranger.recv(4, socket.MSG_WAITALL)
    ticked.append(world.tick(TIMEOUT_S))
    world.remove_on_tick(listening)
    assert seen == ticked[: len(seen)] and len(seen) >= 50


def test_a_call_that_fails_says_why(world: carla.World, car: carla.Vehicle) -> None:
    """As RuntimeError, whether the request was wrong, nobody answers it, or the server has a bug."""
    other = world.spawn_actor(world.get_blueprint_library().find("vehicle.toy.car"), PLACE)
    with pytest.raises(RuntimeError, match=f"get_physics_control: actor {other.id} has no physics yet"):
        other.get_physics_control()
    with pytest.raises(RuntimeError, match="cast_ray: this server doesn't have it; it speaks CARLA's"):
        world.cast_ray(carla.Location(), carla.Location())
    assert car.get_speed_limit() == 50.0


def called(connection: socket.socket, name: Any, arguments: Any) -> Any:  # noqa: ANN401 -- whatever a client sends
    """The result of a call, by hand."""
    connection.sendall(msgpack.packb([0, 3, name, arguments]))
    unpacker = msgpack.Unpacker()
    while True:
        unpacker.feed(connection.recv(1 << 16))
        for kind, number, error, result in unpacker:
            assert (kind, number, error) == (1, 3, None)
            return result


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("tick_cue", [[False], 5], "tick_cue: takes 0 arguments (none), got 1"),
        ("get_physics_control", [[False]], "get_physics_control: takes 1 arguments (number), got 0"),
        (
            "get_physics_control",
            [[False], "seven"],
            "get_physics_control: number: must be a whole number of 32 bits, got 's",
        ),
        ("set_episode_settings", [[False], [True]], "set_episode_settings: settings: must be EpisodeSettings (synchr"),
        ("broken", [[False]], "broken: failed in the server: ZeroDivisionError: division by zero"),
        ("unpackable", [[False], 1], "unpackable: failed in the server: OverflowError: "),
        ("gét", [], "gét: this server doesn't have it"),
    ],
)
def test_a_wrong_call_is_answered(ports: tuple[int, int], name: str, arguments: list[Any], sentence: str) -> None:
    """With CARLA's own kind of error, which names it; and the connection goes on."""
    with socket.create_connection(("127.0.0.1", ports[0]), TIMEOUT_S) as connection:
        ((failed, (said,)),) = called(connection, name, arguments)
        assert failed == 0 and said.startswith(sentence)
        assert called(connection, "version", [[False]]) == [[1, "0.9.16"]]


def refused(ports: tuple[int, int], data: bytes) -> bool:
    """Whether the server closes a connection over what it was sent."""
    with socket.create_connection(("127.0.0.1", ports[0]), TIMEOUT_S) as connection:
        try:
            connection.sendall(data)
            return connection.recv(1) == b""
        except (ConnectionResetError, BrokenPipeError):
            return True


@pytest.mark.parametrize(
    "data",
    [
        msgpack.packb([0, 1, "version"]),
        msgpack.packb([1, 1, None, 5]),
        msgpack.packb({"version": []}),
        msgpack.packb(7),
        b"\xc1",
        b"\xdd\xff\xff\xff\xff",
        b"\x91" * 5000,
        b"\x81\x91\x01\x02",
        b"\xc7\x05\xff12345",
        b"\xc6" + struct.pack(">I", LARGEST_MESSAGE) + bytes(LARGEST_MESSAGE + 1),
    ],
    ids=lambda data: f"{data[:6].hex()}, {len(data)} bytes",
)
def test_what_is_no_call_ends_its_connection_alone(ports: tuple[int, int], data: bytes, world: carla.World) -> None:
    """Too short, an answer, a map, a number, no msgpack, a claim of a list too long, and one too large."""
    assert refused(ports, data)
    assert world.tick(TIMEOUT_S) > 0


def test_a_fuzz_never_takes_the_server_down(ports: tuple[int, int], world: carla.World) -> None:
    """A thousand connections with calls that were cut off, changed, or filled with anything."""
    draw = random.Random(0)
    whole = [
        msgpack.packb([0, 1, "set_episode_settings", [[False], [True, False, [True, 0.05], True, 0.01, 10]]]),
        msgpack.packb([0, 2, "spawn_actor", [[False], [1, "x", [["a", 4, "b"]]], [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]]]),
        msgpack.packb([0, 3, "apply_control_to_vehicle", [[True], 100, [0.1, 0.2, 0.3, True, False, True, 4]]]),
    ]
    for _ in range(1000):
        data = bytearray(draw.choice(whole))
        for _ in range(draw.randint(0, 4)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        with socket.create_connection(("127.0.0.1", ports[0]), TIMEOUT_S) as connection:
            connection.sendall(data[: draw.randint(1, len(data))])
    with socket.create_connection(("127.0.0.1", ports[1]), TIMEOUT_S) as connection:
        connection.sendall(b"\x01")
    assert world.tick(TIMEOUT_S) > 0


def test_a_message_without_an_end_is_given_up(ports: tuple[int, int]) -> None:
    """Though each part of it is read as it comes, so that little of it waits."""
    part = b"\xdd" + struct.pack(">I", 2**20) + b"\xc0" * 2**20
    with socket.create_connection(("127.0.0.1", ports[0]), TIMEOUT_S) as connection, pytest.raises(OSError):
        connection.sendall(b"\xdd" + struct.pack(">I", 2**20))
        for _ in range(LARGEST_MESSAGE // len(part) + 20):
            connection.sendall(part)


def test_who_does_not_read_is_not_answered(ports: tuple[int, int], world: carla.World) -> None:
    """Thousands of calls wait, and go on once their answers are read; others aren't kept waiting."""
    calls = 20_000
    with socket.create_connection(("127.0.0.1", ports[0]), TIMEOUT_S) as connection:
        connection.settimeout(0.5)
        sent = msgpack.packb([0, 3, "get_episode_settings", [[False]]]) * calls
        done = 0
        with contextlib.suppress(TimeoutError):
            while done < len(sent):
                done += connection.send(sent[done : done + 65536])
        assert world.tick(TIMEOUT_S) > 0
        connection.settimeout(TIMEOUT_S)
        unpacker, answers = msgpack.Unpacker(), 0
        whole = done // (len(sent) // calls)
        while answers < whole:
            unpacker.feed(connection.recv(1 << 20))
            answers += sum(1 for _ in unpacker)
        assert answers == whole


@pytest.mark.parametrize("port", [-1, 65_535, 70_000])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    """The next one is needed as well."""
    with pytest.raises(RequestError, match="a port must be 0 to 65534"):
        asyncio.run(listen({}, Streams(), port=port))


def test_a_port_in_use_is_refused(ports: tuple[int, int]) -> None:
    """And named."""
    with pytest.raises(RequestError, match=f"port {ports[0]}: "):
        asyncio.run(listen({}, Streams(), port=ports[0]))


def test_a_stream_may_be_named_in_pieces(ports: tuple[int, int], world: carla.World) -> None:
    """And each message stands behind its length."""
    with socket.create_connection(("127.0.0.1", ports[1]), TIMEOUT_S) as connection:
        for byte in struct.pack("<I", 1):
            connection.sendall(bytes([byte]))
        (length,) = struct.unpack("<I", connection.recv(4, socket.MSG_WAITALL))
        message = connection.recv(length, socket.MSG_WAITALL)
    assert len(message) == length and (length - 48 - 36) % 119 == 0
    assert struct.unpack_from("<Q", message) == (17,)


def test_a_token_says_where_a_stream_is() -> None:
    """Number, port, TCP, no address, and sixteen bytes where one would be."""
    assert token(5, 2001) == b"\x05\0\0\0\xd1\x07\x01\0" + bytes(16)


def test_two_methods_of_one_call_are_a_bug() -> None:
    """Found when the server is built; and what has nothing to say says so, bare or not."""

    class Twice:
        @remote("a")
        def first(self) -> None:
            """The one."""

        @remote("b", bare=True)
        def second(self) -> list[int]:
            """The other."""
            return [1]

    methods = methods_of(Twice())
    assert methods["a"].answer([]) == [[False]] and methods["b"].answer([]) == [1]
    with pytest.raises(TypeError, match="two methods answer a"):
        methods_of(Twice(), Twice())
