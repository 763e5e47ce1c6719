"""What vehicles, walkers and props look like, built from their sizes. All proportions are ours."""

from collections.abc import Callable, Mapping, Sequence

from haltere.configs.errors import RequestError, unknown_name
from haltere.sims.carla.geometry import Vector
from haltere.sims.carla.scene import Label, Shape
from haltere.sims.carla.sight.solids import PAINT, Color, Solids

_GLASS: Color = (46, 58, 70)
_DARK: Color = (36, 37, 40)
_WHITE: Color = (245, 245, 235)
_RED: Color = (190, 22, 22)
_GREY: Color = (128, 132, 136)
_ORANGE: Color = (240, 104, 24)
_WOOD: Color = (140, 98, 60)
_SKIN: Color = (218, 174, 142)
_JEANS: Color = (52, 66, 98)

_LOWEST_TRUCK_M = 1.1
"""Half heights below that are of pick-ups."""


def shape_of(kind: str, extent: Vector, labels: Sequence[Label] = ()) -> Shape:
    """A shape of a size: x ahead, z up, the origin on the ground in the middle; at most 250 triangles.

    Args:
        kind: one of ``KINDS``.
        extent: half of its size [m].
        labels: of the whole, and of who rides on it; the kind's usual ones if left out.

    Raises:
        RequestError: there is no such kind, or the size isn't positive.
    """
    if kind not in _KINDS:
        raise unknown_name("shape", kind, KINDS)
    half = (extent.x, extent.y, extent.z)
    if not min(half) > 0:
        raise RequestError(f"a shape's extent must be positive, got {half}")
    build, usual = _KINDS[kind]
    whole, rider = (*labels, *usual[len(labels) :], *usual[-1:])[:2]
    solids = Solids(whole)
    build(solids, extent, rider)
    return solids.shape(half)


def _wheels(solids: Solids, extent: Vector, radius: float, share: float = 0.61) -> None:
    width = min(0.24, 0.3 * extent.y)
    for x in (-share * extent.x, share * extent.x):
        for y in (-extent.y + 0.02, extent.y - 0.02):
            solids.wheel(x, y, radius, width)


def _lights(solids: Solids, extent: Vector, low: float, high: float, wide: float = 0.32) -> None:
    for front, color in ((1, _WHITE), (-1, _RED)):
        for side in (-1, 1):
            x, outer = front * extent.x, side * 0.96 * extent.y
            inner = outer - side * wide * extent.y
            solids.add([(x, outer, low), (x, inner, low), (x, inner, high), (x, outer, high)], [(0, 1, 2, 3)], color)


def _low_body(solids: Solids, extent: Vector, belt: float, nose: float = 0.97) -> None:
    """What is below the windows: sills, bumpers and bonnet."""
    x, y, h = extent.x - 0.01, extent.y, 2 * extent.z
    solids.block((-x, -0.97 * y, 0.13 * h), (x, 0.97 * y, 0.24 * h), _DARK)
    solids.block((-x, -y, 0.24 * h), (x, y, 0.45 * h), PAINT, {"under": None, "top": None})
    foot, top = (-x, x, -y, y, 0.45 * h), (-0.985 * x, nose * x, -0.95 * y, 0.95 * y, belt * h)
    solids.tapered(foot, top, PAINT, {"under": None})
    _lights(solids, extent, 0.34 * h, 0.44 * h)


def _cabin(solids: Solids, extent: Vector, foot: tuple[float, float], top: tuple[float, float], belt: float) -> None:
    """Glass all around beneath a painted roof; from where to where in shares of half the length."""
    x, y, h = extent.x, extent.y, 2 * extent.z
    low = (foot[0] * x, foot[1] * x, -0.92 * y, 0.92 * y, belt * h)
    high = (top[0] * x, top[1] * x, -0.74 * y, 0.74 * y, 0.97 * h)
    solids.tapered(low, high, _GLASS, {"under": None, "top": None})
    solids.block((top[0] * x, -0.74 * y, 0.97 * h), (top[1] * x, 0.74 * y, h), PAINT, {"under": None})
    # The pillars behind the front doors.
    for side in (-1, 1):
        at, out = (foot[0] + foot[1]) / 2 * x, side * 0.005
        ends = [(at, side * 0.92 * y + out, belt * h), (at + 0.1, side * 0.92 * y + out, belt * h)]
        ends += [(at + 0.1, side * 0.74 * y + out, 0.97 * h), (at, side * 0.74 * y + out, 0.97 * h)]
        solids.add(ends, [(0, 1, 2, 3)], PAINT)


def _car(solids: Solids, extent: Vector, _: Label) -> None:
    _low_body(solids, extent, 0.62)
    _cabin(solids, extent, (-0.86, 0.42), (-0.58, 0.06), 0.62)
    _wheels(solids, extent, 0.21 * 2 * extent.z)


def _suv(solids: Solids, extent: Vector, _: Label) -> None:
    _low_body(solids, extent, 0.60)
    _cabin(solids, extent, (-0.96, 0.42), (-0.84, 0.14), 0.60)
    _wheels(solids, extent, 0.2 * 2 * extent.z)


def _van(solids: Solids, extent: Vector, _: Label) -> None:
    x, y, h = extent.x, extent.y, 2 * extent.z
    _low_body(solids, extent, 0.5, 0.95)
    solids.tapered(
        (-0.985 * x, 0.3 * x, -0.95 * y, 0.95 * y, 0.5 * h), (-0.96 * x, 0.3 * x, -0.86 * y, 0.86 * y, h), PAINT
    )
    foot, top = (0.3 * x, 0.84 * x, -0.95 * y, 0.95 * y, 0.5 * h), (0.3 * x, 0.5 * x, -0.86 * y, 0.86 * y, h)
    solids.tapered(foot, top, _GLASS, {"under": None, "rear": None, "top": PAINT})
    solids.add(
        [(-x, side * 0.7 * y, z * h) for side, z in ((-1, 0.6), (1, 0.6), (1, 0.85), (-1, 0.85))],
        [(0, 1, 2, 3)],
        _GLASS,
    )
    _wheels(solids, extent, min(0.38, 0.2 * h), 0.62)


def _truck(solids: Solids, extent: Vector, rider: Label) -> None:
    if extent.z < _LOWEST_TRUCK_M:
        _low_body(solids, extent, 0.62)
        _cabin(solids, extent, (-0.2, 0.45), (-0.12, 0.1), 0.62)
        _wheels(solids, extent, 0.22 * 2 * extent.z)
        return
    x, y, h = extent.x, extent.y, 2 * extent.z
    cab = x - min(2.2, 0.5 * x)
    solids.block((-x + 0.02, -0.5 * y, 0.14 * h), (x - 0.02, 0.5 * y, 0.24 * h), _DARK)
    solids.block((-x, -y, 0.24 * h), (cab - 0.15, y, h), (226, 226, 222))
    solids.block((cab, -0.97 * y, 0.14 * h), (x - 0.01, 0.97 * y, 0.5 * h), PAINT)
    foot, top = (cab, x - 0.01, -0.97 * y, 0.97 * y, 0.5 * h), (cab, x - 0.2, -0.92 * y, 0.92 * y, 0.78 * h)
    solids.tapered(foot, top, _GLASS, {"under": None, "top": PAINT, "rear": PAINT})
    _lights(solids, extent, 0.19 * h, 0.25 * h, 0.25)
    _wheels(solids, extent, min(0.5, 0.18 * h), 0.68)


def _bus(solids: Solids, extent: Vector, _: Label) -> None:
    x, y, h = extent.x - 0.01, extent.y, 2 * extent.z
    solids.block((-x, -y, 0.12 * h), (x, y, 0.42 * h), PAINT)
    band = (-0.995 * x, 0.995 * x, -0.985 * y, 0.985 * y)
    solids.tapered((*band, 0.42 * h), (*band, 0.82 * h), _GLASS, {"under": None, "top": None})
    solids.block((-x, -y, 0.82 * h), (x, y, h), PAINT)
    for side in (-1, 1):
        for share in (-0.6, -0.2, 0.2, 0.6):
            at = share * x
            post = [(at, side * y, 0.42 * h), (at + 0.12, side * y, 0.42 * h), (at + 0.12, side * y, 0.82 * h)]
            solids.add([*post, (at, side * y, 0.82 * h)], [(0, 1, 2, 3)], PAINT)
    _lights(solids, extent, 0.18 * h, 0.25 * h, 0.25)
    _wheels(solids, extent, min(0.5, 0.17 * h), 0.62)


def _rider(solids: Solids, extent: Vector, seat: float, hands: tuple[float, float], foot: tuple[float, float]) -> None:
    """Somebody who sits above x = -0.15 of the half length at a height, with hands and feet at (x, z)."""
    y, top = extent.y, 2 * extent.z
    hip, neck = -0.15 * extent.x, 0.02 * extent.x
    neck_z = top - 0.30
    solids.limb((hip, 0, seat), (neck, 0, neck_z), 0.30, PAINT)
    solids.block((neck - 0.09, -0.085, top - 0.26), (neck + 0.12, 0.085, top), _SKIN, {"top": _DARK, "rear": _DARK})
    for side in (-1, 1):
        knee = (hip + 0.38, side * 0.17, seat - 0.08)
        solids.limb((hip, side * 0.10, seat), knee, 0.14, _JEANS)
        solids.limb(knee, (foot[0], side * 0.14, foot[1]), 0.12, _JEANS)
        solids.limb((neck - 0.03, side * 0.19, neck_z - 0.06), (hands[0], side * 0.9 * y, hands[1]), 0.09, PAINT)


def _motorcycle(solids: Solids, extent: Vector, rider: Label) -> None:
    x, y, h = extent.x, extent.y, 2 * extent.z
    radius = min(0.31, 0.32 * x)
    for at in (-x + radius, x - radius):
        solids.wheel(at, 0.07, radius, 0.14)
    solids.tapered((-0.45 * x, 0.4 * x, -0.15, 0.15, 0.2 * h), (-0.55 * x, 0.45 * x, -0.13, 0.13, 0.42 * h), _DARK)
    solids.tapered((-0.1 * x, 0.5 * x, -0.14, 0.14, 0.42 * h), (-0.1 * x, 0.42 * x, -0.1, 0.1, 0.58 * h), PAINT)
    solids.block((-0.8 * x, -0.12, 0.42 * h), (-0.1 * x, 0.12, 0.52 * h), _DARK, {"rear": _RED})
    solids.limb((x - radius, 0, radius), (0.45 * x, 0, 0.66 * h), 0.1, _GREY)
    solids.limb((0.45 * x, -y, 0.66 * h), (0.45 * x, y, 0.66 * h), 0.05, _DARK)
    solids.block((0.5 * x, -0.09, 0.5 * h), (0.6 * x, 0.09, 0.62 * h), PAINT, {"front": _WHITE})
    solids.label = rider
    _rider(solids, extent, 0.55 * h, (0.43 * x, 0.68 * h), (0.0, 0.22 * h))


def _bicycle(solids: Solids, extent: Vector, rider: Label) -> None:
    x, y, h = extent.x, extent.y, 2 * extent.z
    radius = min(0.34, 0.4 * x)
    back, front = -x + radius, x - radius
    for at in (back, front):
        solids.wheel(at, 0.02, radius, 0.04, 12)
    seat, crank, head = (-0.22 * x, 0, 0.56 * h), (-0.08 * x, 0, 0.9 * radius), (0.42 * x, 0, 0.54 * h)
    for start, end in (((back, 0, radius), seat), ((back, 0, radius), crank), (crank, seat), (crank, head)):
        solids.limb(start, end, 0.05, PAINT)
    solids.limb((front, 0, radius), (0.38 * x, 0, 0.62 * h), 0.05, PAINT)
    solids.limb((0.38 * x, -y, 0.62 * h), (0.38 * x, y, 0.62 * h), 0.04, _DARK)
    solids.label = rider
    _rider(solids, extent, 0.58 * h, (0.36 * x, 0.64 * h), (0.0, 0.15 * h))


def _walker(solids: Solids, extent: Vector, _: Label) -> None:
    """In the middle of a step."""
    x, y, h = extent.x, extent.y, 2 * extent.z
    for side in (-1, 1):
        foot = side * 0.7 * x
        solids.limb((0, side * 0.36 * y, 0.48 * h), (foot, side * 0.36 * y, 0.03 * h), 0.09 * h, _JEANS)
        toe = (foot + 0.3 * x, side * 0.36 * y + 0.16 * y, 0.05 * h)
        solids.block((foot - 0.3 * x, side * 0.36 * y - 0.16 * y, 0), toe, _DARK)
        solids.limb((0, side * 0.82 * y, 0.80 * h), (-side * 0.6 * x, side * 0.88 * y, 0.46 * h), 0.05 * h, PAINT)
        hand = (-side * 0.62 * x, side * 0.88 * y, 0.43 * h)
        solids.limb(hand, (hand[0], hand[1], 0.47 * h), 0.04 * h, _SKIN)
    solids.tapered(
        (-0.5 * x, 0.5 * x, -0.62 * y, 0.62 * y, 0.46 * h), (-0.5 * x, 0.5 * x, -0.85 * y, 0.85 * y, 0.82 * h), PAINT
    )
    solids.block((-0.2 * x, -0.18 * y, 0.82 * h), (0.2 * x, 0.18 * y, 0.87 * h), _SKIN)
    solids.block((-0.45 * x, -0.3 * y, 0.86 * h), (0.5 * x, 0.3 * y, 0.97 * h), _SKIN, {"rear": _DARK})
    solids.block((-0.5 * x, -0.32 * y, 0.95 * h), (0.45 * x, 0.32 * y, h), _DARK)


def _cone(solids: Solids, extent: Vector, _: Label) -> None:
    r, h = extent.x, 2 * extent.z
    solids.block((-r, -r, 0), (r, r, 0.06 * h), _DARK)
    rings = ((0.06, 0.70), (0.36, 0.49), (0.52, 0.39), (0.72, 0.26), (1.0, 0.1))
    for (low, wide), (high, narrow), color in zip(rings, rings[1:], (_ORANGE, _WHITE, _ORANGE, _ORANGE), strict=False):
        solids.tube((0, 0, low * h), high * h, (wide * r, narrow * r), color)


def _barrel(solids: Solids, extent: Vector, _: Label) -> None:
    r, h = extent.x, 2 * extent.z
    for k, color in enumerate((_ORANGE, _WHITE, _ORANGE, _WHITE, _ORANGE)):
        solids.tube((0, 0, 0.2 * k * h), 0.2 * (k + 1) * h, (r, r), color)


def _box(solids: Solids, extent: Vector, _: Label) -> None:
    x, y, h = extent.x, extent.y, 2 * extent.z
    solids.block((-x, -y, 0), (x, y, h), (166, 128, 84))
    solids.block((-0.1 * x, -y - 0.002, -0.001), (0.1 * x, y + 0.002, h + 0.001), (196, 164, 118))


def _bin(solids: Solids, extent: Vector, _: Label) -> None:
    r, h = extent.x, 2 * extent.z
    solids.tube((0, 0, 0), 0.86 * h, (0.85 * r, 0.95 * r), (62, 88, 70))
    solids.tube((0, 0, 0.86 * h), h, (r, 0.8 * r), _DARK)


def _bench(solids: Solids, extent: Vector, _: Label) -> None:
    x, y, h = extent.x, extent.y, 2 * extent.z
    for side in (-0.8, 0.7):
        solids.block((-0.7 * x, side * y, 0), (0.8 * x, (side + 0.1) * y, 0.5 * h), _DARK)
    for k in range(3):
        solids.block(((-0.6 + 0.54 * k) * x, -y, 0.5 * h), ((-0.14 + 0.54 * k) * x, y, 0.56 * h), _WOOD)
    for k in range(2):
        solids.block((-x, -y, (0.62 + 0.2 * k) * h), (-0.85 * x, y, (0.78 + 0.22 * k) * h), _WOOD)


def _barrier(solids: Solids, extent: Vector, _: Label) -> None:
    x, y, h = extent.x, extent.y, 2 * extent.z
    for side in (-0.8, 0.8):
        solids.block((-x, (side - 0.05) * y, 0), (x, (side + 0.05) * y, 0.06 * h), _DARK)
        solids.block((-0.15 * x, (side - 0.04) * y, 0), (0.15 * x, (side + 0.04) * y, h), _GREY)
    for low in (0.45, 0.78):
        for k in range(6):
            ends = ((-1 + k / 3) * y, (-1 + (k + 1) / 3) * y)
            color = _RED if k % 2 == 0 else _WHITE
            solids.block((-0.3 * x, ends[0], low * h), (0.3 * x, ends[1], (low + 0.2) * h), color)


def _lamp(solids: Solids, extent: Vector, _: Label) -> None:
    x, h = extent.x, 2 * extent.z
    r = min(0.09, 0.3 * extent.y)
    solids.tube((-x + r, 0, 0), 0.97 * h, (r, 0.6 * r), _GREY)
    solids.limb((-x + r, 0, 0.97 * h), (0.6 * x, 0, 0.985 * h), 0.08, _GREY)
    solids.block((0.3 * x, -extent.y, 0.965 * h), (x, extent.y, h), _GREY, {"under": _WHITE})


_Build = Callable[[Solids, Vector, Label], None]
_PROP = (Label.STATIC,)
_KINDS: Mapping[str, tuple[_Build, tuple[Label, ...]]] = {
    "car": (_car, (Label.CAR,)),
    "suv": (_suv, (Label.CAR,)),
    "van": (_van, (Label.CAR,)),
    "truck": (_truck, (Label.TRUCK,)),
    "bus": (_bus, (Label.BUS,)),
    "motorcycle": (_motorcycle, (Label.MOTORCYCLE, Label.RIDER)),
    "bicycle": (_bicycle, (Label.BICYCLE, Label.RIDER)),
    "walker": (_walker, (Label.PEDESTRIANS,)),
    "cone": (_cone, (Label.DYNAMIC,)),
    "barrel": (_barrel, (Label.DYNAMIC,)),
    "box": (_box, _PROP),
    "bin": (_bin, _PROP),
    "bench": (_bench, _PROP),
    "barrier": (_barrier, (Label.DYNAMIC,)),
    "lamp": (_lamp, (Label.POLES,)),
}
KINDS = tuple(_KINDS)
"""Vehicles with their riders, somebody on foot, and props."""
