"""What each check of a method is given: a client, a world, and one of everything that can be spawned."""

import contextlib
import random
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import carla

STEP_S = 0.05


def free_port() -> int:
    """One that nobody listens at, below those that connections are given by themselves."""
    while True:
        port = random.SystemRandom().randrange(20_000, 30_000)
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port


MANAGER = free_port()
"""Port of the Traffic Manager."""
FILES = Path(tempfile.mkdtemp())
"""Where the client keeps what it gets."""


@dataclass(frozen=True)
class Scene:
    """One of each, in a town with traffic lights, in synchronous mode."""

    client: Any
    world: Any
    map: Any
    car: Any
    walker: Any
    cone: Any
    light: Any
    sensor: Any

    @property
    def ahead(self) -> Any:  # noqa: ANN401 -- carla.Vector3D
        """Where the car looks, of length 1."""
        return self.car.get_transform().get_forward_vector()

    def ticks(self, number: int = 1) -> bool:
        """Let time go by; always true, so that a check may say it."""
        for _ in range(number):
            self.world.tick()
        return True


def scene_of(client: Any, world: Any) -> Scene:  # noqa: ANN401 -- of the carla package
    """Spawn one of each."""
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, STEP_S
    world.apply_settings(settings)
    library, spots = world.get_blueprint_library(), world.get_map().get_spawn_points()
    car = world.spawn_actor(library.find("vehicle.tesla.model3"), spots[0])
    walker = world.spawn_actor(library.find("walker.pedestrian.0001"), spots[100])
    cone = world.spawn_actor(library.find("static.prop.trafficcone01"), spots[150])
    mirror = carla.Transform(carla.Location(x=0.8, z=1.6))
    sensor = world.spawn_actor(library.find("sensor.other.collision"), mirror, attach_to=car)
    world.tick()
    lights = world.get_actors().filter("traffic.traffic_light")
    return Scene(client, world, world.get_map(), car, walker, cone, lights[0], sensor)
