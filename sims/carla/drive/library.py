"""Loads ``libhaltere_drive``."""

import ctypes
from functools import cache
from pathlib import Path

from haltere.configs.errors import HaltereError
from haltere.sims.carla.drive import __path__ as package_folders
from haltere.sims.carla.drive.bodies import BODY, PARAMS

LIBRARY_NAME = "libhaltere_drive.so"
_ABI = 1


@cache
def library() -> ctypes.CDLL:
    """The native library beside this module.

    Raises:
        HaltereError: it is missing, can't be loaded here, or is of another version of haltere.
    """
    # An editable install has two folders for one package: the sources, and what was built.
    found = [path for folder in package_folders for path in Path(folder).glob(LIBRARY_NAME)]
    if not found:
        raise HaltereError(f"{LIBRARY_NAME} is missing, so nothing drives; reinstall haltere")
    try:
        native = ctypes.CDLL(str(found[0]))
    except OSError as error:
        raise HaltereError(f"{LIBRARY_NAME} can't be loaded ({error}); reinstall haltere") from error
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
