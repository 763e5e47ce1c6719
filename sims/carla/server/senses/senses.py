"""What sensors send after a tick, to who listens."""

from collections.abc import Mapping

from haltere.sims.carla.server.senses.cameras import KINDS, pictures
from haltere.sims.carla.server.senses.contacts import Collisions
from haltere.sims.carla.server.senses.flow import Flow
from haltere.sims.carla.server.senses.receivers import Inertia, Position
from haltere.sims.carla.server.senses.scanners import Ahead, LabelledLidar, Lidar, Radar
from haltere.sims.carla.server.senses.sense import Sense, headed
from haltere.sims.carla.server.wire.payloads import Sensor
from haltere.sims.carla.server.wire.streams import Streams
from haltere.sims.carla.server.world.actors import Actor
from haltere.sims.carla.server.world.kinds import Category
from haltere.sims.carla.server.world.looks import Looks
from haltere.sims.carla.server.world.sensors import sensor_type
from haltere.sims.carla.server.world.world import World

_EARLY_S = 1e-6
"""Sums of steps aren't exact."""
_SENSES: Mapping[Sensor, type[Sense]] = {
    Sensor.COLLISION: Collisions,
    Sensor.IMU: Inertia,
    Sensor.GNSS: Position,
    Sensor.LIDAR: Lidar,
    Sensor.SEMANTIC_LIDAR: LabelledLidar,
    Sensor.RADAR: Radar,
    Sensor.OBSTACLE: Ahead,
    Sensor.OPTICAL_FLOW: Flow,
}
"""Lane invasions are found by the client itself."""


class Senses:
    """All sensors of a world."""

    def __init__(self, world: World, looks: Looks, streams: Streams) -> None:
        """Of one world."""
        self._world, self._looks, self._streams = world, looks, streams
        self._senses: dict[int, Sense] = {}
        self._elapsed_s: dict[int, float] = {}
        self._waited_s: dict[int, float] = {}
        world.on_tick, world.on_destroyed = self.sense, self.forget

    def sense(self, delta_s: float) -> None:
        """After a tick; a sensor that nobody listens to costs nothing."""
        with self._looks.steady():
            self._sense(delta_s)

    def _sense(self, delta_s: float) -> None:
        cameras = []
        for number in self._streams.listened():
            actor = self._world.actors.get(number)
            if actor is None or actor.category is not Category.SENSOR:
                continue
            elapsed_s = self._due(actor, delta_s)
            if elapsed_s is None:
                continue
            kind = sensor_type(actor.description.name)
            if kind in KINDS:
                cameras.append(actor)
            elif kind in _SENSES:
                if actor.number not in self._senses:
                    self._senses[actor.number] = _SENSES[kind](self._world, self._looks, actor)
                for message in self._senses[actor.number].sense(elapsed_s):
                    self._send(actor, message)
        if cameras:
            for actor, picture in zip(cameras, pictures(self._world, self._looks, cameras), strict=True):
                self._send(actor, picture)

    def _send(self, sensor: Actor, message: bytes) -> None:
        self._streams.send(sensor.number, headed(self._world, sensor, message))

    def _due(self, sensor: Actor, delta_s: float) -> float | None:
        """Simulated time since it last sensed, if its own period has gone by; without one it senses at each tick."""
        number, period_s = sensor.number, float(sensor.attributes["sensor_tick"])
        waited_s = self._waited_s.get(number, period_s - delta_s) + delta_s
        self._elapsed_s[number] = self._elapsed_s.get(number, 0.0) + delta_s
        if waited_s < period_s - _EARLY_S:
            self._waited_s[number] = waited_s
            return None
        self._waited_s[number] = min(waited_s - period_s, period_s)
        return self._elapsed_s.pop(number)

    def forget(self, sensor: Actor) -> None:
        """What is kept of a sensor that is gone."""
        self._senses.pop(sensor.number, None)
        self._elapsed_s.pop(sensor.number, None)
        self._waited_s.pop(sensor.number, None)
