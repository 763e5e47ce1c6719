"""Pictures beside rays and triangles in numpy, and beside CARLA's own transforms."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError, RequestError
from haltere.sims.carla.geometry import Rotation, Transform, Vector, array, rotation_matrix
from haltere.sims.carla.scene import NOTHING, Label, Mesh, Scene, Shape, joined
from haltere.sims.carla.sight.frames import Camera, CameraKind, Movers
from haltere.sims.carla.sight.light import Clear
from haltere.sims.carla.sight.sight import Sight

from . import scenes

FAR_M, NEAR_M = 1000.0, 0.05
ALL = tuple(CameraKind)


def meet(mesh: Mesh, origin: NDArray[np.float64], ways: NDArray[np.float64]) -> NDArray[np.float64]:
    """(rays, triangles) multiples of the ways at which they are met, infinite where they aren't (Moeller-Trumbore)."""
    corner, second, third = (mesh.vertices[mesh.triangles[:, k]].astype(np.float64) for k in range(3))
    a, b = second - corner, third - corner
    across = np.cross(ways[:, None], b[None])
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 1 / (across * a).sum(-1)
        offset = origin - corner
        u = (across * offset).sum(-1) * scale
        q = np.cross(offset, a)
        v = (ways @ q.T) * scale
        t = (b * q).sum(-1) * scale
        inside = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)
    return np.where(inside, t, np.inf)


def ways_of(camera: Camera, du: float = 0.0, dv: float = 0.0) -> NDArray[np.float64]:
    """(height * width, 3) through the pixels' centres, or a little beside; 1 long along the camera's axis."""
    u, v = np.meshgrid(np.arange(camera.width) + 0.5 + du, np.arange(camera.height) + 0.5 + dv)
    focal = camera.width / (2 * np.tan(np.radians(camera.fov_deg) / 2))
    right, up = (u - camera.width / 2) / focal, -(v - camera.height / 2) / focal
    ways = np.stack([np.ones_like(u), right, up], axis=-1).reshape(-1, 3)
    return np.asarray(ways @ rotation_matrix(camera.place.rotation).T)


def first_met(
    mesh: Mesh, camera: Camera, du: float = 0.0, dv: float = 0.0
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Which triangle each pixel shows (-1: none) and its depth [m]."""
    depth = meet(mesh, array(camera.place.location), ways_of(camera, du, dv))
    depth[depth < NEAR_M] = np.inf
    depth = np.concatenate([depth, np.full((len(depth), 1), np.inf)], axis=1)
    which = depth.argmin(axis=1)
    return np.where(np.isinf(depth.min(axis=1)), -1, which), depth.min(axis=1)


def depth_of(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """As CARLA's documentation of sensor.camera.depth has it [m]."""
    blue, green, red = (picture[..., k].astype(np.float64) for k in range(3))
    return np.asarray((red + 256 * green + 65536 * blue) / (256**3 - 1) * FAR_M)


def number_of(picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    """As ``decode_instance_segmentation`` of CARLA's bounding_boxes.py has it."""
    return picture[..., 1].astype(np.int64) + (picture[..., 0].astype(np.int64) << 8)


def rig(camera: Camera, kinds: tuple[CameraKind, ...] = ALL) -> list[Camera]:
    """One camera of each kind at one place."""
    sizes = (camera.width, camera.height, camera.fov_deg, camera.hidden)
    return [Camera(kind, camera.place, *sizes) for kind in kinds]


@pytest.fixture(scope="module")
def carla() -> ModuleType:
    """CARLA's own client library."""
    return pytest.importorskip("carla")


@given(
    seed=st.integers(0, 2**31),
    count=st.integers(1, 40),
    fov=st.floats(20, 150),
    turned=st.tuples(st.floats(-89, 89), st.floats(-180, 180), st.floats(-180, 180)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 30)),
)
@settings(deadline=None, max_examples=60)
def test_a_picture_shows_what_rays_meet(
    seed: int, count: int, fov: float, turned: tuple[float, float, float], size: tuple[int, int]
) -> None:
    """Label, thing and depth of each pixel, from amid triangles that meet, lie behind, and cross the near plane.

    Where a ray a thousandth of a pixel aside meets another triangle, either will do.
    """
    mesh = scenes.random_mesh(np.random.default_rng(seed), count)
    camera = Camera(CameraKind.DEPTH, Transform(Vector(0.3, -0.2, 0.1), Rotation(*turned)), *size, fov)
    depth, semantic, instance = Sight(scenes.scene_of(mesh), 1).draw(
        rig(camera, (CameraKind.DEPTH, CameraKind.SEMANTIC, CameraKind.INSTANCE))
    )
    which, distance = first_met(mesh, camera)
    aside = [first_met(mesh, camera, du, dv) for du in (-1e-3, 1e-3) for dv in (-1e-3, 1e-3)]
    sure = np.all([other == which for other, _ in aside], axis=0)
    # Beside the edge of the sky a pixel may be unsure, but not many of them can be.
    assert (~sure).sum() <= 2 + 0.02 * sure.size
    shown = number_of(instance).ravel() - 0x8000
    shown[semantic[..., 2].ravel() == Label.SKY] = -1
    met = which >= 0
    same = shown == which
    # Two triangles that cross at a small angle are at one depth to seven digits over more than a pixel's thousandth.
    close = np.abs(depth_of(depth).ravel() - np.minimum(distance, FAR_M)) < 6e-5 + 1e-5 * np.minimum(distance, FAR_M)
    assert close[sure].all()
    assert (same[sure]).mean() > 0.995
    labels = np.append(mesh.labels, Label.SKY)[shown]
    assert (semantic[..., 2].ravel() == labels).all()
    assert (semantic[..., :2] == 0).all()
    assert (semantic[..., 3] == 255).all()
    assert (depth_of(depth).ravel()[sure & ~met] == FAR_M).all()


@given(seed=st.integers(0, 2**31), rays=st.integers(0, 60), movers=st.integers(0, 6), reach=st.floats(0.5, 40))
@settings(deadline=None, max_examples=60)
def test_rays_meet_what_they_should(seed: int, rays: int, movers: int, reach: float) -> None:
    """Distance, label, thing or actor and normal beside every triangle tried in numpy."""
    rng = np.random.default_rng(seed)
    mesh, shape = scenes.random_mesh(rng, 30), scenes.random_shape(rng, 8)
    sight = Sight(scenes.scene_of(mesh), 2)
    turned = [Rotation(*rng.uniform(-80, 80, 3)) for _ in range(movers)]
    moved = Movers(
        np.full(movers, sight.add_shape(shape), np.int32),
        np.array([rotation_matrix(turn) for turn in turned]).reshape(-1, 3, 3),
        rng.uniform(-8, 8, (movers, 3)),
        numbers=np.arange(movers, dtype=np.uint32) + 500,
    )
    origin, ways = rng.uniform(-5, 5, 3), rng.normal(0, 1, (rays, 3))
    hits = sight.cast(np.tile(origin, (rays, 1)), 3.7 * ways, reach, moved)
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    distances = [meet(mesh, origin, ways)]
    for turn, at in zip(moved.rotations, moved.locations, strict=True):
        distances.append(meet(shape.mesh, turn.T @ (origin - at), ways @ turn))
    table = np.concatenate([*distances, np.full((rays, 1), reach)], axis=1)
    which = table.argmin(axis=1)
    met = which < table.shape[1] - 1
    assert np.allclose(hits.distances[met], table.min(axis=1)[met], rtol=1e-9)
    assert np.isinf(hits.distances[~met]).all()
    standing = which < 30
    assert (hits.things == np.where(standing, which, NOTHING)).all()
    assert (hits.numbers == np.where(met & ~standing, 500 + (which - 30) // 8, 0)).all()
    labels = np.concatenate([mesh.labels, np.tile(shape.mesh.labels, movers), [0]])
    assert (hits.labels == labels[which]).all()
    assert np.allclose(np.linalg.norm(hits.normals[met], axis=1), 1, atol=1e-5)
    assert ((hits.normals * ways).sum(axis=1) <= 1e-6).all()
    corner, second, third = (mesh.vertices[mesh.triangles[which[standing], k]].astype(np.float64) for k in range(3))
    across = np.cross(second - corner, third - corner)
    along = np.abs((across * hits.normals[standing]).sum(axis=1)) / np.linalg.norm(across, axis=1)
    assert np.allclose(along, 1, atol=1e-5)


def test_a_depth_picture_is_what_rays_measure() -> None:
    """In streets with vehicles, through every pixel's centre."""
    scene = scenes.streets(3, 1)
    sight = Sight(scene, 2)
    moved = _vehicles(sight)
    camera = Camera(CameraKind.DEPTH, Transform(Vector(-8, 1.75, 1.6), Rotation(-5, 10, 3)), 120, 90, 100.0)
    depth, semantic = sight.draw(rig(camera, (CameraKind.DEPTH, CameraKind.SEMANTIC)), moved)
    ways = ways_of(camera)
    hits = sight.cast(np.tile(array(camera.place.location), (len(ways), 1)), ways, 3000.0, moved)
    along = hits.distances / np.linalg.norm(ways, axis=1)
    error = np.abs(depth_of(depth).ravel() - np.minimum(along, FAR_M))
    assert (error < 1e-4 + 1e-5 * np.minimum(along, FAR_M)).mean() > 0.995
    labels = np.where(np.isinf(hits.distances), Label.SKY, hits.labels)
    assert (labels == semantic[..., 2].ravel()).mean() > 0.995
    assert {Label.ROADS, Label.BUILDINGS, Label.CAR, Label.ROAD_LINES, Label.SKY} <= set(np.unique(labels))


def _vehicles(sight: Sight, count: int = 8) -> Movers:
    shape = Shape(scenes.box((-2.3, -0.9, 0.0), (2.3, 0.9, 1.4), (200, 30, 30), Label.CAR), np.ones(12, np.bool_))
    rng = np.random.default_rng(1)
    return Movers(
        np.full(count, sight.add_shape(shape), np.int32),
        np.array([rotation_matrix(Rotation(0, yaw, 0)) for yaw in rng.uniform(-180, 180, count)]),
        np.stack([rng.uniform(-5, 40, count), rng.uniform(-6, 6, count), np.zeros(count)], axis=1),
        rng.integers(0, 256, (count, 3)).astype(np.uint8),
        np.arange(count, dtype=np.uint32) + 300,
    )


@given(
    turned=st.tuples(st.floats(-80, 80), st.floats(-180, 180), st.floats(-180, 180)),
    point=st.tuples(st.floats(3, 60), st.floats(-0.8, 0.8), st.floats(-0.5, 0.5)),
    fov=st.floats(30, 140),
)
@settings(deadline=None, max_examples=40)
def test_a_point_is_where_carla_puts_it(
    carla: ModuleType, turned: tuple[float, float, float], point: tuple[float, float, float], fov: float
) -> None:
    """A small box that CARLA's ``get_inverse_matrix`` and its tutorial's camera matrix put on a pixel is seen there."""
    place = Transform(Vector(12.0, -7.0, 3.0), Rotation(*turned))
    camera = Camera(CameraKind.SEMANTIC, place, 160, 120, fov)
    own = carla.Transform(carla.Location(12.0, -7.0, 3.0), carla.Rotation(*turned))
    there = own.transform(
        carla.Location(point[0], *(share * point[0] * np.tan(np.radians(fov / 2)) for share in point[1:]))
    )
    size = 0.01 * point[0] * np.tan(np.radians(fov / 2))
    middle = np.array([there.x, there.y, there.z])
    scene = scenes.scene_of(scenes.box(tuple(middle - size), tuple(middle + size), (1, 2, 3), Label.POLES))
    picture = Sight(scene, 1).draw([camera])[0][..., 2]
    ahead, right, up, _ = np.array(own.get_inverse_matrix()) @ [*middle, 1]
    focal = 160 / (2 * np.tan(np.radians(fov) / 2))
    seen = np.argwhere(picture == Label.POLES)
    assert len(seen) > 0
    v, u = seen.mean(axis=0) + 0.5
    assert abs(u - (80 + focal * right / ahead)) < 1.0
    assert abs(v - (60 - focal * up / ahead)) < 1.0


@given(turned=st.tuples(st.floats(-89, 89), st.floats(-180, 180), st.floats(-180, 180)), seed=st.integers(0, 2**31))
@settings(deadline=None, max_examples=30)
def test_movers_stand_where_carla_turns_them(carla: ModuleType, turned: tuple[float, float, float], seed: int) -> None:
    """A shape that moves looks like a scene whose vertices ``carla.Transform`` has moved."""
    shape = scenes.random_shape(np.random.default_rng(seed), 12)
    where = carla.Transform(carla.Location(6.0, 0.5, -0.25), carla.Rotation(*turned))
    matrix = np.array(where.get_matrix())
    sight = Sight(scenes.scene_of(scenes.mesh([], [], (0, 0, 0), 0)), 1)
    moved = Movers(
        np.array([sight.add_shape(shape)], np.int32),
        matrix[None, :3, :3],
        matrix[None, :3, 3],
        numbers=np.array([7], np.uint32),
    )
    camera = Camera(CameraKind.SEMANTIC, Transform(), 64, 48, 60.0)
    corners = shape.mesh.vertices @ matrix[:3, :3].T + matrix[:3, 3]
    still = Mesh(
        corners.astype(np.float32), shape.mesh.triangles, shape.mesh.colors, shape.mesh.labels, shape.mesh.things
    )
    expected = Sight(scenes.scene_of(still), 1).draw([camera])[0]
    assert (sight.draw([camera], moved)[0] == expected).all(axis=-1).mean() > 0.99
    numbers = number_of(sight.draw(rig(camera, (CameraKind.INSTANCE,)), moved)[0])
    assert (numbers[expected[..., 2] != Label.SKY] == 7).mean() > 0.97


def _views() -> list[Camera]:
    places = [Transform(Vector(0, 1.75, 1.6), Rotation(0, yaw, 0)) for yaw in range(0, 360, 60)]
    return [camera for place in places for camera in rig(Camera(CameraKind.RGB, place, 90, 70, 90.0))]


def test_threads_change_no_byte() -> None:
    """One, two, three or five; all cameras at once, one alone, and once more."""
    scene, cameras = scenes.streets(1, 1), _views()
    pictures = []
    for threads in (1, 2, 3, 5, 1):
        sight = Sight(scene, threads)
        pictures.append(sight.draw(cameras, _vehicles(sight)))
    sight = Sight(scene, 2)
    moved = _vehicles(sight)
    pictures.append([sight.draw([camera], moved)[0] for camera in cameras])
    for other in pictures[1:]:
        assert all((one == two).all() for one, two in zip(pictures[0], other, strict=True))
    ways = ways_of(cameras[0])
    hits = [sight.cast(np.tile([0.0, 1.75, 1.6], (len(ways), 1)), ways, 100.0, moved) for sight in (sight,) * 2]
    alone = Sight(scene, 1)
    hits.append(alone.cast(np.tile([0.0, 1.75, 1.6], (len(ways), 1)), ways, 100.0, _vehicles(alone)))
    for name in ("distances", "labels", "numbers", "things", "normals"):
        assert all(getattr(hits[0], name).tobytes() == getattr(other, name).tobytes() for other in hits[1:])


def test_what_is_hidden_is_not_seen() -> None:
    """Actors by a camera's list, things of the scene by number; both come back."""
    sight = Sight(scenes.streets(1, 1), 1)
    moved = _vehicles(sight)
    camera = Camera(CameraKind.INSTANCE, Transform(Vector(-12, 0, 3), Rotation(-10, 0, 0)), 200, 120)
    seen = set(np.unique(number_of(sight.draw([camera], moved)[0])))
    gone = sorted(number for number in seen if 300 <= number < 400)
    assert len(gone) > 3
    less = Camera(CameraKind.INSTANCE, camera.place, 200, 120, 90.0, tuple(gone[:2]))
    assert not set(gone[:2]) & set(np.unique(number_of(sight.draw([less], moved)[0])))
    assert set(gone[2:]) <= set(np.unique(number_of(sight.draw([less], moved)[0])))
    ways = ways_of(camera)
    start = np.tile(array(camera.place.location), (len(ways), 1))
    assert not set(gone[:2]) & set(sight.cast(start, ways, 100.0, moved, hidden=gone[:2]).numbers)
    things = sorted(number - 0x8000 for number in seen if number >= 0x8000)
    sight.set_hidden(things[:1])
    assert things[0] + 0x8000 not in number_of(sight.draw([camera], moved)[0])
    assert things[0] not in sight.cast(start, ways, 500.0, moved).things
    sight.set_hidden([])
    assert set(np.unique(number_of(sight.draw([camera], moved)[0]))) == seen


def test_a_camera_sees_out_of_its_own_body() -> None:
    """From within a box every pixel shows its inside, at the right depth, whichever way it looks; no triangle wraps."""
    sight = Sight(scenes.scene_of(scenes.box((-2, -1, 0), (2, 1, 1.5), (9, 9, 9), Label.CAR)), 1)
    for yaw in range(0, 360, 15):
        for fov in (1.0, 30.0, 90.0, 150.0, 170.0):
            camera = Camera(CameraKind.DEPTH, Transform(Vector(0.1, 0.2, 0.7), Rotation(11, yaw, 5)), 64, 48, fov)
            depth, semantic = sight.draw(rig(camera, (CameraKind.DEPTH, CameraKind.SEMANTIC)))
            ways = ways_of(camera)
            walls = [
                np.where(ways > 0, (end - at) / ways, np.inf) for end, at in ((np.array([2, 1, 1.5]), [0.1, 0.2, 0.7]),)
            ]
            walls += [np.where(ways < 0, (np.array([-2, -1, 0]) - [0.1, 0.2, 0.7]) / ways, np.inf)]
            expected = np.minimum(*walls).min(axis=1)
            clear = expected > NEAR_M
            assert (np.abs(depth_of(depth).ravel() - expected)[clear] < 1e-4).all()
            assert (semantic[..., 2].ravel()[clear] == Label.CAR).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (4096, 1), (4096, 16), (3, 4096)])
@pytest.mark.parametrize("fov", [1.0, 90.0, 170.0, 179.9])
def test_any_size_and_angle(size: tuple[int, int], fov: float) -> None:
    """Above level ground, what looks down sees ground and the rest sky; nothing is seen before the near plane."""
    ground = scenes.flat(-1e5, -1e5, 1e5, 1e5, 0.0, (90, 90, 90), Label.ROADS)
    camera = Camera(CameraKind.SEMANTIC, Transform(Vector(0, 0, 1.5), Rotation(-0.2, 30, 0)), *size, fov)
    seen = Sight(scenes.scene_of(ground), 2).draw([camera])[0][..., 2].ravel()
    ways = ways_of(camera)
    down = -ways[:, 2]
    within = np.abs(ways[:, :2]).max(axis=1) * 1.5 < 9e4 * down
    assert (seen[within & (down < 1.49 / NEAR_M)] == Label.ROADS).all()
    assert (seen[down > 1.51 / NEAR_M] == Label.SKY).all()
    assert (seen[down <= 0] == Label.SKY).all()


def test_lines_win_over_the_road() -> None:
    """However far, even half a millimetre below it, as where the two are cut differently; its depth is its own."""
    line = scenes.flat(0, -0.5, 400, 0.5, -0.0005, (255, 255, 255), Label.ROAD_LINES)
    whole = joined([scenes.flat(-5, -4, 400, 4, 0.0, (80, 80, 80), Label.ROADS), line])
    camera = Camera(CameraKind.SEMANTIC, Transform(Vector(-4, 0, 1.8)), 200, 100, 60.0)
    semantic, depth = Sight(scenes.scene_of(whole), 1).draw(rig(camera, (CameraKind.SEMANTIC, CameraKind.DEPTH)))
    alone = Sight(scenes.scene_of(line), 1).draw([camera])[0][..., 2] == Label.ROAD_LINES
    assert alone.sum() > 200
    assert (semantic[alone][:, 2] == Label.ROAD_LINES).all()
    expected = first_met(line, camera)[1].reshape(100, 200)
    assert np.allclose(depth_of(depth)[alone], expected[alone], rtol=1e-5, atol=1e-4)


def test_every_side_of_a_normal() -> None:
    """A box seen from four sides: red, green and blue hold what looks at the camera."""
    sight = Sight(scenes.scene_of(scenes.box((-1, -1, -1), (1, 1, 1), (5, 5, 5), Label.BUILDINGS)), 1)
    for yaw, normal in ((0, (-1, 0, 0)), (90, (0, -1, 0)), (180, (1, 0, 0)), (270, (0, 1, 0))):
        at = Vector(-5 * np.cos(np.radians(yaw)), -5 * np.sin(np.radians(yaw)), 0)
        picture = sight.draw([Camera(CameraKind.NORMALS, Transform(at, Rotation(0, yaw, 0)), 31, 31, 40.0)])[0]
        assert np.abs(picture[15, 15, 2::-1].astype(float) / 127.5 - 1 - normal).max() < 0.01


def _brightness(weather: Clear, **rest: float) -> float:
    sight = Sight(scenes.streets(1, 1), 1)
    return float(sight.draw([_views()[0]], None, weather)[0][..., :3].mean())


def test_light_follows_the_weather() -> None:
    """Noon is brighter than dusk, dusk than night; wet ground is darker; fog hides a wall in the horizon's colour."""
    levels = [_brightness(Clear(sun_altitude_angle=angle)) for angle in (60.0, -2.0, -40.0)]
    assert levels[0] > levels[1] > levels[2] > 5
    assert _brightness(Clear(wetness=100.0)) < levels[0]
    sight = Sight(scenes.scene_of(scenes.box((300, -500, -500), (301, 500, 500), (250, 0, 0), Label.WALLS)), 1)
    camera = Camera(CameraKind.RGB, Transform(), 9, 9, 40.0)
    clear, fog = (sight.draw([camera], None, Clear(fog_density=density))[0] for density in (0.0, 100.0))
    horizon = Sight(scenes.scene_of(scenes.mesh([], [], (0, 0, 0), 0)), 1).draw(
        [camera], None, Clear(fog_density=100.0)
    )[0]
    assert clear[4, 4, 2] > 2 * clear[4, 4, 1]
    assert np.abs(fog[4, 4].astype(int) - horizon[4, 4]).max() < 8


def test_a_wall_is_lit_by_the_angle_of_the_sun() -> None:
    """Both sides of one triangle; what the sun adds to white falls with the cosine, and never on the other side."""
    wall = scenes.mesh(
        [(0, -50, -50), (0, 50, -50), (0, 50, 50), (0, -50, 50)], scenes.QUAD, (100, 100, 100), Label.WALLS
    )
    sight = Sight(scenes.scene_of(wall), 1)
    sides = {}
    for azimuth in (0.0, 60.0, 180.0):
        for yaw in (0, 180):
            at = Vector(-1 if yaw == 0 else 1, 0, 0)
            camera = Camera(CameraKind.RGB, Transform(at, Rotation(0, yaw, 0)), 5, 5, 40.0)
            weather = Clear(cloudiness=0.0, sun_azimuth_angle=azimuth, sun_altitude_angle=20.0)
            sides[azimuth, yaw] = float(sight.draw([camera], None, weather)[0][2, 2, 2])
    added = sides[0.0, 180] - sides[180.0, 180]
    assert added > 20
    assert sides[60.0, 180] - sides[180.0, 180] == pytest.approx(0.5 * added, abs=1.5)
    assert sides[0.0, 0] == sides[60.0, 0]


def test_a_shadow_darkens_the_ground_and_nothing_else() -> None:
    """Only in colour pictures: depth, labels and numbers are those of the same camera without colours beside it."""
    sight = Sight(scenes.streets(1, 1), 2)
    moved = _vehicles(sight)
    camera = Camera(CameraKind.RGB, Transform(Vector(-12, 0, 4), Rotation(-15, 0, 0)), 200, 120)
    picture, semantic, instance, depth, normals = sight.draw(rig(camera), moved)
    for kind, other in zip(ALL[1:], (semantic, instance, depth, normals), strict=True):
        assert (sight.draw(rig(camera, (kind,)), moved)[0] == other).all()
    without = sight.draw([camera])[0]
    ground = np.isin(semantic[..., 2], (Label.ROADS, Label.SIDEWALKS, Label.TERRAIN, Label.ROAD_LINES))
    darker = picture[..., :3].sum(-1, dtype=int) < without[..., :3].sum(-1, dtype=int)
    assert (darker & ground).sum() > 100
    assert (
        (picture == without).all(axis=-1)[~ground & (number_of(instance) != 0) & (number_of(instance) > 0x7FFF)].all()
    )


def test_a_mover_has_its_own_colour_and_label() -> None:
    """Paint only where the shape has it, a label only where one is given."""
    shape = Shape(
        joined(
            [
                scenes.box((-1, -1, 0), (1, 0, 2), (10, 10, 10), Label.CAR),
                scenes.box((-1, 0, 0), (1, 1, 2), (10, 10, 10), Label.CAR),
            ]
        ),
        np.arange(24) < 12,
    )
    sight = Sight(scenes.scene_of(scenes.mesh([], [], (0, 0, 0), 0)), 1)
    number = sight.add_shape(shape)
    moved = Movers(
        np.array([number], np.int32),
        np.eye(3)[None],
        np.array([[6.0, 0, 0]]),
        np.array([[0, 250, 0]], np.uint8),
        labels=np.array([16], np.uint8),
    )
    camera = Camera(CameraKind.RGB, Transform(Vector(0, 0, 1)), 41, 31, 40.0)
    picture, semantic = sight.draw(rig(camera, (CameraKind.RGB, CameraKind.SEMANTIC)), moved)
    left, right = picture[15, 18].astype(int), picture[15, 22].astype(int)
    assert left[1] > 80
    assert left[0] == left[2] == 0
    assert len(set(right[:3])) <= 3
    assert right.max(initial=0, where=np.array([1, 1, 1, 0], bool)) < 20
    assert semantic[15, 20, 2] == Label.BUS


def test_nothing_at_all() -> None:
    """An empty scene, no cameras, no rays, a ray without direction, an empty shape, and one that is closed."""
    empty: Scene = scenes.scene_of(scenes.mesh([], [], (0, 0, 0), 0))
    sight = Sight(empty)
    assert sight.draw([]) == []
    none = np.zeros((0, 3))
    assert len(sight.cast(none, none, 5.0).distances) == 0
    assert np.isinf(Sight(scenes.streets(0, 1)).cast(np.zeros((1, 3)), np.zeros((1, 3)), 9.0).distances).all()
    shape = sight.add_shape(Shape(empty.mesh))
    moved = Movers(np.array([shape], np.int32), np.eye(3)[None], np.zeros((1, 3)))
    assert (sight.draw([Camera(CameraKind.DEPTH, Transform(), 3, 2)], moved)[0] == 255).all()
    assert np.isinf(sight.cast(np.zeros((1, 3)), np.ones((1, 3)), 9.0, moved).distances).all()
    sight.close()
    sight.close()
    with pytest.raises(HaltereError, match="closed"):
        sight.draw([])


def test_what_does_not_fit_is_refused() -> None:
    """One sentence each, before anything native is called."""
    scene = scenes.streets(0, 1)
    sight = Sight(scene)
    with pytest.raises(RequestError, match="4096"):
        sight.draw([Camera(CameraKind.RGB, Transform(), 5000, 3)])
    with pytest.raises(RequestError, match="field of view"):
        sight.draw([Camera(CameraKind.RGB, Transform(), 5, 3, 180.0)])
    with pytest.raises(RequestError, match="finite"):
        sight.draw([Camera(CameraKind.RGB, Transform(Vector(float("nan"), 0, 0)), 5, 3)])
    with pytest.raises(RequestError, match="never been added"):
        sight.draw([], Movers(np.array([3], np.int32), np.eye(3)[None], np.zeros((1, 3))))
    with pytest.raises(RequestError, match="as many rows"):
        sight.draw([], Movers(np.array([0], np.int32), np.eye(3)[None], np.zeros((2, 3))))
    with pytest.raises(RequestError, match="numbered from 0"):
        sight.set_hidden([10**6])
    with pytest.raises(RequestError, match="shape"):
        sight.cast(np.zeros((2, 3)), np.zeros((3, 3)), 1.0)
    with pytest.raises(RequestError, match="finite"):
        sight.cast(np.full((1, 3), np.inf), np.ones((1, 3)), 1.0)
    with pytest.raises(RequestError, match="thread"):
        Sight(scene, 0)
    wrong = Mesh(
        scene.mesh.vertices, scene.mesh.triangles + 10**6, scene.mesh.colors, scene.mesh.labels, scene.mesh.things
    )
    with pytest.raises(RequestError, match="no others"):
        Sight(Scene(wrong, scene.things, scene.ground))
    with pytest.raises(RequestError, match="painted"):
        sight.add_shape(Shape(scene.mesh, np.ones(2, np.bool_)))
