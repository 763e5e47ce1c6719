"""Sensors that can be spawned: their names and attributes, as CARLA 0.9.16 documents them.

Source: "Sensors reference" of CARLA's documentation. What isn't here can't be spawned, rather than sense nothing.
"""

from haltere.sims.carla.server.wire.payloads import Sensor
from haltere.sims.carla.server.wire.structs import Attribute, AttributeType

_FLOAT, _TEXT = AttributeType.FLOAT, AttributeType.STRING

Table = dict[str, tuple[AttributeType, str]]
_IMU: Table = {
    "noise_seed": (AttributeType.INT, "0"),
    **{f"noise_accel_stddev_{axis}": (_FLOAT, "0.0") for axis in "xyz"},
    **{f"noise_gyro_stddev_{axis}": (_FLOAT, "0.0") for axis in "xyz"},
    **{f"noise_gyro_bias_{axis}": (_FLOAT, "0.0") for axis in "xyz"},
}
_SENSORS: dict[str, tuple[Sensor, Table]] = {
    "sensor.other.collision": (Sensor.COLLISION, {}),
    "sensor.other.imu": (Sensor.IMU, _IMU),
    "sensor.other.lane_invasion": (Sensor.LANE_INVASION, {}),
}


def sensor_names() -> tuple[str, ...]:
    """Of all that can be spawned."""
    return tuple(_SENSORS)


def sensor_type(name: str) -> Sensor:
    """What its messages are headed by."""
    return _SENSORS[name][0]


def sensor_attributes(name: str) -> tuple[Attribute, ...]:
    """Its own and those of every sensor."""
    common: Table = {"sensor_tick": (_FLOAT, "0.0"), "role_name": (_TEXT, "front")}
    return tuple(Attribute(key, kind, value) for key, (kind, value) in (_SENSORS[name][1] | common).items())
