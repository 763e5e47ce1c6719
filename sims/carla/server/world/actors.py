"""What has been spawned."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from haltere.sims.carla.geometry import BoundingBox, Transform, Vector
from haltere.sims.carla.scene import Label
from haltere.sims.carla.server.wire import structs
from haltere.sims.carla.server.world.ackermann import DEFAULT_GAINS, Driver
from haltere.sims.carla.server.world.kinds import Category, Kind


@dataclass
class Actor:
    """One actor of the world.

    Attributes:
        number: its own; none is given twice.
        category: how it is treated.
        description: what it was spawned by.
        place: where it is; of what moves by itself, where it was spawned.
        kind: its blueprint and what stands behind it; None for what the town brings along.
        body: its place among those that move; None for what doesn't.
        parent: number of what it is attached to; 0 for nothing.
        relative: where, in the parent's frame.
        box: around it, about its own origin.
        labels: what a semantic camera sees of it.
        attributes: name -> text.
        signal: of a sign, its number in the map.
        control: of a vehicle, as it was last given.
        walk: of a walker, likewise.
        physics: of a vehicle.
        ackermann: gains of a vehicle's controllers.
        driver: of a vehicle's controllers; None while it is driven by ``control``.
        target: what those hold; None while it is driven by ``control``.
        lights: of a vehicle, which are on.
        doors: of a vehicle, which are open.
        wheel_steer: of a vehicle, angles at which wheels are shown instead of their own [degrees].
        wheel_pitch: likewise.
    """

    number: int
    category: Category
    description: structs.Description
    place: Transform
    kind: Kind | None = None
    body: int | None = None
    parent: int = 0
    relative: Transform | None = None
    box: BoundingBox = field(default_factory=BoundingBox)
    labels: tuple[Label, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    signal: str = ""
    control: structs.VehicleControl = field(default_factory=structs.VehicleControl)
    walk: structs.WalkerControl = field(default_factory=structs.WalkerControl)
    physics: structs.PhysicsControl | None = None
    ackermann: structs.AckermannSettings = DEFAULT_GAINS
    driver: Driver | None = None
    target: structs.AckermannControl | None = None
    lights: int = 0
    doors: set[int] = field(default_factory=set)
    wheel_steer: dict[int, float] = field(default_factory=dict)
    wheel_pitch: dict[int, float] = field(default_factory=dict)

    def told(self, token: bytes) -> structs.Actor:
        """As a client is told of it.

        Args:
            token: of its stream; empty where it has none.
        """
        labels = bytes(sorted({int(label) for label in self.labels}))
        return structs.Actor(self.number, self.parent, self.description, self.box, labels, token)


def box_of(extent: Vector, number: int) -> BoundingBox:
    """About an origin that lies on the ground."""
    return BoundingBox(Vector(0.0, 0.0, extent.z), extent, actor=number)


def attributes_of(kind: Kind, description: structs.Description) -> dict[str, str]:
    """Those given, and the blueprint's own for the rest."""
    own = {attribute.name: attribute.value for attribute in kind.blueprint.attributes}
    return own | {given.name: given.value for given in description.attributes}
