"""Streets between crossings, made into roads, junctions, lights and crosswalks."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from haltere.sims.carla.towns.opendrive import (
    LIGHT_TYPE,
    Connection,
    Crosswalk,
    Junction,
    Lane,
    Link,
    Mark,
    Piece,
    Pose,
    Road,
    Signal,
    joining,
)

LANE_M, SIDEWALK_M = 3.5, 2.5
STOPS_M = 6.0
"""Between a light, or a sign, and the junction: the crosswalk lies there."""
WALK_M = 3.0
_FIRST_JUNCTION, _FIRST_SIGNAL, _FIRST_WALK = 1000, 5000, 7000
_YIELD, _STOP = "205", "206"


@dataclass(frozen=True)
class Crossing:
    """Where streets meet: a place [m, OpenDRIVE's], how far from it they end, and whether lights rule it."""

    x: float
    y: float
    reach: float = 14.0
    lights: bool = False


@dataclass(frozen=True)
class Street:
    """Straight from one crossing to another, with as many lanes each way."""

    begins: int
    ends: int
    lanes: int = 1
    limit_kmh: float = 50.0


@dataclass(frozen=True)
class Arm:
    """A street's end at a crossing.

    Attributes:
        road: its number.
        out: the pose at the end, looking away from the crossing.
        lanes: each way.
        at_end: whether the road ends here, rather than begins.
    """

    road: int
    out: Pose
    lanes: int
    at_end: bool

    def incoming(self, lane: int) -> int:
        """Number of the n-th lane, from the middle, that leads into the crossing."""
        return -lane if self.at_end else lane

    def outgoing(self, lane: int) -> int:
        """And of the n-th that leads away."""
        return lane if self.at_end else -lane


@dataclass
class Network:
    """What becomes of streets.

    Attributes:
        roads: all of them.
        junctions: likewise.
        phases: signal -> junction and phase of its light.
    """

    roads: list[Road] = field(default_factory=list)
    junctions: list[Junction] = field(default_factory=list)
    phases: dict[str, tuple[int, int]] = field(default_factory=dict)


def network(crossings: Sequence[Crossing], streets: Sequence[Street]) -> Network:
    """Build it.

    Args:
        crossings: of which each has at least two streets.
        streets: numbers of their crossings.
    """
    made, arms = Network(), defaultdict[int, list[Arm]](list)
    for number, street in enumerate(streets):
        road, first, last = _street(number, street, crossings)
        made.roads.append(road)
        arms[street.begins].append(first)
        arms[street.ends].append(last)
    for number, crossing in enumerate(crossings):
        _cross(made, number, crossing, sorted(arms[number], key=lambda arm: arm.out.heading))
    return made


def _street(number: int, street: Street, crossings: Sequence[Crossing]) -> tuple[Road, Arm, Arm]:
    one, other = crossings[street.begins], crossings[street.ends]
    heading = math.atan2(other.y - one.y, other.x - one.x)
    length = math.hypot(other.x - one.x, other.y - one.y) - one.reach - other.reach
    start = Pose(one.x, one.y, heading).moved(one.reach)
    # Lanes go on through junctions by connecting roads alone, and so name none that they lead to.
    lanes = []
    for sign in (1, -1):
        for n in range(1, street.lanes + 1):
            lanes.append(Lane(sign * n, width=LANE_M, mark=Mark("broken" if n < street.lanes else "solid")))
        lanes.append(Lane(sign * (street.lanes + 1), "sidewalk", SIDEWALK_M))
    before, after = (Link("junction", _FIRST_JUNCTION + at) for at in (street.begins, street.ends))
    across = 2 * LANE_M * street.lanes
    walks = [
        Crosswalk(_FIRST_WALK + 2 * number + end, s, WALK_M, across)
        for end, s in enumerate((WALK_M / 2 + 1.0, length - WALK_M / 2 - 1.0))
    ]
    piece = Piece(start, length)
    road = Road(
        number, [piece], lanes, before=before, after=after, limit_kmh=street.limit_kmh, crosswalks=walks
    )
    first = Arm(number, start, street.lanes, at_end=False)
    return road, first, Arm(number, piece.end.turned(math.pi), street.lanes, at_end=True)


def _cross(made: Network, number: int, crossing: Crossing, arms: Sequence[Arm]) -> None:
    """Ways through a crossing: right turns from the outer lane, left turns from the inner one, straight from all."""
    junction = Junction(_FIRST_JUNCTION + number)
    for arm in arms:
        for other in arms:
            if other is not arm:
                _ways(made, junction, arm, other)
    made.junctions.append(junction)
    if len(arms) > 2:
        _rule(made, junction, crossing, arms)


def _ways(made: Network, junction: Junction, arm: Arm, other: Arm) -> None:
    turn = math.remainder(other.out.heading - arm.out.heading - math.pi, 2 * math.pi)
    if abs(turn) < math.radians(30.0):
        pairs = [(lane, min(lane, other.lanes)) for lane in range(1, arm.lanes + 1)]
    else:
        pairs = [(1, 1)] if turn > 0.0 else [(arm.lanes, other.lanes)]
    for lane, onto in pairs:
        # A lane's left border is the reference of its connecting road, which lies to its right.
        start = arm.out.turned(math.pi).moved(0.0, -LANE_M * (lane - 1))
        end = other.out.moved(0.0, -LANE_M * (onto - 1))
        road = Road(
            len(made.roads),
            joining(start, end),
            [Lane(-1, before=arm.incoming(lane), after=other.outgoing(onto))],
            junction=junction.number,
            before=Link("road", arm.road, "end" if arm.at_end else "start"),
            after=Link("road", other.road, "end" if other.at_end else "start"),
            limit_kmh=made.roads[arm.road].limit_kmh,
            centre=Mark(),
        )
        made.roads.append(road)
        junction.connections.append(Connection(arm.road, road.number, arm.incoming(lane)))


def _rule(made: Network, junction: Junction, crossing: Crossing, arms: Sequence[Arm]) -> None:
    """Lights, or signs where the narrower streets give way."""
    groups: dict[int, list[int]] = defaultdict(list)
    widest = max(arm.lanes for arm in arms)
    for arm in arms:
        road = made.roads[arm.road]
        signal = Signal(
            _FIRST_SIGNAL + 2 * arm.road + arm.at_end,
            road.length - STOPS_M if arm.at_end else STOPS_M,
            (-1 if arm.at_end else 1) * (arm.lanes * LANE_M + 1.0),
            arm.at_end,
            LIGHT_TYPE if crossing.lights else _YIELD if arm.lanes < widest else _STOP,
            (arm.incoming(1), arm.incoming(arm.lanes)),
        )
        made.roads[arm.road] = replace(road, signals=[*road.signals, signal])
        if crossing.lights:
            # Who comes from opposite sides drives at once.
            phase = round(arm.out.heading / (math.pi / 2)) % 2
            groups[phase].append(signal.number)
            made.phases[str(signal.number)] = (junction.number, phase)
    for phase, signals in sorted(groups.items()):
        junction.controllers.append((10 * junction.number + phase, tuple(signals)))
