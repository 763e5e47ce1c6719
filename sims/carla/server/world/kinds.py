"""What can be spawned: the blueprints that a client is told of, and what the server knows of each beside that."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache

from haltere.configs.errors import RequestError, unknown_name
from haltere.sims.carla.drive.vehicles import VEHICLES, VehicleKind
from haltere.sims.carla.geometry import Vector
from haltere.sims.carla.scene import Label
from haltere.sims.carla.server.wire.structs import Attribute, AttributeType, Blueprint, Description
from haltere.sims.carla.server.world.props import PROPS, WALKERS
from haltere.sims.carla.server.world.sensors import sensor_attributes, sensor_names

_BOOL, _INT, _TEXT, _COLOR = AttributeType.BOOL, AttributeType.INT, AttributeType.STRING, AttributeType.COLOR
COLORS = ("17,37,103", "180,30,30", "240,240,240", "25,25,25", "120,130,135", "225,190,40", "30,100,70", "150,90,50")
"""Red, green and blue; a vehicle's first one is its default."""


class Category(Enum):
    """How the server treats an actor."""

    VEHICLE = "vehicle"
    WALKER = "walker"
    PROP = "prop"
    SENSOR = "sensor"
    SPECTATOR = "spectator"
    LIGHT = "light"
    SIGN = "sign"
    EMPTY = "empty"


@dataclass(frozen=True)
class Kind:
    """A blueprint and what stands behind it.

    Attributes:
        blueprint: as the client has it.
        category: how it is treated.
        shape: its name among the shapes that are drawn; empty for what can't be seen.
        extent: half of its size [m].
        labels: what a semantic camera sees of it.
        vehicle: its physics, where it is one.
    """

    blueprint: Blueprint
    category: Category
    shape: str = ""
    extent: Vector = field(default_factory=Vector)
    labels: tuple[Label, ...] = ()
    vehicle: VehicleKind | None = None


def _text(name: str, value: str, *others: str, fixed: bool = False) -> Attribute:
    return Attribute(name, _TEXT, value, others, not fixed)


def _vehicle_attributes(vehicle: VehicleKind) -> tuple[Attribute, ...]:
    colors = COLORS[len(vehicle.name) % len(COLORS) :] + COLORS[: len(vehicle.name) % len(COLORS)]
    return (
        Attribute("number_of_wheels", _INT, str(vehicle.wheels), (str(vehicle.wheels),), is_modifiable=False),
        Attribute("sticky_control", _BOOL, "true"),
        _text("object_type", "", fixed=True),
        _text("base_type", vehicle.base_type, fixed=True),
        _text("special_type", vehicle.special_type, fixed=True),
        Attribute("generation", _INT, "2", ("2",), is_modifiable=False),
        Attribute("has_lights", _BOOL, "true", is_modifiable=False),
        Attribute("has_dynamic_doors", _BOOL, "false", is_modifiable=False),
        Attribute("color", _COLOR, colors[0], colors),
        _text("role_name", "autopilot", "autopilot", "scenario", "ego_vehicle"),
    )


def _walker_attributes(age: str, gender: str) -> tuple[Attribute, ...]:
    return (
        _text("age", age, fixed=True),
        _text("gender", gender, fixed=True),
        Attribute("generation", _INT, "2", ("2",), is_modifiable=False),
        Attribute("is_invincible", _BOOL, "true"),
        Attribute("speed", AttributeType.FLOAT, "1.4", ("0.0", "1.4", "3.0")),
        Attribute("can_use_wheelchair", _BOOL, "false", is_modifiable=False),
        _text("role_name", "pedestrian"),
    )


@cache
def kinds() -> Mapping[str, Kind]:
    """Everything that a client may spawn, by name."""
    found: dict[str, Kind] = {}

    def add(name: str, attributes: tuple[Attribute, ...], category: Category, **rest: object) -> None:
        blueprint = Blueprint(len(found) + 1, name, ",".join(name.split(".")), attributes)
        found[name] = Kind(blueprint, category, **rest)  # type: ignore[arg-type] # fields of Kind, given below

    for vehicle in VEHICLES:
        shape, labels = vehicle.shape, tuple(vehicle.labels)
        rest = {"shape": shape, "extent": vehicle.extent, "labels": labels, "vehicle": vehicle}
        add(vehicle.name, _vehicle_attributes(vehicle), Category.VEHICLE, **rest)
    for walker in WALKERS:
        labels = (Label.PEDESTRIANS,)
        rest = {"shape": "walker", "extent": walker.extent, "labels": labels}
        add(walker.name, _walker_attributes(walker.age, walker.gender), Category.WALKER, **rest)
    for prop in PROPS:
        attributes = (_text("role_name", "prop"), _text("size", prop.size, fixed=True))
        rest = {"shape": prop.shape, "extent": prop.extent, "labels": (prop.label,)}
        add(prop.name, attributes, Category.PROP, **rest)
    for name in sensor_names():
        add(name, sensor_attributes(name), Category.SENSOR)
    add("controller.ai.walker", (_text("role_name", "default"),), Category.EMPTY)
    add("util.actor.empty", (_text("role_name", "empty"),), Category.EMPTY)
    return found


def kind_of(description: Description) -> Kind:
    """Of what is to be spawned.

    Raises:
        RequestError: there is no such blueprint, or it hasn't such an attribute or value.
    """
    known = kinds()
    if description.name not in known:
        raise unknown_name("blueprint", description.name, known, "world.get_blueprint_library()")
    kind = known[description.name]
    attributes = {attribute.name: attribute for attribute in kind.blueprint.attributes}
    for given in description.attributes:
        if given.name not in attributes:
            raise unknown_name(f"attribute of {description.name}", given.name, attributes)
        check_value(description.name, attributes[given.name], given.value)
    return kind


def check_value(name: str, attribute: Attribute, value: str) -> None:
    """See that a text is what an attribute holds.

    Raises:
        RequestError: it isn't.
    """
    try:
        if attribute.kind is _INT:
            int(value)
        elif attribute.kind is AttributeType.FLOAT:
            float(value)
        elif attribute.kind is _COLOR:
            red, green, blue = (int(part) for part in value.split(","))
            if not all(0 <= level <= 255 for level in (red, green, blue)):
                raise ValueError
        elif attribute.kind is _BOOL and value.lower() not in ("true", "false"):
            raise ValueError
    except ValueError:
        raise RequestError(
            f"{name}: attribute {attribute.name} must be a value of type {attribute.kind.name.lower()}, got '{value}'"
        ) from None
