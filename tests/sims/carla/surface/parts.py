"""Checks of bones and wheels, of collisions, and of files that the client writes."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import carla

from .scene import Scene

_WHEEL = carla.VehicleWheelLocation.FL_Wheel


def bones(scene: Scene) -> bool:
    """Wheels are a wheel base apart, and bones in the world are those of the car, moved."""
    names, local = list(scene.car.get_bone_names()), scene.car.get_bone_relative_transforms()
    front, rear = (local[names.index(name)].location.x for name in ("Wheel_Front_Left", "Wheel_Rear_Left"))
    place = scene.car.get_transform()
    pairs = zip(scene.car.get_bone_world_transforms(), local, strict=True)
    apart = [there.location.distance(place.transform(carla.Location(own.location))) for there, own in pairs]
    return 2.0 < front - rear < 4.0 and max(apart) < 0.05


def vehicle_bones(scene: Scene) -> bool:
    """Those of any actor."""
    pairs = zip(scene.car.get_vehicle_bone_world_transforms(), scene.car.get_bone_world_transforms(), strict=True)
    return all(one.location.distance(other.location) < 0.01 for one, other in pairs)


def wheels(scene: Scene) -> bool:
    """Shown as they are set, and told so by the bones; of another car, so that this one's stay."""
    library = scene.world.get_blueprint_library()
    car = scene.world.spawn_actor(library.find("vehicle.audi.tt"), scene.map.get_spawn_points()[30])
    car.set_wheel_steer_direction(_WHEEL, 12.0)
    car.set_wheel_pitch_angle(_WHEEL, 30.0)
    scene.ticks()
    told = car.get_wheel_steer_angle(_WHEEL), car.get_wheel_pitch_angle(_WHEEL)
    turned = car.get_bone_relative_transforms()[1].rotation
    shown = abs(turned.yaw - 12.0) < 1e-3 and abs(turned.pitch - 30.0) < 1e-3
    return bool(car.destroy()) and told == (12.0, 30.0) and shown


def passes(scene: Scene) -> bool:
    """Without collisions a car drives through another one, which stays where it is."""
    library, place = scene.world.get_blueprint_library(), scene.map.get_spawn_points()[40]
    ghost = scene.world.spawn_actor(library.find("vehicle.audi.tt"), place)
    way = place.get_forward_vector()
    ahead = carla.Transform(place.location + 8.0 * way, place.rotation)
    other = scene.world.spawn_actor(library.find("vehicle.audi.tt"), ahead)
    ghost.set_collisions(False)
    scene.ticks(20)
    start = other.get_location()
    for _ in range(60):
        ghost.set_target_velocity(8.0 * way)
        scene.ticks()
    beyond = ghost.get_location() - start
    passed = beyond.x * way.x + beyond.y * way.y > 3.0 and other.get_location().distance(start) < 0.05
    return passed and bool(ghost.destroy()) and bool(other.destroy())


def written(write: Callable[[str], Any]) -> bool:
    """A file that wasn't there."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "town.bin"
        write(str(path))
        return path.stat().st_size > 1000
