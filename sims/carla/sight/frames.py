"""What is seen of one frame, by whom, and how the library is given it."""

import math
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.sims.carla.geometry import Transform, array, rotation_matrix
from haltere.sims.carla.scene import Mesh
from haltere.sims.carla.sight.library import CAMERA, MoverRows

LARGEST_PIXELS = 4096
"""A picture's width and height."""


class CameraKind(IntEnum):
    """What a pixel tells; see ``Sight.draw``."""

    RGB = 0
    SEMANTIC = 1
    INSTANCE = 2
    DEPTH = 3
    NORMALS = 4


@dataclass(frozen=True)
class Camera:
    """A picture to be taken.

    Attributes:
        kind: of what.
        place: it looks along x; y is right in the picture and z is up.
        width: in pixels.
        height: likewise.
        fov_deg: from left to right, between 0 and 180.
        hidden: numbers of actors that it doesn't see.
    """

    kind: CameraKind
    place: Transform
    width: int
    height: int
    fov_deg: float = 90.0
    hidden: tuple[int, ...] = ()

    @property
    def focal(self) -> float:
        """In pixels: a point (x, y, z) ahead is at (width / 2 + focal y / x, height / 2 - focal z / x)."""
        return self.width / (2 * math.tan(math.radians(self.fov_deg) / 2))


@dataclass(frozen=True)
class Movers:
    """What moves, in one frame; n rows each.

    Attributes:
        shapes: (n,) int32, as ``Sight.add_shape`` has numbered them.
        rotations: (n, 3, 3), as of ``rotation_matrix``.
        locations: (n, 3) [m].
        colors: (n, 3) uint8, of what is painted.
        numbers: (n,) uint32, the actors'.
        labels: (n,) uint8 instead of the shape's own ones; where 0, those stay.
    """

    shapes: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    rotations: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3, 3)))
    locations: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))
    colors: NDArray[np.uint8] | None = None
    numbers: NDArray[np.uint32] | None = None
    labels: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Hits:
    """What rays meet first; n rows each.

    Attributes:
        distances: (n,) [m], infinite where nothing is met.
        labels: (n,) uint8; 0 where nothing is met.
        numbers: (n,) uint32, of the actor; 0 where it is the scene.
        things: (n,) int32, which of the scene's; ``NOTHING`` where it is a mover or no thing.
        normals: (n, 3) float32, across the surface and towards the ray's origin.
    """

    distances: NDArray[np.float64]
    labels: NDArray[np.uint8]
    numbers: NDArray[np.uint32]
    things: NDArray[np.int32]
    normals: NDArray[np.float32]


def camera_row(camera: Camera, hidden: NDArray[np.uint32], picture: NDArray[Any]) -> NDArray[np.void]:
    """() ``CAMERA``, with addresses of two arrays that must be kept."""
    row = np.zeros((), CAMERA)
    row["kind"], row["width"], row["height"] = camera.kind, camera.width, camera.height
    row["focal"], row["location"] = camera.focal, array(camera.place.location)
    row["rotation"] = rotation_matrix(camera.place.rotation).ravel()
    row["hidden_count"], row["hidden"], row["pixels"] = len(hidden), hidden.ctypes.data, picture.ctypes.data
    return row


def sound(camera: Camera) -> Camera:
    """The same camera.

    Raises:
        RequestError: its size, angle or place is out of bounds.
    """
    if not (1 <= camera.width <= LARGEST_PIXELS and 1 <= camera.height <= LARGEST_PIXELS):
        got = f"{camera.width} x {camera.height}"
        raise RequestError(f"a picture has from 1 to {LARGEST_PIXELS} pixels a side, got {got}")
    if not 0 < camera.fov_deg < 180:
        raise RequestError(f"a camera's field of view lies between 0 and 180 degrees, got {camera.fov_deg:g}")
    turned = camera.place.rotation
    if not np.isfinite([*array(camera.place.location), turned.pitch, turned.yaw, turned.roll]).all():
        raise RequestError("a camera's place must be finite")
    return camera


def mesh_rows(mesh: Mesh) -> tuple[list[NDArray[Any]], tuple[Any, ...]]:
    """Arrays that must be kept, and what of them the library is given."""
    points, corners = np.ascontiguousarray(mesh.vertices, np.float32), np.ascontiguousarray(mesh.triangles, np.int32)
    count = len(corners)
    colors, labels = np.ascontiguousarray(mesh.colors, np.uint8), np.ascontiguousarray(mesh.labels, np.uint8)
    things = np.ascontiguousarray(mesh.things, np.int32)
    shapes = (points.shape[1:], corners.shape[1:], colors.shape, labels.shape, things.shape)
    if shapes != ((3,), (3,), (count, 3), (count,), (count,)):
        raise RequestError(f"a mesh of {count} triangles needs as many colours, labels and things, got {shapes}")
    if count and not (corners.min() >= 0 and corners.max() < len(points) and np.isfinite(points).all()):
        raise RequestError("a mesh needs finite vertices, and triangles of no others")
    held: list[NDArray[Any]] = [points, corners, colors, labels, things]
    return held, (points.ctypes.data, corners.ctypes.data, count, *(part.ctypes.data for part in held[2:]))


def mover_rows(movers: Movers) -> tuple[list[NDArray[Any]], MoverRows]:
    """Arrays that must be kept, and their addresses."""
    count = len(movers.shapes)
    colors = np.full((count, 3), 128, np.uint8) if movers.colors is None else movers.colors
    numbers = np.zeros(count, np.uint32) if movers.numbers is None else movers.numbers
    labels = np.zeros(count, np.uint8) if movers.labels is None else movers.labels
    held: list[NDArray[Any]] = [
        np.ascontiguousarray(movers.shapes, np.int32),
        np.ascontiguousarray(movers.rotations, np.float64),
        np.ascontiguousarray(movers.locations, np.float64),
        np.ascontiguousarray(colors, np.uint8),
        np.ascontiguousarray(numbers, np.uint32),
        np.ascontiguousarray(labels, np.uint8),
    ]
    shapes = tuple(part.shape for part in held)
    if shapes != ((count,), (count, 3, 3), (count, 3), (count, 3), (count,), (count,)):
        raise RequestError(f"{count} movers need as many rows in all arrays, got {shapes}")
    if not (np.isfinite(held[1]).all() and np.isfinite(held[2]).all()):
        raise RequestError("movers' places must be finite")
    return held, MoverRows(count, *(part.ctypes.data for part in held))
