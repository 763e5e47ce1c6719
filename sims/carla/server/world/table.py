"""The rows of the world's state. They stay from tick to tick; a tick writes what has changed, all bodies at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from haltere.sims.carla.geometry import Transform
from haltere.sims.carla.server.wire.payloads import ACTIVE, ACTOR, LIGHT, VEHICLE, WALKER, Light
from haltere.sims.carla.server.world.kinds import Category

if TYPE_CHECKING:
    from haltere.sims.carla.server.world.actors import Actor
    from haltere.sims.carla.server.world.world import World

IntArray = NDArray[np.int64]


class Table:
    """A row for each actor, in the order of their numbers."""

    def __init__(self) -> None:
        """No actors."""
        self._rows: NDArray[np.void] = np.zeros(0, ACTOR)
        self._moving: tuple[IntArray, IntArray] = (np.zeros(0, np.int64), np.zeros(0, np.int64))
        self._vehicles: tuple[IntArray, IntArray] = self._moving
        self._others: list[tuple[int, Actor]] = []
        self._walkers: list[tuple[int, Actor]] = []
        self._lights: IntArray = np.zeros(0, np.int64)

    def rebuild(self, world: World) -> None:
        """Make the rows anew, after something has come or gone."""
        actors = list(world.actors.values())
        rows = np.zeros(len(actors), ACTOR)
        rows["number"] = [actor.number for actor in actors]
        rows["state"] = ACTIVE
        of: dict[Category, list[int]] = {category: [] for category in Category}
        for row, actor in enumerate(actors):
            of[actor.category].append(row)
        moving = [(row, actor.body) for row, actor in enumerate(actors) if actor.body is not None]
        self._rows, self._moving = rows, _columns(moving)
        self._vehicles = _columns([(row, body) for row, body in moving if actors[row].category is Category.VEHICLE])
        self._walkers = [(row, actors[row]) for row in of[Category.WALKER]]
        self._lights = np.array(of[Category.LIGHT], np.int64)
        still = [(row, actor) for row, actor in enumerate(actors) if actor.body is None]
        for row, actor in still:
            _place(rows, row, actor.place)
        # Lights and signs stay; whatever else has no body goes along with another actor, or is put somewhere.
        self._others = [(row, actor) for row, actor in still if actor.category not in (Category.LIGHT, Category.SIGN)]
        driven, shown = rows.view(VEHICLE), rows.view(LIGHT)
        driven["light"][self._vehicles[0]] = Light.GREEN
        for row in of[Category.SIGN]:
            shown["signal"][row] = actors[row].signal.encode()[:32]
        for row in of[Category.LIGHT]:
            shown["signal"][row] = world.lights.heads[actors[row].number].light.signal.encode()[:32]

    def fill(self, world: World) -> bytes:
        """All rows as they are now."""
        rows = self._rows
        world.motion.fill(rows, *self._moving)
        world.motion.fill_vehicles(rows.view(VEHICLE), *self._vehicles)
        driven = self._vehicles[0]
        if len(driven):
            rows.view(VEHICLE)["speed_limit"][driven] = world.town.limits.at(rows["location"][driven])
        self._fill_walkers()
        for row, actor in self._others:
            _place(rows, row, world.place_of(actor))
        self._fill_lights(world)
        return rows.tobytes()

    def _fill_walkers(self) -> None:
        walked = self._rows.view(WALKER)
        for row, actor in self._walkers:
            way = actor.walk.direction
            walked["direction"][row] = (way.x, way.y, way.z)
            walked["speed"][row], walked["jump"][row] = actor.walk.speed, actor.walk.jump

    def _fill_lights(self, world: World) -> None:
        """What the lights show, and of vehicles which one they are at."""
        if not len(self._lights):
            return
        heads, shown = list(world.lights.heads.values()), self._rows.view(LIGHT)
        for name in ("green_s", "yellow_s", "red_s", "elapsed_s", "pole", "frozen", "shows"):
            shown[name][self._lights] = [getattr(head, name) for head in heads]
        rows = self._vehicles[0]
        if len(rows):
            at = world.lights.at(self._rows["location"][rows])
            driven = self._rows.view(VEHICLE)
            driven["at_light"][rows] = at >= 0
            driven["light_actor"][rows] = np.maximum(at, 0)
            driven["light"][rows] = [
                world.lights.heads[number].shows if number >= 0 else Light.GREEN for number in at.tolist()
            ]


def _columns(pairs: list[tuple[int, int]]) -> tuple[IntArray, IntArray]:
    found = np.array(pairs, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _place(rows: NDArray[np.void], row: int, place: Transform) -> None:
    where, turned = place.location, place.rotation
    rows["location"][row] = (where.x, where.y, where.z)
    rows["rotation"][row] = (turned.pitch, turned.yaw, turned.roll)
