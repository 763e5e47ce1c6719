"""What goes into a stream: a header that says when and where, and what was sensed.

Little-endian and packed, as CARLA 0.9.16's client reads it.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from haltere.sims.carla.geometry import Transform, Vector
from haltere.sims.carla.server.wire.structs import VehicleControl

_HEADER = struct.Struct("<QQd6f")
_WORLD = struct.Struct("<Qdf3iI")
_ACTOR = struct.Struct("<IB6f9f54s")
_VEHICLE = struct.Struct("<3f3?ifB?IB")
_ACTIVE = 1


class Sensor(IntEnum):
    """What a header calls its sensor."""

    COLLISION = 0
    DEPTH_CAMERA = 1
    GNSS = 4
    IMU = 5
    LANE_INVASION = 6
    RGB_CAMERA = 13
    SEMANTIC_CAMERA = 14
    WORLD = 17


class Light(IntEnum):
    """What a traffic light shows."""

    RED = 0
    YELLOW = 1
    GREEN = 2
    OFF = 3
    UNKNOWN = 4


@dataclass(frozen=True, slots=True)
class VehicleState:
    """What a world's state has of a vehicle beside its motion.

    Attributes:
        control: as it is carried out.
        speed_limit: at its place [km/h].
        light: what the traffic light shows that it is at.
        light_actor: which one; None where it is at none.
    """

    control: VehicleControl = field(default_factory=VehicleControl)
    speed_limit: float = 30.0
    light: Light = Light.GREEN
    light_actor: int | None = None


@dataclass(frozen=True, slots=True)
class ActorState:
    """Where an actor is [m, degrees] and how it moves [m/s, degrees/s, m/s2]."""

    number: int
    transform: Transform = field(default_factory=Transform)
    velocity: Vector = field(default_factory=Vector)
    angular_velocity: Vector = field(default_factory=Vector)
    acceleration: Vector = field(default_factory=Vector)
    vehicle: VehicleState | None = None


def header(sensor: Sensor, frame: int, time_s: float, where: Transform) -> bytes:
    """What every message begins with.

    Args:
        sensor: which kind.
        frame: number of the tick.
        time_s: simulated, since the world was loaded.
        where: the sensor was then.
    """
    return _HEADER.pack(sensor, frame, time_s, *_placed(where))


def world_state(
    frame: int, time_s: float, *, episode: int, clock_s: float, delta_s: float, actors: Iterable[ActorState]
) -> bytes:
    """All of a world after a tick.

    Args:
        frame: number of the tick.
        time_s: simulated, since the world was loaded.
        episode: number of the world.
        clock_s: on the wall.
        delta_s: simulated, of this tick.
        actors: all of them.
    """
    head = header(Sensor.WORLD, frame, time_s, Transform()) + _WORLD.pack(episode, clock_s, delta_s, 0, 0, 0, 0)
    return head + b"".join(map(_actor, actors))


def _actor(state: ActorState) -> bytes:
    moves = (*_axes(state.velocity), *_axes(state.angular_velocity), *_axes(state.acceleration))
    return _ACTOR.pack(state.number, _ACTIVE, *_placed(state.transform), *moves, _special(state.vehicle))


def _special(vehicle: VehicleState | None) -> bytes:
    """What only its kind of actor has."""
    if vehicle is None:
        return b""
    control, at = vehicle.control, vehicle.light_actor
    return _VEHICLE.pack(
        *(control.throttle, control.steer, control.brake),
        *(control.hand_brake, control.reverse, control.manual_gear_shift, control.gear),
        *(vehicle.speed_limit, vehicle.light, at is not None, at or 0, 0),
    )


def _placed(where: Transform) -> tuple[float, ...]:
    turned = where.rotation
    return (*_axes(where.location), turned.pitch, turned.yaw, turned.roll)


def _axes(vector: Vector) -> tuple[float, float, float]:
    return vector.x, vector.y, vector.z
