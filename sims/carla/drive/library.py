"""Loads ``libhaltere_drive``."""

import ctypes
from functools import cache

from haltere.configs.errors import HaltereError
from haltere.sims.carla.drive import __path__ as package_folders
from haltere.sims.carla.drive.bodies import BODY, PARAMS
from haltere.sims.libraries import opened

LIBRARY_NAME = "libhaltere_drive.so"
_ABI = 3
ROW_BYTES = 119
"""Of an actor in a world's state."""


@cache
def library() -> ctypes.CDLL:
    """The native library beside this module.

    Raises:
        HaltereError: it is missing, can't be loaded here, or is of another version of haltere.
    """
    native = opened(package_folders, LIBRARY_NAME, "nothing drives")
    pointer, number, real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
    if native.haltere_drive_abi() != _ABI or _sizes(native) != (BODY.itemsize, PARAMS.itemsize, ROW_BYTES):
        raise HaltereError(f"{LIBRARY_NAME} is of another version of haltere; reinstall haltere")
    native.haltere_drive_place.argtypes = [pointer, number, number, real, real, real, pointer, number]
    native.haltere_drive_place.restype = pointer
    native.haltere_drive_free.argtypes = [pointer]
    native.haltere_drive_hide.argtypes = [pointer, pointer, number]
    native.haltere_drive_hide.restype = None
    native.haltere_drive_height.argtypes = [pointer, real, real]
    native.haltere_drive_height.restype = real
    native.haltere_drive_step.argtypes = [pointer, pointer, pointer, number, real, number, pointer, number]
    native.haltere_drive_step.restype = number
    native.haltere_drive_taken.argtypes = [pointer, pointer, number, pointer]
    native.haltere_drive_fill.argtypes = [pointer, pointer, number, pointer, pointer]
    native.haltere_drive_fill.restype = None
    return native


def _sizes(native: ctypes.CDLL) -> tuple[int, ...]:
    found = [getattr(native, f"haltere_drive_{name}_bytes") for name in ("body", "params", "row")]
    for each in found:
        each.restype = ctypes.c_int64
    return tuple(int(each()) for each in found)
