"""Scenes to look at: triangles at random, and a small quarter of streets."""

import numpy as np

from haltere.sims.carla.geometry import BoundingBox
from haltere.sims.carla.scene import NOTHING, Ground, Label, Mesh, Scene, Shape, Thing, joined

QUAD = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
_FACES = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))


def mesh(vertices: object, triangles: object, color: tuple[int, int, int], label: int, thing: int = NOTHING) -> Mesh:
    """Triangles of one colour, label and thing."""
    corners = np.asarray(triangles, np.int32).reshape(-1, 3)
    count = len(corners)
    return Mesh(
        np.asarray(vertices, np.float32).reshape(-1, 3),
        corners,
        np.tile(np.array(color, np.uint8), (count, 1)),
        np.full(count, label, np.uint8),
        np.full(count, thing, np.int32),
    )


def box(
    low: tuple[float, ...], high: tuple[float, ...], color: tuple[int, int, int], label: int, thing: int = NOTHING
) -> Mesh:
    """Twelve triangles."""
    ends = np.array([low, high])
    corners = [(ends[i, 0], ends[j, 1], ends[k, 2]) for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    return mesh(
        corners, [(a, b, c) for a, b, c, _ in _FACES] + [(a, c, d) for a, _, c, d in _FACES], color, label, thing
    )


def flat(x0: float, y0: float, x1: float, y1: float, z: float, color: tuple[int, int, int], label: int) -> Mesh:
    """A level rectangle."""
    return mesh([(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)], QUAD, color, label)


def scene_of(whole: Mesh) -> Scene:
    """A scene on level ground, with a thing for each number in the mesh."""
    count = int(whole.things.max(initial=NOTHING)) + 1
    things = tuple(Thing(f"thing_{number}", Label.BUILDINGS, BoundingBox()) for number in range(count))
    return Scene(whole, things, Ground(0.0, 0.0, 1.0, np.zeros((2, 2), np.float32)))


def random_mesh(rng: np.random.Generator, count: int, size: float = 3.0, spread: float = 10.0) -> Mesh:
    """Triangles about the origin, each with a colour and label of its own."""
    middle = rng.uniform(-spread, spread, (count, 1, 3))
    corners = (middle + rng.normal(0, size, (count, 3, 3))).astype(np.float32)
    return Mesh(
        corners.reshape(-1, 3),
        np.arange(3 * count, dtype=np.int32).reshape(-1, 3),
        rng.integers(0, 256, (count, 3)).astype(np.uint8),
        rng.integers(Label.PEDESTRIANS, Label.WATER, count).astype(np.uint8),
        np.arange(count, dtype=np.int32),
    )


def random_shape(rng: np.random.Generator, count: int) -> Shape:
    """Some triangles within a metre or two of the origin."""
    return Shape(random_mesh(rng, count, 0.7, 1.0))


def _road(at: float, along: str, length: float) -> list[Mesh]:
    parts = []
    for start in np.arange(-length, length, 10.0):
        for side, color, label, half in (
            (0.0, (78, 80, 84), Label.ROADS, 3.5),
            (5.0, (156, 152, 146), Label.SIDEWALKS, 1.5),
            (-5.0, (156, 152, 146), Label.SIDEWALKS, 1.5),
        ):
            z = 0.12 if label == Label.SIDEWALKS else 0.0
            ends = (start, at + side - half, start + 10.0, at + side + half)
            parts.append(flat(*(ends if along == "x" else (ends[1], ends[0], ends[3], ends[2])), z, color, label))
        for dash in (start, start + 5.0):
            ends = (dash, at - 0.07, dash + 3.0, at + 0.07)
            x0, y0, x1, y1 = ends if along == "x" else (ends[1], ends[0], ends[3], ends[2])
            parts.append(flat(x0, y0, x1, y1, 0.005, (235, 235, 230), Label.ROAD_LINES))
    return parts


def _building(rng: np.random.Generator, x: float, y: float, thing: int) -> list[Mesh]:
    wide, deep, floors = rng.uniform(7, 11), rng.uniform(7, 11), int(rng.integers(2, 7))
    high = 3.0 * floors + 0.6
    wall = tuple(int(value) for value in rng.integers(120, 215) + rng.integers(-20, 20, 3))
    parts = [box((x - wide, y - deep, 0), (x + wide, y + deep, high), wall, Label.BUILDINGS, thing)]
    for floor in range(floors):
        z0, z1 = 3.0 * floor + 1.0, 3.0 * floor + 2.5
        for side in (-1, 1):
            for at in np.linspace(-0.75, 0.75, 5):
                a, b, out = x + at * wide - 0.7, x + at * wide + 0.7, y + side * (deep + 0.02)
                parts.append(
                    mesh([(a, out, z0), (b, out, z0), (b, out, z1), (a, out, z1)], QUAD, (70, 88, 105), 3, thing)
                )
                a, b, out = y + at * deep - 0.7, y + at * deep + 0.7, x + side * (wide + 0.02)
                parts.append(
                    mesh([(out, a, z0), (out, b, z0), (out, b, z1), (out, a, z1)], QUAD, (70, 88, 105), 3, thing)
                )
    return parts


def _tree(x: float, y: float, size: float, thing: int) -> list[Mesh]:
    around = np.linspace(0, 2 * np.pi, 9)[:-1]
    parts = [box((x - 0.15, y - 0.15, 0), (x + 0.15, y + 0.15, size), (96, 72, 52), Label.VEGETATION, thing)]
    ring = [(x + 0.55 * size * np.cos(a), y + 0.55 * size * np.sin(a), 1.3 * size) for a in around]
    points = [*ring, (x, y, 2.1 * size), (x, y, 0.75 * size)]
    sides = [(i, (i + 1) % 8, top) for i in range(8) for top in (8, 9)]
    parts.append(mesh(points, sides, (82, 122, 62), Label.VEGETATION, thing))
    return parts


def streets(seed: int = 0, blocks: int = 5) -> Scene:
    """Roads 50 m apart between buildings and trees; one crossing is at (0, 0). Four blocks are 46,698 triangles."""
    rng = np.random.default_rng(seed)
    length = 50.0 * blocks
    parts = [flat(-length - 200, -length - 200, length + 200, length + 200, -0.02, (112, 128, 84), Label.TERRAIN)]
    for line in range(-blocks, blocks + 1):
        parts += [*_road(50.0 * line, "x", length), *_road(50.0 * line, "y", length)]
    thing = 0
    for i in range(-blocks, blocks):
        for j in range(-blocks, blocks):
            for dx, dy in ((14, 14), (36, 14), (14, 36), (36, 36)):
                x, y = 50.0 * i + dx, 50.0 * j + dy
                if rng.random() < 0.85:
                    parts += _building(rng, x, y, thing)
                else:
                    parts += _tree(x, y, float(rng.uniform(3, 5)), thing)
                thing += 1
    return scene_of(joined(parts))
