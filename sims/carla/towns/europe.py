"""The European town: two roundabouts, winding streets between them, T-junctions, and one crossing with lights."""

from haltere.sims.carla.towns.network import Network
from haltere.sims.carla.towns.plan import Plan
from haltere.sims.carla.towns.streets import Crossing, Street

APART_M = 120.0
QUIET_KMH, MAIN_KMH = 30.0, 50.0


def europe() -> Network:
    """Its main street leads from one roundabout past the crossing to the other."""
    plan, side, far = Plan(), APART_M, 1.5 * APART_M
    west, east = plan.roundabout(-far, 0.0), plan.roundabout(far, 0.0)
    middle = plan.crossing(Crossing(0.0, 0.0, lights=True, reach=18.0))
    north, south = plan.crossing(Crossing(0.0, side)), plan.crossing(Crossing(0.0, -side))
    north_west, north_east = plan.crossing(Crossing(-far, side)), plan.crossing(Crossing(far, side))
    south_west, south_east = plan.crossing(Crossing(-far, -side)), plan.crossing(Crossing(far, -side))

    def street(begins: int, ends: int, *through: tuple[float, float], limit_kmh: float = MAIN_KMH) -> None:
        plan.street(Street(begins, ends, limit_kmh=limit_kmh, through=through))

    street(west[0], middle, (-100.0, 14.0), (-60.0, 0.0))
    street(middle, east[2], (60.0, 0.0), (100.0, -14.0))
    street(middle, north, limit_kmh=QUIET_KMH)
    street(south, middle, limit_kmh=QUIET_KMH)
    street(west[1], north_west)
    street(south_west, west[3])
    street(east[1], north_east)
    street(south_east, east[3])
    street(north_west, north, (-110.0, side + 16.0), (-60.0, side))
    street(north, north_east, (60.0, side), (110.0, side + 16.0))
    street(south_west, south, (-110.0, -side - 16.0), (-60.0, -side))
    street(south, south_east, (60.0, -side), (110.0, -side - 16.0))
    street(west[2], south_west, (-2.2 * side, 0.0), (-2.2 * side, -side), limit_kmh=QUIET_KMH)
    street(east[0], north_east, (2.2 * side, 0.0), (2.2 * side, side), limit_kmh=QUIET_KMH)
    outside = ((-2.6 * side, side), (-2.6 * side, -far), (-far, -far))
    street(north_west, south_west, *outside, limit_kmh=QUIET_KMH)
    return plan.made()
