"""Props and walkers that can be spawned. Sizes are round figures of ours, not those of CARLA's assets."""

from dataclasses import dataclass

from haltere.sims.carla.geometry import Vector
from haltere.sims.carla.scene import Label


@dataclass(frozen=True)
class Prop:
    """Something that stands about.

    Attributes:
        name: its blueprint's.
        shape: as it is drawn.
        extent: half of its size [m].
        size: CARLA's word for it: ``tiny``, ``small``, ``medium`` or ``big``.
        mass_kg: where physics are switched on.
        label: what a semantic camera sees.
    """

    name: str
    shape: str
    extent: Vector
    size: str
    mass_kg: float
    label: Label = Label.STATIC


@dataclass(frozen=True)
class Walker:
    """Somebody on foot."""

    name: str
    age: str
    gender: str
    extent: Vector


def _prop(name: str, shape: str, size: tuple[float, float, float], word: str, mass_kg: float, label: Label) -> Prop:
    return Prop(f"static.prop.{name}", shape, Vector(*(side / 2 for side in size)), word, mass_kg, label)


PROPS = (
    _prop("trafficcone01", "cone", (0.35, 0.35, 0.7), "small", 4.0, Label.DYNAMIC),
    _prop("constructioncone", "cone", (0.4, 0.4, 0.8), "small", 5.0, Label.DYNAMIC),
    _prop("barrel", "barrel", (0.6, 0.6, 0.9), "small", 30.0, Label.DYNAMIC),
    _prop("box01", "box", (0.6, 0.6, 0.6), "small", 10.0, Label.DYNAMIC),
    _prop("box02", "box", (0.4, 0.5, 0.35), "tiny", 5.0, Label.DYNAMIC),
    _prop("bin", "bin", (0.6, 0.6, 1.1), "small", 25.0, Label.STATIC),
    _prop("container", "box", (2.2, 1.6, 1.5), "medium", 600.0, Label.STATIC),
    _prop("bench01", "bench", (0.6, 1.8, 0.8), "medium", 60.0, Label.STATIC),
    _prop("streetbarrier", "barrier", (0.3, 1.4, 1.0), "medium", 25.0, Label.DYNAMIC),
    _prop("warningconstruction", "barrier", (0.4, 1.0, 1.1), "medium", 20.0, Label.DYNAMIC),
    _prop("vendingmachine", "box", (0.9, 1.0, 1.9), "medium", 350.0, Label.STATIC),
    _prop("busstop", "box", (1.5, 4.0, 2.4), "big", 900.0, Label.STATIC),
    _prop("plantpot01", "bin", (0.5, 0.5, 0.6), "small", 40.0, Label.STATIC),
    _prop("shoppingcart", "box", (0.9, 0.55, 1.0), "small", 15.0, Label.DYNAMIC),
)

_ADULT, _CHILD = Vector(0.19, 0.25, 0.9), Vector(0.15, 0.2, 0.6)
WALKERS = tuple(
    Walker(f"walker.pedestrian.{number:04}", age, gender, _CHILD if age == "child" else _ADULT)
    for number, (age, gender) in enumerate(
        [
            *(("adult", "female"), ("adult", "male")) * 5,
            *(("elder", "female"), ("elder", "male")),
            *(("child", "female"), ("child", "male")) * 2,
        ],
        start=1,
    )
)
