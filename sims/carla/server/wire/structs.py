"""The structures of CARLA 0.9.16's calls, each with its fields in the order of the wire.

Lengths are metres, angles degrees, times seconds; x ahead, y to the right and z up, which makes a left-handed frame.
Source: what the unmodified client sends for objects with a different number in each field.
"""

from dataclasses import dataclass, field
from enum import IntEnum

from haltere.sims.carla.geometry import BoundingBox, Transform, Vector
from haltere.sims.carla.server.wire.codec import Int32, Raw


@dataclass(frozen=True, slots=True)
class Point:
    """Of a curve."""

    x: float = 0.0
    y: float = 0.0


class AttributeType(IntEnum):
    """What an attribute of a blueprint holds; its value is text all the same."""

    BOOL = 1
    INT = 2
    FLOAT = 3
    STRING = 4
    COLOR = 5


@dataclass(frozen=True, slots=True)
class AttributeValue:
    """An attribute as something was spawned with it."""

    name: str
    kind: AttributeType
    value: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute as a blueprint has it: its default, what else it may be, and whether it may be anything else."""

    name: str
    kind: AttributeType
    value: str
    recommended: tuple[str, ...] = ()
    is_modifiable: bool = True
    restrict_to_recommended: bool = False


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A kind of thing that can be spawned; ``tags`` are words between commas."""

    number: int
    name: str
    tags: str
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """What is to be spawned."""

    number: int
    name: str
    attributes: tuple[AttributeValue, ...] = ()


@dataclass(frozen=True, slots=True)
class EpisodeSettings:
    """How the world's time goes by. ``fixed_delta_seconds`` None is as fast as the clock on the wall."""

    synchronous_mode: bool = False
    no_rendering_mode: bool = False
    fixed_delta_seconds: float | None = None
    substepping: bool = True
    max_substep_delta_time: float = 0.01
    max_substeps: Int32 = field(default=Int32(10))
    max_culling_distance: float = 0.0
    deterministic_ragdolls: bool = False
    tile_stream_distance: float = 3000.0
    actor_active_distance: float = 2000.0
    spectator_as_ego: bool = True


@dataclass(frozen=True, slots=True)
class Weather:
    """Percent, but for the sun's angles, the fog's distance [m] and the scattering."""

    cloudiness: float = 0.0
    precipitation: float = 0.0
    precipitation_deposits: float = 0.0
    wind_intensity: float = 0.0
    sun_azimuth_angle: float = 0.0
    sun_altitude_angle: float = 0.0
    fog_density: float = 0.0
    fog_distance: float = 0.0
    fog_falloff: float = 0.0
    wetness: float = 0.0
    scattering_intensity: float = 0.0
    mie_scattering_scale: float = 0.0
    rayleigh_scattering_scale: float = 0.0331
    dust_storm: float = 0.0


@dataclass(frozen=True, slots=True)
class VehicleControl:
    """Throttle and brake from 0 to 1, steer from -1 to 1."""

    throttle: float = 0.0
    steer: float = 0.0
    brake: float = 0.0
    hand_brake: bool = False
    reverse: bool = False
    manual_gear_shift: bool = False
    gear: Int32 = field(default=Int32(0))


@dataclass(frozen=True, slots=True)
class AckermannControl:
    """Steer [rad] and its speed [rad/s], speed [m/s], acceleration [m/s2] and jerk [m/s3]."""

    steer: float = 0.0
    steer_speed: float = 0.0
    speed: float = 0.0
    acceleration: float = 0.0
    jerk: float = 0.0


@dataclass(frozen=True, slots=True)
class AckermannSettings:
    """Gains of the two controllers behind it, of speed and of acceleration."""

    speed_kp: float = 0.0
    speed_ki: float = 0.0
    speed_kd: float = 0.0
    accel_kp: float = 0.0
    accel_ki: float = 0.0
    accel_kd: float = 0.0


@dataclass(frozen=True, slots=True)
class WalkerControl:
    """A unit vector, a speed [m/s], and whether to jump."""

    direction: Vector = field(default_factory=lambda: Vector(1.0))
    speed: float = 0.0
    jump: bool = False


@dataclass(frozen=True, slots=True)
class Gear:
    """Its ratio, and at which shares of the greatest speed of rotation to change down and up."""

    ratio: float = 1.0
    down_ratio: float = 0.5
    up_ratio: float = 0.65


@dataclass(frozen=True, slots=True)
class Wheel:
    """Angles in degrees, torques in N m, radius and position in cm."""

    tire_friction: float = 2.0
    damping_rate: float = 0.25
    max_steer_angle: float = 70.0
    radius: float = 30.0
    max_brake_torque: float = 1500.0
    max_handbrake_torque: float = 3000.0
    lat_stiff_max_load: float = 2.0
    lat_stiff_value: float = 17.0
    long_stiff_value: float = 1000.0
    position: Vector = field(default_factory=Vector)


@dataclass(frozen=True, slots=True)
class PhysicsControl:
    """Engine, gears, wheels and body of a vehicle: torques in N m over revolutions a minute, mass in kg."""

    torque_curve: tuple[Point, ...] = (Point(0.0, 500.0), Point(5000.0, 500.0))
    max_rpm: float = 5000.0
    moi: float = 1.0
    damping_rate_full_throttle: float = 0.15
    damping_rate_zero_throttle_clutch_engaged: float = 2.0
    damping_rate_zero_throttle_clutch_disengaged: float = 0.35
    use_gear_autobox: bool = True
    gear_switch_time: float = 0.5
    clutch_strength: float = 10.0
    final_ratio: float = 4.0
    forward_gears: tuple[Gear, ...] = ()
    mass: float = 1000.0
    drag_coefficient: float = 0.3
    center_of_mass: Vector = field(default_factory=Vector)
    steering_curve: tuple[Point, ...] = (Point(0.0, 1.0), Point(10.0, 0.5))
    wheels: tuple[Wheel, ...] = ()
    use_sweep_wheel_collision: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """Of a stream; see ``haltere.sims.carla.server.wire.streams.token``."""

    data: bytes


@dataclass(frozen=True, slots=True)
class EpisodeInfo:
    """The world's number, which changes with each that is loaded, and the stream of its states."""

    number: int
    token: Token


@dataclass(frozen=True, slots=True)
class MapInfo:
    """The map's path and its spawn points."""

    name: str
    spawn_points: tuple[Transform, ...] = ()


@dataclass(frozen=True, slots=True)
class Actor:
    """Something that was spawned.

    Attributes:
        number: its own.
        parent: of what it is attached to; 0 for nothing.
        description: what it was spawned by.
        bounding_box: about its own origin.
        semantic_tags: a byte each.
        token: of a sensor's stream; empty where it has none.
    """

    number: int
    parent: int
    description: Description
    bounding_box: BoundingBox
    semantic_tags: bytes = b""
    token: bytes = b""


@dataclass(frozen=True, slots=True)
class OpendriveParameters:
    """How CARLA makes a world of a map that a client sends [m]."""

    vertex_distance: float = 2.0
    max_road_length: float = 50.0
    wall_height: float = 1.0
    additional_width: float = 0.6
    smooth_junctions: bool = True
    enable_mesh_visibility: bool = True
    enable_pedestrian_navigation: bool = True


@dataclass(frozen=True, slots=True)
class LabelledPoint:
    """Where a ray met something, and what that is."""

    location: Vector
    label: int


@dataclass(frozen=True, slots=True)
class VehicleLights:
    """Of one vehicle: its number, and which lights are on, a bit each."""

    number: int
    lights: int


@dataclass(frozen=True, slots=True)
class LightBits:
    """Which lights of a vehicle are on, a bit each."""

    bits: int


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Traffic Manager listens."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class EnvironmentObject:
    """Something that stands in a town."""

    place: Transform
    box: BoundingBox
    number: int
    name: str
    label: int


@dataclass(frozen=True, slots=True)
class Color:
    """Of 256 levels."""

    red: int
    green: int
    blue: int


@dataclass(frozen=True, slots=True)
class DebugShape:
    """Something that a client wants to be drawn, for some seconds or for good."""

    primitive: Raw
    color: Color
    seconds: float
    persistent: bool
