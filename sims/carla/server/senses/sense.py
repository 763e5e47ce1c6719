"""What all senses have in common."""

from abc import ABC, abstractmethod

import numpy as np

from haltere.sims.carla.server.wire.payloads import header
from haltere.sims.carla.server.world.actors import Actor
from haltere.sims.carla.server.world.looks import Looks
from haltere.sims.carla.server.world.sensors import sensor_type
from haltere.sims.carla.server.world.world import World


class Sense(ABC):
    """Of one sensor.

    Attributes:
        world: in which it is.
        looks: of that world.
        sensor: whose sense it is.
    """

    def __init__(self, world: World, looks: Looks, sensor: Actor) -> None:
        """Of a sensor as it was spawned: its attributes never change."""
        self.world, self.looks, self.sensor = world, looks, sensor

    @abstractmethod
    def sense(self, elapsed_s: float) -> list[bytes]:
        """Messages without their headers; ``elapsed_s`` is simulated, since the last time."""

    def number(self, attribute: str) -> float:
        """One of the sensor's attributes."""
        return float(self.sensor.attributes[attribute])

    def chance(self) -> np.random.Generator:
        """Of the sensor's own seed."""
        return np.random.default_rng(abs(int(self.sensor.attributes["noise_seed"])))

    def parent(self) -> Actor | None:
        """What it is attached to."""
        return self.world.actors.get(self.sensor.parent)


def headed(world: World, sensor: Actor, message: bytes) -> bytes:
    """A message with its header, as of now."""
    kind = sensor_type(sensor.description.name)
    return header(kind, world.frame, world.time_s, world.place_of(sensor)) + message
