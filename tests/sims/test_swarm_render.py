"""Pictures of the swarm: the camera's geometry, both renderers against closed forms, and every sign that is drawn."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pybullet
import pytest
from scipy.spatial.transform import Rotation

from haltere.configs.errors import HaltereError, RequestError
from haltere.sims.mujoco import gl
from haltere.sims.mujoco.swarm import backdrop
from haltere.sims.mujoco.swarm.backdrop import FAR_M, NEAR_M, RENDERER_VARIABLE, Scenery, draw_backdrop
from haltere.sims.mujoco.swarm.config import SwarmForestConfig
from haltere.sims.mujoco.swarm.hud import NEIGHBOUR_RGB, OBSTACLE_RGB, bar_tile
from haltere.sims.mujoco.swarm.layers import drone_colours
from haltere.sims.mujoco.swarm.quadrotor import rotation
from haltere.sims.mujoco.swarm.render import SwarmCamera
from haltere.sims.mujoco.swarm.snapshot import SwarmSnapshot
from haltere.sims.mujoco.swarm.task import SwarmForest
from haltere.sims.mujoco.swarm.view import View, fit

VIEW = View(np.array([1.0, 12.0, 9.0]), np.array([0.2, -0.3, 1.0]), 32.0, 480, 270)
SCENERY = Scenery(np.array([[2.0, 1.0], [-2.5, -2.0]]), 0.3, 3.0, 10.0)
SIZE = (480, 270)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The renderer that works on every machine, unless a test says otherwise."""
    monkeypatch.setenv(RENDERER_VARIABLE, "tiny")


def swarm(**changes: object) -> SwarmSnapshot:
    """Three drones in the open, level and at rest."""
    still = SwarmSnapshot(
        time_s=0.0,
        position=np.array([[0.0, 0.0, 1.5], [1.0, 3.0, 2.0], [-3.0, 2.0, 1.0]]),
        quaternion=np.tile([1.0, 0.0, 0.0, 0.0], (3, 1)),
        velocity=np.zeros((3, 3)),
        goal=np.array([[3.0, -2.0, 1.0], [-1.0, -3.0, 2.0], [-1.0, 3.0, 2.0]]),
        obstacle=SCENERY.obstacle,
        obstacle_radius_m=SCENERY.radius_m,
        room_m=SCENERY.room_m,
        touching=np.zeros(3, bool),
        collided=np.zeros(3, bool),
    )
    return replace(still, **changes)  # type: ignore[arg-type]


def projection(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and depth by PyBullet's own matrices: an implementation that isn't ours."""
    view = np.reshape(pybullet.computeViewMatrix(VIEW.eye.tolist(), VIEW.target.tolist(), [0, 0, 1]), (4, 4)).T
    lens = np.reshape(pybullet.computeProjectionMatrixFOV(VIEW.fovy_deg, 480 / 270, NEAR_M, FAR_M), (4, 4)).T
    clip = np.column_stack([points, np.ones(len(points))]) @ (lens @ view).T
    xy = clip[:, :2] / clip[:, 3:]
    return np.column_stack([(xy[:, 0] + 1) * 240, (1 - xy[:, 1]) * 135]), clip[:, 3]


def test_the_camera_projects_as_opengl_does() -> None:
    """Pixels and depth are those of the standard view and projection matrices."""
    points = np.random.default_rng(0).uniform(-4, 4, (200, 3))
    xy, depth = VIEW.project(points)
    expected_xy, expected_depth = projection(points)
    np.testing.assert_allclose(xy, expected_xy, atol=1e-3)
    np.testing.assert_allclose(depth, expected_depth, atol=1e-4)


def test_unproject_inverts_project() -> None:
    """The world point of a pixel's centre projects to that centre."""
    depth = np.random.default_rng(1).uniform(5, 20, (270, 480)).astype(np.float32)
    xy, again = VIEW.project(VIEW.unproject(depth)[100, 333])
    np.testing.assert_allclose(xy, [333.5, 100.5], atol=1e-2)
    assert again == pytest.approx(depth[100, 333], abs=1e-4)


def test_fit_sees_every_point_and_stands_no_farther_than_it_must() -> None:
    """All points inside the margin, and one on its edge."""
    points = np.random.default_rng(2).uniform((-4, -4, 0), (4, 4, 3), (60, 3))
    view = fit(points, 480, 270, margin=0.9)
    xy, depth = view.project(points)
    reach = np.abs(xy - [240, 135]) / [240, 135]
    assert (depth > 0).all()
    assert reach.max() == pytest.approx(0.9, abs=1e-6)


def test_rotation_is_scipys() -> None:
    """Quaternion with w first to a matrix, of any length."""
    for quaternion in np.random.default_rng(3).normal(size=(20, 4)):
        expected = Rotation.from_quat(quaternion[[1, 2, 3, 0]]).as_matrix()
        np.testing.assert_allclose(rotation(quaternion), expected, atol=1e-12)


def renderers() -> list[str]:
    """Those that can draw on this machine."""
    return ["tiny", *(["mujoco"] if gl.working_gl() else [])]


def ray_depth(view: View, scenery: Scenery) -> np.ndarray:
    """Depth of every pixel's centre by intersecting its ray with planes and cylinders: the closed form."""
    right, up, forward = view.axes
    x = (np.arange(view.width) + 0.5 - view.width / 2) / view.focal_px
    y = (view.height / 2 - np.arange(view.height) - 0.5) / view.focal_px
    ray = x[None, :, None] * right + y[:, None, None] * up + forward  # depth 1 along the axis
    half = scenery.room_m / 2
    floor = -view.eye[2] / ray[..., 2]
    at = view.eye[:2] + floor[..., None] * ray[..., :2]
    best = np.where((floor > 0) & (np.abs(at) < half).all(axis=-1), floor, FAR_M)
    for axis in scenery.obstacle:
        lid = (scenery.drawn_height_m - view.eye[2]) / ray[..., 2]
        on_lid = np.hypot(*np.moveaxis(view.eye[:2] + lid[..., None] * ray[..., :2] - axis, -1, 0)) < scenery.radius_m
        best = np.where(on_lid & (lid > 0), np.minimum(best, lid), best)
        a = (ray[..., :2] ** 2).sum(-1)
        b = ray[..., :2] @ (view.eye[:2] - axis)
        c = ((view.eye[:2] - axis) ** 2).sum() - scenery.radius_m**2
        root = b**2 - a * c
        wall = (-b - np.sqrt(np.maximum(root, 0))) / a
        height = view.eye[2] + wall * ray[..., 2]
        hit = (root > 0) & (height > 0) & (height < scenery.drawn_height_m)
        best = np.where(hit, np.minimum(best, wall), best)
    return best


@pytest.mark.parametrize("renderer", renderers())
def test_scenery_is_where_geometry_says(renderer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Depth within 2 cm of ray casting but for the edges, where a pixel may fall on either side."""
    monkeypatch.setenv(RENDERER_VARIABLE, renderer)
    drawn = draw_backdrop(SCENERY, VIEW)
    error = np.abs(drawn.depth - ray_depth(VIEW, SCENERY))
    assert drawn.renderer.startswith(renderer)
    assert np.quantile(error, 0.95) < 0.05
    assert np.median(error) < 0.02
    assert (error < 0.1).mean() > 0.97


@pytest.mark.parametrize("renderer", renderers())
def test_scenery_looks_like_what_it_is(renderer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cylinders are brown, the floor blue, and a cylinder's shadow darker than the floor beside it."""
    monkeypatch.setenv(RENDERER_VARIABLE, renderer)
    drawn = draw_backdrop(SCENERY, VIEW)
    axis = SCENERY.obstacle[0]
    shadow = axis - 1.5 * np.array(backdrop.LIGHT[:2]) / backdrop.LIGHT[2]
    beside = axis + np.array([1.37, 0.45])

    def colour(*point: float) -> np.ndarray:
        (x, y), _ = VIEW.project(np.array(point))
        return drawn.rgb[int(y), int(x)].astype(int)

    lid = colour(*axis, SCENERY.drawn_height_m)
    assert lid[0] > lid[2] + 20
    lit, dark = colour(*beside, 0.0), colour(*shadow, 0.0)
    assert lit[2] > lit[0] + 15
    assert dark.sum() < 0.75 * lit.sum()


def test_a_frame_is_an_image_and_the_same_every_time() -> None:
    """(H, W, 3) uint8; equal snapshots give equal frames."""
    attention = np.array([[0.2, 0.8], [0.5, 0.5], [1.0, 0.0]])
    frames = [SwarmCamera(*SIZE).frame(swarm(), attention) for _ in range(2)]
    assert frames[0].shape == (270, 480, 3)
    assert frames[0].dtype == np.uint8
    np.testing.assert_array_equal(*frames)


def changed(change: Callable[[SwarmSnapshot], SwarmSnapshot], point: np.ndarray, reach: int) -> np.ndarray:
    """What a change to the snapshot alters around a world point: (2 reach, 2 reach, 3), signed."""
    before, after = SwarmCamera(*SIZE), SwarmCamera(*SIZE)
    first, second = before.frame(swarm()).astype(int), after.frame(change(swarm())).astype(int)
    assert after._film is not None
    (x, y), _ = after._film.view.project(point)
    window = (slice(int(y) - reach, int(y) + reach), slice(int(x) - reach, int(x) + reach))
    return second[window] - first[window]


def test_a_contact_is_red() -> None:
    """Where a drone touches something the picture turns redder, and nowhere near the others."""
    snapshot = swarm(touching=np.array([True, False, False]))
    assert changed(lambda _: snapshot, snapshot.position[0], 24)[..., 0].max() > 100
    assert np.abs(changed(lambda _: snapshot, snapshot.position[2], 12)).max() == 0


def test_a_goal_has_its_drones_colour() -> None:
    """The dot in the middle of the ring."""
    camera = SwarmCamera()
    frame = camera.frame(swarm())
    assert camera._film is not None
    for goal, colour in zip(swarm().goal, drone_colours(3), strict=True):
        (x, y), _ = camera._film.view.project(goal)
        np.testing.assert_allclose(frame[int(y), int(x)], colour, atol=12)


def test_a_drone_leaves_a_trail_that_a_new_episode_forgets() -> None:
    """Half-way between two places a drone that went there coloured the picture; time running back clears it."""
    camera = SwarmCamera(*SIZE)
    fresh = camera.frame(swarm())
    moved = swarm(time_s=0.5, position=swarm().position + np.array([0.0, 2.0, 0.0]))
    trail = camera.frame(moved).astype(int)
    assert camera._film is not None
    (x, y), _ = camera._film.view.project(swarm().position[0] + np.array([0.0, 1.0, 0.0]))
    window = (slice(int(y) - 2, int(y) + 3), slice(int(x) - 2, int(x) + 3))
    assert np.abs(trail[window] - fresh[window]).max() > 30
    np.testing.assert_array_equal(camera.frame(swarm()), fresh)


def test_a_drone_behind_a_cylinder_is_faint() -> None:
    """The same drone on the far side changes the picture less than on the near side."""
    camera = SwarmCamera(*SIZE)
    camera.frame(swarm())
    assert camera._film is not None
    towards = camera._film.view.eye - np.append(SCENERY.obstacle[0], 1.5)
    beside = 0.8 * towards / np.linalg.norm(towards)
    contrast = []
    for sign in (1.0, -1.0):
        place = np.append(SCENERY.obstacle[0], 1.5) + sign * beside
        position = np.vstack([place, swarm().position[1:]])
        without = np.vstack([[0.0, -4.0, 0.5], swarm().position[1:]])
        scene = SwarmCamera(*SIZE)
        scene.frame(swarm(position=without))
        frame = scene.frame(swarm(position=position)).astype(int)
        again = SwarmCamera(*SIZE).frame(swarm(position=without)).astype(int)
        assert scene._film is not None
        (x, y), _ = scene._film.view.project(place)
        window = (slice(int(y) - 3, int(y) + 4), slice(int(x) - 3, int(x) + 4))
        contrast.append(np.abs(frame[window] - again[window]).mean())
    assert contrast[1] < 0.6 * contrast[0]


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_attention_bar_shows_the_share(share: float) -> None:
    """As many columns in the neighbours' colour as attention goes to neighbours."""
    tile = bar_tile(share).astype(int)
    row = tile[tile.shape[0] // 2, 2:-2, :3]
    nearer = np.abs(row - NEIGHBOUR_RGB).sum(axis=1) < np.abs(row - OBSTACLE_RGB).sum(axis=1)
    assert nearer.mean() == pytest.approx(share, abs=0.08)


def test_colours_differ_for_as_many_drones_as_a_forest_may_have() -> None:
    """64 drones, no colour twice, none near the red of a contact."""
    colours = drone_colours(64)
    assert len(set(colours)) == 64
    assert min(green + blue for _, green, blue in colours) > 140


@pytest.mark.parametrize(
    ("snapshot", "attention", "message"),
    [
        (swarm(position=np.full((3, 3), np.nan)), None, "position isn't finite"),
        (swarm(), np.zeros((2, 2)), r"shape \(3, 2\), got shape \(2, 2\)"),
        (swarm(), np.full((3, 2), np.nan), "finite"),
    ],
)
def test_what_cannot_be_drawn_is_named(snapshot: SwarmSnapshot, attention: np.ndarray, message: str) -> None:
    """One sentence instead of a crash in the middle of drawing."""
    with pytest.raises(HaltereError, match=message):
        SwarmCamera(*SIZE).frame(snapshot, attention)


def test_extremes_are_drawn() -> None:
    """No cylinders, one drone far outside the room and upside down, one at the lens."""
    strange = swarm(
        obstacle=np.zeros((0, 2)),
        position=np.array([[0.0, 0.0, 9.9], [40.0, -40.0, 0.0], [0.0, 0.0, -1.0]]),
        quaternion=np.array([[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.5, 0.5]]),
    )
    camera = SwarmCamera(*SIZE)
    assert camera.frame(strange, np.zeros((3, 2))).shape == (270, 480, 3)
    assert camera._film is not None
    at_lens = replace(strange, time_s=0.1, position=np.tile(camera._film.view.eye, (3, 1)))
    assert camera.frame(at_lens).shape == (270, 480, 3)


def test_a_renderer_that_does_not_exist_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the nearest one that does."""
    monkeypatch.setenv(RENDERER_VARIABLE, "mujco")
    with pytest.raises(RequestError, match="did you mean 'mujoco'"):
        SwarmCamera(*SIZE).frame(swarm())


def test_without_gl_the_film_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GL library: TinyRenderer by itself, and a clear sentence where MuJoCo's renderer was asked for by name."""
    monkeypatch.setattr(gl, "working_gl", lambda: None)
    monkeypatch.delenv(RENDERER_VARIABLE)
    camera = SwarmCamera(*SIZE)
    camera.frame(swarm())
    assert camera.renderer == "tiny"
    monkeypatch.setenv(RENDERER_VARIABLE, "mujoco")
    with pytest.raises(RequestError, match="neither EGL nor OSMesa"):
        SwarmCamera(*SIZE).frame(swarm())


@pytest.mark.parametrize(
    "code", ["import os; os.kill(os.getpid(), 9)", "import time; time.sleep(60)", "raise SystemExit(3)"]
)
def test_a_broken_driver_harms_nobody(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that kills, hangs or draws nothing is found out in another process, and isn't used."""
    monkeypatch.setattr(gl, "_PROBE", code)
    monkeypatch.setattr(gl, "PROBE_TIMEOUT_S", 1.0)
    assert gl.working_gl.__wrapped__() is None


def test_the_forest_films_itself() -> None:
    """``film`` of the task, with and without an actor that shows its attention."""
    env = SwarmForest(SwarmForestConfig(drones=2, density=0.1), 1)
    env.reset(seed=[900_000])
    plain = env.film(0)
    shown = env.film(0, {"attention": np.array([[0.3, 0.7], [0.9, 0.1]], np.float32)})
    env.close()
    assert plain.shape == shown.shape == (540, 960, 3)
    assert (plain != shown).any()
