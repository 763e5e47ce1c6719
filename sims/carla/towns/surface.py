"""What is driven and walked on, as triangles: roads, kerbs, sidewalks, lines, crosswalks, slots, and land around."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from haltere.sims.carla.scene import Ground, Label
from haltere.sims.carla.towns.lanes import DRIVEN, Mark, Strip
from haltere.sims.carla.towns.opendrive import KERB_M
from haltere.sims.carla.towns.shapes import Places, Shapes, thinned

ASPHALT, PAVING, KERB, GRASS, WHITE = (84, 85, 88), (168, 164, 156), (190, 188, 182), (104, 122, 74), (226, 226, 222)
MARKS = {"Yellow": (226, 178, 44), "Blue": (60, 90, 190), "Red": (190, 60, 50), "Green": (70, 150, 80)}
"""Of those lines that aren't white."""
LINES_UP_M, LAND_DOWN_M = 0.005, 0.06
"""How far lines lie above their road, and land below it."""
DASH_M, GAP_M, FAST_DASH_M, FAST_GAP_M, FAST_KMH = 3.0, 6.0, 6.0, 12.0, 80.0
"""Of broken lines in towns and on motorways, as on German roads."""
STRIPE_M = 0.5
"""A crosswalk's stripes, and what lies between them."""
AROUND_M = 150.0
"""Land beyond the outermost lane."""
_TOLERANCE_M = 0.015
_HOLE_CELL_M, _LARGEST_HOLE_M2 = 0.2, 90.0
_PAIR_M = 0.12
"""From the middle of a border to either of its two lines."""
_LAND_CELLS, _HILLY_CELLS = 45, 90


def pave(shapes: Shapes, strips: Sequence[Strip]) -> None:
    """Roads and sidewalks with their kerbs."""
    for strip in strips:
        rows = thinned(np.concatenate([strip.left, strip.right], 1), _TOLERANCE_M)
        left, right = strip.left[rows], strip.right[rows]
        if strip.kind == "Sidewalk":
            up = np.array([0.0, 0.0, KERB_M])
            shapes.band(left + up, right + up, PAVING, Label.SIDEWALKS)
            for edge in (left, right):
                shapes.band(edge - 0.6 * up, edge + up, KERB, Label.SIDEWALKS)
        elif strip.kind in DRIVEN:
            shapes.band(left, right, ASPHALT, Label.ROADS)
        else:
            shapes.band(left, right, GRASS, Label.TERRAIN)


def fill(shapes: Shapes, strips: Sequence[Strip]) -> None:
    """What connecting roads leave free between them in a junction."""
    inside = [strip for strip in strips if strip.junction and strip.kind in DRIVEN]
    for low, group in _close_together(inside):
        outlines = [((strip.outline[:, :2] - low) / _HOLE_CELL_M).round().astype(np.int32) + 2 for strip in group]
        columns, rows = np.max([outline.max(0) for outline in outlines], 0) + 3
        painted = np.zeros((rows, columns), np.uint8)
        for outline in outlines:
            cv2.fillPoly(painted, [outline], 1)
        borders, tree = cv2.findContours(painted, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        places = np.concatenate([strip.outline for strip in group])
        for border, (_, _, _, parent) in zip(borders, tree[0] if tree is not None else (), strict=True):
            area = cv2.contourArea(border) * _HOLE_CELL_M**2
            if parent < 0 or not 0.2 < area < _LARGEST_HOLE_M2:
                continue
            corners = cv2.approxPolyDP(border, 1.0, closed=True)[:, 0].astype(float)
            flat = (corners - 2) * _HOLE_CELL_M + low
            nearest = np.linalg.norm(flat[:, None] - places[:, :2], axis=-1).argmin(1)
            heights = places[nearest, 2] - 0.01
            shapes.add(np.column_stack([flat, heights]), _cut(flat), ASPHALT, Label.ROADS)


def _close_together(strips: Sequence[Strip]) -> Iterator[tuple[NDArray[np.float64], list[Strip]]]:
    """Groups of strips whose bounds overlap, and the lowest place of each."""
    bounds = [(strip.outline[:, :2].min(0), strip.outline[:, :2].max(0)) for strip in strips]
    left = list(range(len(strips)))
    while left:
        group = [left.pop(0)]
        low, high = bounds[group[0]]
        grown = True
        while grown:
            joining = [n for n in left if (bounds[n][0] <= high).all() and (bounds[n][1] >= low).all()]
            grown = bool(joining)
            for n in joining:
                left.remove(n)
                group.append(n)
                low, high = np.minimum(low, bounds[n][0]), np.maximum(high, bounds[n][1])
        yield low, [strips[n] for n in group]


def _cut(corners: Places) -> list[tuple[int, int, int]]:
    """Triangles of a polygon without holes, (n, 2), by clipping ears; source: Meisters 1975."""
    left, made = list(range(len(corners))), []
    x, y = corners.T
    if float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) < 0.0:
        left.reverse()

    def side(a: int, b: int, c: int) -> float:
        return float((x[b] - x[a]) * (y[c] - y[a]) - (y[b] - y[a]) * (x[c] - x[a]))

    while len(left) > 2:
        for n in range(len(left)):
            a, b, c = left[n - 1], left[n], left[(n + 1) % len(left)]
            others = (p for p in left if p not in (a, b, c))
            if side(a, b, c) > 0.0 and not any(
                side(a, b, p) >= 0.0 and side(b, c, p) >= 0.0 and side(c, a, p) >= 0.0 for p in others
            ):
                made.append((a, b, c))
                left.pop(n)
                break
        else:
            break
    return made


def mark(shapes: Shapes, strips: Sequence[Strip]) -> None:
    """Lines on the borders of lanes."""
    for strip in strips:
        fast = (strip.limit_kmh or 0.0) >= FAST_KMH
        for border, marks, outward in ((strip.right, strip.marks, 1.0), (strip.left, strip.middle_marks, -1.0)):
            for line, places in _runs(border, marks):
                _line(shapes, places, line, outward, fast)


def _runs(border: Places, marks: Sequence[Mark | None]) -> Iterator[tuple[Mark, Places]]:
    """Stretches of a border with one mark."""
    first = 0
    for number in range(1, len(marks) + 1):
        if number == len(marks) or marks[number] != marks[first]:
            here = marks[first]
            places = border[first : number + 1]
            if here is not None and len(places) > 1:
                yield here, places
            first = number


def _line(shapes: Shapes, border: Places, line: Mark, outward: float, fast: bool) -> None:
    """As many lines as the mark has, inner one first."""
    words = [word for word in ("Solid", "Broken") if word in line.kind]
    kinds = [line.kind] if line.kind in ("Solid", "Broken") else _pair(line.kind) if words else ["Broken"]
    shifts = [0.0] if len(kinds) == 1 else [-_PAIR_M * outward, _PAIR_M * outward]
    along = np.gradient(border, axis=0)[:, :2]
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    normal = np.stack([-along[:, 1], along[:, 0], np.zeros(len(along))], 1)
    color, up = MARKS.get(line.color, WHITE), np.array([0.0, 0.0, LINES_UP_M])
    for kind, shift in zip(kinds, shifts, strict=True):
        left, right = (border + up + normal * (shift + half) for half in (-line.width / 2, line.width / 2))
        if kind == "Solid":
            rows = thinned(np.concatenate([left, right], 1), _TOLERANCE_M)
            shapes.band(left[rows], right[rows], color, Label.ROAD_LINES)
        else:
            _dashes(shapes, left, right, color, fast)


def _pair(kind: str) -> list[str]:
    """Such as SolidBroken."""
    first = "Solid" if kind.startswith("Solid") else "Broken"
    return [first, kind.removeprefix(first)]


def _dashes(shapes: Shapes, left: Places, right: Places, color: tuple[int, int, int], fast: bool) -> None:
    dash, gap = (FAST_DASH_M, FAST_GAP_M) if fast else (DASH_M, GAP_M)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(left, axis=0), axis=1))])
    begins = np.arange(gap / 2, along[-1] - dash / 2, dash + gap)
    ends = np.minimum(begins + dash, along[-1])
    corners = [
        np.stack([np.interp(s, along, edge[:, axis]) for axis in range(3)], 1)
        for s, edge in ((begins, left), (ends, left), (ends, right), (begins, right))
    ]
    shapes.quads(np.stack(corners, 1), color, Label.ROAD_LINES)


def zebra(shapes: Shapes, outline: Places) -> None:
    """A crosswalk's stripes, along the shorter sides of the rectangle around it; (n, 3)."""
    _, sizes, _ = rectangle = cv2.minAreaRect(outline[:, :2].astype(np.float32))
    if min(sizes) < 0.5:
        return
    z = float(outline[:, 2].mean()) + LINES_UP_M
    a, b, c, d = cv2.boxPoints(rectangle).astype(float)
    if np.linalg.norm(b - a) < np.linalg.norm(c - b):
        a, b, c, d = b, c, d, a
    count = int((max(sizes) / STRIPE_M + 1) / 2)
    begins = (np.arange(count) * 2 + 0.5 * (max(sizes) / STRIPE_M - 2 * count + 1)) * STRIPE_M / max(sizes)
    shares = np.stack([begins, begins + STRIPE_M / max(sizes)], 1)[:, :, None]
    near, far = a + shares * (b - a), d + shares * (c - d)
    flat = np.stack([near[:, 0], near[:, 1], far[:, 1], far[:, 0]], 1)
    shapes.quads(np.concatenate([flat, np.full((count, 4, 1), z)], 2), WHITE, Label.ROAD_LINES)


def across(shapes: Shapes, places: Places, width_m: float) -> None:
    """A line along (n, 3) places: before a light, around a slot."""
    up = np.array([0.0, 0.0, LINES_UP_M])
    for first, last in pairwise(places):
        ahead = last - first
        length = max(math.hypot(ahead[0], ahead[1]), 1e-9)
        normal = np.array([-ahead[1], ahead[0], 0.0]) / length * width_m / 2
        ends = np.stack([first - normal, last - normal, last + normal, first + normal]) + up
        shapes.quads(ends, WHITE, Label.ROAD_LINES)


def land(shapes: Shapes, places: Places, ground: Ground, chance: np.random.Generator) -> None:
    """Around and below everything, a bit lower than the roads; where there are hills, than the lowest place near."""
    low, high = places[:, :2].min(0) - AROUND_M, places[:, :2].max(0) + AROUND_M
    heights, count = ground.heights, _LAND_CELLS
    if np.ptp(heights) > 0.1:
        count = _HILLY_CELLS
        reach = 2 * math.ceil(float((high - low).max()) / (count - 1) / ground.cell_m) + 1
        heights = cv2.erode(heights, np.ones((reach, reach), np.uint8)).astype(np.float32)
    x, y = np.meshgrid(*(np.linspace(low[axis], high[axis], count) for axis in (0, 1)))
    z = heights_at(replace(ground, heights=heights), np.stack([x, y], -1).reshape(-1, 2)) - LAND_DOWN_M
    rows = np.arange(count * count).reshape(count, count)
    corners = np.stack([rows[:-1, :-1], rows[:-1, 1:], rows[1:, 1:], rows[1:, :-1]], -1).reshape(-1, 4)
    shades = np.asarray(GRASS) * chance.uniform(0.93, 1.07, (len(corners), 1))
    vertices = np.column_stack([x.ravel(), y.ravel(), z])
    shapes.add(vertices, corners[:, [0, 1, 2, 0, 2, 3]], np.repeat(shades, 2, 0), Label.TERRAIN)


def heights_at(ground: Ground, places: Places) -> NDArray[np.float64]:
    """Of (n, 2) places, as ``Ground`` has them: (n,)."""
    rows, columns = ground.heights.shape
    column = np.clip((places[:, 0] - ground.x_m) / ground.cell_m, 0.0, columns - 1.0)
    row = np.clip((places[:, 1] - ground.y_m) / ground.cell_m, 0.0, rows - 1.0)
    i, j = np.minimum(row.astype(int), rows - 2), np.minimum(column.astype(int), columns - 2)
    u, v, h = row - i, column - j, ground.heights.astype(float)
    lower = h[i, j] * (1 - v) + h[i, j + 1] * v
    upper = h[i + 1, j] * (1 - v) + h[i + 1, j + 1] * v
    return np.asarray(lower * (1 - u) + upper * u)
