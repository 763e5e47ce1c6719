"""The European town: two roundabouts, winding streets between them, T-junctions, and one crossing with lights."""

import math

from haltere.sims.carla.towns.network import Network, network
from haltere.sims.carla.towns.opendrive import Piece, Pose
from haltere.sims.carla.towns.streets import Crossing, Street

RING_M = 16.0
"""Radius of a roundabout's inner edge."""
APART_M = 120.0
_GAP = math.radians(26.0)
"""Half of the angle that a junction takes of its roundabout."""
_ARMS = 4
_QUIET_KMH, _RING_KMH, _MAIN_KMH = 30.0, 30.0, 50.0


class _Plan:
    """Crossings and streets in the making."""

    def __init__(self) -> None:
        self.crossings: list[Crossing] = []
        self.streets: list[Street] = []

    def crossing(self, x: float, y: float, *, lights: bool = False, reach: float = 14.0) -> int:
        """Its number."""
        self.crossings.append(Crossing(x, y, reach=reach, lights=lights))
        return len(self.crossings) - 1

    def roundabout(self, x: float, y: float) -> list[int]:
        """Numbers of its four crossings: east, north, west and south. It is driven counterclockwise."""
        turns = [2 * math.pi * n / _ARMS for n in range(_ARMS)]
        nodes = [self.crossing(x + RING_M * math.cos(turn), y + RING_M * math.sin(turn), reach=15.0) for turn in turns]
        for n, turn in enumerate(turns):
            begins = turn + _GAP
            start = Pose(x + RING_M * math.cos(begins), y + RING_M * math.sin(begins), begins + math.pi / 2)
            arc = Piece(start, RING_M * (2 * math.pi / _ARMS - 2 * _GAP), 1 / RING_M)
            self.streets.append(
                Street(
                    nodes[n],
                    nodes[(n + 1) % _ARMS],
                    back=0,
                    limit_kmh=_RING_KMH,
                    pieces=[arc],
                    edge="none",
                    walks=False,
                )
            )
        return nodes

    def street(self, begins: int, ends: int, *through: tuple[float, float], quiet: bool = False) -> None:
        """One lane each way."""
        limit = _QUIET_KMH if quiet else _MAIN_KMH
        self.streets.append(Street(begins, ends, limit_kmh=limit, through=through))


def europe() -> Network:
    """Its main street leads from one roundabout past the crossing to the other."""
    plan = _Plan()
    west, east = plan.roundabout(-APART_M * 1.5, 0.0), plan.roundabout(APART_M * 1.5, 0.0)
    middle = plan.crossing(0.0, 0.0, lights=True, reach=18.0)
    north, south = plan.crossing(0.0, APART_M), plan.crossing(0.0, -APART_M)
    north_west, north_east = plan.crossing(-APART_M * 1.5, APART_M), plan.crossing(APART_M * 1.5, APART_M)
    south_west, south_east = plan.crossing(-APART_M * 1.5, -APART_M), plan.crossing(APART_M * 1.5, -APART_M)
    plan.street(west[0], middle, (-100.0, 14.0), (-60.0, 0.0))
    plan.street(middle, east[2], (60.0, 0.0), (100.0, -14.0))
    plan.street(middle, north, quiet=True)
    plan.street(south, middle, quiet=True)
    plan.street(west[1], north_west)
    plan.street(south_west, west[3])
    plan.street(east[1], north_east)
    plan.street(south_east, east[3])
    plan.street(north_west, north, (-110.0, APART_M + 16.0), (-60.0, APART_M))
    plan.street(north, north_east, (60.0, APART_M), (110.0, APART_M + 16.0))
    plan.street(south_west, south, (-110.0, -APART_M - 16.0), (-60.0, -APART_M))
    plan.street(south, south_east, (60.0, -APART_M), (110.0, -APART_M - 16.0))
    plan.street(west[2], south_west, (-APART_M * 2.2, 0.0), (-APART_M * 2.2, -APART_M), quiet=True)
    plan.street(east[0], north_east, (APART_M * 2.2, 0.0), (APART_M * 2.2, APART_M), quiet=True)
    outside = ((-APART_M * 2.6, APART_M), (-APART_M * 2.6, -APART_M * 1.5), (-APART_M * 1.5, -APART_M * 1.5))
    plan.street(north_west, south_west, *outside, quiet=True)
    return network(plan.crossings, plan.streets)
