"""What the road says at every place, and bodies as a world's state has them: with what it says where they are."""

import ctypes

import numpy as np
from numpy.typing import NDArray

from haltere.sims.carla.drive.library import library

FloatArray = NDArray[np.float64]


class _Road(ctypes.Structure):
    """As ``rows.hpp`` has it."""

    _fields_ = [
        ("limits", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("columns", "rows")),
        *((name, ctypes.c_double) for name in ("x", "y", "cell")),
        *((name, ctypes.c_void_p) for name in ("lines", "shows")),
        *((name, ctypes.c_int64) for name in ("lights", "first_light")),
    ]


class Road:
    """Speed limits on a grid, and boxes before lights in which vehicles wait."""

    def __init__(
        self, limits: NDArray[np.float32], corner_m: tuple[float, float], cell_m: float, lines: FloatArray, first: int
    ) -> None:
        """Of one town.

        Args:
            limits: (rows along y, columns along x) [km/h].
            corner_m: x and y of the middle of the first cell.
            cell_m: from one to the next.
            lines: (n, 6) of each light's box: x, y, cosine and sine of its yaw, half its length and width [m].
            first: number of the first light's actor; the others follow.
        """
        self._limits, self._lines = np.ascontiguousarray(limits, np.float32), np.ascontiguousarray(lines, np.float64)
        self._shows = np.zeros(len(lines), np.uint8)
        limits_at, lines_at, shows_at = (each.ctypes.data for each in (self._limits, self._lines, self._shows))
        rows, columns = limits.shape
        self._road = _Road(limits_at, columns, rows, *corner_m, cell_m, lines_at, shows_at, len(lines), first)
        self._at = ctypes.addressof(self._road)
        self._fill = library().haltere_drive_fill

    def show(self, shown: list[int]) -> None:
        """What each light shows from now on."""
        self._shows[:] = shown

    def fill(self, bodies: NDArray[np.void], pairs: NDArray[np.int64], rows: NDArray[np.void]) -> None:
        """Write place, motion and, of vehicles, controls, speed limit and light.

        Args:
            bodies: (slots,) ``BODY``.
            pairs: (n, 2) number of a row, and of the body that is written there.
            rows: (actors,) of ``ROW_BYTES`` each.
        """
        self._fill(bodies.ctypes.data, pairs.ctypes.data, len(pairs), self._at, rows.ctypes.data)
