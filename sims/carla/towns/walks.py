"""Where walkers go: sidewalks, crosswalks and roads as triangles that know their neighbours.

CARLA's client finds walkers' ways by itself, with Recast and Detour; what it wants from a server is a mesh in Detour's
format, version 7, behind CARLA's header. Source: DetourNavMesh.h of Recast and what CARLA 0.9.16's client reads.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

from haltere.sims.carla.scene import Ground
from haltere.sims.carla.towns.lanes import DRIVEN, Strip
from haltere.sims.carla.towns.opendrive import KERB_M
from haltere.sims.carla.towns.surface import heights_at

Places = NDArray[np.float64]
IntArray = NDArray[np.int64]
_FINE_M, _LEAST_M2 = 0.1, 0.02
"""What is smaller than that isn't told apart."""
_GRID_M = 1e-3
_OVERLAP_M = 0.4
"""Crosswalks reach so far onto what they lead to."""
MOST_TRIANGLES, _MOST_CORNERS = 0x7FFF, 0xFFFF
_TALL_M, _WIDE_M, _CLIMBS_M = 1.8, 0.3, 0.5
"""Who walks there."""
_SET, _TILE = struct.Struct("<4sii5f2i"), struct.Struct("<Ii")
_HEADER = struct.Struct("<4s4iI9i10f")
_TRIANGLE = np.dtype(
    [("link", "<u4"), ("corners", "<u2", 6), ("beyond", "<u2", 6), ("flags", "<u2"), ("count", "u1"), ("area", "u1")]
)
_LINK_BYTES = 12
_DETAIL = np.dtype([("corner", "<u4"), ("triangle", "<u4"), ("corners", "u1"), ("triangles", "u1"), ("rest", "V2")])
_EDGES = 0b010101
"""All three edges of a detail's triangle are its polygon's."""


class Walk(IntEnum):
    """What is walked on, as CARLA's client numbers it; its flag is 2 to that power."""

    SIDEWALK = 1
    CROSSWALK = 2
    ROAD = 3


@dataclass(frozen=True)
class Walkways:
    """What they are made of.

    Attributes:
        strips: all lanes of a map.
        crosswalks: (n, 3) outlines [m].
        ground: heights of the roads.
    """

    strips: Sequence[Strip]
    crosswalks: Sequence[Places]
    ground: Ground

    @cached_property
    def mesh(self) -> bytes:
        """What the client reads; nothing where there is no sidewalk, or more than a mesh of one tile holds."""
        corners, triangles, kinds = _triangles(_areas(self.strips, self.crosswalks))
        if not (kinds == Walk.SIDEWALK).any() or len(triangles) > MOST_TRIANGLES or len(corners) > _MOST_CORNERS:
            return b""
        up = np.zeros(len(corners))
        up[np.unique(triangles[kinds == Walk.SIDEWALK])] = KERB_M
        heights = heights_at(self.ground, corners) + up
        return _packed(np.column_stack([corners[:, 0], heights, corners[:, 1]]), triangles, kinds)


def _areas(strips: Sequence[Strip], crosswalks: Sequence[Places]) -> dict[Walk, shapely.Geometry]:
    """What each kind covers; nothing is covered twice, and where kinds meet there is nothing between them."""
    sidewalks = _union([strip.outline for strip in strips if strip.kind == "Sidewalk"])
    across = _union(crosswalks).buffer(_OVERLAP_M, join_style="mitre").difference(sidewalks)
    roads = _union([strip.outline for strip in strips if strip.kind in DRIVEN]).buffer(2 * _FINE_M, join_style="mitre")
    roads = roads.difference(shapely.union_all([sidewalks, across]))
    return {Walk.SIDEWALK: sidewalks, Walk.CROSSWALK: across, Walk.ROAD: roads}


def _union(outlines: Sequence[Places]) -> shapely.Geometry:
    """Of outlines, without the seams between them."""
    pieces = shapely.make_valid([shapely.Polygon(outline[:, :2]) for outline in outlines])
    whole = shapely.union_all(pieces).buffer(_FINE_M, join_style="mitre").buffer(-_FINE_M, join_style="mitre")
    return whole.simplify(_FINE_M)


def _triangles(areas: Mapping[Walk, shapely.Geometry]) -> tuple[Places, IntArray, IntArray]:
    """Corners (n, 2), triangles (m, 3) and what each is (m,); neighbours share corners, of whatever kind they are."""
    # On a grid, so that no corner lies beside an edge that it is meant to be on.
    borders = shapely.union_all([area.boundary for area in areas.values()], grid_size=_GRID_M)
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(borders)))
    inside = shapely.point_on_surface(faces)
    found, kinds = [], []
    for kind, area in areas.items():
        of = faces[shapely.contains(area, inside) & (shapely.area(faces) > _LEAST_M2)]
        parts = shapely.get_parts(shapely.constrained_delaunay_triangles(of))
        found.append(shapely.get_coordinates(parts).reshape(-1, 4, 2)[:, :3])
        kinds += [kind] * len(found[-1])
    places = np.concatenate(found) if found else np.zeros((0, 3, 2))
    corners, numbers = np.unique(places.reshape(-1, 2), axis=0, return_inverse=True)
    triangles = numbers.reshape(-1, 3)
    # Detour's go around clockwise, as seen with its z, which is CARLA's y, upwards on paper.
    (ax, ay), (bx, by) = (places[:, 1] - places[:, 0]).T, (places[:, 2] - places[:, 0]).T
    anticlockwise = ax * by - ay * bx > 0.0
    triangles[anticlockwise] = triangles[anticlockwise][:, ::-1]
    return corners, triangles, np.array(kinds, np.int64)


def _beyond(triangles: IntArray) -> IntArray:
    """(m, 3) number of the triangle beyond each edge, from 1; 0 where there is none."""
    edges = np.stack([triangles, np.roll(triangles, -1, axis=1)], axis=-1).reshape(-1, 2)
    order = np.lexsort(np.sort(edges, axis=1).T)
    same = (np.sort(edges, axis=1)[order][1:] == np.sort(edges, axis=1)[order][:-1]).all(axis=1)
    first, second = order[:-1][same], order[1:][same]
    beyond = np.zeros(len(edges), np.int64)
    beyond[first], beyond[second] = second // 3 + 1, first // 3 + 1
    return beyond.reshape(-1, 3)


def _packed(corners: Places, triangles: IntArray, kinds: IntArray) -> bytes:
    """A mesh of one tile; corners are Detour's: x, up, and CARLA's y."""
    count = len(triangles)
    rows = np.zeros(count, _TRIANGLE)
    rows["link"] = 0xFFFFFFFF
    rows["corners"][:, :3], rows["beyond"][:, :3], rows["count"] = triangles, _beyond(triangles), 3
    rows["flags"], rows["area"] = 1 << kinds, kinds
    details = np.zeros(count, _DETAIL)
    details["triangle"], details["triangles"] = np.arange(count), 1
    links = int((rows["beyond"] > 0).sum())
    low, high = corners.min(axis=0), corners.max(axis=0)
    low[1], high[1] = low[1] - _CLIMBS_M, high[1] + _TALL_M
    header = _HEADER.pack(
        *(b"VAND", 7, 0, 0, 0, 0),
        *(count, len(corners), links, count, 0, count, 0, 0, count),
        *(_TALL_M, _WIDE_M, _CLIMBS_M, *low, *high, 1.0),
    )
    tile = b"".join(
        (
            header,
            corners.astype("<f4").tobytes(),
            rows.tobytes(),
            bytes(_LINK_BYTES * links),
            details.tobytes(),
            np.tile(np.array([0, 1, 2, _EDGES], np.uint8), count).tobytes(),
        )
    )
    most = 1 << max(count - 1, 1).bit_length()
    head = _SET.pack(b"TESM", 1, 1, *low, *(high - low)[[0, 2]], 1, most)
    return head + _TILE.pack(most, len(tile)) + tile
