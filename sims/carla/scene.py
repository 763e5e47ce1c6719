"""What a town is made of, for cameras, rays and collisions: triangles with labels, boxes, heights of the ground."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from haltere.sims.carla.geometry import BoundingBox

NOTHING = -1
"""In ``Mesh.things``: the ground and other surfaces that are no thing of their own."""


class Label(IntEnum):
    """What a semantic camera sees. Source: ``CityObjectLabel`` of CARLA 0.9.16."""

    NONE = 0
    ROADS = 1
    SIDEWALKS = 2
    BUILDINGS = 3
    WALLS = 4
    FENCES = 5
    POLES = 6
    TRAFFIC_LIGHT = 7
    TRAFFIC_SIGNS = 8
    VEGETATION = 9
    TERRAIN = 10
    SKY = 11
    PEDESTRIANS = 12
    RIDER = 13
    CAR = 14
    TRUCK = 15
    BUS = 16
    TRAIN = 17
    MOTORCYCLE = 18
    BICYCLE = 19
    STATIC = 20
    DYNAMIC = 21
    OTHER = 22
    WATER = 23
    ROAD_LINES = 24
    GROUND = 25
    BRIDGE = 26
    RAIL_TRACK = 27
    GUARD_RAIL = 28


@dataclass(frozen=True)
class Mesh:
    """Triangles, seen from both sides.

    Attributes:
        vertices: (n, 3) float32 [m].
        triangles: (m, 3) int32, rows of ``vertices``.
        colors: (m, 3) uint8, red, green and blue as a white light shows them.
        labels: (m,) uint8, of ``Label``.
        things: (m,) int32, which of the scene's things each belongs to, or ``NOTHING``.
    """

    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    colors: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    things: NDArray[np.int32]


def joined(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of several, in their order."""
    shifts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.triangles + np.int32(shift) for mesh, shift in zip(meshes, shifts, strict=True)]),
        np.concatenate([mesh.colors for mesh in meshes]),
        np.concatenate([mesh.labels for mesh in meshes]),
        np.concatenate([mesh.things for mesh in meshes]),
    )


@dataclass(frozen=True)
class Thing:
    """Something that stands there: a building, a tree, a pole.

    Attributes:
        name: unique in its scene, such as ``building_17``.
        label: what it is.
        box: around it, in the world.
        solid: whether a vehicle stops at the box.
    """

    name: str
    label: Label
    box: BoundingBox
    solid: bool = True


@dataclass(frozen=True)
class Ground:
    """Heights on a grid, between which they are bilinear; outside, the nearest one's.

    Attributes:
        x_m: of the first column.
        y_m: of the first row.
        cell_m: from one to the next.
        heights: (rows along y, columns along x) float32 [m].
    """

    x_m: float
    y_m: float
    cell_m: float
    heights: NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """All that doesn't move."""

    mesh: Mesh
    things: tuple[Thing, ...]
    ground: Ground


@dataclass(frozen=True)
class Shape:
    """What a kind of actor looks like, in its own frame: x ahead, z up, the origin where CARLA has it.

    Attributes:
        mesh: ``things`` don't count.
        painted: (m,) bool, the triangles that have the actor's own colour.
    """

    mesh: Mesh
    painted: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
