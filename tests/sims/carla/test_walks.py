"""The mesh of walkways, read as Detour reads it, beside the lanes of CARLA's own map."""

import struct
from dataclasses import dataclass, replace

import carla
import numpy as np
import pytest
from numpy.typing import NDArray

from haltere.sims.carla.towns import load_town, town_names, walks
from haltere.sims.carla.towns.walks import Walk

POLYGON = struct.Struct("<I6H6HHBB")


@dataclass(frozen=True)
class Mesh:
    """One tile: corners (n, 3) as Detour has them, triangles (m, 3), what is beyond their edges (m, 3), and kinds."""

    corners: NDArray[np.float32]
    triangles: NDArray[np.int64]
    beyond: NDArray[np.int64]
    kinds: NDArray[np.int64]

    @property
    def flat(self) -> NDArray[np.float32]:
        """(m, 3, 2) x and y of CARLA's frame."""
        return self.corners[self.triangles][..., [0, 2]]


def read(data: bytes) -> Mesh:
    """See DetourNavMesh.h; every byte has its place."""
    magic, version, tiles, *_, most_tiles, most_polygons = struct.unpack_from("<4sii5f2i", data)
    assert (magic, version, tiles, most_tiles) == (b"TESM", 1, 1, 1)
    reference, size = struct.unpack_from("<Ii", data, 40)
    assert reference == most_polygons
    tile = data[48:]
    assert len(tile) == size
    head = struct.unpack_from("<4s4iI9i10f", tile)
    assert head[:6] == (b"VAND", 7, 0, 0, 0, 0)
    polygons, corners, links, details, detail_corners, detail_triangles, nodes, jumps, first_jump = head[6:15]
    assert (details, detail_corners, detail_triangles, nodes, jumps, first_jump) == (
        polygons, 0, polygons, 0, 0, polygons
    )  # fmt: skip
    assert polygons <= most_polygons
    at = struct.calcsize("<4s4iI9i10f")
    assert size == at + 12 * corners + 32 * polygons + 12 * links + 12 * polygons + 4 * polygons
    places = np.frombuffer(tile, "<f4", 3 * corners, at).reshape(-1, 3)
    low, high = np.array(head[18:21]), np.array(head[21:24])
    assert (places >= low - 1e-3).all() and (places <= high + 1e-3).all()
    rows = np.array([POLYGON.unpack_from(tile, at + 12 * corners + 32 * row) for row in range(polygons)])
    assert (rows[:, 14] == 3).all()
    assert (rows[:, 13] == 1 << rows[:, 15]).all()
    assert links == (rows[:, 7:10] > 0).sum()
    return Mesh(places, rows[:, 1:4], rows[:, 7:10], rows[:, 15])


@pytest.fixture(scope="module", params=town_names())
def town(request: pytest.FixtureRequest) -> tuple[Mesh, carla.Map]:
    """A mesh, and the client's map."""
    found = load_town(request.param)
    return read(found.walkways.mesh), carla.Map(found.name, found.opendrive)


def within(mesh: Mesh, place: NDArray[np.float64]) -> NDArray[np.bool_]:
    """In which triangles a place is, by the signs of three areas."""
    away = mesh.flat - place
    turns = [away[:, i, 0] * away[:, i - 2, 1] - away[:, i, 1] * away[:, i - 2, 0] for i in range(3)]
    return (np.stack(turns) <= 0.0).all(axis=0)


def test_triangles_go_around_clockwise_and_know_their_neighbours(town: tuple[Mesh, carla.Map]) -> None:
    """Who is beyond an edge has that edge, the other way round, and knows this one."""
    mesh, _ = town
    ahead, aside = mesh.flat[:, 1] - mesh.flat[:, 0], mesh.flat[:, 2] - mesh.flat[:, 0]
    assert (ahead[:, 0] * aside[:, 1] - ahead[:, 1] * aside[:, 0] < 0.0).all()
    for one, edge in np.argwhere(mesh.beyond > 0).tolist():
        first, second = mesh.triangles[one, edge], mesh.triangles[one, (edge + 1) % 3]
        other = mesh.beyond[one, edge] - 1
        its = [(mesh.triangles[other, i], mesh.triangles[other, (i + 1) % 3]) for i in range(3)]
        assert (second, first) in its
        assert mesh.beyond[other, its.index((second, first))] - 1 == one


def test_a_place_is_walked_on_where_the_map_has_a_sidewalk(town: tuple[Mesh, carla.Map]) -> None:
    """In exactly one triangle, at the sidewalk's height; and a road's middle is in one of a road or a crosswalk."""
    mesh, read_map = town
    generator, checked = np.random.default_rng(3), {Walk.SIDEWALK: 0, Walk.ROAD: 0}
    low, high = mesh.flat.min(axis=(0, 1)), mesh.flat.max(axis=(0, 1))
    lanes = {Walk.SIDEWALK: carla.LaneType.Sidewalk, Walk.ROAD: carla.LaneType.Driving}
    for place in generator.uniform(low, high, (1500, 2)):
        where = carla.Location(*place.tolist())
        for walk, kind in lanes.items():
            lane = read_map.get_waypoint(where, project_to_road=False, lane_type=kind)
            if lane is None or (walk is Walk.ROAD and lane.is_junction):
                continue
            middle = lane.transform.location
            along = abs((where - middle).dot(lane.transform.get_forward_vector()))
            if middle.distance_2d(where) > 0.5 * lane.lane_width - 0.3 or along > 0.1:  # beyond its end
                continue
            found = np.flatnonzero(within(mesh, place))
            assert len(found) == 1
            kinds = (Walk.SIDEWALK,) if walk is Walk.SIDEWALK else (Walk.ROAD, Walk.CROSSWALK)
            assert mesh.kinds[found[0]] in kinds
            if walk is Walk.SIDEWALK:
                heights = mesh.corners[mesh.triangles[found[0]], 1]
                assert heights.mean() == pytest.approx(middle.z + 0.15, abs=0.1)
            checked[walk] += 1
    assert min(checked.values()) > 10


def test_crosswalks_lead_from_sidewalk_to_sidewalk(town: tuple[Mesh, carla.Map]) -> None:
    """Every one touches sidewalks on two sides of its road."""
    mesh, read_map = town
    outlines = np.array([(corner.x, corner.y) for corner in read_map.get_crosswalks()]).reshape(-1, 5, 2)
    for outline in outlines:
        inside = [row for row in np.flatnonzero(mesh.kinds == Walk.CROSSWALK) if near(mesh.flat[row], outline)]
        beyond = {int(each) - 1 for row in inside for each in mesh.beyond[row] if each > 0}
        sidewalks = [mesh.flat[row].mean(axis=0) for row in beyond if mesh.kinds[row] == Walk.SIDEWALK]
        assert len(sidewalks) >= 2
        assert max(np.hypot(*(one - other)) for one in sidewalks for other in sidewalks) > 4.0


def near(triangle: NDArray[np.float32], outline: NDArray[np.float64]) -> bool:
    """Whether a triangle's middle is in an outline's circle."""
    middle = outline[:4].mean(axis=0)
    return bool(np.hypot(*(triangle.mean(axis=0) - middle)) < np.hypot(*(outline[0] - middle)) + 0.5)


def test_without_sidewalks_or_with_too_many_there_is_no_mesh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing rather than half of one."""
    ways = load_town("parking").walkways
    assert replace(ways, strips=[strip for strip in ways.strips if strip.kind != "Sidewalk"]).mesh == b""
    monkeypatch.setattr(walks, "MOST_TRIANGLES", 100)
    assert replace(ways).mesh == b""
