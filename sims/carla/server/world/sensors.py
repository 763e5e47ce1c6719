"""Sensors that can be spawned: their names and attributes, as CARLA 0.9.16 documents them.

Source: "Sensors reference" of CARLA's documentation. Attributes that only a photographic camera has (aperture, lens
circles, bloom) are taken and don't change a picture.
"""

from haltere.sims.carla.server.wire.payloads import Sensor
from haltere.sims.carla.server.wire.structs import Attribute, AttributeType

_FLOAT, _INT, _TEXT = AttributeType.FLOAT, AttributeType.INT, AttributeType.STRING
_BOOL = AttributeType.BOOL

Table = dict[str, tuple[AttributeType, str]]
_PICTURE: Table = {
    "image_size_x": (_INT, "800"),
    "image_size_y": (_INT, "600"),
    "fov": (_FLOAT, "90.0"),
    "lens_circle_falloff": (_FLOAT, "5.0"),
    "lens_circle_multiplier": (_FLOAT, "0.0"),
    "lens_k": (_FLOAT, "-1.0"),
    "lens_kcube": (_FLOAT, "0.0"),
    "lens_x_size": (_FLOAT, "0.08"),
    "lens_y_size": (_FLOAT, "0.08"),
}
_PHOTOGRAPH: Table = {
    "enable_postprocess_effects": (_BOOL, "True"),
    "bloom_intensity": (_FLOAT, "0.675"),
    "fstop": (_FLOAT, "1.4"),
    "iso": (_FLOAT, "100.0"),
    "gamma": (_FLOAT, "2.2"),
    "lens_flare_intensity": (_FLOAT, "0.1"),
    "shutter_speed": (_FLOAT, "200.0"),
    "exposure_mode": (_TEXT, "histogram"),
    "exposure_compensation": (_FLOAT, "0.0"),
    "exposure_min_bright": (_FLOAT, "10.0"),
    "exposure_max_bright": (_FLOAT, "12.0"),
    "exposure_speed_up": (_FLOAT, "3.0"),
    "exposure_speed_down": (_FLOAT, "1.0"),
    "motion_blur_intensity": (_FLOAT, "0.45"),
    "motion_blur_max_distortion": (_FLOAT, "0.35"),
    "motion_blur_min_object_screen_size": (_FLOAT, "0.1"),
}
_RAYS: Table = {
    "channels": (_INT, "32"),
    "range": (_FLOAT, "10.0"),
    "points_per_second": (_INT, "56000"),
    "rotation_frequency": (_FLOAT, "10.0"),
    "upper_fov": (_FLOAT, "10.0"),
    "lower_fov": (_FLOAT, "-30.0"),
    "horizontal_fov": (_FLOAT, "360.0"),
}
_SENSORS: dict[str, tuple[Sensor, Table]] = {
    "sensor.camera.rgb": (Sensor.RGB_CAMERA, _PICTURE | _PHOTOGRAPH),
    "sensor.camera.semantic_segmentation": (Sensor.SEMANTIC_CAMERA, _PICTURE),
    "sensor.camera.instance_segmentation": (Sensor.INSTANCE_CAMERA, _PICTURE),
    "sensor.camera.depth": (Sensor.DEPTH_CAMERA, _PICTURE),
    "sensor.other.collision": (Sensor.COLLISION, {}),
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
