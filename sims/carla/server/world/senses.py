"""What sensors send after a tick, to who listens."""

from haltere.sims.carla.geometry import Transform, Vector
from haltere.sims.carla.server.wire import sensed, structs
from haltere.sims.carla.server.wire.payloads import Sensor, header
from haltere.sims.carla.server.wire.streams import Streams
from haltere.sims.carla.server.world.actors import Actor
from haltere.sims.carla.server.world.kinds import Category
from haltere.sims.carla.server.world.sensors import sensor_type
from haltere.sims.carla.server.world.world import World


class Senses:
    """All sensors of a world."""

    def __init__(self, world: World, streams: Streams) -> None:
        """Of one world."""
        self._world, self._streams = world, streams

    def sense(self, delta_s: float) -> None:
        """After a tick; a sensor that nobody listens to costs nothing."""
        if not len(self._world.contacts):
            return
        for actor in self._world.actors.values():
            if actor.category is Category.SENSOR and self._streams.has(actor.number):
                if sensor_type(actor.description.name) is Sensor.COLLISION:
                    self._collisions(actor)

    def _collisions(self, sensor: Actor) -> None:
        """Whatever the sensor's parent has met."""
        world = self._world
        parent = world.actors.get(sensor.parent)
        if parent is None or parent.body is None:
            return
        by_body = {actor.body: actor for actor in world.actors.values() if actor.body is not None}
        for contact in world.contacts:
            first, second = int(contact["first"]), int(contact["second"])
            if parent.body not in (first, second):
                continue
            mine = first == parent.body
            sign = 1.0 if mine else -1.0
            impulse = Vector(*(sign * contact["impulse"]).tolist())
            other = by_body[second if mine else first] if second >= 0 else None
            met = world.told(other) if other is not None else self._thing(int(contact["thing"]))
            place: Transform = world.place_of(sensor)
            head = header(Sensor.COLLISION, world.frame, world.time_s, place)
            self._streams.send(sensor.number, head + sensed.collision(world.told(parent), met, impulse))

    def _thing(self, number: int) -> structs.Actor:
        """What stands in the town is no actor, but CARLA calls it one here, and names it by its kind."""
        thing = self._world.town.scene.things[number]
        name = f"static.{thing.label.name.lower()}"
        return structs.Actor(0, 0, structs.Description(0, name), thing.box, bytes([int(thing.label)]))
