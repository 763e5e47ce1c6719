"""Draws streets of all towns through CARLA's client, in colour and by label, into one picture.

python tests/sims/carla/draw_towns.py docs/carla.png
"""

import queue
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import carla
import cv2
import numpy as np
from connecting import connected
from numpy.typing import NDArray

from haltere.sims.carla.geometry import BoundingBox
from haltere.sims.carla.server.embedded import EmbeddedServer
from haltere.sims.carla.towns import load_town, town_names

WIDE, HIGH = 640, 360
KINDS = ("rgb", "semantic_segmentation")


def taken(world: Any, place: Any) -> list[NDArray[np.uint8]]:  # noqa: ANN401 -- of the carla package
    """(height, width, 3) of each kind from one place."""
    library, cameras = world.get_blueprint_library(), []
    for kind in KINDS:
        blueprint = library.find(f"sensor.camera.{kind}")
        blueprint.set_attribute("image_size_x", str(WIDE))
        blueprint.set_attribute("image_size_y", str(HIGH))
        camera, came = world.spawn_actor(blueprint, place), queue.Queue[Any]()
        camera.listen(came.put)
        cameras.append((camera, came))
    time.sleep(0.5)  # until they listen
    world.tick()
    found = []
    for kind, (camera, came) in zip(KINDS, cameras, strict=True):
        image = came.get(timeout=20.0)
        if kind == "semantic_segmentation":
            image.convert(carla.ColorConverter.CityScapesPalette)
        found.append(np.frombuffer(image.raw_data, np.uint8).reshape(HIGH, WIDE, 4)[..., :3].copy())
        camera.destroy()
    return found


def parked(world: Any, slots: Sequence[BoundingBox]) -> Any:  # noqa: ANN401 -- carla.World, carla.Transform
    """Cars in every third slot, and a place from which they are seen."""
    library = world.get_blueprint_library()
    vehicles = [each for each in library.filter("vehicle.*") if int(each.get_attribute("number_of_wheels")) == 4]
    for number, slot in enumerate(slots[::3]):
        where = carla.Location(slot.location.x, slot.location.y, slot.location.z + 0.3)
        world.try_spawn_actor(vehicles[number % 8], carla.Transform(where, carla.Rotation(yaw=slot.rotation.yaw)))
    x, y = (np.mean([getattr(slot.location, axis) for slot in slots]) for axis in "xy")
    return carla.Transform(carla.Location(float(x) - 42.0, float(y) + 8.0, 14.0), carla.Rotation(pitch=-24.0))


def street(name: str) -> list[NDArray[np.uint8]]:
    """From behind a car on a street with others, and from before a traffic light; of a town with slots, those."""
    with EmbeddedServer.of(name) as server:
        _, world = connected(server)
        library, spots = world.get_blueprint_library(), world.get_map().get_spawn_points()
        vehicles, walkers = list(library.filter("vehicle.*")), list(library.filter("walker.*"))
        for number, spot in enumerate(spots[:120:2]):
            world.try_spawn_actor(vehicles[number % len(vehicles)], spot)
            beside = carla.Transform(spot.location + 3.0 * spot.get_right_vector(), spot.rotation)
            if world.get_map().get_waypoint(beside.location, False, carla.LaneType.Sidewalk) is not None:
                world.try_spawn_actor(walkers[number % len(walkers)], beside)
        for _ in range(20):
            world.tick()
        slots = load_town(name).slots
        if slots:
            return [np.hstack(taken(world, parked(world, slots)))]
        back = spots[60].get_forward_vector() * -14.0 + carla.Location(z=4.0)
        views = [carla.Transform(spots[60].location + back, carla.Rotation(pitch=-8.0, yaw=spots[60].rotation.yaw))]
        lights = world.get_actors().filter("traffic.traffic_light")
        if len(lights):
            at = lights[3].get_transform()
            aside = carla.Location(z=3.0) - 12.0 * at.get_forward_vector() - 3.0 * at.get_right_vector()
            views.append(carla.Transform(at.location + aside, at.rotation))
        return [np.hstack(taken(world, view)) for view in views]


if __name__ == "__main__":
    rows = [row for name in town_names() for row in street(name)]
    if not cv2.imwrite(str(Path(sys.argv[1])), np.vstack(rows)):
        sys.exit(f"{sys.argv[1]} can't be written")
