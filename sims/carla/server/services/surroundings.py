"""Calls about what stands in the town: boxes, things, rays."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.sims.carla.geometry import BoundingBox, Transform, Vector, array, vector
from haltere.sims.carla.scene import Label
from haltere.sims.carla.server.wire import structs
from haltere.sims.carla.server.wire.rpc import remote
from haltere.sims.carla.server.world.looks import Looks
from haltere.sims.carla.server.world.world import World

LAYERS: Mapping[int, tuple[Label, ...]] = {
    1: (Label.BUILDINGS,),
    4: (Label.VEGETATION,),
    64: (Label.STATIC, Label.FENCES, Label.DYNAMIC),
    128: (Label.POLES,),
    256: (Label.WALLS,),
}
"""What is in the layers that have something here. Source: ``MapLayer`` of CARLA 0.9.16."""
_ANY = 255
_MOST_HITS, _THROUGH_M = 64, 1e-3
"""Of one ray, and how far behind one surface the next one is looked for."""


class Surroundings:
    """The town of a world."""

    def __init__(self, world: World, looks: Looks) -> None:
        """Of one world, and what can be seen of it."""
        self._world, self._looks = world, looks
        self._disabled: set[int] = set()
        self._unloaded = 0

    def forget(self) -> None:
        """The world has another town, of which everything is shown."""
        self._disabled, self._unloaded = set(), 0

    def _show(self) -> None:
        things = self._world.town.scene.things
        layers = {label for layer, labels in LAYERS.items() if layer & self._unloaded for label in labels}
        hidden = self._disabled | {number for number, thing in enumerate(things) if thing.label in layers}
        self._looks.hide(hidden)
        self._world.motion.hide(hidden)

    @remote("enable_environment_objects")
    def enable(self, numbers: tuple[int, ...], enabled: bool) -> None:
        """Let things be there, or be neither seen nor met."""
        count = len(self._world.town.scene.things)
        if any(not 0 <= number < count for number in numbers):
            raise RequestError(
                f"environment objects are numbered from 0 to {count - 1}, got {min(numbers)} to {max(numbers)}"
            )
        self._disabled = self._disabled - set(numbers) if enabled else self._disabled | set(numbers)
        self._show()

    @remote("load_map_layer")
    def load_layer(self, layers: int) -> None:
        """Let all things of some layers be there, a bit each."""
        self._unloaded &= ~layers
        self._show()

    @remote("unload_map_layer")
    def unload_layer(self, layers: int) -> None:
        """Or be neither seen nor met."""
        self._unloaded |= layers
        self._show()

    @remote("get_all_level_BBs")
    def boxes(self, label: int) -> list[BoundingBox]:
        """Of things with a label; 255 for any."""
        return [thing.box for thing in self._world.town.scene.things if label in (_ANY, thing.label)]

    @remote("get_environment_objects")
    def objects(self, label: int) -> list[structs.EnvironmentObject]:
        """Things with a label; 255 for any."""
        return [
            structs.EnvironmentObject(
                Transform(thing.box.location, thing.box.rotation), thing.box, number, thing.name, int(thing.label)
            )
            for number, thing in enumerate(self._world.town.scene.things)
            if label in (_ANY, thing.label)
        ]

    @remote("get_names_of_all_objects")
    def names(self) -> list[str]:
        """Of all things."""
        return [thing.name for thing in self._world.town.scene.things]

    @remote("cast_ray")
    def cast_ray(self, start: Vector, end: Vector) -> list[tuple[Vector, int]]:
        """Every surface between two places, the nearest first, with its label."""
        found: list[tuple[Vector, int]] = []
        here, way = array(start), array(end) - array(start)
        length = float(np.linalg.norm(way))
        with self._looks.steady():
            while length > 0 and len(found) < _MOST_HITS:
                hit = self._first(here, way, length)
                if hit is None:
                    break
                distance, label = hit
                here = here + way / np.linalg.norm(way) * distance
                found.append((vector(here), label))
                here = here + way / np.linalg.norm(way) * _THROUGH_M
                length -= distance + _THROUGH_M
        return found

    @remote("project_point")
    def project_point(self, start: Vector, direction: Vector, reach_m: float) -> tuple[bool, tuple[Vector, int]]:
        """Whether a ray meets anything, and where, with its label."""
        way = array(direction)
        hit = self._first(array(start), way, reach_m) if np.linalg.norm(way) > 0 and reach_m > 0 else None
        if hit is None:
            return False, (Vector(), int(Label.NONE))
        distance, label = hit
        return True, (vector(array(start) + way / np.linalg.norm(way) * distance), label)

    def _first(self, here: NDArray[np.float64], way: NDArray[np.float64], reach_m: float) -> tuple[float, int] | None:
        """How far it is to what a ray meets, and its label."""
        hits = self._looks.cast(here[None], way[None], reach_m)
        return (float(hits.distances[0]), int(hits.labels[0])) if np.isfinite(hits.distances[0]) else None

    @remote("draw_debug_shape")
    def draw(self, shape: structs.DebugShape) -> None:
        """There is no window to draw in."""
