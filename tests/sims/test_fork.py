"""Manip-fork: bodies are MuJoCo's, a scene is as likely as its mirror image, experts arrive, and their mean doesn't."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from haltere.configs.errors import ConfigError, IntegrityError, RequestError
from haltere.sims.actor import ExpertActor
from haltere.sims.chance import waves
from haltere.sims.evaluate import EvalReport, evaluate
from haltere.sims.mujoco.fork.bench import measure
from haltere.sims.mujoco.fork.config import ForkConfig
from haltere.sims.mujoco.fork.constants import GRAVITY_MPS2, TABLE
from haltere.sims.mujoco.fork.draws import scenes
from haltere.sims.mujoco.fork.expert import CLEAR_M, SPEED, styles
from haltere.sims.mujoco.fork.physics import Physics
from haltere.sims.mujoco.fork.senses import ROWS
from haltere.sims.mujoco.fork.task import ManipFork
from haltere.sims.registration import task_config
from haltere.sims.task import FIRST_HELD_OUT_SEED
from tests.sims.fork_actors import MeanOfBoth

MIRROR = np.array([1, -1, 1, -1, -1, 1, -1, 1, -1, -1])
"""Signs of a body's state seen in a mirror that stands on the middle line."""
ROW = {name: number for number, name in enumerate(ROWS)}
Float32Array = NDArray[np.float32]


def play(actor: Any, config: ForkConfig, episodes: int) -> EvalReport:  # noqa: ANN401 -- any actor
    """Evaluate on held-out seeds."""
    seeds = list(range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + episodes))
    return evaluate(actor, lambda n: ManipFork(config, n), seeds, task="", actor_name="", runtime="")


def still(env: ManipFork) -> Float32Array:
    """No command."""
    return np.zeros((env.num_envs, 2), np.float32)


def put(env: ManipFork, **columns: float) -> None:
    """Change the bodies of every world: ``x``, ``y``, ``block_x`` and so on, in the order of a state."""
    names = ("x", "y", "block_x", "block_y", "yaw", "vx", "vy", "block_vx", "block_vy", "yaw_rate")
    state = env.state_dict()
    for name, value in columns.items():
        state["body"][:, names.index(name)] = value
    env.load_state_dict(state)


def test_what_is_sensed_is_what_is_there() -> None:
    """Each row of the state against the bodies and the scene of its seed."""
    env = ManipFork(ForkConfig(), 3)
    env.reset(seed=8)
    scene = scenes(np.arange(8, 11))
    for _ in range(4):
        obs = env.step(np.full((3, 2), 0.2, np.float32))[0]["state"]
    body = env.state_dict()["body"]
    for name, values in (
        ("paddle x", body[:, 0]),
        ("paddle y", body[:, 1]),
        ("paddle velocity x", body[:, 5]),
        ("paddle velocity y", body[:, 6]),
        ("block x", body[:, 2]),
        ("block y", body[:, 3]),
        ("block cos yaw", np.cos(body[:, 4])),
        ("block sin yaw", np.sin(body[:, 4])),
        ("pane x", scene.pane_x),
        ("pane half width", scene.pane_half),
        ("goal x", scene.goal_x),
        ("goal y", scene.goal_y),
    ):
        np.testing.assert_allclose(obs[:, ROW[name]], values, atol=1e-6, err_msg=name)


def test_moving_is_the_servos_closed_form() -> None:
    """From a stand along both axes: a first-order lag by semi-implicit Euler, solved by hand."""
    env = ManipFork(ForkConfig(), 1)
    env.reset(seed=0)
    put(env, x=0.0, y=-0.3, vx=0.0, vy=0.0)
    for tick in range(1, 4):
        obs = env.step(np.array([[0.5, -0.25]], np.float32))[0]["state"][0]
        kept = (1.0 - TABLE.sim_dt_s / TABLE.servo_s) ** np.arange(1, TABLE.substeps * tick + 1)
        for axis, command in ((0, 0.5), (1, -0.25)):
            speed = command * TABLE.paddle_mps * (1.0 - kept)
            assert obs[2 + axis] == pytest.approx(speed[-1], abs=1e-6)
            assert obs[axis] - (0.0, -0.3)[axis] == pytest.approx(TABLE.sim_dt_s * speed.sum(), abs=1e-6)


def test_a_block_slides_as_far_as_its_friction_lets_it() -> None:
    """Pushed and left alone, it stops after v^2 / (2 mu g); turned, after the same with its moment of inertia.

    Semi-implicit Euler loses half a step of the first speed.
    """
    env = ManipFork(ForkConfig(), 32)
    env.reset(seed=100)
    put(env, block_x=0.4, block_y=0.0, yaw=0.0, block_vx=0.6, yaw_rate=20.0, x=-0.15, y=0.4)
    for _ in range(8):
        env.step(still(env))
    body, grip = env.state_dict()["body"], scenes(np.arange(100, 132)).friction * GRAVITY_MPS2
    slid, turned = body[:, 2] - 0.4, body[:, 4]
    inertia = TABLE.block_kg * (2 * TABLE.block_half_m) ** 2 / 6
    way = 0.6**2 / (2 * grip) - 0.6 * TABLE.sim_dt_s / 2
    turn = 20.0**2 * inertia / (2 * TABLE.block_kg * grip * TABLE.turning_m) - 20.0 * TABLE.sim_dt_s / 2
    assert abs(slid / way - 1.0).max() < 0.05
    assert abs(turned / turn - 1.0).max() < 0.05
    assert abs(body[:, 7:]).max() < 0.01


def test_what_friction_turns_against_is_the_mean_distance() -> None:
    """Of a square's points from its middle, added up."""
    grid = (np.arange(400) + 0.5) / 400 * 2 * TABLE.block_half_m - TABLE.block_half_m
    assert np.hypot(*np.meshgrid(grid, grid)).mean() == pytest.approx(TABLE.turning_m, rel=1e-5)


def test_the_mirrored_world_goes_the_mirrored_way() -> None:
    """Scene, start and commands reflected: so is every state, through the push, to rounding."""
    config = ForkConfig(expert_noise=0.0)
    env = ManipFork(config, 16)
    obs, _ = env.reset(seed=30)
    scene, mirrored, expert = scenes(np.arange(30, 46)), Physics(16, 1), env.expert()
    sides = {name: -getattr(scene, name) for name in ("start_y", "aside_mps", "block_y", "block_yaw", "goal_y")}
    mirrored.place(np.arange(16), replace(scene, **sides))
    mirrored.state = env.state_dict()["body"] * MIRROR
    pushed = np.zeros(16, bool)
    for _ in range(11):
        action = np.asarray(expert.act(obs)["action"])
        obs, _, terminated, *_ = env.step(action)
        assert not terminated.any()
        mirrored.step(TABLE.paddle_mps * action.astype(float) * (1.0, -1.0))
        body = env.state_dict()["body"]
        np.testing.assert_allclose(mirrored.state, body * MIRROR, atol=1e-6)
        pushed |= abs(body[:, 7]) > 0.05
    assert pushed.any()


def test_glass_breaks_where_it_is_touched() -> None:
    """Random commands at the pane: an episode ends when a bar with round ends meets a rectangle, and not before.

    MuJoCo tells contacts at the beginning of its steps, so that a touch in the last one of a period counts in the next.
    """
    env = ManipFork(ForkConfig(limit_steps=40), 64)
    env.reset(seed=500)
    generator = np.random.default_rng(0)
    scene, running, broken = scenes(np.arange(500, 564)), np.ones(64, bool), 0
    for _ in range(40):
        before = env.state_dict()["body"]
        ended = env.step(generator.uniform((0.0, -1.0), 1.0, (64, 2)).astype(np.float32))
        infos = ended[4]
        sensed = (infos["final_obs"] if infos else ended[0])["state"].astype(float)
        broke = running & ended[2] & (infos["episode"]["broke"] == 1.0 if infos else False)
        apart_x = np.maximum(abs(sensed[:, 0] - scene.pane_x) - TABLE.pane_thick_m, 0.0)
        apart_y = np.maximum(abs(sensed[:, 1]) - TABLE.bar_half_m - scene.pane_half, 0.0)
        gap = np.hypot(apart_x, apart_y) - TABLE.bar_radius_m
        block = np.hypot(before[:, 2] - scene.pane_x, before[:, 3]) < 0.15  # pushed back into the pane
        assert (gap[running & ~broke] > -0.001 - TABLE.paddle_mps * TABLE.sim_dt_s).all()
        assert (gap[broke & ~block] < 0.03).all()
        broken += int(broke.sum())
        running &= ~(ended[2] | ended[3])
    assert broken > 32


@pytest.mark.parametrize("experts", ["mixed", "both", "left", "right"])
def test_experts_arrive(experts: Any) -> None:  # noqa: ANN401 -- one of four words
    """On unseen seeds, going the way that they are asked for; every kind of them."""
    report = play(ExpertActor(), ForkConfig(experts=experts), 512)
    assert report.success.mean >= 0.99
    went = {name: report.metrics[name].mean for name in ("left", "right")}
    assert went["left"] + went["right"] == pytest.approx(1.0 - report.metrics["broke"].mean)
    # A coin for each episode is fair; those who are told which way go it, but where they broke the pane before.
    off = 0.09 if experts == "mixed" else report.metrics["broke"].mean + 1e-9
    assert went["left"] == pytest.approx({"left": 1.0, "right": 0.0}.get(experts, 0.5), abs=off)
    assert report.metrics["block_error_m"].high <= TABLE.goal_m
    assert report.metrics["steps"].mean < 25


def test_the_mean_of_both_ways_runs_into_the_pane() -> None:
    """Whoever does what the experts do on average breaks it in every episode, within seven steps."""
    report = play(MeanOfBoth(), ForkConfig(), 512)
    assert report.success.mean == 0.0
    assert report.metrics["broke"].mean == 1.0
    assert report.metrics["steps"].mean < 7


def test_nothing_shows_which_way_an_expert_will_go() -> None:
    """Its way is a fair coin that no row of the first observation goes along with; the world is the same for both."""
    count = 4000
    starts = [
        ManipFork(ForkConfig(experts=experts), count).reset(seed=0)[0]["state"]  # type: ignore[arg-type]
        for experts in ("mixed", "left", "right")
    ]
    assert (starts[0] == starts[1]).all() and (starts[0] == starts[2]).all()
    way = styles(np.arange(count)).way
    assert abs(way.mean()) < 4.0 / np.sqrt(count)
    for row in starts[0].T:
        if row.std() > 0.0:
            assert abs(np.corrcoef(way, row)[0, 1]) < 4.0 / np.sqrt(count)


def test_both_ways_are_demonstrated_in_each_scene() -> None:
    """Seeds 2k and 2k + 1 begin with the same to a bit, one goes left and one right; so do states that are loaded."""
    env = ManipFork(ForkConfig(experts="both"), 64)
    obs, _ = env.reset(seed=range(100, 164))
    assert (obs["state"][::2] == obs["state"][1::2]).all()
    assert len(np.unique(obs["state"], axis=0)) == 32
    assert (obs["state"][::2] == ManipFork(ForkConfig(), 32).reset(seed=range(100, 164, 2))[0]["state"]).all()
    friction = env._worlds.scene.friction
    assert (friction[::2] == friction[1::2]).all()
    aside = np.asarray(env.expert().act(obs)["action"])[:, 1]
    assert (aside[::2] > 0.0).all()
    assert (aside[1::2] < 0.0).all()
    other = ManipFork(ForkConfig(experts="both"), 64)
    other.reset(seed=0)
    other.load_state_dict(env.state_dict())
    assert (other._worlds.scene.goal_y == env._worlds.scene.goal_y).all()


def test_their_first_commands_have_no_sideways_mean() -> None:
    """Each of them goes aside, both ways as often; on average they go straight ahead."""
    env = ManipFork(ForkConfig(), 2000)
    obs, _ = env.reset(seed=0)
    ahead, aside = np.asarray(env.expert().act(obs)["action"]).T
    assert (abs(aside) > 0.4).mean() > 0.95
    assert abs(aside.mean()) < 4.0 * aside.std() / np.sqrt(2000)
    assert ahead.mean() > 0.5


def test_demonstrators_differ() -> None:
    """Near and wide, careful and brisk, independently; noise is as large as it is set, and smooth."""
    style = styles(np.arange(4000))
    for one, other in ((style.wide, style.brisk), (style.wide, style.way > 0), (style.brisk, style.way > 0)):
        assert abs((one & other).mean() - 0.25) < 0.03
    for chosen, values, kinds in ((style.wide, style.clear_m, CLEAR_M), (style.brisk, style.speed, SPEED)):
        low, high = sorted(kinds.values())
        assert low[0] <= values[~chosen].min() and values[~chosen].max() <= low[1]
        assert high[0] <= values[chosen].min() and values[chosen].max() <= high[1]
    noise = np.stack([waves(style.frequency, style.phase, np.full(4000, t), 0.1) for t in range(40)])
    assert np.sqrt((noise**2).mean()) == pytest.approx(0.1, rel=0.02)
    assert (noise[1:] * noise[:-1]).mean() > 0.8 * (noise**2).mean()


def test_scenes_are_drawn_evenly_and_symmetrically() -> None:
    """Over 4,000 seeds each number fills its range; what lies to the side has no side that it prefers."""
    drawn, count = scenes(np.arange(4000)), 4000
    side = {
        "start_y": (drawn.start_y, TABLE.start_y_m),
        "aside_mps": (drawn.aside_mps, TABLE.aside_mps),
        "block_y": (drawn.block_y, TABLE.block_y_m),
        "block_yaw": (drawn.block_yaw, TABLE.block_yaw_rad),
        "goal_y": (drawn.goal_y - drawn.block_y, TABLE.goal_y_m),
    }
    ahead = {
        "start_x": (drawn.start_x, TABLE.start_x_m),
        "ahead_mps": (drawn.ahead_mps, TABLE.ahead_mps),
        "pane_x": (drawn.pane_x, TABLE.pane_x_m),
        "pane_half": (drawn.pane_half, TABLE.pane_half_m),
        "block_x": (drawn.block_x - drawn.pane_x, TABLE.block_ahead_m),
        "goal_x": (drawn.goal_x - drawn.block_x, TABLE.goal_ahead_m),
        "friction": (drawn.friction, TABLE.friction),
    }
    for name, (values, (low, high)) in (side | ahead).items():
        even = (np.sort(values) - low) / (high - low)
        assert abs(even - np.linspace(0, 1, count)).max() < 1.95 / np.sqrt(count), name  # Kolmogorov, Smirnov, 0.1 %
    assert all(low == -high for _, (low, high) in side.values())
    every = np.stack([values for values, _ in (side | ahead).values()])
    assert abs(np.corrcoef(every) - np.eye(len(every))).max() < 4.5 / np.sqrt(count)


def test_a_block_in_the_goal_is_success_and_ends_the_episode() -> None:
    """As near as the goal is large, with the pane whole; the way is told by where the paddle came past the pane."""
    env = ManipFork(ForkConfig(), 1)
    scene = scenes(np.array([4]))
    for beside, want in ((0.024, 1.0), (0.027, 0.0)):
        env.reset(seed=[4])
        put(env, x=0.0, y=-0.3, block_x=scene.goal_x[0], block_y=scene.goal_y[0] + beside)
        _, reward, terminated, *_ = env.step(still(env))
        assert (reward[0], terminated[0]) == (want, bool(want))
    env.reset(seed=[4])
    put(env, y=-0.3)
    for _ in range(6):
        env.step(np.array([[1.0, 0.0]], np.float32))
    put(env, block_x=scene.goal_x[0], block_y=scene.goal_y[0])
    metrics = env.step(still(env))[4]["episode"]
    assert {name: float(values[0]) for name, values in metrics.items() if name != "block_error_m"} == {
        **{"success": 1.0, "broke": 0.0, "left": 0.0, "right": 1.0, "steps": 7.0}
    }


def test_time_is_up() -> None:
    """Whoever stands still is cut off, and has gone neither way."""
    env = ManipFork(ForkConfig(limit_steps=9), 1)
    env.reset(seed=2)
    put(env, vy=0.0)
    ends = [env.step(still(env)) for _ in range(9)]
    assert [bool(end[3][0]) for end in ends] == [False] * 8 + [True]
    assert all(ends[-1][4]["episode"][name][0] == 0.0 for name in ("success", "broke", "left", "right"))


@pytest.mark.parametrize(
    "change",
    [("worlds", 2, -1), ("worlds", 3, -1), ("worlds", 4, 2), ("body", 0, np.nan), ("body", 3, 99.0)],
)
def test_impossible_states_are_refused(change: tuple[str, int, float]) -> None:
    """A seed, a clock, a side or a place that can't be."""
    env = ManipFork(ForkConfig(), 2)
    env.reset(seed=0)
    which, column, value = change
    state = env.state_dict()
    state[which][1, column] = value
    with pytest.raises(IntegrityError):
        env.load_state_dict(state)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"experts": "centre"}, "experts"), ({"expert_noise": -1.0}, "expert_noise"), ({"limit_steps": 0}, "limit_steps"),
     ({"expert": "left"}, "experts")],
)  # fmt: skip
def test_wrong_settings_are_named(wrong: dict[str, Any], words: str) -> None:
    """The error says where."""
    with pytest.raises(ConfigError, match=words):
        task_config(ManipFork, wrong)


def test_no_worlds_are_refused() -> None:
    """As are no threads."""
    for worlds, threads in ((0, 1), (1, 0)):
        with pytest.raises(RequestError, match="at least 1"):
            ManipFork(ForkConfig(), worlds, threads=threads)


def test_the_bench_says_what_the_fork_costs() -> None:
    """Both speeds and their ratio; measuring the physics leaves the worlds where they were."""
    told: list[tuple[int, int]] = []
    result = measure(ForkConfig(), rounds=2, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
    assert set(result) == {"full_steps_per_cpu_s", "bare_steps_per_cpu_s", "ratio"}
    assert min(result.values()) > 0
    one, other = ManipFork(ForkConfig(), 2), ManipFork(ForkConfig(), 2)
    one.reset(seed=5)
    other.reset(seed=5)
    one.bare_step()
    assert (one.step(still(one))[0]["state"] == other.step(still(other))[0]["state"]).all()
