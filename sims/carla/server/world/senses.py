"""What sensors send after a tick, to who listens."""

import math

import numpy as np

from haltere.sims.carla.geometry import Transform, Vector, rotation_matrix, vector
from haltere.sims.carla.server.wire import sensed, structs
from haltere.sims.carla.server.wire.payloads import Sensor, header
from haltere.sims.carla.server.wire.streams import Streams
from haltere.sims.carla.server.world.actors import Actor
from haltere.sims.carla.server.world.kinds import Category
from haltere.sims.carla.server.world.motion import GRAVITY
from haltere.sims.carla.server.world.sensors import sensor_type
from haltere.sims.carla.server.world.world import World

_EARLY_S = 1e-6
"""Sums of steps aren't exact."""


class Senses:
    """All sensors of a world."""

    def __init__(self, world: World, streams: Streams) -> None:
        """Of one world."""
        self._world, self._streams = world, streams
        self._waited_s: dict[int, float] = {}
        self._noise: dict[int, np.random.Generator] = {}
        world.on_tick, world.on_destroyed = self.sense, self.forget

    def sense(self, delta_s: float) -> None:
        """After a tick; a sensor that nobody listens to costs nothing."""
        for actor in self._world.actors.values():
            if actor.category is not Category.SENSOR or not self._streams.has(actor.number):
                continue
            kind = sensor_type(actor.description.name)
            if kind is Sensor.COLLISION and len(self._world.contacts):
                self._collisions(actor)
            elif kind is Sensor.IMU and self._is_due(actor, delta_s):
                self._inertia(actor)

    def _is_due(self, sensor: Actor, delta_s: float) -> bool:
        """Whether the sensor's own period has gone by; without one it senses at each tick."""
        period_s = float(sensor.attributes["sensor_tick"])
        waited_s = self._waited_s.get(sensor.number, period_s - delta_s) + delta_s
        due = waited_s >= period_s - _EARLY_S
        self._waited_s[sensor.number] = waited_s - period_s if due else waited_s
        return due

    def forget(self, sensor: Actor) -> None:
        """What is kept of a sensor that is gone."""
        self._waited_s.pop(sensor.number, None)
        self._noise.pop(sensor.number, None)

    def _inertia(self, sensor: Actor) -> None:
        """What an IMU that is fixed to the sensor's parent feels, with the noise that its attributes ask for."""
        world = self._world
        place = world.place_of(sensor)
        parent = world.actors.get(sensor.parent)
        resting = np.array([0.0, 0.0, GRAVITY]), np.zeros(3)
        felt, turning = resting if parent is None or parent.body is None else world.motion.feels(parent.body)
        axes = rotation_matrix(place.rotation)
        read = sensor.attributes
        if sensor.number not in self._noise:
            self._noise[sensor.number] = np.random.default_rng(abs(int(read["noise_seed"])))
        chance = self._noise[sensor.number]
        of_acceleration = [float(read[f"noise_accel_stddev_{axis}"]) for axis in "xyz"]
        of_turning = [float(read[f"noise_gyro_stddev_{axis}"]) for axis in "xyz"]
        bias = [float(read[f"noise_gyro_bias_{axis}"]) for axis in "xyz"]
        acceleration = axes.T @ felt + chance.standard_normal(3) * of_acceleration
        turned = axes.T @ turning + bias + chance.standard_normal(3) * of_turning
        # North is where y decreases.
        compass_rad = math.atan2(axes[0, 0], -axes[1, 0]) % (2 * math.pi)
        head = header(Sensor.IMU, world.frame, world.time_s, place)
        self._streams.send(sensor.number, head + sensed.inertia(vector(acceleration), vector(turned), compass_rad))

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
