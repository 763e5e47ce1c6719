"""Manip-pixels: what the cameras see is where it is, nothing else is told, and the worlds are those of manip-mt10."""

import hashlib
import subprocess
import sys

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from haltere.configs.errors import ConfigError, RequestError
from haltere.sims.actor import ExpertActor
from haltere.sims.evaluate import evaluate
from haltere.sims.mujoco import offscreen
from haltere.sims.mujoco.gl import working_gl
from haltere.sims.mujoco.mt10.bench import measure
from haltere.sims.mujoco.mt10.config import MT10Config
from haltere.sims.mujoco.mt10.constants import NAMES
from haltere.sims.mujoco.mt10.task import ManipMT10
from haltere.sims.mujoco.offscreen import Renderer, of_model
from haltere.sims.mujoco.pixels import cameras
from haltere.sims.mujoco.pixels.cameras import HAND_CAMERA, SIDE_PX, STANDING, UNSEEN
from haltere.sims.mujoco.pixels.config import SEEN, PixelsConfig
from haltere.sims.mujoco.pixels.task import REPEAT, ManipPixels
from haltere.sims.registration import task_config
from haltere.sims.task import FIRST_HELD_OUT_SEED

SEED = FIRST_HELD_OUT_SEED
KINDS = len(SEEN)
BLIND = PixelsConfig(cameras="none")
drawn = pytest.mark.skipif(working_gl() is None, reason="no OpenGL draws here")


def pixel(
    point: NDArray[np.float64], at: NDArray[np.float64], axes: NDArray[np.float64], fovy: float
) -> tuple[float, float]:
    """Column and row of a point in a picture, by a pinhole camera.

    Args:
        point: (3,) [m].
        at: where the camera is, (3,) [m].
        axes: (3, 3) its right, its up, and what is behind it, a row each.
        fovy: from the lowest to the highest row [deg].
    """
    right, up, behind = axes @ (point - at)
    scale = 0.5 * SIDE_PX / np.tan(np.radians(fovy) / 2.0)
    middle = (SIDE_PX - 1) / 2.0
    return middle + scale * right / -behind, middle - scale * up / -behind


def green(image: NDArray[np.float32]) -> tuple[float, float]:
    """Middle of what is green in a picture (3, 64, 64), column and row: the goal of push is a green ball."""
    rows, columns = np.nonzero((image[1] > 0.3) & (image[1] > 1.5 * np.maximum(image[0], image[2])))
    assert len(rows) >= 2
    return (columns.min() + columns.max()) / 2.0, (rows.min() + rows.max()) / 2.0


@drawn
@pytest.mark.parametrize("seed", [SEED, SEED + 5])
def test_the_goal_is_seen_where_it_is(seed: int) -> None:
    """To a pixel and a half, by projections that are written here; after three steps, when both cameras see it."""
    env = ManipPixels(PixelsConfig(tasks=("push",)), 1)
    obs, _ = env.reset(seed=[seed])
    for _ in range(3):
        obs, *_ = env.step(np.array([[0.0, 0.5, 0.5, -1.0]], np.float32))
    goal, scene = env._worlds.target[0], env._worlds.bench(0)
    azimuth, elevation = np.radians(125.0), np.radians(-40.0)
    ahead = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    right = np.cross(ahead, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    standing = np.stack([right, np.cross(right, ahead), -ahead])
    wanted = pixel(goal, np.array([0.0, 0.70, 0.10]) - 0.9 * ahead, standing, 45.0)
    np.testing.assert_allclose(green(obs["side"][0]), wanted, atol=1.5)
    env._worlds.put(0)
    mujoco.mj_forward(scene.model, scene.data)
    held = scene.data.camera(HAND_CAMERA)
    wanted = pixel(goal, held.xpos, held.xmat.reshape(3, 3).T, 90.0)
    np.testing.assert_allclose(green(obs["hand"][0]), wanted, atol=1.5)


@drawn
def test_what_isnt_drawn_would_not_be_seen() -> None:
    """The arm's foot is left out; all ten sub-tasks look the same with it, at the start and underway."""
    env = ManipMT10(MT10Config(limit_steps=10_000), 10)
    obs, _ = env.reset(seed=SEED)
    whole = {}
    for steps in (0, 35):
        for _ in range(steps):
            obs, *_ = env.step(np.asarray(env.expert().act(obs)["action"]))
        for world in range(10):
            kind, scene = int(env._worlds.kind[world]), env._worlds.bench(world)
            if kind not in whole:
                whole[kind] = [Renderer(scene.model, SIDE_PX, "", unseen) for unseen in ((), UNSEEN)]
            env._worlds.put(world)
            mujoco.mj_forward(scene.model, scene.data)
            views = [each.draw(scene.data, STANDING, of_model(scene.model, HAND_CAMERA)) for each in whole[kind]]
            assert (views[0] == views[1]).all(), (NAMES[kind], steps)


def trajectory(threads: int = 1, worlds: int = 3, steps: int = 8) -> str:
    """SHA-256 of all that world 1 shows in some steps, one of them after an episode's end."""
    env = ManipPixels(PixelsConfig(tasks=("reach", "drawer-open"), limit_steps=5), worlds, threads=threads)
    obs, _ = env.reset(seed=list(range(worlds)))
    digest, generator = hashlib.sha256(), np.random.default_rng(0)
    for _ in range(steps):
        action = generator.uniform(-1.0, 1.0, 4).astype(np.float32)
        obs, *_ = env.step(np.repeat(action[None], worlds, axis=0))
        for array in obs.values():
            digest.update(array[1].tobytes())
    env.close()
    return digest.hexdigest()


@drawn
def test_pictures_are_the_same_on_one_machine() -> None:
    """To the bit: here again, with other worlds beside it and more threads, and in a process of its own."""
    code = "import runpy, sys; print(runpy.run_path(sys.argv[1])['trajectory']())"
    run = subprocess.run([sys.executable, "-c", code, __file__], capture_output=True, text=True, check=True)
    assert {trajectory(), trajectory(threads=2, worlds=2), run.stdout.strip()} == {trajectory()}


@drawn
def test_only_what_has_changed_is_drawn_again() -> None:
    """After an end, what is seen is what a fresh look sees, in worlds that ended and in those that didn't."""
    env = ManipPixels(PixelsConfig(tasks=("push", "door-open"), limit_steps=2), 2)
    env.reset(seed=[3, 4])
    env._worlds.clock[1] = -REPEAT  # it ends a step later
    action = np.full((2, 4), 0.5, np.float32)
    env.step(action)
    obs, _, _, ended, infos = env.step(action)
    assert ended.tolist() == [True, False]
    fresh = env._observe()
    for name, array in obs.items():
        assert (array == fresh[name]).all(), name
    assert (infos["final_obs"]["side"][0] != obs["side"][0]).any()
    assert (infos["final_obs"]["side"][1] == obs["side"][1]).all()


@drawn
def test_a_state_is_seen_as_it_was() -> None:
    """In other worlds, from what was saved; and goes on alike."""
    config = PixelsConfig(tasks=("drawer-open", "button-press-topdown"))
    env, other = ManipPixels(config, 2), ManipPixels(config, 2)
    env.reset(seed=1)
    other.reset(seed=9)
    action = np.array([[0.3, 0.9, -0.4, 1.0]] * 2, np.float32)
    for _ in range(3):
        obs, *_ = env.step(action)
    again = other.load_state_dict(env.state_dict())
    after = env.step(action)[0], other.step(action)[0]
    for name, array in obs.items():
        assert (array == again[name]).all() and (after[0][name] == after[1][name]).all(), name


def test_a_command_holds_for_four_of_meta_worlds_steps() -> None:
    """All beside manip-mt10's worlds, to the bit, by the experts' commands; success in any of the four counts."""
    config = MT10Config(tasks=SEEN, limit_steps=10_000)
    mine, theirs = ManipPixels(BLIND, KINDS), ManipMT10(config, KINDS)
    obs, _ = mine.reset(seed=SEED)
    theirs.reset(seed=SEED)
    expert, done = mine.expert(), np.zeros(KINDS, bool)
    for _ in range(40):
        action = np.asarray(expert.act(obs)["action"])
        solved = np.zeros(KINDS, bool)
        for _ in range(REPEAT):
            theirs._worlds.step(action)
            solved |= theirs._worlds.solved
        obs, _, terminated, _, _ = mine.step(action)
        assert (terminated == solved)[~done].all()
        done |= terminated
        same = theirs._worlds.shown[:, :4].astype(np.float32) == obs["proprioception"]
        assert same[~done].all()
    assert done.all()


def test_nothing_is_told_of_object_and_goal() -> None:
    """Without cameras two episodes of a sub-task begin alike, and their objects or goals don't."""
    env = ManipPixels(BLIND, 2 * KINDS)
    obs, _ = env.reset(seed=SEED)
    assert set(obs) == {"proprioception", "instruction"}
    for array in obs.values():
        np.testing.assert_allclose(array[:KINDS], array[KINDS:], atol=1e-6)
    assert (abs(env._worlds.drawn[:KINDS] - env._worlds.drawn[KINDS:]).max(axis=1) > 0.01).all()


@drawn
@pytest.mark.parametrize(("which", "shown"), [("both", ["side", "hand"]), ("side", ["side"]), ("hand", ["hand"])])
def test_episodes_differ_in_what_is_seen(which: str, shown: list[str]) -> None:
    """By each camera that was chosen, somewhere."""
    env = ManipPixels(task_config(ManipPixels, {"cameras": which}), 2 * KINDS)
    obs, _ = env.reset(seed=SEED)
    assert list(obs) == [*shown, "proprioception", "instruction"]
    assert obs in env.observation_space
    for name in shown:
        assert any((obs[name][world] != obs[name][world + KINDS]).any() for world in range(KINDS)), name


def test_experts_succeed_at_a_quarter_of_the_rate() -> None:
    """Four unseen episodes of each."""
    seeds, words = range(SEED, SEED + 4 * KINDS), {"task": "", "actor_name": "", "runtime": ""}
    report = evaluate(ExpertActor(), lambda n: ManipPixels(BLIND, n), seeds, **words)
    assert report.success.mean >= 0.9
    assert {name: level.episodes for name, level in report.levels.items()} == dict.fromkeys(SEEN, 4)
    assert 10 < report.metrics["steps"].mean < 30


def test_without_opengl_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """When something is to be seen, and not before: whoever goes blind or learns from a data set needs none."""
    monkeypatch.setattr(offscreen, "working_gl", lambda: None)
    cameras._renderer.cache_clear()
    env = ManipPixels(PixelsConfig(), 1)
    with pytest.raises(RequestError, match=r"ManipPixels can't be drawn: .* libegl1 and libegl-mesa0, or libosmesa6"):
        env.reset(seed=0)
    ManipPixels(BLIND, 1).reset(seed=0)
    cameras._renderer.cache_clear()


@drawn
def test_a_film_shows_what_the_policy_sees() -> None:
    """Twice as large, side by side, and the scene as in the film of the ten."""
    env = ManipPixels(PixelsConfig(tasks=("push",)), 1)
    obs, _ = env.reset(seed=[21])
    film = env.film(0, {"action": np.array([1.0, 0.0, 0.0, -1.0])})
    assert film.shape == (540, 960, 3)
    for left, name in ((544, "side"), (544 + 2 * SIDE_PX + 20, "hand")):
        shown = film[392 : 392 + 2 * SIDE_PX : 2, left : left + 2 * SIDE_PX : 2]
        assert (shown == np.rint(255.0 * obs[name][0]).transpose(1, 2, 0)).all(), name
    ten = ManipMT10(MT10Config(tasks=("push",)), 1)
    ten.reset(seed=[21])
    assert (ten.film(0)[60:520, 20:520] == film[60:520, 20:520]).all()


def test_the_bench_counts_all_that_mujoco_does_for_a_step() -> None:
    """Four of its steps."""
    result = measure(PixelsConfig(tasks=("reach",), cameras="none"), ManipPixels, rounds=2)
    assert 0.0 < result["ratio"] < 1.1


def test_wrong_cameras_are_named() -> None:
    """With those that there are."""
    with pytest.raises(ConfigError, match="cameras"):
        task_config(ManipPixels, {"cameras": "roof"})
