"""Calls about what stands in the town: boxes, things, rays."""

from haltere.sims.carla.geometry import BoundingBox, Transform
from haltere.sims.carla.server.wire import structs
from haltere.sims.carla.server.wire.rpc import remote
from haltere.sims.carla.server.world.world import World

_ANY = 255


class Surroundings:
    """The town of a world."""

    def __init__(self, world: World) -> None:
        """Of one world."""
        self._world = world

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

    @remote("draw_debug_shape")
    def draw(self, shape: structs.DebugShape) -> None:
        """There is no window to draw in."""
