"""OpenDRIVE 1.4 of roads that are lines and arcs. CARLA's client makes no number of some spirals, and so we have none.

OpenDRIVE's y points to the left of its x, and so do lateral offsets; lanes on the right have negative numbers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree

_WRITTEN = "2026-01-01T00:00:00"
GEO_REFERENCE = "+proj=tmerc +lat_0=0 +lon_0=0 +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m +no_defs"
LIGHT_TYPE = "1000001"
SLOT_TYPE = "parkingSpace"
KERB_M = 0.15
"""How much higher a sidewalk is than its road."""


@dataclass(frozen=True)
class Pose:
    """A place [m] and a heading [rad] of a reference line."""

    x: float
    y: float
    heading: float

    def moved(self, along: float, left: float = 0.0) -> "Pose":
        """Ahead and to the left."""
        c, s = math.cos(self.heading), math.sin(self.heading)
        return Pose(self.x + along * c - left * s, self.y + along * s + left * c, self.heading)

    def turned(self, angle: float) -> "Pose":
        """To the left, on the spot."""
        return Pose(self.x, self.y, self.heading + angle)


@dataclass(frozen=True)
class Piece:
    """A line, or an arc of some curvature [1/m], positive to the left."""

    start: Pose
    length: float
    curvature: float = 0.0

    @property
    def end(self) -> Pose:
        """Where it leads."""
        if self.curvature == 0.0:
            return self.start.moved(self.length)
        angle, radius = self.length * self.curvature, 1.0 / self.curvature
        middle = self.start.moved(0.0, radius)
        h = self.start.heading
        x = middle.x + radius * math.sin(h + angle)
        y = middle.y - radius * math.cos(h + angle)
        return Pose(x, y, h + angle)


def joining(start: Pose, end: Pose) -> list[Piece]:
    """Line, arc and line from one pose to another, either line as long as it must be.

    Raises:
        ValueError: no arc leads from the one to the other.
    """
    turn = math.remainder(end.heading - start.heading, 2 * math.pi)
    dx, dy = end.x - start.x, end.y - start.y
    if abs(turn) < 1e-9:
        return [Piece(start, math.hypot(dx, dy))]
    # Where the two tangents meet, so far ahead of the start and behind the end.
    ahead = (dx * math.sin(end.heading) - dy * math.cos(end.heading)) / math.sin(turn)
    behind = (dy * math.cos(start.heading) - dx * math.sin(start.heading)) / math.sin(turn)
    if ahead <= 0.0 or behind <= 0.0:
        raise ValueError(f"no arc leads from {start} to {end}")
    tangent = min(ahead, behind)
    curvature = math.tan(turn / 2) / tangent
    pieces = [Piece(start, ahead - tangent)] if ahead - tangent > 1e-6 else []
    pieces.append(Piece(start.moved(ahead - tangent), turn / curvature, curvature))
    if behind - tangent > 1e-6:
        pieces.append(Piece(end.moved(tangent - behind), behind - tangent))
    return pieces


@dataclass(frozen=True)
class Mark:
    """Of a lane's outer border."""

    kind: str = "none"
    color: str = "standard"


@dataclass(frozen=True)
class Lane:
    """One lane: number, kind, width [m] and mark, and which lanes of the roads beside it goes on from and to."""

    number: int
    kind: str = "driving"
    width: float = 3.5
    mark: Mark = Mark()
    before: int | None = None
    after: int | None = None


@dataclass(frozen=True)
class Link:
    """What a road begins or ends at: another road, at its ``start`` or ``end``, or a junction."""

    kind: str
    number: int
    contact: str = ""


@dataclass(frozen=True)
class Signal:
    """A sign or light: along the road, beside it, and whether it is for who drives along it or against it."""

    number: int
    s: float
    t: float
    forward: bool
    kind: str
    lanes: tuple[int, int]
    value: float = -1.0
    name: str = ""


@dataclass(frozen=True)
class Crosswalk:
    """Across a road: its middle along the road, its width along it and its length across [m]."""

    number: int
    s: float
    width: float
    length: float


@dataclass(frozen=True)
class Slot:
    """Where a vehicle may park: its middle along and beside a road, its length across the road, its width along it."""

    number: int
    s: float
    t: float
    length: float
    width: float


@dataclass(frozen=True)
class Road:
    """A road with the same lanes from its beginning to its end."""

    number: int
    pieces: Sequence[Piece]
    lanes: Sequence[Lane]
    junction: int = -1
    before: Link | None = None
    after: Link | None = None
    limit_kmh: float = 50.0
    centre: Mark = Mark("solid", "yellow")
    signals: Sequence[Signal] = ()
    crosswalks: Sequence[Crosswalk] = ()
    slots: Sequence[Slot] = ()
    kind: str = "town"

    @property
    def length(self) -> float:
        """Of the reference line [m]."""
        return sum(piece.length for piece in self.pieces)


@dataclass(frozen=True)
class Connection:
    """A way through a junction: from a lane of a road onto lane -1 of a connecting road."""

    incoming: int
    connecting: int
    lane: int


@dataclass
class Junction:
    """Ways through, and the controllers of its lights: the signals of each."""

    number: int
    connections: list[Connection] = field(default_factory=list)
    controllers: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)


def text_of(name: str, roads: Sequence[Road], junctions: Sequence[Junction]) -> str:
    """The whole map, as OpenDRIVE."""
    root = ElementTree.Element("OpenDRIVE")
    header = _under(root, "header", revMajor=1, revMinor=4, name=name, version="1.0", date=_WRITTEN)
    for side, value in zip(("north", "south", "east", "west"), _bounds(roads), strict=True):
        header.set(side, _number(value))
    _under(header, "geoReference").text = GEO_REFERENCE
    for road in roads:
        _road(root, road)
    for number, signals in (each for junction in junctions for each in junction.controllers):
        controller = _under(root, "controller", name=f"ctrl{number}", id=number, sequence=0)
        for signal in signals:
            _under(controller, "control", signalId=signal, type=0)
    for junction in junctions:
        _junction(root, junction)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _number(value: float) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _under(parent: ElementTree.Element, tag: str, **attributes: str | float) -> ElementTree.Element:
    texts = {key: value if isinstance(value, str) else _number(value) for key, value in attributes.items()}
    return ElementTree.SubElement(parent, tag, texts)


def _bounds(roads: Sequence[Road]) -> tuple[float, float, float, float]:
    """North, south, east, west."""
    ends = [pose for road in roads for piece in road.pieces for pose in (piece.start, piece.end)]
    xs, ys = [pose.x for pose in ends], [pose.y for pose in ends]
    return max(ys), min(ys), max(xs), min(xs)


def _road(root: ElementTree.Element, road: Road) -> None:
    made = _under(root, "road", name=f"road {road.number}", length=road.length, id=road.number, junction=road.junction)
    link = _under(made, "link")
    for tag, other in (("predecessor", road.before), ("successor", road.after)):
        if other is not None:
            joined = _under(link, tag, elementType=other.kind, elementId=other.number)
            if other.contact:
                joined.set("contactPoint", other.contact)
    kind = _under(made, "type", s=0.0, type=road.kind)
    _under(kind, "speed", max=road.limit_kmh, unit="km/h")
    plan, s = _under(made, "planView"), 0.0
    for piece in road.pieces:
        start = piece.start
        shape = _under(plan, "geometry", s=s, x=start.x, y=start.y, hdg=start.heading, length=piece.length)
        if piece.curvature == 0.0:
            _under(shape, "line")
        else:
            _under(shape, "arc", curvature=piece.curvature)
        s += piece.length
    _under(_under(made, "elevationProfile"), "elevation", s=0.0, a=0.0, b=0.0, c=0.0, d=0.0)
    _under(made, "lateralProfile")
    _lanes(made, road)
    _objects(made, road)
    _signals(made, road)


def _lanes(made: ElementTree.Element, road: Road) -> None:
    section = _under(_under(made, "lanes"), "laneSection", s=0.0)
    left = sorted((lane for lane in road.lanes if lane.number > 0), key=lambda lane: -lane.number)
    right = sorted((lane for lane in road.lanes if lane.number < 0), key=lambda lane: -lane.number)
    for tag, lanes in (("left", left), ("center", [Lane(0, "none", 0.0, road.centre)]), ("right", right)):
        if not lanes:
            continue
        side = _under(section, tag)
        for lane in lanes:
            element = _under(side, "lane", id=lane.number, type=lane.kind, level="false")
            links = _under(element, "link")
            for way, other in (("predecessor", lane.before), ("successor", lane.after)):
                if other is not None:
                    _under(links, way, id=other)
            if lane.number:
                _under(element, "width", sOffset=0.0, a=lane.width, b=0.0, c=0.0, d=0.0)
            if lane.kind == "sidewalk":
                _under(element, "height", sOffset=0.0, inner=KERB_M, outer=KERB_M)
            change = "none" if lane.mark.kind == "solid" else "both"
            mark = _under(element, "roadMark", sOffset=0.0, type=lane.mark.kind, weight="standard")
            for key, value in (("color", lane.mark.color), ("width", "0.125"), ("laneChange", change)):
                mark.set(key, value)


def _objects(made: ElementTree.Element, road: Road) -> None:
    objects = _under(made, "objects")
    for walk in road.crosswalks:
        _object(objects, walk.number, "SimpleCrosswalk", "crosswalk", (walk.s, 0.0, walk.width, walk.length))
    for slot in road.slots:
        _object(objects, slot.number, f"Slot_{slot.number}", SLOT_TYPE, (slot.s, slot.t, slot.width, slot.length))


def _object(
    objects: ElementTree.Element, number: int, name: str, kind: str, sizes: tuple[float, float, float, float]
) -> None:
    """A flat rectangle: its middle along and beside the road, its size along and across it."""
    s, t, along, across = sizes
    element = _under(objects, "object", id=number, name=name, s=s, t=t, zOffset=0.0)
    for key, value in (("hdg", 0.0), ("roll", 0.0), ("pitch", 0.0), ("length", along), ("width", across)):
        element.set(key, _number(value))
    element.set("orientation", "none")
    element.set("type", kind)
    outline = _under(element, "outline")
    u, v = along / 2, across / 2
    for corner in ((-u, -v), (u, -v), (u, v), (-u, v), (-u, -v)):
        _under(outline, "cornerLocal", u=corner[0], v=corner[1], z=0.0)


def _signals(made: ElementTree.Element, road: Road) -> None:
    signals = _under(made, "signals")
    for signal in road.signals:
        element = _under(signals, "signal", name=signal.name or f"Signal_{signal.number}", id=signal.number)
        dynamic = "yes" if signal.kind == LIGHT_TYPE else "no"
        facing = "+" if signal.forward else "-"
        texts = {"dynamic": dynamic, "orientation": facing, "type": signal.kind, "subtype": "-1"}
        numbers = {"s": signal.s, "t": signal.t, "zOffset": 0.0, "hOffset": 0.0, "value": signal.value}
        for key, text in (texts | {key: _number(value) for key, value in numbers.items()}).items():
            element.set(key, text)
        if signal.value >= 0.0:
            element.set("unit", "km/h")
        _under(element, "validity", fromLane=min(signal.lanes), toLane=max(signal.lanes))


def _junction(root: ElementTree.Element, junction: Junction) -> None:
    made = _under(root, "junction", id=junction.number, name=f"junction {junction.number}")
    for number, way in enumerate(junction.connections):
        joined = _under(made, "connection", id=number, incomingRoad=way.incoming, connectingRoad=way.connecting)
        joined.set("contactPoint", "start")
        _under(joined, "laneLink", **{"from": way.lane, "to": -1})
    for number, _ in junction.controllers:
        _under(made, "controller", id=number, type="0", sequence="0")
