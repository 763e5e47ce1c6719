"""What a server needs of a town: its map, where vehicles may be spawned, what stands in it and its traffic lights."""

from dataclasses import dataclass

from haltere.sims.carla.geometry import BoundingBox, Transform
from haltere.sims.carla.scene import Scene


@dataclass(frozen=True)
class TrafficLight:
    """One head of a junction's lights.

    Attributes:
        signal: its number in the map.
        place: of the pole's foot; the head looks along -x, at who comes.
        stops: the box in which vehicles are told what it shows, in the world.
        junction: those of one junction change together.
        phase: which turn it has among the junction's: lights of one phase are green at once.
        green_s: how long.
        yellow_s: likewise.
        red_s: all lights of the junction are red for so long between two phases.
    """

    signal: str
    place: Transform
    stops: BoundingBox
    junction: int
    phase: int
    green_s: float = 10.0
    yellow_s: float = 3.0
    red_s: float = 2.0


@dataclass(frozen=True)
class Town:
    """A map and what stands in it.

    Attributes:
        name: such as ``grid``.
        opendrive: the map, as text.
        spawn_points: of vehicles, half a metre above a lane.
        scene: what stands there.
        lights: all of them.
        speed_limit_kmh: where no sign says otherwise.
    """

    name: str
    opendrive: str
    spawn_points: tuple[Transform, ...]
    scene: Scene
    lights: tuple[TrafficLight, ...] = ()
    speed_limit_kmh: float = 30.0
