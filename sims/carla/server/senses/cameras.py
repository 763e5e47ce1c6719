"""Pictures of all cameras that are due, taken together: those at one place cost little more than one."""

from collections.abc import Mapping, Sequence

import numpy as np

from haltere.sims.carla.geometry import Transform, array, rotation_matrix
from haltere.sims.carla.server.wire import sensed
from haltere.sims.carla.server.wire.payloads import Sensor
from haltere.sims.carla.server.world.actors import Actor
from haltere.sims.carla.server.world.looks import Looks
from haltere.sims.carla.server.world.sensors import sensor_type
from haltere.sims.carla.server.world.world import World
from haltere.sims.carla.sight.frames import Camera, CameraKind

KINDS: Mapping[Sensor, CameraKind] = {
    Sensor.RGB_CAMERA: CameraKind.RGB,
    Sensor.SEMANTIC_CAMERA: CameraKind.SEMANTIC,
    Sensor.INSTANCE_CAMERA: CameraKind.INSTANCE,
    Sensor.DEPTH_CAMERA: CameraKind.DEPTH,
    Sensor.NORMALS_CAMERA: CameraKind.NORMALS,
}


def pictures(world: World, looks: Looks, sensors: Sequence[Actor]) -> list[bytes]:
    """A message of each, without its header."""
    kinds = [KINDS[sensor_type(sensor.description.name)] for sensor in sensors]
    cameras = [camera_of(world, sensor, kind) for sensor, kind in zip(sensors, kinds, strict=True)]
    drawn = looks.draw(cameras)
    return [sensed.picture(pixels, camera.fov_deg) for pixels, camera in zip(drawn, cameras, strict=True)]


def camera_of(world: World, sensor: Actor, kind: CameraKind) -> Camera:
    """As a camera sensor looks now, and what it sees of it."""
    place, read = world.place_of(sensor), sensor.attributes
    return Camera(
        kind,
        place,
        int(read["image_size_x"]),
        int(read["image_size_y"]),
        float(read["fov"]),
        _surrounding(world, sensor, place),
    )


def _surrounding(world: World, sensor: Actor, place: Transform) -> tuple[int, ...]:
    """A camera within its own vehicle's box looks through it: CARLA doesn't draw surfaces from behind."""
    parent = world.actors.get(sensor.parent)
    if parent is None:
        return ()
    at = world.place_of(parent)
    local = rotation_matrix(at.rotation).T @ (array(place.location) - array(at.location)) - array(parent.box.location)
    inside = bool((np.abs(local) <= array(parent.box.extent)).all())
    return (parent.number,) if inside else ()
