"""What goes into a stream: a header that says when and where, and what was sensed.

Little-endian and packed, as CARLA 0.9.16's client reads it.
"""

import struct
from enum import IntEnum
from typing import Any

import numpy as np

from haltere.sims.carla.drive.library import ROW_BYTES
from haltere.sims.carla.geometry import Transform, Vector

_HEADER = struct.Struct("<QQd6f")
_WORLD = struct.Struct("<Qdf3iI")
_PLACE = [(name, "<f4", (3,)) for name in ("location", "rotation", "velocity", "angular_velocity", "acceleration")]


def _rows(own: list[tuple[Any, ...]]) -> np.dtype[np.void]:
    """Rows of a world's state: what all actors have, and behind it what only one kind has."""
    common: list[Any] = [("number", "<u4"), ("state", "u1"), *_PLACE]
    left = ROW_BYTES - np.dtype([*common, *own]).itemsize
    return np.dtype([*common, *own, *([("rest", f"V{left}")] if left else [])])


ACTOR = _rows([])
"""Of any actor: place [m; pitch, yaw and roll in degrees], velocities [m/s, degrees/s] and acceleration [m/s2]."""
VEHICLE = _rows(
    [
        *((name, "<f4") for name in ("throttle", "steer", "brake")),
        *((name, "?") for name in ("hand_brake", "reverse", "manual_gear_shift")),
        *(("gear", "<i4"), ("speed_limit", "<f4"), ("light", "u1"), ("at_light", "?"), ("light_actor", "<u4")),
        ("failure", "u1"),
    ]
)
"""Its control as it is carried out, the speed limit [km/h], and the traffic light that it is at."""
WALKER = _rows([("direction", "<f4", (3,)), ("speed", "<f4"), ("jump", "?")])
"""Its control [m/s]."""
LIGHT = _rows(
    [
        ("signal", "S32"),
        *((name, "<f4") for name in ("green_s", "yellow_s", "red_s", "elapsed_s")),
        *(("pole", "<u4"), ("frozen", "?"), ("shows", "u1")),
    ]
)
"""A traffic light: its number in the map, how long it shows what, and what it does."""
ACTIVE = 1


class Sensor(IntEnum):
    """What a header calls its sensor."""

    COLLISION = 0
    DEPTH_CAMERA = 1
    NORMALS_CAMERA = 2
    GNSS = 4
    IMU = 5
    LANE_INVASION = 6
    OBSTACLE = 7
    OPTICAL_FLOW = 8
    RADAR = 9
    SEMANTIC_LIDAR = 10
    LIDAR = 11
    RGB_CAMERA = 13
    SEMANTIC_CAMERA = 14
    INSTANCE_CAMERA = 15
    WORLD = 17


class Light(IntEnum):
    """What a traffic light shows."""

    RED = 0
    YELLOW = 1
    GREEN = 2
    OFF = 3
    UNKNOWN = 4


def header(sensor: Sensor, frame: int, time_s: float, where: Transform) -> bytes:
    """What every message begins with.

    Args:
        sensor: which kind.
        frame: number of the tick.
        time_s: simulated, since the world was loaded.
        where: the sensor was then.
    """
    return _HEADER.pack(sensor, frame, time_s, *_placed(where))


def world_state(frame: int, time_s: float, *, episode: int, clock_s: float, delta_s: float, actors: bytes) -> bytes:
    """All of a world after a tick.

    Args:
        frame: number of the tick.
        time_s: simulated, since the world was loaded.
        episode: number of the world.
        clock_s: on the wall.
        delta_s: simulated, of this tick.
        actors: a row each, of ``ROW_BYTES``.
    """
    head = header(Sensor.WORLD, frame, time_s, Transform())
    return b"".join((head, _WORLD.pack(episode, clock_s, delta_s, 0, 0, 0, 0), actors))


def _placed(where: Transform) -> tuple[float, ...]:
    turned = where.rotation
    return (*_axes(where.location), turned.pitch, turned.yaw, turned.roll)


def _axes(vector: Vector) -> tuple[float, float, float]:
    return vector.x, vector.y, vector.z
