"""Ways of lines and arcs: past given points, and from any pose to any other."""

import math
from collections.abc import Sequence
from itertools import pairwise

from haltere.sims.carla.towns.opendrive import Piece, Pose, joining

LEAST_RADIUS_M = 4.5
"""Of one arc that turns from a street into another; where it would be tighter, two arcs share the turn."""


def rounded(points: Sequence[tuple[float, float]], begin_m: float, end_m: float) -> list[Piece]:
    """From the first point to the last, with an arc at each of those between.

    Args:
        points: at least two; an arc takes up to half of the way to the points beside it.
        begin_m: what is left out at the beginning.
        end_m: and at the end.
    """
    pairs = list(pairwise(points))
    headings = [math.atan2(y - v, x - u) for (u, v), (x, y) in pairs]
    at = Pose(*points[0], headings[0]).moved(begin_m)
    last = Pose(*points[-1], headings[-1]).moved(-end_m)
    # Where one arc ends and the next begins: the middles between the points.
    stops = [
        Pose((u + x) / 2, (v + y) / 2, heading) for ((u, v), (x, y)), heading in zip(pairs, headings, strict=True)
    ][1:-1]
    pieces = []
    for stop in [*stops, last]:
        pieces += joining(at, stop)
        at = stop
    return pieces


def bent(start: Pose, end: Pose) -> list[Piece]:
    """From one pose to another by one arc and a line, or, where that can't be or is too tight, by two arcs."""
    aside = (end.y - start.y) * math.cos(start.heading) - (end.x - start.x) * math.sin(start.heading)
    if abs(math.remainder(end.heading - start.heading, 2 * math.pi)) > 1e-9 or abs(aside) < 1e-6:
        try:
            pieces = joining(start, end)
        except ValueError:
            return _two_arcs(start, end)
        if all(abs(piece.curvature) * LEAST_RADIUS_M <= 1.0 for piece in pieces):
            return pieces
    return _two_arcs(start, end)


def _two_arcs(start: Pose, end: Pose) -> list[Piece]:
    """Both with tangents of one length d, for which |end - start - d (a + b)| = 2 d; a and b are the directions."""
    ax, ay = math.cos(start.heading), math.sin(start.heading)
    bx, by = math.cos(end.heading), math.sin(end.heading)
    vx, vy = end.x - start.x, end.y - start.y
    along, square, apart = vx * (ax + bx) + vy * (ay + by), vx * vx + vy * vy, 2 * (1 - ax * bx - ay * by)
    if apart < 1e-12:
        d = square / (2 * along)
    else:
        d = (math.sqrt(along * along + apart * square) - along) / apart
    one, other = (start.x + d * ax, start.y + d * ay), (end.x - d * bx, end.y - d * by)
    heading = math.atan2(other[1] - one[1], other[0] - one[0])
    middle = Pose((one[0] + other[0]) / 2, (one[1] + other[1]) / 2, heading)
    return [*joining(start, middle), *joining(middle, end)]
