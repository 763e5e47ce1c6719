"""What a sensor's message has behind its header, as CARLA 0.9.16's client reads it.

Pictures and points are plain little-endian arrays; the rest is packed like the arguments of a call.
"""

import struct

import msgpack
import numpy as np
from numpy.typing import NDArray

from haltere.sims.carla.geometry import Vector
from haltere.sims.carla.server.wire.codec import pack
from haltere.sims.carla.server.wire.structs import Actor

_PICTURE = struct.Struct("<IIf")
_SCAN = struct.Struct("<fI")
POINT = np.dtype([("place", "<f4", (3,)), ("intensity", "<f4")])
"""Of a LiDAR: in the sensor's frame [m]."""
LABELLED_POINT = np.dtype([("place", "<f4", (3,)), ("cosine", "<f4"), ("number", "<u4"), ("label", "<u4")])
"""Of a semantic LiDAR: with the cosine of the angle at which the surface was met, and whose it is."""
ECHO = np.dtype([(name, "<f4") for name in ("velocity", "azimuth", "altitude", "depth")])
"""Of a radar: away from the sensor [m/s], angles [rad], distance [m]."""


def picture(pixels: NDArray[np.uint8], fov_deg: float) -> bytes:
    """Of any camera.

    Args:
        pixels: (height, width, 4): blue, green, red and opaque, rows from the top.
        fov_deg: from left to right.
    """
    height, width, _ = pixels.shape
    return _PICTURE.pack(width, height, fov_deg) + pixels.tobytes()


def flow(pixels: NDArray[np.float32], fov_deg: float) -> bytes:
    """Of a camera of optical flow: (height, width, 2), of the picture's size a frame to the right and down."""
    height, width, _ = pixels.shape
    return _PICTURE.pack(width, height, fov_deg) + pixels.astype("<f4").tobytes()


def scan(angle_rad: float, counts: NDArray[np.integer], points: NDArray[np.void]) -> bytes:
    """Of a LiDAR.

    Args:
        angle_rad: where it looks at the end.
        counts: (channels,) how many points each has.
        points: ``POINT`` or ``LABELLED_POINT``, channel after channel.
    """
    return _SCAN.pack(angle_rad, len(counts)) + counts.astype("<u4").tobytes() + points.tobytes()


def echoes(found: NDArray[np.void]) -> bytes:
    """Of a radar: ``ECHO``."""
    return found.tobytes()


def position(latitude_deg: float, longitude_deg: float, altitude_m: float) -> bytes:
    """Of a GNSS receiver."""
    return _packed([latitude_deg, longitude_deg, altitude_m])


def inertia(acceleration: Vector, turning: Vector, compass_rad: float) -> bytes:
    """Of an IMU: [m/s2] and [rad/s] in its own frame, and the angle from north."""
    return _packed([pack(acceleration), pack(turning), compass_rad])


def collision(own: Actor, other: Actor, impulse: Vector) -> bytes:
    """Of what a sensor's parent has met [N s]."""
    return _packed([pack(own), pack(other), pack(impulse)])


def obstacle(own: Actor, other: Actor, distance_m: float) -> bytes:
    """Of what is ahead of a sensor's parent."""
    return _packed([pack(own), pack(other), distance_m])


def _packed(values: list[object]) -> bytes:
    packed: bytes = msgpack.packb(values, use_bin_type=True)
    return packed
