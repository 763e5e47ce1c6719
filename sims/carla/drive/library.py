"""Loads ``libhaltere_drive``."""

import ctypes
from functools import cache

from haltere.configs.errors import HaltereError
from haltere.sims.carla.drive import __path__ as package_folders
from haltere.sims.carla.drive.bodies import BODY, PARAMS
from haltere.sims.libraries import opened

LIBRARY_NAME = "libhaltere_drive.so"
_ABI = 1


@cache
def library() -> ctypes.CDLL:
    """The native library beside this module.

    Raises:
        HaltereError: it is missing, can't be loaded here, or is of another version of haltere.
    """
    native = opened(package_folders, LIBRARY_NAME, "nothing drives")
    pointer, number, real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
    native.haltere_drive_body_bytes.restype = native.haltere_drive_params_bytes.restype = number
    sizes = native.haltere_drive_body_bytes(), native.haltere_drive_params_bytes()
    if native.haltere_drive_abi() != _ABI or sizes != (BODY.itemsize, PARAMS.itemsize):
        raise HaltereError(f"{LIBRARY_NAME} is of another version of haltere; reinstall haltere")
    native.haltere_drive_place.argtypes = [pointer, number, number, real, real, real, pointer, number]
    native.haltere_drive_place.restype = pointer
    native.haltere_drive_free.argtypes = [pointer]
    native.haltere_drive_height.argtypes = [pointer, real, real]
    native.haltere_drive_height.restype = real
    native.haltere_drive_step.argtypes = [pointer, pointer, pointer, number, real, number, pointer, number]
    native.haltere_drive_step.restype = number
    native.haltere_drive_taken.argtypes = [pointer, pointer, number, pointer]
    return native
