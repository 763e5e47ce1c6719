"""How far everything has moved in the picture of a camera since its last one: optical flow, from depths and poses."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from haltere.sims.carla.geometry import Transform, array, rotation_matrix
from haltere.sims.carla.server.senses.cameras import camera_of
from haltere.sims.carla.server.senses.sense import Sense
from haltere.sims.carla.server.wire import sensed
from haltere.sims.carla.server.world.actors import Actor
from haltere.sims.carla.server.world.looks import Looks
from haltere.sims.carla.server.world.world import World
from haltere.sims.carla.sight.frames import Camera, CameraKind

FloatArray = NDArray[np.float64]
_SKY_M = 1000.0
"""Depths that pictures hold; what is so far is as far as it gets."""
_LEVELS = 2**24 - 1
_MOST = 2.0
"""Of the picture's size, as CARLA documents it."""
_BEFORE_M = 0.01
"""What was nearer to the camera, or behind it, wasn't in its picture."""


class Flow(Sense):
    """Of the picture's width to the right and of its height down, a pixel; none in the first picture."""

    def __init__(self, world: World, looks: Looks, sensor: Actor) -> None:
        """See ``Sense``."""
        super().__init__(world, looks, sensor)
        self._camera: Camera | None = None
        self._places: Mapping[int, Transform] = {}

    def sense(self, elapsed_s: float) -> list[bytes]:
        """One message."""
        camera = camera_of(self.world, self.sensor, CameraKind.DEPTH)
        places = {
            actor.number: self.world.place_of(actor) for actor in self.world.actors.values() if actor.body is not None
        }
        before, camera_before = self._places, self._camera or camera
        self._places, self._camera = places, camera
        moved = {number: (before.get(number, now), now) for number, now in places.items()}
        depth, instance = self.looks.draw([camera, replace(camera, kind=CameraKind.INSTANCE)])
        shift = _shift(camera, camera_before, _depths_m(depth), _numbers(instance), moved)
        return [sensed.flow(shift.astype(np.float32), camera.fov_deg)]


def _depths_m(picture: NDArray[np.uint8]) -> FloatArray:
    blue, green, red = (picture[..., channel].astype(np.float64) for channel in range(3))
    return (red + 256.0 * green + 65536.0 * blue) * (_SKY_M / _LEVELS)


def _numbers(picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    return picture[..., 1].astype(np.int64) + 256 * picture[..., 0].astype(np.int64)


def _shift(
    camera: Camera,
    before: Camera,
    depths_m: FloatArray,
    numbers: NDArray[np.int64],
    moved: Mapping[int, tuple[Transform, Transform]],
) -> FloatArray:
    """(height, width, 2).

    Args:
        camera: as it looks now.
        before: and as it did.
        depths_m: (height, width) along its axis.
        numbers: (height, width) of actors, or of what stands.
        moved: where each actor was, and is.
    """
    size = np.array([camera.width, camera.height])
    columns, rows = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    now_px = np.stack([columns, rows], axis=-1)
    right_down = (now_px - 0.5 * size) / camera.focal
    points = depths_m[..., None] * np.stack([np.ones_like(columns), right_down[..., 0], -right_down[..., 1]], axis=-1)
    points = points @ rotation_matrix(camera.place.rotation).T + array(camera.place.location)
    for number, (was, now) in moved.items():
        of = numbers == number
        if was != now and of.any():
            own = (points[of] - array(now.location)) @ rotation_matrix(now.rotation)
            points[of] = own @ rotation_matrix(was.rotation).T + array(was.location)
    # The sky goes along with the camera: only its turning shows.
    points[depths_m >= _SKY_M * (1.0 - 1e-6)] += array(before.place.location) - array(camera.place.location)
    ahead, right, up = np.moveaxis(
        (points - array(before.place.location)) @ rotation_matrix(before.place.rotation), -1, 0
    )
    seen = ahead > _BEFORE_M
    far = np.where(seen, ahead, 1.0)
    before_px = 0.5 * size + camera.focal * np.stack([right / far, -up / far], axis=-1)
    return np.where(seen[..., None], np.clip((now_px - before_px) / size, -_MOST, _MOST), 0.0)
