"""Checks of walkers who find their way, which CARLA's client does by itself with what the server says of walkways."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import carla
import shapely

from haltere.sims.carla.server.embedded import EmbeddedServer

from .scene import STEP_S, Scene, scene_of

SIDEWALK, DRIVING = carla.LaneType.Sidewalk, carla.LaneType.Driving


@contextmanager
def led(scene: Scene, place: Any, cross: float = 0.0) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 -- carla.Location
    """A walker at a place, and his controller, who has begun."""
    library = scene.world.get_blueprint_library()
    scene.world.set_pedestrians_cross_factor(cross)
    where = carla.Transform(carla.Location(place.x, place.y, place.z + 0.5))
    walker = scene.world.spawn_actor(library.find("walker.pedestrian.0001"), where)
    scene.world.tick()
    leads = scene.world.spawn_actor(library.find("controller.ai.walker"), carla.Transform(), attach_to=walker)
    scene.world.tick()
    leads.start()
    try:
        yield walker, leads
    finally:
        leads.stop()
        leads.destroy()
        walker.destroy()
        scene.world.set_pedestrians_cross_factor(0.0)


def _kept_in(folder: Path) -> list[Path]:
    return list(folder.rglob("Nav/*.bin"))


def files(folder: Path) -> Callable[[Scene], bool]:
    """There is one, and it comes into the folder that was named."""

    def check(scene: Scene) -> bool:
        named = scene.client.get_required_files("Nav", False)
        for file in _kept_in(folder):
            file.unlink()
        scene.client.request_file(named[0])
        return len(named) == 1 and [file.name for file in _kept_in(folder)] == [Path(named[0]).name]

    return check


def anywhere(scene: Scene) -> bool:
    """Twenty places, each on a sidewalk, far from each other."""
    found = [scene.world.get_random_location_from_navigation() for _ in range(20)]
    lanes = [scene.map.get_waypoint(place, lane_type=SIDEWALK) for place in found]
    on = [
        lane.transform.location.distance_2d(place) < 0.5 * lane.lane_width + 0.2
        for lane, place in zip(lanes, found, strict=True)
    ]
    return all(on) and max(place.distance(found[0]) for place in found) > 50.0


def seeded(scene: Scene) -> bool:
    """The same seed finds the same places, another others."""
    places = []
    for seed in (7, 7, 8):
        scene.world.set_pedestrians_seed(seed)
        place = scene.world.get_random_location_from_navigation()
        places.append((place.x, place.y))
    return places[0] == places[1] != places[2]


def goes(scene: Scene) -> bool:
    """To where he is told, over roads by crosswalks alone, and no faster than he is told."""
    corners = [(corner.x, corner.y) for corner in scene.map.get_crosswalks()]
    crosswalks = shapely.MultiPolygon([shapely.Polygon(corners[at : at + 4]) for at in range(0, len(corners), 5)])
    start = scene.world.get_random_location_from_navigation()
    with led(scene, start) as (walker, leads):
        found = [scene.world.get_random_location_from_navigation() for _ in range(200)]
        end = min((place for place in found if place.distance(start) > 15.0), key=start.distance)
        leads.go_to_location(end)
        leads.set_max_speed(3.0)
        for _ in range(round(120.0 / STEP_S)):
            before = walker.get_location()
            scene.world.tick()
            here = walker.get_location()
            if here.distance_2d(before) > 3.0 * STEP_S + 0.02 or walker.get_velocity().length() > 3.05:
                return False
            lane = scene.map.get_waypoint(here, project_to_road=False, lane_type=DRIVING)
            # In a junction lanes that turn reach over the corners of sidewalks.
            on_road = lane is not None and not lane.is_junction
            if on_road and crosswalks.distance(shapely.Point(here.x, here.y)) > 0.6:
                return False
            if here.distance_2d(end) < 1.5:
                return True
    return False


def stops(scene: Scene) -> bool:
    """He walks, and doesn't any more."""
    start = scene.world.get_random_location_from_navigation()
    with led(scene, start) as (walker, leads):
        leads.go_to_location(scene.world.get_random_location_from_navigation())
        leads.set_max_speed(1.4)
        scene.ticks(60)
        walked = walker.get_location().distance_2d(start)
        leads.stop()
        scene.ticks(2)
        stood = walker.get_location()
        scene.ticks(20)
        return walked > 1.0 and walker.get_location().distance_2d(stood) < 0.01


def _opposite(scene: Scene, start: Any) -> Any:  # noqa: ANN401 -- carla.Location
    """The middle of the sidewalk over the road, or None where it isn't a plain street far from crosswalks."""
    lane = scene.map.get_waypoint(start, lane_type=DRIVING)
    away = lane.transform.location - start
    if lane.is_junction or min(start.distance_2d(corner) for corner in scene.map.get_crosswalks()) < 60.0:
        return None
    beyond = start + away * (1.0 + 5.25 / away.length())
    other = scene.map.get_waypoint(carla.Location(beyond), lane_type=SIDEWALK).transform.location
    return other if 6.0 < other.distance_2d(start) < 14.0 else None


def crosses(scene: Scene) -> bool:
    """Who may cross roads goes straight to the other side, where a crosswalk is far; who may not goes to that one."""
    away = []
    with EmbeddedServer.of("europe") as server:
        client = carla.Client(server.host, server.port)
        client.set_timeout(20.0)
        scene = scene_of(client, client.get_world())
        scene.world.set_pedestrians_seed(1)
        starts = (scene.world.get_random_location_from_navigation() for _ in range(500))
        start, other = next((start, other) for start in starts if (other := _opposite(scene, start)) is not None)
        for factor in (1.0, 1.0, 0.0, 0.0):
            with led(scene, start, factor) as (walker, leads):
                leads.go_to_location(other)
                leads.set_max_speed(2.0)
                nearest = 100.0
                for _ in range(round(10.0 / STEP_S)):
                    scene.world.tick()
                    nearest = min(nearest, walker.get_location().distance_2d(other))
                away.append(nearest)
    # The first walker that a process leads keeps off the road whatever the factor, and why isn't known; see ``PARTLY``.
    return away[1] < 2.0 and min(away[2:]) > 5.0
