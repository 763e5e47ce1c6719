"""What can be seen of a world: its town, and its actors where they are now."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from haltere.sims.carla.geometry import Vector, array, rotation_matrix
from haltere.sims.carla.scene import NOTHING, Label, Mesh, Shape
from haltere.sims.carla.server.wire.payloads import Light
from haltere.sims.carla.server.world.actors import Actor
from haltere.sims.carla.server.world.kinds import Category
from haltere.sims.carla.server.world.world import World
from haltere.sims.carla.sight.frames import Camera, Hits, Movers
from haltere.sims.carla.sight.shapes import shape_of
from haltere.sims.carla.sight.sight import Sight
from haltere.sims.carla.towns.things import lamp_pane

MOST_THREADS = 4
_CLOTHES = ((150, 60, 50), (60, 90, 140), (190, 180, 160), (70, 110, 80), (40, 42, 50), (200, 150, 60), (120, 70, 110))
_LIT = {Light.GREEN: (0, (70, 255, 120)), Light.YELLOW: (1, (255, 220, 60)), Light.RED: (2, (255, 50, 40))}
"""Which lamp from below is lit, and its colour."""

_Row = tuple[int, NDArray[np.float64], NDArray[np.float64], tuple[int, ...], int]
"""Shape, rotation (3, 3), location (3,) [m], colour and number of a mover."""


class Looks:
    """Pictures and rays of a world."""

    def __init__(self, world: World) -> None:
        """Of one world; nothing is made before somebody looks."""
        self._world = world
        self._sight: Sight | None = None
        self._shapes: dict[tuple[str, Vector, tuple[Label, ...]], int] = {}
        self._lamps: list[int] = []
        self._hidden: frozenset[int] = frozenset()
        self._steady = False
        self._seen: Movers | None = None

    def forget(self) -> None:
        """The world has another town."""
        if self._sight is not None:
            self._sight.close()
        self._sight, self._shapes, self._lamps, self._hidden = None, {}, [], frozenset()

    def hide(self, things: Iterable[int]) -> None:
        """Show these of the town's things no more, and all others again."""
        self._hidden = frozenset(things)
        if self._sight is not None:
            self._sight.set_hidden(self._hidden)

    @contextmanager
    def steady(self) -> Iterator[None]:
        """Nobody moves within: where all are is worked out once, if anybody looks."""
        self._steady = True
        try:
            yield
        finally:
            self._steady, self._seen = False, None

    def draw(self, cameras: Sequence[Camera]) -> list[NDArray[np.uint8]]:
        """See ``Sight.draw``: what there is now, in the world's weather."""
        return self._made().draw(cameras, self._now(), self._world.weather)

    def cast(
        self,
        origins: NDArray[np.float64],
        directions: NDArray[np.float64],
        reach_m: float,
        hidden: Sequence[int] = (),
    ) -> Hits:
        """See ``Sight.cast``."""
        return self._made().cast(origins, directions, reach_m, self._now(), hidden)

    def _made(self) -> Sight:
        if self._sight is None:
            self._sight = Sight(self._world.town.scene, min(MOST_THREADS, os.cpu_count() or 1))
            self._sight.set_hidden(self._hidden)
            self._lamps = [self._sight.add_shape(_lamp(number)) for number in range(len(_LIT))]
        return self._sight

    def _now(self) -> Movers:
        if not self._steady:
            return self._movers()
        if self._seen is None:
            self._seen = self._movers()
        return self._seen

    def _movers(self) -> Movers:
        rows = [
            self._row(actor) for actor in self._world.actors.values() if actor.kind is not None and actor.kind.shape
        ]
        rows += self._lit()
        if not rows:
            return Movers()
        shapes, rotations, locations, colors, numbers = zip(*rows, strict=True)
        return Movers(
            np.array(shapes, np.int32),
            np.array(rotations),
            np.array(locations),
            np.array(colors, np.uint8),
            np.array(numbers, np.uint32),
        )

    def _row(self, actor: Actor) -> _Row:
        place = self._world.place_of(actor)
        turned, where = rotation_matrix(place.rotation), array(place.location)
        return self._shape(actor), turned, where, _color(actor), actor.number

    def _shape(self, actor: Actor) -> int:
        kind = actor.kind
        assert kind is not None
        key = (kind.shape, kind.extent, kind.labels)
        if key not in self._shapes:
            self._shapes[key] = self._made().add_shape(_shape_of(*key))
        return self._shapes[key]

    def _lit(self) -> list[_Row]:
        """The lamps that are lit."""
        self._made()
        found: list[_Row] = []
        for number, head in self._world.lights.heads.items():
            if head.shows in _LIT:
                lamp, color = _LIT[Light(head.shows)]
                place = self._world.actors[number].place
                turned, where = rotation_matrix(place.rotation), array(place.location)
                found.append((self._lamps[lamp], turned, where, color, number))
        return found


@lru_cache(maxsize=256)
def _shape_of(kind: str, extent: Vector, labels: tuple[Label, ...]) -> Shape:
    return shape_of(kind, extent, labels)


def _lamp(number: int) -> Shape:
    """A lit lamp, before the dark one that stands there."""
    corners = lamp_pane(number) - (0.01, 0.0, 0.0)
    mesh = Mesh(
        corners.astype(np.float32),
        np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        np.zeros((2, 3), np.uint8),
        np.full(2, Label.TRAFFIC_LIGHT, np.uint8),
        np.full(2, NOTHING, np.int32),
    )
    return Shape(mesh, np.ones(2, np.bool_))


def _color(actor: Actor) -> tuple[int, ...]:
    """Of its paint, or of its clothes."""
    if actor.category is Category.WALKER:
        return _CLOTHES[actor.number % len(_CLOTHES)]
    given = actor.attributes.get("color", "")
    return tuple(int(level) for level in given.split(",")) if given else (128, 128, 128)
