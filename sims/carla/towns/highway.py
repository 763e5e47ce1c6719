"""The motorway: two times three lanes between two roundabouts, with an exit and an entry half-way on either side."""

from collections.abc import Sequence

from haltere.sims.carla.towns.network import Network
from haltere.sims.carla.towns.plan import Plan
from haltere.sims.carla.towns.streets import Crossing, Street, Way

LANES, LANE_M, SHOULDER_M = 3, 3.75, 2.5
FAST_KMH, RAMP_KMH, SLOW_KMH = 120.0, 80.0, 50.0
ENDS_M, NARROWS_M, RAMPS_M, VILLAGE_M = 620.0, 440.0, 130.0, 130.0
"""From the middle to the roundabouts, to where three lanes become one, to the ramps; and to the villages aside."""
_REACH_M = 30.0


def highway() -> Network:
    """It bends, and is the same from both ends; roads through a village on either side lead along it too."""
    plan = Plan()
    west, east = plan.roundabout(-ENDS_M, 0.0), plan.roundabout(ENDS_M, 0.0)
    nodes = [_node(plan, x) for x in (-NARROWS_M, -RAMPS_M, RAMPS_M, NARROWS_M)]
    feeds = [
        plan.street(Street(west[0], nodes[0], limit_kmh=SLOW_KMH, walks=False)),
        plan.street(Street(nodes[3], east[2], limit_kmh=SLOW_KMH, walks=False)),
    ]
    bends = ((-360.0, 25.0), (-230.0, 25.0)), (), ((230.0, -25.0), (360.0, -25.0))
    main = [_motorway(plan, nodes[n], nodes[n + 1], bend) for n, bend in enumerate(bends)]
    for feed, street, node in ((feeds[0], main[0], nodes[0]), (feeds[1], main[2], nodes[3])):
        lanes = range(1, LANES + 1)
        plan.lead(node, [*((feed, 1, street, n) for n in lanes), *((street, n, feed, 1) for n in lanes)])
    south = _village(plan, west[3], east[3], -1)
    north = _village(plan, east[1], west[1], 1)
    # Traffic drives on the right: eastbound lanes are left to the south, westbound ones to the north.
    exits = [_ramp(plan, nodes[1], south, (-60.0, -40.0)), _ramp(plan, nodes[2], north, (60.0, 40.0))]
    entries = [_ramp(plan, north, nodes[1], (-60.0, 40.0)), _ramp(plan, south, nodes[2], (60.0, -40.0))]
    straight = [*_through(main[0], main[1]), *_through(main[1], main[0])]
    plan.lead(nodes[1], [*straight, (main[0], LANES, exits[0], 1), (entries[0], 1, main[0], LANES)])
    straight = [*_through(main[1], main[2]), *_through(main[2], main[1])]
    plan.lead(nodes[2], [*straight, (main[2], LANES, exits[1], 1), (entries[1], 1, main[2], LANES)])
    return plan.made()


def _node(plan: Plan, x: float) -> int:
    return plan.crossing(Crossing(x, 0.0, signs=False, reach=_REACH_M))


def _motorway(plan: Plan, begins: int, ends: int, through: Sequence[tuple[float, float]]) -> int:
    return plan.street(
        Street(
            begins,
            ends,
            lanes=LANES,
            limit_kmh=FAST_KMH,
            through=through,
            width=LANE_M,
            edge="shoulder",
            edge_m=SHOULDER_M,
            walks=False,
        )
    )


def _ramp(plan: Plan, begins: int, ends: int, through: tuple[float, float]) -> int:
    """One lane, one way."""
    return plan.street(
        Street(
            begins,
            ends,
            back=0,
            limit_kmh=RAMP_KMH,
            through=(through,),
            width=LANE_M,
            edge="shoulder",
            edge_m=SHOULDER_M,
            walks=False,
        )
    )


def _village(plan: Plan, begins: int, ends: int, side: int) -> int:
    """A road from one roundabout to the other; the number of the crossing half-way, where ramps end and begin."""
    middle, y = plan.crossing(Crossing(0.0, side * VILLAGE_M, reach=20.0)), side * VILLAGE_M
    corner = -ENDS_M if side < 0 else ENDS_M
    plan.street(Street(begins, middle, limit_kmh=SLOW_KMH, through=((corner, y), (corner / 2, y + side * 12.0))))
    plan.street(Street(middle, ends, limit_kmh=SLOW_KMH, through=((-corner / 2, y + side * 12.0), (-corner, y))))
    return middle


def _through(street: int, onto: int) -> list[Way]:
    return [(street, n, onto, n) for n in range(1, LANES + 1)]
