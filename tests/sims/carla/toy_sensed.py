"""One message of each sensor, of numbers that all differ."""

from collections.abc import Callable, Mapping

import numpy as np

from haltere.sims.carla.geometry import Vector
from haltere.sims.carla.server.wire import sensed, structs
from haltere.sims.carla.server.wire.payloads import Sensor

FOV_DEG = 70.0
PIXELS = np.arange(3 * 5 * 4, dtype=np.uint8).reshape(3, 5, 4)
PIXELS[..., 3] = 255
FLOW = np.arange(3 * 5 * 2, dtype=np.float32).reshape(3, 5, 2) / 16
POINTS = np.array([((n, n + 0.25, n + 0.5), n + 0.75) for n in range(5)], sensed.POINT)
LABELLED = np.array([((n, n + 0.25, n + 0.5), n / 8, 100 + n, n + 1) for n in range(5)], sensed.LABELLED_POINT)
COUNTS = np.array([2, 3])
ECHOES = np.array([(n, n + 0.25, n + 0.5, n + 0.75) for n in range(4)], sensed.ECHO)

Message = Callable[[structs.Actor], bytes]
MESSAGES: Mapping[str, tuple[Sensor, Message]] = {
    "camera.rgb": (Sensor.RGB_CAMERA, lambda own: sensed.picture(PIXELS, FOV_DEG)),
    "camera.depth": (Sensor.DEPTH_CAMERA, lambda own: sensed.picture(PIXELS, FOV_DEG)),
    "camera.semantic_segmentation": (Sensor.SEMANTIC_CAMERA, lambda own: sensed.picture(PIXELS, FOV_DEG)),
    "camera.instance_segmentation": (Sensor.INSTANCE_CAMERA, lambda own: sensed.picture(PIXELS, FOV_DEG)),
    "camera.normals": (Sensor.NORMALS_CAMERA, lambda own: sensed.picture(PIXELS, FOV_DEG)),
    "camera.optical_flow": (Sensor.OPTICAL_FLOW, lambda own: sensed.flow(FLOW, FOV_DEG)),
    "lidar.ray_cast": (Sensor.LIDAR, lambda own: sensed.scan(0.5, COUNTS, POINTS)),
    "lidar.ray_cast_semantic": (Sensor.SEMANTIC_LIDAR, lambda own: sensed.scan(0.5, COUNTS, LABELLED)),
    "other.radar": (Sensor.RADAR, lambda own: sensed.echoes(ECHOES)),
    "other.gnss": (Sensor.GNSS, lambda own: sensed.position(49.5, 8.25, 110.0)),
    "other.imu": (Sensor.IMU, lambda own: sensed.inertia(Vector(1.0, 2.0, 9.5), Vector(0.1, 0.2, 0.3), 1.5)),
    "other.collision": (Sensor.COLLISION, lambda own: sensed.collision(own, own, Vector(1.0, 2.0, 3.0))),
    "other.obstacle": (Sensor.OBSTACLE, lambda own: sensed.obstacle(own, own, 4.5)),
}
