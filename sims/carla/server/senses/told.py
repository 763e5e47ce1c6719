"""What stands in a town, as a client is told of it: no actor, but CARLA calls it one, and names it by its kind."""

from haltere.sims.carla.geometry import BoundingBox
from haltere.sims.carla.scene import Label
from haltere.sims.carla.server.wire import structs
from haltere.sims.carla.towns.town import Town


def thing_of(town: Town, number: int) -> structs.Actor:
    """One of its things, or of the rest, such as the ground, where the number is negative."""
    label = Label.STATIC if number < 0 else town.scene.things[number].label
    box = BoundingBox() if number < 0 else town.scene.things[number].box
    return structs.Actor(0, 0, structs.Description(0, f"static.{label.name.lower()}"), box, bytes([int(label)]))
