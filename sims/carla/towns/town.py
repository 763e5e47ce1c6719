"""What a server needs of a town: its map, where vehicles may be spawned, what stands in it and its traffic lights."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haltere.sims.carla.geometry import BoundingBox, Transform
from haltere.sims.carla.scene import Scene
from haltere.sims.carla.towns.walks import Walkways


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
class Sign:
    """A sign beside a road.

    Attributes:
        signal: its number in the map.
        kind: ``205`` to give way, ``206`` to stop, ``274`` a speed limit; source: the German catalogue.
        place: of its pole's foot; it looks along -x, at who comes.
        value: of a speed limit [km/h].
    """

    signal: str
    kind: str
    place: Transform
    value: float = 0.0


@dataclass(frozen=True)
class Limits:
    """Speed limits on a grid: everywhere that of the nearest lane.

    Attributes:
        x_m: of the first column.
        y_m: of the first row.
        cell_m: from one to the next.
        kmh: (rows along y, columns along x) float32.
    """

    x_m: float
    y_m: float
    cell_m: float
    kmh: NDArray[np.float32]


@dataclass(frozen=True)
class Town:
    """A map and what stands in it.

    Attributes:
        name: such as ``grid``.
        opendrive: the map, as text.
        spawn_points: of vehicles, half a metre above a lane.
        scene: what stands there.
        lights: all of them.
        signs: of the kinds that there are.
        limits: how fast vehicles may go.
        walkways: where walkers may.
        slots: to park in, on the ground; x leads across the road that they lie beside.
    """

    name: str
    opendrive: str
    spawn_points: tuple[Transform, ...]
    scene: Scene
    limits: Limits
    walkways: Walkways
    lights: tuple[TrafficLight, ...] = ()
    signs: tuple[Sign, ...] = ()
    slots: tuple[BoundingBox, ...] = ()
