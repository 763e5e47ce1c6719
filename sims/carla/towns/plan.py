"""Towns as they are described: crossings and streets, one after another, and roundabouts."""

import math
from collections.abc import Sequence
from dataclasses import replace

from haltere.sims.carla.towns.network import Network, network
from haltere.sims.carla.towns.opendrive import Piece, Pose
from haltere.sims.carla.towns.streets import Crossing, Street, Way

RING_M = 16.0
"""Radius of a roundabout's inner edge."""
RING_KMH = 30.0
_GAP = math.radians(26.0)
"""Half of the angle that a junction takes of its roundabout."""
_ARMS = 4


class Plan:
    """A town in the making."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._crossings: list[Crossing] = []
        self._streets: list[Street] = []

    def crossing(self, crossing: Crossing) -> int:
        """Add one; its number."""
        self._crossings.append(crossing)
        return len(self._crossings) - 1

    def street(self, street: Street) -> int:
        """Likewise."""
        self._streets.append(street)
        return len(self._streets) - 1

    def lead(self, crossing: int, ways: Sequence[Way]) -> None:
        """All ways through a crossing, instead of the usual ones."""
        self._crossings[crossing] = replace(self._crossings[crossing], ways=tuple(ways))

    def roundabout(self, x: float, y: float) -> list[int]:
        """Numbers of its four crossings: east, north, west and south. It is driven counterclockwise."""
        turns = [2 * math.pi * n / _ARMS for n in range(_ARMS)]
        nodes = [
            self.crossing(Crossing(x + RING_M * math.cos(turn), y + RING_M * math.sin(turn), reach=15.0))
            for turn in turns
        ]
        for n, turn in enumerate(turns):
            begins = turn + _GAP
            start = Pose(x + RING_M * math.cos(begins), y + RING_M * math.sin(begins), begins + math.pi / 2)
            arc = Piece(start, RING_M * (2 * math.pi / _ARMS - 2 * _GAP), 1 / RING_M)
            after = nodes[(n + 1) % _ARMS]
            self.street(Street(nodes[n], after, back=0, limit_kmh=RING_KMH, pieces=[arc], edge="none", walks=False))
        return nodes

    def made(self) -> Network:
        """Roads and junctions of it."""
        return network(self._crossings, self._streets)
