"""What a town is described by: crossings and the streets between them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from haltere.sims.carla.towns.opendrive import Piece, Pose
from haltere.sims.carla.towns.paths import rounded

LANE_M, SIDEWALK_M = 3.5, 2.5
Edge = Literal["sidewalk", "shoulder", "parking", "none"]
Way = tuple[int, int, int, int]
"""From a street's lane onto another street's lane: numbers of streets, and of lanes from the middle."""


@dataclass(frozen=True)
class Crossing:
    """Where streets meet.

    Attributes:
        x: of its middle [m, OpenDRIVE's].
        y: likewise.
        reach: how far from it streets without ``pieces`` end.
        lights: whether they rule it.
        signs: whether signs do, where lights don't.
        ways: all ways through; none for right turns from outer lanes, left turns from inner ones, straight from all.
    """

    x: float
    y: float
    reach: float = 14.0
    lights: bool = False
    signs: bool = True
    ways: Sequence[Way] = ()


@dataclass(frozen=True)
class Street:
    """From one crossing to another.

    Attributes:
        begins: number of a crossing.
        ends: likewise.
        lanes: that lead there.
        limit_kmh: for all of them.
        back: lanes that lead back; as many where None.
        through: points [m] between the crossings, at which it turns.
        pieces: its reference line, where that isn't given by crossings and points.
        width: of a lane [m].
        edge: what lies beside the outer lanes.
        edge_m: how wide that is.
        walks: whether crosswalks lie at both ends.
        slots: to park in, along either side.
    """

    begins: int
    ends: int
    lanes: int = 1
    limit_kmh: float = 50.0
    back: int | None = None
    through: Sequence[tuple[float, float]] = ()
    pieces: Sequence[Piece] = ()
    width: float = LANE_M
    edge: Edge = "sidewalk"
    edge_m: float = SIDEWALK_M
    walks: bool = True
    slots: int = 0

    @property
    def lanes_back(self) -> int:
        """How many lead back."""
        return self.lanes if self.back is None else self.back

    def line(self, crossings: Sequence[Crossing]) -> Sequence[Piece]:
        """Its reference line."""
        if self.pieces:
            return self.pieces
        one, other = crossings[self.begins], crossings[self.ends]
        return rounded([(one.x, one.y), *self.through, (other.x, other.y)], one.reach, other.reach)


@dataclass(frozen=True)
class Arm:
    """A street's end at a crossing.

    Attributes:
        street: its number, and its road's.
        made: as it is described.
        out: the pose at the end, looking away from the crossing.
        at_end: whether the street ends here, rather than begins.
    """

    street: int
    made: Street
    out: Pose
    at_end: bool

    @property
    def inward(self) -> int:
        """Lanes that lead into the crossing."""
        return self.made.lanes if self.at_end else self.made.lanes_back

    @property
    def outward(self) -> int:
        """Lanes that lead away."""
        return self.made.lanes_back if self.at_end else self.made.lanes

    def incoming(self, lane: int) -> int:
        """Number of the n-th lane, from the middle, that leads into the crossing."""
        return -lane if self.at_end else lane

    def outgoing(self, lane: int) -> int:
        """And of the n-th that leads away."""
        return lane if self.at_end else -lane

    def turn_to(self, other: "Arm") -> float:
        """Angle [rad] from the direction into the crossing to that of leaving it by another arm; to the left."""
        return math.remainder(other.out.heading - self.out.heading - math.pi, 2 * math.pi)
