"""The rows of the world's state. They stay from tick to tick; a tick writes what has changed, all bodies at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from haltere.sims.carla.drive.road import Road
from haltere.sims.carla.geometry import Transform
from haltere.sims.carla.server.wire.payloads import ACTIVE, ACTOR, LIGHT, WALKER
from haltere.sims.carla.server.world.kinds import Category
from haltere.sims.carla.server.world.lights import Lights
from haltere.sims.carla.towns.town import Limits

if TYPE_CHECKING:
    from haltere.sims.carla.server.world.actors import Actor
    from haltere.sims.carla.server.world.world import World

IntArray = NDArray[np.int64]


class Table:
    """A row for each actor, in the order of their numbers."""

    def __init__(self, limits: Limits, lights: Lights) -> None:
        """No actors.

        Args:
            limits: of the town.
            lights: likewise.
        """
        self._rows: NDArray[np.void] = np.zeros(0, ACTOR)
        self._moving: IntArray = np.zeros((0, 2), np.int64)
        self._others: list[tuple[int, Actor]] = []
        self._walkers: list[tuple[int, Actor]] = []
        self._lights = lights
        self._lit: IntArray = np.zeros(0, np.int64)
        self._changes = -1
        """Of the lights, as they were when their rows were written."""
        self._road = Road(limits.kmh, (limits.x_m, limits.y_m), limits.cell_m, lights.lines, lights.first)

    def rebuild(self, actors: Sequence[Actor]) -> None:
        """Make the rows anew, after something has come or gone."""
        rows = np.zeros(len(actors), ACTOR)
        rows["number"] = [actor.number for actor in actors]
        rows["state"] = ACTIVE
        of: dict[Category, list[int]] = {category: [] for category in Category}
        for row, actor in enumerate(actors):
            of[actor.category].append(row)
        moving = [(row, actor.body) for row, actor in enumerate(actors) if actor.body is not None]
        self._rows, self._moving = rows, np.array(moving, np.int64).reshape(-1, 2)
        self._walkers = [(row, actors[row]) for row in of[Category.WALKER]]
        still = [(row, actor) for row, actor in enumerate(actors) if actor.body is None]
        for row, actor in still:
            _place(rows, row, actor.place)
        # Lights and signs stay; whatever else has no body goes along with another actor, or is put somewhere.
        self._others = [(row, actor) for row, actor in still if actor.category not in (Category.LIGHT, Category.SIGN)]
        shown = rows.view(LIGHT)
        for row in of[Category.SIGN]:
            shown["signal"][row] = actors[row].signal.encode()[:32]
        for row in of[Category.LIGHT]:
            shown["signal"][row] = self._lights.heads[actors[row].number].light.signal.encode()[:32]
        self._lit, self._changes = np.array(of[Category.LIGHT], np.int64), -1

    def fill(self, world: World) -> bytes:
        """All rows as they are now."""
        self._fill_lights()
        world.motion.fill(self._road, self._moving, self._rows)
        self._fill_walkers()
        for row, actor in self._others:
            _place(self._rows, row, world.place_of(actor))
        return self._rows.tobytes()

    def _fill_walkers(self) -> None:
        walked = self._rows.view(WALKER)
        for row, actor in self._walkers:
            way = actor.walk.direction
            walked["direction"][row] = (way.x, way.y, way.z)
            walked["speed"][row], walked["jump"][row] = actor.walk.speed, actor.walk.jump

    def _fill_lights(self) -> None:
        """Time goes by for all of them; whatever else there is of them changes now and then."""
        if not len(self._lit):
            return
        heads, shown = self._lights.heads.values(), self._rows.view(LIGHT)
        shown["elapsed_s"][self._lit] = [head.elapsed_s for head in heads]
        if self._changes != self._lights.changes:
            self._changes = self._lights.changes
            for name in ("green_s", "yellow_s", "red_s", "pole", "frozen", "shows"):
                shown[name][self._lit] = [getattr(head, name) for head in heads]
            self._road.show([head.shows for head in heads])


def _place(rows: NDArray[np.void], row: int, place: Transform) -> None:
    where, turned = place.location, place.rotation
    rows["location"][row] = (where.x, where.y, where.z)
    rows["rotation"][row] = (turned.pitch, turned.yaw, turned.roll)
