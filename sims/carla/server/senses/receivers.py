"""Senses of its own motion and place: IMU and GNSS."""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from haltere.sims.carla.geometry import Vector, rotation_matrix, vector
from haltere.sims.carla.server.senses.sense import Sense
from haltere.sims.carla.server.wire import sensed
from haltere.sims.carla.server.world.actors import Actor
from haltere.sims.carla.server.world.looks import Looks
from haltere.sims.carla.server.world.world import World


class Inertia(Sense):
    """What an IMU that is fixed to the sensor's parent feels, with the noise that its attributes ask for."""

    def __init__(self, world: World, looks: Looks, sensor: Actor) -> None:
        """See ``Sense``."""
        super().__init__(world, looks, sensor)
        self._chance = self.chance()
        self._of_acceleration = [self.number(f"noise_accel_stddev_{axis}") for axis in "xyz"]
        self._of_turning = [self.number(f"noise_gyro_stddev_{axis}") for axis in "xyz"]
        self._bias = [self.number(f"noise_gyro_bias_{axis}") for axis in "xyz"]

    def sense(self, elapsed_s: float) -> list[bytes]:
        """One message."""
        parent = self.parent()
        resting = np.zeros(3), np.zeros(3)
        moved, turning = resting if parent is None or parent.body is None else self.world.motion.feels(parent.body)
        felt = moved + np.array([0.0, 0.0, self.world.gravity])
        axes = rotation_matrix(self.world.place_of(self.sensor).rotation)
        acceleration = axes.T @ felt + self._chance.standard_normal(3) * self._of_acceleration
        turned = axes.T @ turning + self._bias + self._chance.standard_normal(3) * self._of_turning
        # North is where y decreases.
        compass_rad = math.atan2(axes[0, 0], -axes[1, 0]) % (2 * math.pi)
        return [sensed.inertia(vector(acceleration), vector(turned), compass_rad)]


class Position(Sense):
    """A GNSS receiver: where it is on the globe, by the map's reference."""

    def __init__(self, world: World, looks: Looks, sensor: Actor) -> None:
        """See ``Sense``."""
        super().__init__(world, looks, sensor)
        self._chance = self.chance()
        names = ("lat", "lon", "alt")
        self._noise = np.array([self.number(f"noise_{name}_stddev") for name in names])
        self._bias = np.array([self.number(f"noise_{name}_bias") for name in names])

    def sense(self, elapsed_s: float) -> list[bytes]:
        """One message."""
        where = self.world.place_of(self.sensor).location
        found = np.array(_on_globe(self.world.town.opendrive, where))
        found += self._bias + self._chance.standard_normal(3) * self._noise
        return [sensed.position(*found.tolist())]


def _on_globe(opendrive: str, where: Vector) -> tuple[float, float, float]:
    """Latitude and longitude [degrees] and altitude [m], as CARLA's own reader of the map has them."""
    import carla  # an extra, which a user of other simulators needn't have

    found = _reader(opendrive).transform_to_geolocation(carla.Location(where.x, where.y, where.z))
    return found.latitude, found.longitude, found.altitude


@lru_cache(maxsize=2)
def _reader(opendrive: str) -> Any:  # noqa: ANN401 -- carla.Map
    import carla

    return carla.Map("", opendrive)
