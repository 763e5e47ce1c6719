"""Vehicles, walkers and props of one place, stepped together."""

import hashlib
import math
import weakref
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError, RequestError
from haltere.sims.carla.drive.bodies import BODY, CONTACT, PARAMS, Kind
from haltere.sims.carla.drive.library import library
from haltere.sims.carla.geometry import Transform, Vector
from haltere.sims.carla.scene import Ground, Thing

LONGEST_SUBSTEP_S = 0.01
"""Tyres need it so short, whatever a client asks for."""
FARTHEST_M, FASTEST = 1e5, 1e3
"""From the origin along an axis, and in m/s or rad/s: nothing gets further or faster, nor is made to."""
_ROOM = 1024
_FIRST_SLOTS = 64


class Drive:
    """Bodies in rows that stay theirs until they are removed.

    The same calls give the same bits. ``bodies`` and ``params`` are made anew when they grow, so that nobody may keep
    them from one ``add`` to the next.

    Attributes:
        bodies: (slots,) ``BODY``; rows of kind ``FREE`` hold nothing.
        params: (slots,) ``PARAMS``, of vehicles.
    """

    def __init__(self, ground: Ground, things: Sequence[Thing]) -> None:
        """Nobody yet.

        Args:
            ground: what is stood on.
            things: what stands there; the solid ones are met.
        """
        self.bodies: NDArray[np.void] = np.zeros(_FIRST_SLOTS, BODY)
        self.params: NDArray[np.void] = np.zeros(_FIRST_SLOTS, PARAMS)
        self._used = 0
        self._solid = np.array([number for number, thing in enumerate(things) if thing.solid], np.int64)
        boxes = np.array([_box_of_thing(things[number]) for number in self._solid], np.float64).reshape(-1, 7)
        heights = np.ascontiguousarray(ground.heights, np.float32)
        rows, columns = heights.shape
        native = library()
        self._place = native.haltere_drive_place(
            heights.ctypes.data,
            rows,
            columns,
            *(ground.x_m, ground.y_m, ground.cell_m),
            boxes.ctypes.data,
            len(boxes),
        )
        if not self._place:
            raise HaltereError("no memory for the ground and what stands on it")
        self._end = weakref.finalize(self, native.haltere_drive_free, self._place)
        self._contacts = np.zeros(_ROOM, CONTACT)

    def add(self, kind: Kind, place: Transform, extent: Vector, mass_kg: float) -> int:
        """Put a body into the first free row; vehicles need ``params`` there as well.

        Returns:
            The row.
        """
        free = np.flatnonzero(self.bodies["kind"][: self._used] == Kind.FREE)
        row = int(free[0]) if len(free) else self._used
        if row == len(self.bodies):
            self.bodies = np.concatenate([self.bodies, np.zeros(row, BODY)])
            self.params = np.concatenate([self.params, np.zeros(row, PARAMS)])
        self._used = max(self._used, row + 1)
        self.bodies[row] = np.zeros((), BODY)
        body = self.bodies[row]
        body["kind"], body["extent"] = kind, (extent.x, extent.y, extent.z)
        body["mass"] = mass_kg
        body["inertia"] = mass_kg * ((2 * extent.x) ** 2 + (2 * extent.y) ** 2) / 12
        body["physics"] = body["gravity"] = body["solid"] = 1
        self.put(row, place)
        return row

    def remove(self, row: int) -> None:
        """Free a row."""
        self.bodies[row] = np.zeros((), BODY)

    def put(self, row: int, place: Transform) -> None:
        """Move a body at once; its velocity stays.

        Raises:
            RequestError: it is too far away.
        """
        where, turned = _within(place), place.rotation
        self.bodies["location"][row] = (where.x, where.y, where.z)
        # Within half a turn: a pitch of 360 degrees, as CARLA's map has it, must not be turned back to 0 the long way.
        angles = (turned.yaw, turned.pitch, turned.roll)
        self.bodies["turn"][row] = [math.radians(math.remainder(angle, 360.0)) for angle in angles]

    def hide(self, things: Iterable[int]) -> None:
        """Meet these of the scene's things no more, and all others again."""
        hidden = np.flatnonzero(np.isin(self._solid, list(things))).astype(np.int64)
        library().haltere_drive_hide(self._place, hidden.ctypes.data, len(hidden))

    def height(self, x_m: float, y_m: float) -> float:
        """Of the ground [m]."""
        return float(library().haltere_drive_height(self._place, x_m, y_m))

    def is_taken(self, place: Transform, extent: Vector) -> bool:
        """Whether a box on the ground at a place would overlap a body, or what stands there.

        Raises:
            RequestError: it is too far away.
        """
        where = _within(place)
        sides = (where.z, where.z + 2 * extent.z, math.radians(place.rotation.yaw), extent.x, extent.y)
        box = np.array([where.x, where.y, *sides])
        bodies = self.bodies
        return bool(library().haltere_drive_taken(self._place, bodies.ctypes.data, self._used, box.ctypes.data))

    def step(self, dt_s: float, substeps: int = 1) -> NDArray[np.void]:
        """Let time go by.

        Args:
            dt_s: how much.
            substeps: at least so many; more where they would be longer than tyres can be stepped.

        Returns:
            (n,) ``CONTACT``, one for each pair that met, in the order of rows; the first ``_ROOM`` of them.

        Raises:
            HaltereError: memory is short.
        """
        substeps = max(substeps, math.ceil(dt_s / LONGEST_SUBSTEP_S - 1e-9), 1)
        contacts = self._contacts
        where = (self.bodies.ctypes.data, self.params.ctypes.data, self._used)
        count = library().haltere_drive_step(self._place, *where, dt_s, substeps, contacts.ctypes.data, len(contacts))
        if count < 0:
            raise HaltereError("no memory for a step")
        if count == 0:
            return contacts[:0]
        met = contacts[: min(count, len(contacts))].copy()
        standing = met["thing"] >= 0
        met["thing"][standing] = self._solid[met["thing"][standing]]
        return met

    def digest(self) -> str:
        """SHA-256 of every row, for comparing two worlds."""
        return hashlib.sha256(self.bodies[: self._used].tobytes()).hexdigest()


def _within(place: Transform) -> Vector:
    """A place that can be counted with.

    Raises:
        RequestError: it is too far away.
    """
    where = place.location
    if max(abs(where.x), abs(where.y), abs(where.z)) > FARTHEST_M:
        got = f"{where.x:g}, {where.y:g}, {where.z:g}"
        raise RequestError(f"a place must lie within {FARTHEST_M / 1000:g} km, got {got}")
    return where


def _box_of_thing(thing: Thing) -> tuple[float, ...]:
    """Middle, lowest and highest point, yaw and half sizes."""
    box = thing.box
    where, half = box.location, box.extent
    return (where.x, where.y, where.z - half.z, where.z + half.z, math.radians(box.rotation.yaw), half.x, half.y)
