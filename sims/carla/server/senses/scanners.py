"""Senses by rays: LiDAR, semantic LiDAR, radar, and what is ahead.

Patterns, intensities and losses follow those of CARLA 0.9.16: ``RayCastSemanticLidar``, ``RayCastLidar``, ``Radar`` and
``ObstacleDetectionSensor``.
"""

import math

import numpy as np
from numpy.typing import NDArray

from haltere.sims.carla.geometry import array, rotation_matrix
from haltere.sims.carla.scene import Label
from haltere.sims.carla.server.senses.sense import Sense
from haltere.sims.carla.server.senses.told import thing_of
from haltere.sims.carla.server.wire import sensed
from haltere.sims.carla.server.world.actors import Actor
from haltere.sims.carla.server.world.looks import Looks
from haltere.sims.carla.server.world.world import World
from haltere.sims.carla.sight.frames import Hits

MOST_RAYS = 4_000_000
"""Of one message: a tick may be long."""
_GROUND = (Label.ROADS, Label.SIDEWALKS, Label.TERRAIN, Label.ROAD_LINES, Label.GROUND)
_RINGS = ((0.0, 1), (0.5, 6), (1.0, 12))
"""Of the rays that stand for a ball's way: shares of its radius, and how many."""


class Scanner(Sense):
    """What both LiDARs do: channels that turn."""

    def __init__(self, world: World, looks: Looks, sensor: Actor) -> None:
        """See ``Sense``."""
        super().__init__(world, looks, sensor)
        self._channels, self._reach_m = int(self.number("channels")), self.number("range")
        self._rays_a_second = self.number("points_per_second")
        self._turns_a_second, self._fov_deg = self.number("rotation_frequency"), self.number("horizontal_fov")
        self._up = np.radians(np.linspace(self.number("upper_fov"), self.number("lower_fov"), self._channels))
        self._angle_deg = 0.0

    def directions(self, elapsed_s: float) -> NDArray[np.float64]:
        """(channels, rays, 3) of length 1 in the sensor's frame; turns it on."""
        count = round(self._rays_a_second * min(elapsed_s, MOST_RAYS / self._rays_a_second) / self._channels)
        swept_deg = self._turns_a_second * self._fov_deg * elapsed_s
        steps = np.arange(count) * (swept_deg / max(count, 1))
        across = np.radians((self._angle_deg + steps) % self._fov_deg - self._fov_deg / 2)
        self._angle_deg = (self._angle_deg + swept_deg) % self._fov_deg
        up, across = np.broadcast_arrays(self._up[:, None], across[None, :])
        return np.stack([np.cos(up) * np.cos(across), np.cos(up) * np.sin(across), np.sin(up)], -1)

    def cast(self, directions: NDArray[np.float64]) -> Hits:
        """Rays of the sensor's frame, (n, 3)."""
        place = self.world.place_of(self.sensor)
        origins = np.broadcast_to(array(place.location), directions.shape)
        return self.looks.cast(origins, directions @ rotation_matrix(place.rotation).T, self._reach_m)

    def message(self, kept: NDArray[np.bool_], points: NDArray[np.void]) -> bytes:
        """Of the points of those rays, (channels, rays), that are kept."""
        return sensed.scan(math.radians(self._angle_deg), kept.sum(1), points)


class Lidar(Scanner):
    """Points with intensities, some of which are lost."""

    def __init__(self, world: World, looks: Looks, sensor: Actor) -> None:
        """See ``Sense``."""
        super().__init__(world, looks, sensor)
        self._chance = self.chance()
        self._attenuation = self.number("atmosphere_attenuation_rate")
        self._lost, self._noise_m = self.number("dropoff_general_rate"), self.number("noise_stddev")
        self._limit, self._lost_at_zero = self.number("dropoff_intensity_limit"), self.number("dropoff_zero_intensity")

    def sense(self, elapsed_s: float) -> list[bytes]:
        """One message."""
        ways = self.directions(elapsed_s)
        cast = self._chance.random(ways.shape[:2]) >= self._lost
        hits = self.cast(ways[cast])
        intensity = np.exp(-self._attenuation * hits.distances)
        # Weak ones are kept less and less often.
        keeps = 1 - self._lost_at_zero * (1 - intensity / self._limit) if self._limit > 0 else np.ones_like(intensity)
        met = np.isfinite(hits.distances)
        met &= (intensity > self._limit) | (self._chance.random(len(intensity)) < keeps)
        distances = hits.distances[met]
        if self._noise_m > 0:
            distances = distances + self._chance.standard_normal(len(distances)) * self._noise_m
        points = np.zeros(len(distances), sensed.POINT)
        points["place"], points["intensity"] = ways[cast][met] * distances[:, None], intensity[met]
        kept = np.zeros(ways.shape[:2], np.bool_)
        kept[cast] = met
        return [self.message(kept, points)]


class LabelledLidar(Scanner):
    """Points with what they are of; none is lost."""

    def sense(self, elapsed_s: float) -> list[bytes]:
        """One message."""
        ways = self.directions(elapsed_s)
        flat = ways.reshape(-1, 3)
        hits = self.cast(flat)
        met = np.isfinite(hits.distances)
        points = np.zeros(int(met.sum()), sensed.LABELLED_POINT)
        points["place"] = flat[met] * hits.distances[met][:, None]
        turned = rotation_matrix(self.world.place_of(self.sensor).rotation)
        points["cosine"] = -np.sum((flat[met] @ turned.T) * hits.normals[met], 1)
        points["number"], points["label"] = hits.numbers[met], hits.labels[met]
        return [self.message(met.reshape(ways.shape[:2]), points)]


class Radar(Sense):
    """Echoes from rays at random in a cone; how fast what they met goes away, negative where it comes closer."""

    def __init__(self, world: World, looks: Looks, sensor: Actor) -> None:
        """See ``Sense``."""
        super().__init__(world, looks, sensor)
        self._chance = np.random.default_rng(sensor.number)
        self._reach_m, self._rays_a_second = self.number("range"), self.number("points_per_second")
        wide, high = self.number("horizontal_fov"), self.number("vertical_fov")
        self._spread = np.tan(np.radians(np.minimum((wide, high), 179.0)) / 2)
        self._was: NDArray[np.float64] | None = None

    def sense(self, elapsed_s: float) -> list[bytes]:
        """One message."""
        place = self.world.place_of(self.sensor)
        here, turned = array(place.location), rotation_matrix(place.rotation)
        own = np.zeros(3) if self._was is None or elapsed_s <= 0 else (here - self._was) / elapsed_s
        self._was = here
        count = int(min(self._rays_a_second * elapsed_s, MOST_RAYS))
        radius, turn = self._chance.random(count), self._chance.uniform(0, 2 * math.pi, count)
        aside = radius[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1) * self._spread
        ways = np.column_stack([np.ones(count), aside])
        ways /= np.linalg.norm(ways, axis=1, keepdims=True)
        world_ways = ways @ turned.T
        hits = self.looks.cast(np.broadcast_to(here, ways.shape), world_ways, self._reach_m, (self.sensor.parent,))
        met = np.isfinite(hits.distances)
        found = np.zeros(int(met.sum()), sensed.ECHO)
        velocities = self.world.velocities(hits.numbers[met])
        found["velocity"] = np.sum((velocities - own) * world_ways[met], 1)
        found["azimuth"] = np.arctan2(ways[met, 1], ways[met, 0])
        found["altitude"], found["depth"] = np.arcsin(ways[met, 2]), hits.distances[met]
        return [sensed.echoes(found)]


class Ahead(Sense):
    """What the sensor's parent would meet: a ball's way ahead, as a bundle of rays; the ground is no obstacle."""

    def __init__(self, world: World, looks: Looks, sensor: Actor) -> None:
        """See ``Sense``."""
        super().__init__(world, looks, sensor)
        self._reach_m, radius = self.number("distance"), self.number("hit_radius")
        self._only_dynamic = sensor.attributes["only_dynamics"].lower() == "true"
        turns = [(share * radius, 2 * math.pi * n / count) for share, count in _RINGS for n in range(count)]
        self._starts = np.array([(0.0, r * math.cos(turn), r * math.sin(turn)) for r, turn in turns])

    def sense(self, elapsed_s: float) -> list[bytes]:
        """One message where there is something."""
        parent, place = self.parent(), self.world.place_of(self.sensor)
        if parent is None:
            return []
        turned = rotation_matrix(place.rotation)
        origins = array(place.location) + self._starts @ turned.T
        ways = np.broadcast_to(turned[:, 0], origins.shape)
        hits = self.looks.cast(origins, ways, self._reach_m, (parent.number,))
        distances = np.where(np.isin(hits.labels, _GROUND), np.inf, hits.distances)
        if self._only_dynamic:
            distances = np.where(hits.numbers > 0, distances, np.inf)
        nearest = int(distances.argmin())
        if not np.isfinite(distances[nearest]):
            return []
        actor = self.world.actors.get(int(hits.numbers[nearest]))
        other = self.world.told(actor) if actor is not None else thing_of(self.world.town, int(hits.things[nearest]))
        return [sensed.obstacle(self.world.told(parent), other, float(distances[nearest]))]
