"""Collisions of the sensor's parent."""

from haltere.sims.carla.geometry import Vector
from haltere.sims.carla.server.senses.sense import Sense
from haltere.sims.carla.server.senses.told import thing_of
from haltere.sims.carla.server.wire import sensed


class Collisions(Sense):
    """Whatever it has met in the last tick."""

    def sense(self, elapsed_s: float) -> list[bytes]:
        """A message for each."""
        world, parent = self.world, self.parent()
        if parent is None or parent.body is None or not len(world.contacts):
            return []
        by_body = {actor.body: actor for actor in world.actors.values() if actor.body is not None}
        found = []
        for contact in world.contacts:
            first, second = int(contact["first"]), int(contact["second"])
            if parent.body not in (first, second):
                continue
            mine = first == parent.body
            impulse = Vector(*((1.0 if mine else -1.0) * contact["impulse"]).tolist())
            other = by_body[second if mine else first] if second >= 0 else None
            met = world.told(other) if other is not None else thing_of(world.town, int(contact["thing"]))
            found.append(sensed.collision(world.told(parent), met, impulse))
        return found
