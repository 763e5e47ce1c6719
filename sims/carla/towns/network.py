"""Streets between crossings, made into roads, junctions, lights, signs and crosswalks."""

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
    Road,
    Signal,
    Slot,
)
from haltere.sims.carla.towns.paths import bent
from haltere.sims.carla.towns.streets import Arm, Crossing, Street

STOPS_M = 6.0
"""Between a light, or a sign, and the junction: the crosswalk lies there."""
WALK_M, BESIDE_M, LIMIT_SIGN_M = 3.0, 0.6, 12.0
"""A crosswalk's width; from a street's edge to a sign beside it; from a street's beginning to the sign of its limit."""
SLOT_M = 2.9
"""How wide a slot is; it is as long as the lane beside the street. Those of CARLA's Town04_Opt are about so."""
SPEEDY_KMH = 80.0
_FIRST_JUNCTION, _FIRST_SIGNAL, _FIRST_WALK, _FIRST_LIMIT, _FIRST_SLOT = 1000, 5000, 7000, 9000, 20000
_YIELD, _STOP, _LIMIT = "205", "206", "274"
"""German signs, by which CARLA knows them."""
_STRAIGHT = math.radians(40.0)


@dataclass
class Network:
    """What becomes of streets."""

    roads: list[Road] = field(default_factory=list)
    junctions: list[Junction] = field(default_factory=list)


def network(crossings: Sequence[Crossing], streets: Sequence[Street]) -> Network:
    """Build it.

    Args:
        crossings: of which each has at least two streets.
        streets: numbers of their crossings.
    """
    made, arms = Network(), defaultdict[int, list[Arm]](list)
    for number, street in enumerate(streets):
        line = street.line(crossings)
        made.roads.append(_road(number, street, line))
        arms[street.begins].append(Arm(number, street, line[0].start, at_end=False))
        arms[street.ends].append(Arm(number, street, line[-1].end.turned(math.pi), at_end=True))
    for number, crossing in enumerate(crossings):
        turning = sorted(arms[number], key=lambda arm: math.remainder(arm.out.heading, 2 * math.pi))
        _cross(made, number, crossing, turning)
    return made


def _road(number: int, street: Street, line: Sequence[Piece]) -> Road:
    length = sum(piece.length for piece in line)
    before, after = (Link("junction", _FIRST_JUNCTION + at) for at in (street.begins, street.ends))
    centre = Mark("solid", "yellow") if street.lanes_back else Mark("solid", "white")
    road = Road(
        number,
        line,
        # Lanes go on through junctions by connecting roads alone, and so name none that they lead to.
        [*_side(street, 1, street.lanes_back), *_side(street, -1, street.lanes)],
        before=before,
        after=after,
        limit_kmh=street.limit_kmh,
        centre=centre,
        kind="motorway" if street.limit_kmh >= SPEEDY_KMH else "town",
    )
    walks: list[Crosswalk] = []
    if street.walks and street.lanes == street.lanes_back and length > 2 * (STOPS_M + 2.0):
        across = street.width * (street.lanes + street.lanes_back)
        ends = enumerate((WALK_M / 2 + 1.0, length - WALK_M / 2 - 1.0))
        walks = [Crosswalk(_FIRST_WALK + 2 * number + end, s, WALK_M, across) for end, s in ends]
    return replace(
        road, crosswalks=walks, slots=_slots(number, street, length), signals=_limits(number, street, length)
    )


def _side(street: Street, sign: int, lanes: int) -> list[Lane]:
    if not lanes:
        return []
    made = [
        Lane(sign * n, width=street.width, mark=Mark("broken" if n < lanes else "solid")) for n in range(1, lanes + 1)
    ]
    if street.edge != "none":
        made.append(Lane(sign * (lanes + 1), street.edge, street.edge_m))
    return made


def _slots(number: int, street: Street, length: float) -> list[Slot]:
    """In the middle of its length, on both sides."""
    begins = (length - street.slots * SLOT_M) / 2
    side = street.width * street.lanes + street.edge_m / 2
    return [
        Slot(
            _FIRST_SLOT + 1000 * number + 2 * n + left,
            begins + SLOT_M * (n + 0.5),
            side * (1 if left else -1),
            street.edge_m,
            SLOT_M,
        )
        for n in range(street.slots)
        for left in (0, 1)
    ]


def _outside(street: Street, lanes: int) -> float:
    """From the middle of a street to what stands beside it."""
    return street.width * lanes + (street.edge_m if street.edge != "none" else 0.0) + BESIDE_M


def _limits(number: int, street: Street, length: float) -> list[Signal]:
    """A speed limit's sign at either beginning, where there is room."""
    if length < 3 * LIMIT_SIGN_M or street.slots:
        return []
    sides = [(True, street.lanes, LIMIT_SIGN_M), (False, street.lanes_back, length - LIMIT_SIGN_M)]
    return [
        Signal(
            _FIRST_LIMIT + 2 * number + (not forward),
            s,
            _outside(street, lanes) * (-1 if forward else 1),
            forward,
            _LIMIT,
            (-1, -lanes) if forward else (1, lanes),
            value=street.limit_kmh,
            name=f"Speed_{street.limit_kmh:.0f}",
        )
        for forward, lanes, s in sides
        if lanes
    ]


def _cross(made: Network, number: int, crossing: Crossing, arms: Sequence[Arm]) -> None:
    junction = Junction(_FIRST_JUNCTION + number)
    if crossing.ways:
        by_street = {arm.street: arm for arm in arms}
        for street, lane, onto, other in crossing.ways:
            _way(made, junction, (by_street[street], lane), (by_street[onto], other))
    else:
        for one in arms:
            for another in arms:
                if another is not one and one.inward and another.outward:
                    _ways(made, junction, one, another, arms)
    made.junctions.append(junction)
    if len(arms) > 2 and (crossing.lights or crossing.signs):
        _rule(made, junction, crossing, arms)


def _ways(made: Network, junction: Junction, arm: Arm, other: Arm, arms: Sequence[Arm]) -> None:
    """Right turns from the outer lane, left turns from the inner one, straight from all."""
    turn = arm.turn_to(other)
    following = arms[(arms.index(arm) + 1) % len(arms)] is other
    if abs(turn) < _STRAIGHT or len(arms) == 2:
        pairs = [(lane, min(lane, other.outward)) for lane in range(1, arm.inward + 1)]
    else:
        pairs = [(1, 1)] if turn > 0.0 and not following else [(arm.inward, other.outward)]
    for lane, onto in pairs:
        _way(made, junction, (arm, lane), (other, onto), outer=following)


def _way(
    made: Network, junction: Junction, begins: tuple[Arm, int], ends: tuple[Arm, int], *, outer: bool = True
) -> None:
    """One connecting road; with what lies beside both streets' outer lanes, if there is nothing in between."""
    (arm, lane), (other, onto) = begins, ends
    # A lane's left border is the reference of its connecting road, which lies to its right.
    start = arm.out.turned(math.pi).moved(0.0, -arm.made.width * (lane - 1))
    end = other.out.moved(0.0, -other.made.width * (onto - 1))
    lanes = [Lane(-1, width=arm.made.width, before=arm.incoming(lane), after=other.outgoing(onto))]
    edge = arm.made.edge
    if outer and lane == arm.inward and onto == other.outward and edge == other.made.edge and edge != "none":
        before, after = arm.incoming(lane + 1), other.outgoing(onto + 1)
        lanes.append(Lane(-2, edge, arm.made.edge_m, before=before, after=after))
    road = Road(
        len(made.roads),
        bent(start, end),
        lanes,
        junction=junction.number,
        before=Link("road", arm.street, "end" if arm.at_end else "start"),
        after=Link("road", other.street, "end" if other.at_end else "start"),
        limit_kmh=min(arm.made.limit_kmh, other.made.limit_kmh),
        centre=Mark(),
        kind=made.roads[arm.street].kind,
    )
    made.roads.append(road)
    junction.connections.append(Connection(arm.street, road.number, arm.incoming(lane)))


def _rule(made: Network, junction: Junction, crossing: Crossing, arms: Sequence[Arm]) -> None:
    """Lights for all, or signs for who gives way."""
    groups: dict[int, list[int]] = defaultdict(list)
    for arm in arms:
        kind = LIGHT_TYPE if crossing.lights else _sign(arm, arms)
        if not arm.inward or not kind:
            continue
        road = made.roads[arm.street]
        before = min(STOPS_M, road.length / 2)
        signal = Signal(
            _FIRST_SIGNAL + 2 * arm.street + arm.at_end,
            road.length - before if arm.at_end else before,
            (-1 if arm.at_end else 1) * _outside(arm.made, arm.inward),
            arm.at_end,
            kind,
            (arm.incoming(1), arm.incoming(arm.inward)),
        )
        made.roads[arm.street] = replace(road, signals=[*road.signals, signal])
        # Who comes from opposite sides drives at once.
        groups[round(arm.out.heading / (math.pi / 2)) % 2].append(signal.number)
    if crossing.lights:
        for phase, signals in sorted(groups.items()):
            junction.controllers.append((10 * junction.number + phase, tuple(signals)))


def _sign(arm: Arm, arms: Sequence[Arm]) -> str:
    """Of who gives way: into a roundabout, from a narrower street, from a street that ends here; all, if none does."""
    one_way = [not (each.inward and each.outward) for each in arms]
    if any(one_way):
        return "" if one_way[arms.index(arm)] else _YIELD
    if arm.inward < max(each.inward for each in arms):
        return _YIELD
    if len({each.inward for each in arms}) > 1:
        return ""
    if len(arms) == 3:
        straight = any(abs(arm.turn_to(other)) < _STRAIGHT for other in arms if other is not arm)
        return "" if straight else _YIELD
    return _STOP
