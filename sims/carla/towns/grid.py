"""The grid town: five by five crossings, wider streets and lights in the middle, stop signs elsewhere."""

from haltere.sims.carla.towns.network import Network, network
from haltere.sims.carla.towns.streets import Crossing, Street

SIDE, APART_M = 5, 90.0
_MIDDLE = SIDE // 2


def grid() -> Network:
    """Sixteen blocks."""
    crossings = [
        Crossing(
            APART_M * (column - _MIDDLE),
            APART_M * (row - _MIDDLE),
            reach=18.0,
            lights=row == _MIDDLE or column == _MIDDLE,
        )
        for row in range(SIDE)
        for column in range(SIDE)
    ]
    streets = []
    for row in range(SIDE):
        for column in range(SIDE):
            here = row * SIDE + column
            if column + 1 < SIDE:
                streets.append(Street(here, here + 1, lanes=2 if row == _MIDDLE else 1))
            if row + 1 < SIDE:
                streets.append(Street(here, here + SIDE, lanes=2 if column == _MIDDLE else 1))
    return network(crossings, streets)
