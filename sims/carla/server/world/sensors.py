"""Sensors that can be spawned: their names and attributes, as CARLA 0.9.16 documents them.

Source: "Sensors reference" of CARLA's documentation. What isn't here can't be spawned, rather than sense nothing.
"""

from collections.abc import Mapping

from haltere.configs.errors import RequestError
from haltere.sims.carla.server.wire.payloads import Sensor
from haltere.sims.carla.server.wire.structs import Attribute, AttributeType

_BOOL, _INT, _FLOAT, _TEXT = AttributeType.BOOL, AttributeType.INT, AttributeType.FLOAT, AttributeType.STRING
Table = dict[str, tuple[AttributeType, str]]


def _floats(**values: float) -> Table:
    return {name: (_FLOAT, str(float(value))) for name, value in values.items()}


_SIZE: Table = {"image_size_x": (_INT, "800"), "image_size_y": (_INT, "600"), **_floats(fov=90)}
_LENS = _floats(
    lens_circle_falloff=5, lens_circle_multiplier=0, lens_k=-1, lens_kcube=0, lens_x_size=0.08, lens_y_size=0.08
)
_CAMERA = _SIZE | _LENS
_RGB: Table = {
    **_CAMERA,
    **_floats(bloom_intensity=0.675, fstop=1.4, iso=100, gamma=2.2, lens_flare_intensity=0.1, shutter_speed=200),
    **_floats(min_fstop=1.2, exposure_compensation=0, exposure_min_bright=10, exposure_max_bright=12),
    **_floats(exposure_speed_up=3, exposure_speed_down=1, calibration_constant=16, focal_distance=1000),
    **_floats(blur_amount=1, blur_radius=0, motion_blur_intensity=0.45, motion_blur_max_distortion=0.35),
    **_floats(motion_blur_min_object_screen_size=0.1, slope=0.88, toe=0.55, shoulder=0.26, black_clip=0),
    **_floats(white_clip=0.04, temp=6500, tint=0),
    **_floats(chromatic_aberration_intensity=0, chromatic_aberration_offset=0),
    "blade_count": (_INT, "5"),
    "exposure_mode": (_TEXT, "histogram"),
    "enable_postprocess_effects": (_BOOL, "true"),
}
_SCANNER: Table = {
    "channels": (_INT, "32"),
    "points_per_second": (_INT, "56000"),
    **_floats(range=10, rotation_frequency=10, upper_fov=10, lower_fov=-30, horizontal_fov=360),
}
_LIDAR: Table = {
    **_SCANNER,
    **_floats(atmosphere_attenuation_rate=0.004, dropoff_general_rate=0.45, dropoff_intensity_limit=0.8),
    **_floats(dropoff_zero_intensity=0.4, noise_stddev=0),
    "noise_seed": (_INT, "0"),
}
_RADAR: Table = {**_floats(horizontal_fov=30, vertical_fov=30, range=100), "points_per_second": (_INT, "1500")}
_OBSTACLE: Table = {
    **_floats(distance=5, hit_radius=0.5),
    "only_dynamics": (_BOOL, "false"),
    "debug_linetrace": (_BOOL, "false"),
}
_GNSS: Table = {
    "noise_seed": (_INT, "0"),
    **{f"noise_{name}_{what}": (_FLOAT, "0.0") for name in ("alt", "lat", "lon") for what in ("bias", "stddev")},
}
_IMU: Table = {
    "noise_seed": (_INT, "0"),
    **{f"noise_accel_stddev_{axis}": (_FLOAT, "0.0") for axis in "xyz"},
    **{f"noise_gyro_stddev_{axis}": (_FLOAT, "0.0") for axis in "xyz"},
    **{f"noise_gyro_bias_{axis}": (_FLOAT, "0.0") for axis in "xyz"},
}
_SENSORS: Mapping[str, tuple[Sensor, Table]] = {
    "sensor.camera.rgb": (Sensor.RGB_CAMERA, _RGB),
    "sensor.camera.depth": (Sensor.DEPTH_CAMERA, _CAMERA),
    "sensor.camera.semantic_segmentation": (Sensor.SEMANTIC_CAMERA, _CAMERA),
    "sensor.camera.instance_segmentation": (Sensor.INSTANCE_CAMERA, _CAMERA),
    "sensor.camera.normals": (Sensor.NORMALS_CAMERA, _CAMERA),
    "sensor.camera.optical_flow": (Sensor.OPTICAL_FLOW, _CAMERA),
    "sensor.lidar.ray_cast": (Sensor.LIDAR, _LIDAR),
    "sensor.lidar.ray_cast_semantic": (Sensor.SEMANTIC_LIDAR, _SCANNER),
    "sensor.other.radar": (Sensor.RADAR, _RADAR),
    "sensor.other.obstacle": (Sensor.OBSTACLE, _OBSTACLE),
    "sensor.other.collision": (Sensor.COLLISION, {}),
    "sensor.other.gnss": (Sensor.GNSS, _GNSS),
    "sensor.other.imu": (Sensor.IMU, _IMU),
    "sensor.other.lane_invasion": (Sensor.LANE_INVASION, {}),
}
_COMMON: Table = {"sensor_tick": (_FLOAT, "0.0"), "role_name": (_TEXT, "front")}
_BOUNDS: Mapping[str, tuple[float, float]] = {
    "image_size_x": (1, 4096),
    "image_size_y": (1, 4096),
    "fov": (1, 170),
    "channels": (1, 512),
    "points_per_second": (1, 20_000_000),
    "range": (0.01, 10_000),
    "distance": (0.01, 10_000),
    "hit_radius": (0, 100),
    "rotation_frequency": (0, 1000),
    "upper_fov": (-90, 90),
    "lower_fov": (-90, 90),
    "horizontal_fov": (0.1, 360),
    "vertical_fov": (0.1, 179),
    "dropoff_general_rate": (0, 1),
    "dropoff_intensity_limit": (0, 1),
    "dropoff_zero_intensity": (0, 1),
    "atmosphere_attenuation_rate": (0, 1000),
    "noise_stddev": (0, 1000),
    "sensor_tick": (0, 1e6),
}
"""Least and most of what is asked of this machine's time and memory, or makes no sense."""


def sensor_names() -> tuple[str, ...]:
    """Of all that can be spawned."""
    return tuple(_SENSORS)


def sensor_type(name: str) -> Sensor:
    """What its messages are headed by."""
    return _SENSORS[name][0]


def sensor_attributes(name: str) -> tuple[Attribute, ...]:
    """Its own and those of every sensor."""
    return tuple(Attribute(key, kind, value) for key, (kind, value) in (_SENSORS[name][1] | _COMMON).items())


def check_sensor(name: str, attributes: Mapping[str, str]) -> None:
    """See that a sensor can sense so.

    Args:
        name: of its blueprint.
        attributes: all of them.

    Raises:
        RequestError: a number is out of its bounds.
    """
    for key, (kind, _) in (_SENSORS[name][1] | _COMMON).items():
        if kind not in (_INT, _FLOAT):
            continue
        least, most = _BOUNDS.get(key, (-1e9, 1e9))
        if not least <= float(attributes[key]) <= most:
            raise RequestError(f"{name}: {key} must be {least:g} to {most:g}, got {attributes[key]}")
