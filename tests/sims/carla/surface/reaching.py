"""Checks of what rays meet, and of what is hidden from them."""

from typing import Any

import carla

from .scene import Scene


def _above(scene: Scene) -> carla.Location:
    """Ten metres above the car."""
    where = scene.car.get_location()
    return carla.Location(where.x, where.y, where.z + 10.0)


def rays(scene: Scene) -> bool:
    """Down to the car, and through it to the ground."""
    found = scene.world.cast_ray(_above(scene), _above(scene) - carla.Location(z=30.0))
    return found[0].label == carla.CityObjectLabel.Car and len(found) > 1 and found[0].location.z > found[-1].location.z


def roof(scene: Scene) -> bool:
    """From above, the car's."""
    return bool(0.5 < scene.world.ground_projection(_above(scene), 100.0).location.z - scene.car.get_location().z < 2.5)


def up_and_down(scene: Scene) -> bool:
    """The sky, and the car."""
    up, down = (scene.world.project_point(_above(scene), carla.Vector3D(z=way), 100.0) for way in (1.0, -1.0))
    return up is None and down.label == carla.CityObjectLabel.Car


def _roof_m(scene: Scene, thing: Any) -> float:  # noqa: ANN401 -- carla.EnvironmentObject
    """How high a ray from above meets something where a thing is."""
    where = thing.bounding_box.location
    top = where.z + thing.bounding_box.extent.z
    return float(scene.world.ground_projection(carla.Location(where.x, where.y, top + 20.0), 500.0).location.z)


def _free(scene: Scene, thing: Any) -> bool:  # noqa: ANN401 -- carla.EnvironmentObject
    """Whether a car can be spawned where a thing is."""
    box = thing.bounding_box
    place = carla.Transform(box.location - carla.Location(z=box.extent.z - 0.3), box.rotation)
    blueprint = scene.world.get_blueprint_library().find("vehicle.mini.cooper_s")
    actor = scene.world.try_spawn_actor(blueprint, place)
    return actor is not None and scene.ticks(1) and bool(actor.destroy())


def disabled(scene: Scene) -> bool:
    """A house that rays and cars meet, meet no more, and meet again."""
    house = scene.world.get_environment_objects(carla.CityObjectLabel.Buildings)[0]
    heights, free = [], []
    for enabled in (True, False, True):
        scene.world.enable_environment_objects({house.id}, enabled)
        heights.append(_roof_m(scene, house))
        free.append(_free(scene, house))
    return heights[0] == heights[2] > heights[1] + 2.0 and free == [False, True, False]


def unloaded(scene: Scene) -> bool:
    """Likewise all houses."""
    houses = scene.world.get_environment_objects(carla.CityObjectLabel.Buildings)[:5]
    before = [_roof_m(scene, house) for house in houses]
    scene.world.unload_map_layer(carla.MapLayer.Buildings)
    gone = [_roof_m(scene, house) for house in houses]
    free = [_free(scene, house) for house in houses]
    scene.world.load_map_layer(carla.MapLayer.Buildings)
    again = [_roof_m(scene, house) for house in houses]
    kept = before == again and not _free(scene, houses[0])
    return kept and all(free) and all(low < high - 2.0 for low, high in zip(gone, before, strict=True))
