"""Loads ``libhaltere_sight``, and the layouts that it shares with Python."""

import ctypes
from functools import cache
from typing import Any

import numpy as np

from haltere.configs.errors import HaltereError
from haltere.sims.carla.sight import __path__ as package_folders
from haltere.sims.libraries import opened

LIBRARY_NAME = "libhaltere_sight.so"
_ABI = 1
_WORDS = ("kind", "width", "height", "hidden_count")
CAMERA = np.dtype(
    [
        *((name, np.int32) for name in _WORDS),
        ("focal", np.float64),
        ("location", np.float64, (3,)),
        ("rotation", np.float64, (9,)),
        ("hidden", np.uint64),
        ("pixels", np.uint64),
    ]
)
"""A camera, with addresses of its hidden numbers and of its picture."""

_COLUMNS = ("shape", "rotation", "location", "color", "number", "label")
_FOUND = ("hidden", "distances", "normals", "labels", "numbers", "things")


class MoverRows(ctypes.Structure):
    """Addresses of a frame's arrays."""

    _fields_ = (("count", ctypes.c_int64), *((name, ctypes.c_void_p) for name in _COLUMNS))


class RayRows(ctypes.Structure):
    """Addresses of rays, and of what they meet."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("count", "hidden_count")),
        *((name, ctypes.c_void_p) for name in ("origins", "directions")),
        ("reach", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in _FOUND),
    )


@cache
def library() -> ctypes.CDLL:
    """The native library beside this module.

    Raises:
        HaltereError: it is missing, can't be loaded here, or is of another version of haltere.
    """
    native = opened(package_folders, LIBRARY_NAME, "nothing is seen")
    native.haltere_sight_camera_bytes.restype = ctypes.c_int64
    if native.haltere_sight_abi() != _ABI or native.haltere_sight_camera_bytes() != CAMERA.itemsize:
        raise HaltereError(f"{LIBRARY_NAME} is of another version of haltere; reinstall haltere")
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    mesh: list[type[ctypes._SimpleCData[Any]]] = [pointer, pointer, number, pointer, pointer, pointer]
    native.haltere_sight_new.argtypes = [*mesh, ctypes.c_int]
    native.haltere_sight_new.restype = pointer
    native.haltere_sight_free.argtypes = [pointer]
    native.haltere_sight_shape.argtypes = [pointer, *mesh, pointer]
    native.haltere_sight_hide.argtypes = [pointer, pointer, number]
    native.haltere_sight_draw.argtypes = [pointer, pointer, pointer, number, pointer]
    native.haltere_sight_cast.argtypes = [pointer, pointer, pointer]
    return native
