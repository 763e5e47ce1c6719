"""The parking town: a few blocks, in one of which lie 64 slots along two aisles, as many as CAA's benchmark has."""

from itertools import pairwise

from haltere.sims.carla.towns.network import Network
from haltere.sims.carla.towns.plan import Plan
from haltere.sims.carla.towns.streets import Crossing, Street

WIDE_M, HIGH_M, AISLES_M = 150.0, 100.0, (-33.0, -67.0)
"""A block, and where aisles are in theirs."""
SLOTS, SLOT_LENGTH_M, AISLE_KMH, STREET_KMH = 16, 5.6, 10.0, 30.0
"""Slots on either side of an aisle."""
_REACH_M = 12.0


def parking() -> Network:
    """Four blocks about a crossing with lights."""
    plan = Plan()
    rows = (-HIGH_M, AISLES_M[1], AISLES_M[0], 0.0, HIGH_M)
    columns = []
    for x in (-WIDE_M, 0.0, WIDE_M):
        heights = rows if x <= 0.0 else (-HIGH_M, 0.0, HIGH_M)
        column = {y: plan.crossing(Crossing(x, y, reach=_REACH_M, lights=x == y == 0.0)) for y in heights}
        for low, high in pairwise(heights):
            plan.street(Street(column[low], column[high], limit_kmh=STREET_KMH))
        columns.append(column)
    for west, east in pairwise(columns):
        for y in (-HIGH_M, 0.0, HIGH_M):
            plan.street(Street(west[y], east[y], limit_kmh=STREET_KMH))
    for y in AISLES_M:
        aisle = Street(
            columns[0][y],
            columns[1][y],
            limit_kmh=AISLE_KMH,
            edge="parking",
            edge_m=SLOT_LENGTH_M,
            walks=False,
            slots=SLOTS,
        )
        plan.street(aisle)
    return plan.made()
