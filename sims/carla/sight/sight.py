"""Cameras and rays of one scene."""

import ctypes
import os
import weakref
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError, RequestError
from haltere.sims.carla.scene import Scene, Shape
from haltere.sims.carla.sight.frames import Camera, Hits, Movers, camera_row, mesh_rows, mover_rows, sound
from haltere.sims.carla.sight.library import CAMERA, RayRows, library
from haltere.sims.carla.sight.light import Clear, Weather, light_of

_NO_SHAPE = -2


class Sight:
    """Draws and casts in one scene. The same calls give the same bytes, whatever ``threads`` is."""

    def __init__(self, scene: Scene, threads: int = 2) -> None:
        """Takes the scene's triangles over.

        Args:
            scene: what stands there.
            threads: that share pictures and rays.

        Raises:
            RequestError: the mesh doesn't fit together, or ``threads`` isn't positive.
            HaltereError: the native library is missing, or memory is short.
        """
        if threads < 1:
            raise RequestError(f"pictures need at least 1 thread, got {threads}")
        held, given = mesh_rows(scene.mesh)
        native = library()
        self._handle = native.haltere_sight_new(*given, min(threads, 4 * (os.cpu_count() or 1)))
        del held
        if not self._handle:
            raise HaltereError("no memory for a scene")
        self._end = weakref.finalize(self, native.haltere_sight_free, self._handle)
        self._things = len(scene.things)

    def close(self) -> None:
        """Give the memory back; nothing else may be called then."""
        self._end()

    def add_shape(self, shape: Shape) -> int:
        """Make a shape known.

        Returns:
            Its number, for ``Movers.shapes``.

        Raises:
            RequestError: the mesh doesn't fit together.
        """
        painted = np.ascontiguousarray(shape.painted, np.uint8)
        count = len(shape.mesh.triangles)
        if len(painted) not in (0, count):
            raise RequestError(f"painted must have a row for each of {count} triangles, got {len(painted)}")
        held, given = mesh_rows(shape.mesh)
        address = painted.ctypes.data if len(painted) else None
        number = int(library().haltere_sight_shape(self._open(), *given, address))
        del held
        if number < 0:
            raise HaltereError("no memory for a shape")
        return number

    def set_hidden(self, things: Iterable[int]) -> None:
        """From now on no picture shows these things of the scene and no ray meets them; all others come back.

        Raises:
            RequestError: there is no such thing.
        """
        hidden = np.array(sorted(set(things)), np.int32)
        if len(hidden) and not (hidden[0] >= 0 and hidden[-1] < self._things):
            raise RequestError(f"things are numbered from 0 to {self._things - 1}, got {hidden[0]} to {hidden[-1]}")
        _checked(library().haltere_sight_hide(self._open(), hidden.ctypes.data, len(hidden)))

    def draw(
        self, cameras: Sequence[Camera], movers: Movers | None = None, weather: Weather | None = None
    ) -> list[NDArray[np.uint8]]:
        """Take pictures of one frame. Cameras that share all but the kind cost little more than one of them.

        Args:
            cameras: any number.
            movers: what moves; nothing if left out.
            weather: a clear afternoon if left out.

        Returns:
            One for each camera, (height, width, 4) as CARLA's client has them: blue, green, red and 255, rows from the
            top. Semantic: the label is red. Instance: the label is red, green and blue are the lower and the upper byte
            of the actor's number, or of 32768 plus the thing's. Depth: (red + 256 green + 65536 blue) / (2^24 - 1) of
            1000 m along the camera's axis, as far as the sky. Normals: of length 1 in the world, from -1 to 1 in x
            (red), y (green) and z (blue).

        Raises:
            RequestError: a camera's size or angle is out of bounds, or ``movers`` don't fit together.
        """
        movers = movers or Movers()
        pictures = [np.empty((camera.height, camera.width, 4), np.uint8) for camera in map(sound, cameras)]
        hidden = [np.array(camera.hidden, np.uint32) for camera in cameras]
        rows = np.zeros(len(cameras), CAMERA)
        for number, camera in enumerate(cameras):
            rows[number] = camera_row(camera, hidden[number], pictures[number])
        held, moved = mover_rows(movers)
        light = light_of(weather or Clear())
        given = (rows.ctypes.data, len(rows), light.ctypes.data)
        _checked(library().haltere_sight_draw(self._open(), ctypes.byref(moved), *given))
        del held
        return pictures

    def cast(
        self,
        origins: NDArray[np.float64],
        directions: NDArray[np.float64],
        reach_m: float,
        movers: Movers | None = None,
        hidden: Sequence[int] = (),
    ) -> Hits:
        """What each ray meets first.

        Args:
            origins: (n, 3) [m].
            directions: (n, 3), of any length; nothing is met along one of length 0.
            reach_m: nothing is met behind it.
            movers: what moves; nothing if left out.
            hidden: numbers of actors that are passed through.

        Raises:
            RequestError: the arrays don't fit together or hold something that isn't finite.
        """
        starts, ways = (np.ascontiguousarray(given, np.float64) for given in (origins, directions))
        if starts.ndim != 2 or starts.shape[1] != 3 or starts.shape != ways.shape:
            raise RequestError(f"rays need origins and directions of shape (n, 3), got {starts.shape} and {ways.shape}")
        if not (np.isfinite(starts).all() and np.isfinite(ways).all() and reach_m >= 0):
            raise RequestError("rays need finite origins and directions, and a reach of at least 0")
        count = len(starts)
        hits = Hits(
            np.empty(count),
            np.empty(count, np.uint8),
            np.empty(count, np.uint32),
            np.empty(count, np.int32),
            np.empty((count, 3), np.float32),
        )
        passed = np.array(hidden, np.uint32)
        out = (passed, hits.distances, hits.normals, hits.labels, hits.numbers, hits.things)
        addresses = [part.ctypes.data for part in (starts, ways)]
        rays = RayRows(count, len(passed), *addresses, reach_m, *(part.ctypes.data for part in out))
        held, moved = mover_rows(movers or Movers())
        _checked(library().haltere_sight_cast(self._open(), ctypes.byref(moved), ctypes.byref(rays)))
        del held
        return hits

    def _open(self) -> int:
        if not self._end.alive:
            raise HaltereError("this sight is closed")
        return int(self._handle)


def _checked(code: int) -> None:
    if code == _NO_SHAPE:
        raise RequestError("a mover's shape has never been added")
    if code < 0:
        raise HaltereError("no memory for pictures or rays")
