"""Messages of sensors, as CARLA's unmodified client reads them."""

import json
import queue
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from .toy_sensed import COUNTS, ECHOES, FLOW, FOV_DEG, LABELLED, MESSAGES, PIXELS, POINTS

carla = pytest.importorskip("carla", reason="CARLA's client has no wheel for this machine")

TIMEOUT_S = 20.0


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int]]:
    """Of the toy server."""
    command = [sys.executable, str(Path(__file__).with_name("toy_server.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        yield tuple(json.loads(process.stdout.readline()))
        process.stdin.close()
        assert process.wait(TIMEOUT_S) == 0


@pytest.fixture(scope="module")
def world(ports: tuple[int, int]) -> Any:  # noqa: ANN401 -- carla.World
    """Of CARLA's client."""
    client = carla.Client("127.0.0.1", ports[0])
    client.set_timeout(TIMEOUT_S)
    return client.get_world()


def seen(world: Any, ports: tuple[int, int], name: str) -> Any:  # noqa: ANN401 -- carla.SensorData
    """What a sensor's callback is given."""
    place = carla.Transform(carla.Location(1.0, 2.0, 3.0), carla.Rotation(4.0, 5.0, 6.0))
    sensor = world.spawn_actor(world.get_blueprint_library().find(f"sensor.{name}"), place)
    came: queue.Queue[Any] = queue.Queue()
    sensor.listen(came.put)
    until = time.monotonic() + TIMEOUT_S
    with socket.create_connection(("127.0.0.1", ports[0]), TIMEOUT_S) as connection:
        listens = False
        while not listens and time.monotonic() < until:
            connection.sendall(msgpack.packb([0, 1, "sense", [[False], sensor.id]]))
            listens = msgpack.unpackb(connection.recv(1 << 16))[3][0][1]
            time.sleep(0.01)
    found = came.get(timeout=TIMEOUT_S)
    sensor.stop()
    where = found.transform
    assert (where.location.x, where.location.y, where.location.z) == (1.0, 2.0, 3.0)
    assert (where.rotation.pitch, where.rotation.yaw, where.rotation.roll) == (4.0, 5.0, 6.0)
    assert found.frame >= 1 and found.timestamp == pytest.approx(0.05 * found.frame)
    return found, sensor.id


@pytest.mark.parametrize("name", [name for name in MESSAGES if "camera" in name and "flow" not in name])
def test_a_picture(name: str, world: Any, ports: tuple[int, int]) -> None:  # noqa: ANN401
    """Size, field of view and every byte."""
    image, _ = seen(world, ports, name)
    assert (image.width, image.height, image.fov) == (PIXELS.shape[1], PIXELS.shape[0], pytest.approx(FOV_DEG))
    assert bytes(image.raw_data) == PIXELS.tobytes()


def test_optical_flow(world: Any, ports: tuple[int, int]) -> None:  # noqa: ANN401
    """Two numbers a pixel."""
    image, _ = seen(world, ports, "camera.optical_flow")
    assert np.frombuffer(image.raw_data, np.float32).reshape(FLOW.shape).tolist() == FLOW.tolist()


def test_a_scan(world: Any, ports: tuple[int, int]) -> None:  # noqa: ANN401
    """Angle, points of each channel, and each point."""
    found, _ = seen(world, ports, "lidar.ray_cast")
    assert (found.horizontal_angle, found.channels) == (0.5, len(COUNTS))
    assert [found.get_point_count(channel) for channel in range(2)] == COUNTS.tolist()
    points = [((at.point.x, at.point.y, at.point.z), at.intensity) for at in found]
    assert points == [(tuple(at["place"].tolist()), float(at["intensity"])) for at in POINTS]


def test_a_labelled_scan(world: Any, ports: tuple[int, int]) -> None:  # noqa: ANN401
    """Likewise, with angle, number and label."""
    found, _ = seen(world, ports, "lidar.ray_cast_semantic")
    assert [found.get_point_count(channel) for channel in range(2)] == COUNTS.tolist()
    points = [
        ((at.point.x, at.point.y, at.point.z), at.cos_inc_angle, int(at.object_idx), int(at.object_tag)) for at in found
    ]
    assert points == [
        (tuple(at["place"].tolist()), float(at["cosine"]), int(at["number"]), int(at["label"])) for at in LABELLED
    ]


def test_echoes(world: Any, ports: tuple[int, int]) -> None:  # noqa: ANN401
    """Of a radar."""
    found, _ = seen(world, ports, "other.radar")
    assert [(at.velocity, at.azimuth, at.altitude, at.depth) for at in found] == ECHOES.tolist()


def test_a_position(world: Any, ports: tuple[int, int]) -> None:  # noqa: ANN401
    """Of GNSS."""
    found, _ = seen(world, ports, "other.gnss")
    assert (found.latitude, found.longitude, found.altitude) == (49.5, 8.25, 110.0)


def test_inertia(world: Any, ports: tuple[int, int]) -> None:  # noqa: ANN401
    """Of an IMU."""
    found, _ = seen(world, ports, "other.imu")
    first, second = found.accelerometer, found.gyroscope
    assert (first.x, first.y, first.z) == (1.0, 2.0, 9.5) and found.compass == 1.5
    assert (second.x, second.y, second.z) == pytest.approx((0.1, 0.2, 0.3))


def test_a_collision(world: Any, ports: tuple[int, int]) -> None:  # noqa: ANN401
    """Who met whom, and how hard."""
    found, number = seen(world, ports, "other.collision")
    impulse = found.normal_impulse
    assert (found.actor.id, found.other_actor.id) == (number, number)
    assert (impulse.x, impulse.y, impulse.z) == (1.0, 2.0, 3.0)


def test_an_obstacle(world: Any, ports: tuple[int, int]) -> None:  # noqa: ANN401
    """What is ahead, and how far."""
    found, number = seen(world, ports, "other.obstacle")
    assert (found.actor.id, found.other_actor.id, found.distance) == (number, number, 4.5)
