"""What stands in a town, each thing as a box and as triangles."""

import math
from collections.abc import Sequence

import numpy as np

from haltere.sims.carla.geometry import BoundingBox, Rotation, Vector
from haltere.sims.carla.scene import Label, Thing
from haltere.sims.carla.towns.shapes import Foot, Places, Shapes, at

WALLS = (
    (196, 178, 150), (176, 124, 100), (186, 188, 186), (206, 196, 176), (150, 108, 88), (164, 170, 176),
    (212, 204, 190), (188, 160, 120), (140, 148, 150),
)  # fmt: skip
ROOFS, FLAT_ROOF = ((126, 66, 52), (96, 78, 70), (84, 88, 94)), (120, 118, 114)
GLASS, DOOR, TRUNK, STEEL, DARK = (64, 78, 92), (82, 60, 46), (92, 72, 54), (128, 132, 134), (38, 40, 42)
LEAVES = ((74, 104, 52), (88, 116, 58), (64, 92, 56), (100, 122, 62))
FLOOR_M, BAY_M, MOST_WINDOWS = 3.2, 3.4, 72
_PROUD_M = 0.06
"""How far windows stand before their wall, so that a camera far away tells them apart."""
LAMP_M, LIGHT_M, SIGN_M = 7.0, 4.2, 2.9


class Things:
    """Things and their triangles, in the making."""

    def __init__(self, shapes: Shapes, chance: np.random.Generator) -> None:
        """Into these shapes."""
        self.shapes, self.made = shapes, list[Thing]()
        self._chance = chance
        self._counts: dict[str, int] = {}

    def put(
        self, kind: str, label: Label, foot: Foot, half: Foot, yaw_deg: float, *, solid: bool = True, name: str = ""
    ) -> int:
        """Its box stands on its foot; ``half`` has half the length and width and the whole height. Returns its row."""
        count = self._counts[kind] = self._counts.get(kind, -1) + 1
        x, y, z = (float(value) for value in foot)
        box = BoundingBox(Vector(x, y, z + half[2] / 2), Vector(half[0], half[1], half[2] / 2), Rotation(yaw=yaw_deg))
        self.made.append(Thing(name or f"{kind}_{count}", label, box, solid))
        return len(self.made) - 1

    def building(self, foot: Foot, half: tuple[float, float], floors: int, yaw_deg: float, pitched: bool) -> None:
        """A house; its front looks along -y of its own frame."""
        x, y = half
        walls_m = floors * FLOOR_M + 0.4
        roof_m = 0.45 * y if pitched else 0.0
        wall = np.asarray(WALLS[self._chance.integers(len(WALLS))]) * self._chance.uniform(0.93, 1.05)
        thing = self.put("building", Label.BUILDINGS, foot, (x, y, walls_m + roof_m), yaw_deg)
        shapes, label = self.shapes, Label.BUILDINGS
        shapes.box(foot, (x, y, walls_m), yaw_deg, wall, label, thing)
        top = (foot[0], foot[1], foot[2] + walls_m)
        if pitched:
            roof = ROOFS[self._chance.integers(len(ROOFS))]
            shapes.gable(top, (x, y, roof_m), yaw_deg, roof, label, thing)
        else:
            flat = at(top, yaw_deg, np.array([(-x, -y, 0.03), (x, -y, 0.03), (x, y, 0.03), (-x, y, 0.03)]))
            shapes.quads(flat, FLAT_ROOF, label, thing)
        shapes.quads(at(foot, yaw_deg, _windows(half, floors)).reshape(-1, 4, 3), GLASS, label, thing)
        shapes.quads(at(foot, yaw_deg, _pane(0.0, 1.1, 0.0, 2.3, -y - 2 * _PROUD_M)), DOOR, label, thing)

    def tree(self, foot: Foot, height_m: float) -> None:
        """Its box is the trunk's, up to the top: what drives below its crown doesn't hit it."""
        thing = self.put("tree", Label.VEGETATION, foot, (0.2, 0.2, height_m), 0.0)
        shapes, label = self.shapes, Label.VEGETATION
        leaves = np.asarray(LEAVES[self._chance.integers(len(LEAVES))]) * self._chance.uniform(0.9, 1.1)
        shapes.box(foot, (0.16, 0.16, 0.5 * height_m), 0.0, TRUNK, label, thing)
        if self._chance.random() < 0.25:
            for low, wide in ((0.18, 0.24), (0.45, 0.17)):
                heights = (low * height_m, (low + 0.04) * height_m, min(low + 0.55, 1.0) * height_m)
                shapes.spindle(foot, wide * height_m, heights, leaves * 0.85, label, thing)
            return
        for side, (dx, dy) in enumerate(self._chance.uniform(-0.1, 0.1, (2, 2)) * height_m):
            low = (0.3 + 0.16 * side) * height_m
            heights = (low, low + 0.22 * height_m, (0.86 + 0.14 * side) * height_m)
            middle = (foot[0] + dx, foot[1] + dy, foot[2])
            shapes.spindle(middle, (0.3 - 0.06 * side) * height_m, heights, leaves * (1 + 0.06 * side), label, thing, 7)

    def lamp(self, foot: Foot, yaw_deg: float) -> None:
        """A pole with an arm along x of its own frame."""
        thing = self.put("street_lamp", Label.POLES, foot, (0.1, 0.1, LAMP_M), yaw_deg)
        self.shapes.box(foot, (0.07, 0.07, LAMP_M), yaw_deg, STEEL, Label.POLES, thing)
        arm = at(foot, yaw_deg, np.array([(0.9, 0.0, LAMP_M - 0.1)]))[0]
        self.shapes.box(arm, (0.9, 0.06, 0.1), yaw_deg, STEEL, Label.POLES, thing)

    def plain(self, kind: str, label: Label, foot: Foot, half: Foot, yaw_deg: float, color: Sequence[int]) -> None:
        """A box: a hydrant, a wall."""
        thing = self.put(kind, label, foot, half, yaw_deg)
        self.shapes.box(foot, half, yaw_deg, color, label, thing)

    def bench(self, foot: Foot, yaw_deg: float) -> None:
        """It looks along x of its own frame."""
        thing = self.put("bench", Label.STATIC, foot, (0.3, 0.8, 0.85), yaw_deg)
        self.shapes.box(foot, (0.25, 0.8, 0.45), yaw_deg, DOOR, Label.STATIC, thing)
        back = at(foot, yaw_deg, np.array([(-0.25, 0.0, 0.0)]))[0]
        self.shapes.box(back, (0.05, 0.8, 0.85), yaw_deg, DOOR, Label.STATIC, thing)

    def bus_stop(self, foot: Foot, yaw_deg: float) -> None:
        """A shelter, open along x of its own frame."""
        thing = self.put("bus_stop", Label.STATIC, foot, (0.8, 2.0, 2.5), yaw_deg)
        places = np.array([(-0.75, 0.0, 0.0), (0.0, -1.95, 0.0), (0.0, 1.95, 0.0), (0.0, 0.0, 2.4)])
        halves = ((0.04, 1.95, 2.4), (0.6, 0.04, 2.4), (0.6, 0.04, 2.4), (0.8, 2.0, 0.1))
        for place, half, color in zip(at(foot, yaw_deg, places), halves, (GLASS, GLASS, GLASS, DARK), strict=True):
            self.shapes.box(place, half, yaw_deg, color, Label.STATIC, thing)

    def rail(self, first: Places, last: Places) -> None:
        """A guard rail between two places, (3,) each."""
        middle, ahead = (first + last) / 2, last - first
        half, yaw = math.hypot(ahead[0], ahead[1]) / 2, math.degrees(math.atan2(ahead[1], ahead[0]))
        thing = self.put("guard_rail", Label.GUARD_RAIL, middle, (half, 0.1, 0.8), yaw)
        up, down = np.array([0.0, 0.0, 0.78]), np.array([0.0, 0.0, 0.42])
        self.shapes.quads([first + down, last + down, last + up, first + up], (176, 180, 182), Label.GUARD_RAIL, thing)
        self.shapes.box(first, (0.06, 0.06, 0.7), yaw, STEEL, Label.GUARD_RAIL, thing)

    def traffic_light(self, signal: str, foot: Foot, yaw_deg: float) -> None:
        """It looks along -x of its own frame. Its lamps are dark here: what they show changes."""
        pole = self.put("traffic_light_pole", Label.POLES, foot, (0.1, 0.1, LIGHT_M), yaw_deg)
        self.shapes.box(foot, (0.08, 0.08, LIGHT_M - 1.1), yaw_deg, STEEL, Label.POLES, pole)
        head = (foot[0], foot[1], foot[2] + LIGHT_M - 1.1)
        name, label = f"traffic_light_{signal}", Label.TRAFFIC_LIGHT
        thing = self.put("traffic_light", label, head, (0.18, 0.2, 1.1), yaw_deg, solid=False, name=name)
        self.shapes.box(head, (0.18, 0.2, 1.1), yaw_deg, DARK, label, thing)
        for number, color in enumerate(((44, 92, 60), (112, 96, 40), (110, 44, 40))):
            self.shapes.quads(at(foot, yaw_deg, lamp_pane(number)), color, label, thing)

    def sign(self, kind: str, signal: str, foot: Foot, yaw_deg: float) -> None:
        """A plate on a pole, that looks along -x of its own frame."""
        pole = self.put("sign_pole", Label.POLES, foot, (0.05, 0.05, SIGN_M), yaw_deg)
        self.shapes.box(foot, (0.04, 0.04, SIGN_M), yaw_deg, STEEL, Label.POLES, pole)
        middle = (foot[0], foot[1], foot[2] + SIGN_M - 0.8)
        name, label = f"traffic_sign_{signal}", Label.TRAFFIC_SIGNS
        thing = self.put("traffic_sign", label, middle, (0.1, 0.4, 0.8), yaw_deg, solid=False, name=name)
        corners, first_deg = {"205": (3, -90), "206": (8, 22.5), "274": (12, 0)}.get(kind, (4, 45))
        outer, inner = {
            "205": ((190, 32, 36), (236, 236, 232)), "206": ((190, 32, 36), (190, 32, 36)),
            "274": ((190, 32, 36), (236, 236, 232)),
        }.get(kind, ((40, 84, 160), (236, 236, 232)))  # fmt: skip
        angles = np.radians(first_deg + 360.0 / corners * np.arange(corners))
        fan = [(0, n, n + 1) for n in range(1, corners - 1)]
        for ahead, radius, color in ((-0.06, 0.4, outer), (-0.09, 0.28, inner), (-0.05, 0.4, STEEL)):
            flat = np.stack([np.full(corners, ahead), radius * np.cos(angles), 0.4 + radius * np.sin(angles)], 1)
            self.shapes.add(at(middle, yaw_deg, flat), fan, color, label, thing)


def lamp_pane(number: int) -> Places:
    """(4, 3), of a traffic light's lamp in the frame of its foot: green is 0, yellow 1 and red 2."""
    low = LIGHT_M - 1.1 + 0.08 + 0.34 * number
    return _pane(0.0, 0.26, low, low + 0.26, 0.0)[:, [1, 0, 2]] - (0.21, 0.0, 0.0)


def _pane(middle: float, width: float, low: float, high: float, y: float) -> Places:
    """(4, 3), upright, across x."""
    x = width / 2
    return np.array([(middle - x, y, low), (middle + x, y, low), (middle + x, y, high), (middle - x, y, high)])


def _windows(half: tuple[float, float], floors: int) -> Places:
    """(4 k, 3): one for every bay of every floor, or bands of glass where those were too many."""
    x, y = half
    bays = [max(1, int(2 * along / BAY_M)) for along in half]
    bands = 2 * sum(bays) * floors > MOST_WINDOWS
    panes = []
    for floor in range(floors):
        low = floor * FLOOR_M + 1.0
        for along, across, count, turned in ((x, y, bays[0], False), (y, x, bays[1], True)):
            middles = [0.0] if bands else [(n + 0.5) / count * 2 * along - along for n in range(count)]
            width = 2 * along - 0.8 if bands else 1.5
            for middle in middles:
                for face in (-1.0, 1.0):
                    pane = _pane(middle, width, low, low + 1.5, face * (across + _PROUD_M))
                    panes.append(pane[:, [1, 0, 2]] if turned else pane)
    return np.concatenate(panes)
