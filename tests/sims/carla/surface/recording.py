"""Checks of the recorder and of what plays its files again."""

import math

import carla

from .scene import Scene

_NAME = "surface.rec"


def _recorded(scene: Scene, ticks: int = 40) -> int:
    """A car that drives by itself for two seconds; its number."""
    library, place = scene.world.get_blueprint_library(), scene.map.get_spawn_points()[60]
    car = scene.world.spawn_actor(library.find("vehicle.audi.tt"), place)
    scene.ticks(5)
    scene.client.start_recorder(_NAME)
    for _ in range(ticks):
        car.set_target_velocity(6.0 * place.get_forward_vector())
        scene.ticks()
    scene.client.stop_recorder()
    number = int(car.id)
    car.destroy()
    return number


def _cars(scene: Scene) -> list[carla.Actor]:
    return list(scene.world.get_actors().filter("vehicle.audi.tt"))


def told(scene: Scene) -> bool:
    """Where the file lies, and who is in it."""
    number = _recorded(scene)
    said = scene.client.show_recorder_file_info(_NAME, False)
    return f"Create {number}: vehicle.audi.tt" in said and "Frames: 41" in said and "Duration: 2 seconds" in said


def met(scene: Scene) -> bool:
    """Nobody met anybody; a letter that is no kind is refused."""
    _recorded(scene)
    try:
        scene.client.show_recorder_collisions(_NAME, "x", "a")
    except RuntimeError:
        return "Collisions: 0" in scene.client.show_recorder_collisions(_NAME, "v", "v")
    return False


def blocked(scene: Scene) -> bool:
    """The car of the scene stood all the time, the other one didn't."""
    number = _recorded(scene)
    said = scene.client.show_recorder_actors_blocked(_NAME, 1.5, 100.0)
    return f"  {scene.car.id}  " in said and f"  {number}  " not in said


def replayed(scene: Scene) -> bool:
    """The same way in the same time, or in half of it; then it goes, unless it is kept."""
    _recorded(scene)
    gone = []
    for factor in (1.0, 2.0):
        scene.client.set_replayer_time_factor(factor)
        scene.client.replay_file(_NAME, 0.0, 0.0, 0)
        scene.ticks(2)
        (car,) = _cars(scene)
        start = car.get_location()
        scene.ticks(10)
        gone.append(car.get_location().distance(start))
        scene.client.stop_replayer(False)
        scene.ticks()
        if _cars(scene):
            return False
    scene.client.set_replayer_time_factor(1.0)
    return math.isclose(gone[0], 3.0, rel_tol=0.1) and math.isclose(gone[1], 6.0, rel_tol=0.1)


def ignored(scene: Scene) -> bool:
    """The spectator goes along with who is followed, unless he isn't to; heroes are left out, if they are to."""
    number = _recorded(scene)
    apart = []
    for ignores in (False, True):
        scene.client.set_replayer_ignore_spectator(ignores)
        scene.world.get_spectator().set_location(carla.Location(z=50.0))
        scene.client.replay_file(_NAME, 0.0, 0.0, number)
        scene.ticks(3)
        apart.append(scene.world.get_spectator().get_location().distance(_cars(scene)[0].get_location()))
        scene.client.stop_replayer(False)
    scene.client.set_replayer_ignore_spectator(False)
    return apart[0] < 20.0 < apart[1]


def heroes(scene: Scene) -> bool:
    """A hero comes again, unless heroes are ignored."""
    library, place = scene.world.get_blueprint_library(), scene.map.get_spawn_points()[60]
    blueprint = library.find("vehicle.audi.tt")
    blueprint.set_attribute("role_name", "hero")
    hero = scene.world.spawn_actor(blueprint, place)
    scene.client.start_recorder(_NAME)
    scene.ticks(3)
    scene.client.stop_recorder()
    hero.destroy()
    came = []
    for ignores in (True, False):
        scene.client.set_replayer_ignore_hero(ignores)
        scene.client.replay_file(_NAME, 0.0, 0.0, 0)
        scene.ticks()
        came.append(len(_cars(scene)))
        scene.client.stop_replayer(False)
        scene.ticks()
    return came == [0, 1]
