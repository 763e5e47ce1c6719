"""Ticks a second with cameras, through CARLA's client; on a machine with nothing else to do.

python tests/sims/carla/bench_cameras.py [TOWN]
"""

import queue
import sys
import time
from typing import Any

import carla
from connecting import connected

from haltere.sims.carla.server.embedded import EmbeddedServer

CAMERAS, CARS, TICKS = 6, 20, 200


def spawned_cameras(world: Any, car: Any) -> list[tuple[Any, queue.Queue[Any]]]:  # noqa: ANN401
    """All around a car, 400 by 300."""
    blueprint = world.get_blueprint_library().find("sensor.camera.rgb")
    blueprint.set_attribute("image_size_x", "400")
    blueprint.set_attribute("image_size_y", "300")
    found = []
    for number in range(CAMERAS):
        place = carla.Transform(carla.Location(z=2.0), carla.Rotation(yaw=360.0 / CAMERAS * number))
        camera, came = world.spawn_actor(blueprint, place, attach_to=car), queue.Queue[Any]()
        camera.listen(came.put)
        found.append((camera, came))
    time.sleep(0.5)  # until they listen
    return found


def main() -> None:
    """Six cameras of one car among twenty, each picture waited for."""
    with EmbeddedServer.of(sys.argv[1] if len(sys.argv) > 1 else "grid") as server:
        _, world = connected(server)
        library, spots = world.get_blueprint_library(), world.get_map().get_spawn_points()
        near = sorted(spots, key=lambda spot: spot.location.distance(spots[0].location))[:CARS]
        cars = [world.spawn_actor(library.find("vehicle.tesla.model3"), spot) for spot in near]
        cameras = spawned_cameras(world, cars[0])
        began = time.perf_counter()
        for _ in range(TICKS):
            frame = world.tick()
            for _, came in cameras:
                while came.get(timeout=20.0).frame < frame:
                    pass
        rate = TICKS / (time.perf_counter() - began)
        print(f"{CAMERAS} cameras of 400 x 300 among {CARS} cars: {rate:.0f} ticks/s")
        for camera, _ in cameras:
            camera.destroy()


if __name__ == "__main__":
    main()
