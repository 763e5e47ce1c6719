"""Places and turns as CARLA has them: x ahead, y to the right, z up, degrees; yaw turns from x to y.

That is a left-handed frame, so the y of an OpenDRIVE map is the negative of y here.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Vector:
    """A place [m], a velocity [m/s], a force [N] and the like."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0


@dataclass(frozen=True, slots=True)
class Rotation:
    """Degrees: pitch lifts the nose, yaw turns from x to y, roll lowers the right side."""

    pitch: float = 0.0
    yaw: float = 0.0
    roll: float = 0.0


@dataclass(frozen=True, slots=True)
class Transform:
    """Where something is and how it is turned."""

    location: Vector = field(default_factory=Vector)
    rotation: Rotation = field(default_factory=Rotation)


@dataclass(frozen=True, slots=True)
class BoundingBox:
    """A box with half sizes ``extent`` about ``location``; ``actor`` is whose it is."""

    location: Vector = field(default_factory=Vector)
    extent: Vector = field(default_factory=Vector)
    rotation: Rotation = field(default_factory=Rotation)
    actor: int = 0


def rotation_matrix(turned: Rotation) -> NDArray[np.float64]:
    """From the turned frame into the one that it is turned in, (3, 3): its columns are ahead, right and up.

    Source: ``Transform.get_matrix`` of CARLA 0.9.16, which the tests compare with.
    """
    pitch, yaw, roll = (math.radians(angle) for angle in (turned.pitch, turned.yaw, turned.roll))
    (cp, sp), (cy, sy), (cr, sr) = ((math.cos(angle), math.sin(angle)) for angle in (pitch, yaw, roll))
    return np.array(
        [
            [cp * cy, cy * sp * sr - sy * cr, -cy * sp * cr - sy * sr],
            [cp * sy, sy * sp * sr + cy * cr, -sy * sp * cr + cy * sr],
            [sp, -cp * sr, cp * cr],
        ]
    )


def rotation_of(matrix: NDArray[np.float64]) -> Rotation:
    """The inverse of ``rotation_matrix``: pitch within 90 degrees."""
    pitch = math.asin(max(-1.0, min(1.0, float(matrix[2, 0]))))
    yaw = math.atan2(float(matrix[1, 0]), float(matrix[0, 0]))
    roll = math.atan2(-float(matrix[2, 1]), float(matrix[2, 2]))
    return Rotation(math.degrees(pitch), math.degrees(yaw), math.degrees(roll))


def array(vector: Vector) -> NDArray[np.float64]:
    """(3,)."""
    return np.array([vector.x, vector.y, vector.z])


def vector(values: NDArray[np.floating]) -> Vector:
    """Of (3,)."""
    x, y, z = (float(value) for value in values)
    return Vector(x, y, z)


def placed(parent: Transform, child: Transform) -> Transform:
    """Where something is in the world whose place is known in a parent's frame."""
    turned = rotation_matrix(parent.rotation)
    where = array(parent.location) + turned @ array(child.location)
    return Transform(vector(where), rotation_of(turned @ rotation_matrix(child.rotation)))
