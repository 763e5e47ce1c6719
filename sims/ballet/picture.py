"""What the agents see: the room from above, always with the agent in the middle. Painted by ``libhaltere_ballet``."""

import ctypes
from functools import cache

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError
from haltere.sims.ballet import __path__ as package_folders
from haltere.sims.ballet.constants import AGENT_LEVEL, ROOM, WALL_LEVEL
from haltere.sims.ballet.worlds import Worlds
from haltere.sims.chance import IntArray
from haltere.sims.libraries import opened
from haltere.sims.things import palette, shape_tiles

FloatArray = NDArray[np.float32]
LIBRARY_NAME = "libhaltere_ballet.so"
_ABI = 1


@cache
def library() -> ctypes.CDLL:
    """Load the native library beside this module.

    Raises:
        HaltereError: it is missing, can't be loaded here, or is of another version of haltere.
    """
    native = opened(package_folders, LIBRARY_NAME, "Ballet has no pictures")
    if native.haltere_ballet_abi() != _ABI:
        raise HaltereError(f"{LIBRARY_NAME} is of another version of haltere; reinstall haltere")
    pointer, level = ctypes.c_void_p, ctypes.c_float
    arrays = [pointer] * 4
    native.haltere_ballet_paint.argtypes = [pointer, ctypes.c_int64, *arrays, ctypes.c_int]
    native.haltere_ballet_paint.argtypes += [pointer, pointer, level, level, pointer]
    return native


class Painter:
    """Paints what the agents of a ``Worlds`` see. It keeps nothing from one picture to the next."""

    def __init__(self, pixels: int) -> None:
        """Paint images of ``pixels`` x ``pixels``, which is 99 or 33.

        Raises:
            HaltereError: the native library is missing or doesn't fit.
        """
        self._library = library()
        self._pixels = pixels
        self._tiles, self._palette = shape_tiles(pixels // ROOM), palette()

    def paint(self, worlds: Worlds, some: IntArray | None = None) -> FloatArray:
        """What is seen now in every world, or in (k,) of them.

        Returns:
            (W or k, 3, pixels, pixels), RGB in [0, 1]; a new array.
        """
        count = len(worlds.agent) if some is None else len(some)
        image = np.empty((count, 3, self._pixels, self._pixels), np.float32)
        scene = worlds.agent, worlds.places(), worlds.layout.shape, worlds.layout.colour
        self._library.haltere_ballet_paint(
            None if some is None else some.ctypes.data,
            count,
            *(array.ctypes.data for array in scene),
            self._pixels // ROOM,
            self._tiles.ctypes.data,
            self._palette.ctypes.data,
            WALL_LEVEL,
            AGENT_LEVEL,
            image.ctypes.data,
        )
        return image
