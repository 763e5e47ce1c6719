"""What the swarm's world senses, pays, counts and draws, against formulas written here."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from haltere.configs.errors import IntegrityError, RequestError
from haltere.sims.mujoco.swarm.config import RewardConfig, SwarmForestConfig
from haltere.sims.mujoco.swarm.snapshot import SwarmSnapshot
from haltere.sims.mujoco.swarm.task import HOVER, SwarmForest

Array = NDArray[np.float64]
ARM_M = 0.046


def forest(worlds: int = 1, seed: int = 0, training: bool = False, **changes: object) -> SwarmForest:
    """Reset worlds without noise or downwash unless asked for."""
    config = SwarmForestConfig(**{"noise": 0.0, "downwash": False, "drones": 6, **changes})
    env = SwarmForest(config, worlds, training=training)
    env.reset(seed=list(range(seed, seed + worlds)))
    return env


def hover(env: SwarmForest) -> NDArray[np.float32]:
    """The command that carries every drone's weight."""
    return np.full((env.num_envs, env.config.drones, 4), HOVER, np.float32)


def poses_at(position: Array, velocity: Array | None = None) -> Array:
    """Upright poses (N, 13) at given positions."""
    pose = np.zeros((len(position), 13))
    pose[:, :3], pose[:, 3] = position, 1.0
    if velocity is not None:
        pose[:, 7:10] = velocity
    return pose


def placed(env: SwarmForest, position: Array, velocity: Array | None = None) -> SwarmForest:
    """Put the drones of world 0 somewhere, motors at hover."""
    env.place(0, poses_at(position, velocity), np.full((len(position), 4), 1 / 1.9, np.float32))
    return env


def open_place(env: SwarmForest) -> Array:
    """A point of the forest's free border, two metres up, where nothing is near."""
    return np.array([-4.6, -4.6, 2.0])


@pytest.mark.parametrize("seed", range(5))
def test_observation_is_what_the_snapshot_says(seed: int) -> None:
    """Without noise, goal error, velocity, attitude, rate and height are the true state's."""
    env = forest(seed=seed)
    generator = np.random.default_rng(seed)
    for _ in range(30):
        obs, *_ = env.step(generator.uniform(-1, 1, (1, 6, 4)).astype(np.float32))
    view, rate = env.snapshot(0), env._native.snapshot(0)[2][:, 10:]
    matrix = Rotation.from_quat(np.roll(view.quaternion, -1, axis=1)).as_matrix()
    expected = np.hstack([view.position - view.goal, view.velocity, matrix.reshape(6, 9), rate, view.position[:, 2:]])
    np.testing.assert_allclose(obs["self"][0], expected, atol=1e-5)


def expected_grid(view: SwarmSnapshot) -> Array:
    """Distance to the nearest surface at nine points around each drone, x slowest."""
    offsets = np.array([[x, y] for x in (-0.1, 0.0, 0.1) for y in (-0.1, 0.0, 0.1)])
    points = view.position[:, None, None, :2] + offsets[None, :, None]
    return np.asarray(np.linalg.norm(points - view.obstacle, axis=-1).min(axis=-1) - view.obstacle_radius_m)


def expected_neighbours(view: SwarmSnapshot, k: int) -> Array:
    """Position and velocity of the k drones with the smallest distance plus closing speed."""
    rows = []
    for i in range(len(view.position)):
        others = [j for j in range(len(view.position)) if j != i]
        relative, speed = view.position[others] - view.position[i], view.velocity[others] - view.velocity[i]
        distance = np.linalg.norm(relative, axis=1)
        order = np.argsort(distance + (relative * speed).sum(axis=1) / distance)[:k]
        rows.append(np.hstack([relative[order].clip(-10, 10), speed[order].clip(-6, 6)]))
    return np.array(rows)


@pytest.mark.parametrize("seed", range(5))
def test_grid_and_neighbours(seed: int) -> None:
    """The 3 x 3 grid and the K neighbours agree with a brute-force reading of the definition."""
    env = forest(seed=seed, neighbours=3)
    generator = np.random.default_rng(seed)
    for _ in range(40):
        obs, *_ = env.step(generator.uniform(-0.5, 0.6, (1, 6, 4)).astype(np.float32))
    view = env.snapshot(0)
    np.testing.assert_allclose(obs["obstacle"][0], expected_grid(view), atol=1e-5)
    np.testing.assert_allclose(obs["neighbour"][0], expected_neighbours(view, 3), atol=1e-5)


def test_absent_neighbours_and_cylinders_read_ten_metres() -> None:
    """One drone in an empty room sees nobody and nothing."""
    env = forest(drones=1, density=0.0)
    obs, *_ = env.step(hover(env))
    np.testing.assert_array_equal(obs["neighbour"][0, 0], [[10, 10, 10, 0, 0, 0]] * 2)
    np.testing.assert_array_equal(obs["obstacle"][0, 0], np.full(9, 10.0))


def test_noise_has_the_published_size() -> None:
    """Sensor noise has the standard deviations of the specification, thrust noise moves hovering drones."""
    env = forest(worlds=200, noise=1.0)
    errors = []
    obs, _ = env.reset(seed=list(range(200)))
    for world in range(200):
        view = env.snapshot(world)
        errors.append(obs["self"][world, :, :6] - np.hstack([view.position - view.goal, view.velocity]))
    position, velocity = np.concatenate(errors)[:, :3], np.concatenate(errors)[:, 3:]
    assert position.std() == pytest.approx(0.005, rel=0.05)
    assert velocity.std() == pytest.approx(0.01, rel=0.05)
    assert abs(position.mean()) < 0.0005
    obs, *_ = env.step(hover(env))
    assert np.std([env.snapshot(w).velocity[:, 2] for w in range(200)]) > 1e-5


@pytest.mark.parametrize("seed", range(3))
def test_reward_is_the_published_cost(seed: int) -> None:
    """Away from contacts: -0.005 (distance + 0.05 |a| - R33 + 0.1 |rate|), with the state after the step."""
    env = forest(seed=seed)
    generator = np.random.default_rng(seed)
    for _ in range(20):
        action = generator.uniform(-0.3, 0.5, (1, 6, 4)).astype(np.float32)
        _, reward, *_ = env.step(action)
    view, rate = env.snapshot(0), env._native.snapshot(0)[2][:, 10:]
    upright = Rotation.from_quat(np.roll(view.quaternion, -1, axis=1)).as_matrix()[:, 2, 2]
    distance = np.linalg.norm(view.position - view.goal, axis=1)
    cost = distance + 0.05 * np.linalg.norm(action[0], axis=1) - upright + 0.1 * np.linalg.norm(rate, axis=1)
    assert not view.touching.any() and view.position[:, 2].min() > ARM_M
    np.testing.assert_allclose(reward[0], -0.005 * cost, atol=1e-6)


def run_into_each_other(**changes: object) -> tuple[SwarmForest, list[float], list[bool]]:
    """Two drones meet head-on at 1 m/s; returns the first one's rewards and contact flags."""
    env = forest(drones=2, density=0.0, **changes)
    middle = np.array([0.0, 0.0, 3.0])
    apart, speed = np.array([[-0.15, 0, 0], [0.15, 0, 0]]), np.array([[1.0, 0, 0], [-1.0, 0, 0]])
    placed(env, middle + apart, speed)
    rewards, touching = [], []
    for _ in range(25):
        _, reward, *_ = env.step(hover(env))
        rewards.append(float(reward[0, 0]))
        touching.append(bool(env.snapshot(0).touching[0]))
    return env, rewards, touching


def test_new_contact_costs_five_once() -> None:
    """A collision pays the contact cost in one step only, crowding grows towards it, and the drones bounce apart."""
    env, rewards, touching = run_into_each_other()
    begins = [k for k, (before, now) in enumerate(pairwise([False, *touching])) if now and not before]
    costly = [k for k, reward in enumerate(rewards) if reward < -4.9]
    assert begins == costly and len(costly) == 1
    view = env.snapshot(0)
    apart = view.position[1] - view.position[0]
    assert apart @ (view.velocity[1] - view.velocity[0]) > 0, "after the collision they separate"
    rate = np.abs(env._native.snapshot(0)[2][:, 10:]).max(axis=1)
    assert (rate > 5.0).all() and (rate <= 40.0 + 1e-9).all(), "a collision makes both tumble, within the rate limit"


def test_crowding_costs_by_nearness() -> None:
    """Two hovering drones at distance d pay 0.01 * 4 * (1 - d / 0.184) each, on top of the cost when alone."""
    env = forest(drones=2, density=0.0)
    middle = np.array([0.0, 0.0, 3.0])
    placed(env, middle + np.array([[-0.06, 0, 0], [0.06, 0, 0]]))
    _, near, *_ = env.step(hover(env))
    free = forest(drones=2, density=0.0, reward=RewardConfig(proximity=0.0))
    placed(free, middle + np.array([[-0.06, 0, 0], [0.06, 0, 0]]))
    _, alone, *_ = free.step(hover(free))
    np.testing.assert_allclose(near - alone, -0.01 * 4 * (1 - 0.12 / 0.184), atol=1e-6)


def test_contact_costs_grow_with_training() -> None:
    """In training the contact cost is the annealed share of its weight; outside training it is whole."""
    for share in (0.0, 0.5):
        env = forest(drones=2, density=0.0, training=True, reward=RewardConfig(anneal_steps=1000))
        env.set_training_steps(int(1000 * share))
        placed(env, np.array([[-0.05, 0, 3.0], [0.05, 0, 3.0]]), np.array([[1.0, 0, 0], [-1.0, 0, 0]]))
        lowest = min(float(env.step(hover(env))[1].min()) for _ in range(5))
        assert lowest == pytest.approx(-5 * share, abs=0.1)


def test_cylinder_rebounds_and_counts_after_the_grace_period() -> None:
    """A drone that flies into a cylinder is thrown back; that counts as a collision after 1.5 s, not before."""
    for wait, counted in ((0, False), (200, True)):
        env = forest(drones=1, density=0.2, scenario="random")
        for _ in range(wait):
            placed(env, open_place(env)[None])
            env.step(hover(env))
        view = env.snapshot(0)
        start = np.array([view.obstacle[0, 0] + view.obstacle_radius_m + ARM_M + 0.05, view.obstacle[0, 1], 3.0])
        placed(env, start[None], np.array([[-1.0, 0.0, 0.0]]))
        touched = False
        for _ in range(20):
            env.step(hover(env))
            touched |= bool(env.snapshot(0).touching[0])
        view = env.snapshot(0)
        assert touched and bool(view.collided[0]) == counted
        assert view.velocity[0, 0] > 0.1, "it bounces off"


def test_room_keeps_drones_in_and_floor_stands_them_up() -> None:
    """Full thrust meets the ceiling and stays below it; motors off ends on the floor, upright and still."""
    up = forest(drones=3, density=0.0)
    for _ in range(400):
        up.step(np.ones((1, 3, 4), np.float32))
    assert up.snapshot(0).position[:, 2].max() < 10.0
    down = forest(drones=3, density=0.0)
    tilt = np.array([-1.0, -1.0, -0.8, -0.8], np.float32)
    for _ in range(300):
        _, reward, *_ = down.step(np.broadcast_to(tilt, (1, 3, 4)))
    view = down.snapshot(0)
    assert np.abs(view.position[:, 2] - ARM_M).max() < 0.01
    np.testing.assert_allclose(view.quaternion[:, 1:3], 0.0, atol=1e-6)
    # On the floor: distance, effort, lying there (1) and, in place of the tilt, 1 again.
    distance = np.linalg.norm(view.position - view.goal, axis=1)
    np.testing.assert_allclose(reward[0], -0.005 * (distance + 0.05 * np.linalg.norm(tilt) + 2.0), atol=1e-4)


def test_downwash_pushes_those_below() -> None:
    """A drone 0.4 m under another sinks at (6/17)(7 - 10 d) within the noise; beside it nothing happens."""
    for shift, low, high in ((0.0, -1.2, -0.9), (0.2, -0.02, 0.02)):
        env = forest(drones=2, density=0.0, downwash=True)
        placed(env, np.array([[0.0, 0.0, 3.0], [shift, 0.0, 2.6]]))
        env.step(hover(env))
        assert low < env.snapshot(0).velocity[1, 2] / 0.01 < high


def cells(view: SwarmSnapshot) -> set[tuple[int, int]]:
    """Cells (0..7, 0..7) that hold a cylinder; fails where an axis isn't a cell's centre."""
    index = view.obstacle + 3.5
    np.testing.assert_allclose(index, index.round(), atol=1e-6)
    return {(int(x), int(y)) for x, y in index.round()}


@pytest.mark.parametrize("density", [0.0, 0.2, 0.8])
def test_layout_has_the_density_and_starts_are_free(density: float) -> None:
    """int(64 density) cylinders in cells of their own; starts and goals in free cells, apart, between 1 and 3 m."""
    env = forest(worlds=50, density=density, drones=8, scenario="random")
    for world in range(50):
        view = env.snapshot(world)
        taken = cells(view)
        assert len(taken) == len(view.obstacle) == int(64 * density)
        for points in (view.position, view.goal):
            where = [(int(x), int(y)) for x, y in (points[:, :2] + 3.5).round()]
            assert len(set(where)) == 8 and not taken & set(where)
            assert points[:, 2].min() >= 1.0 and points[:, 2].max() <= 3.0


def test_more_drones_than_free_cells_stack_in_layers() -> None:
    """32 drones among 51 cylinders start without touching."""
    env = forest(worlds=20, density=0.8, drones=32, scenario="random")
    for world in range(20):
        position = env.snapshot(world).position
        gap = np.linalg.norm(position[:, None] - position[None], axis=-1) + 10 * np.eye(32)
        assert len(position) == 32 and gap.min() > 2 * ARM_M


def largest_free_square(taken: set[tuple[int, int]]) -> int:
    """Side of the largest free square, by trying them all."""
    return max(
        size
        for size in range(1, 9)
        for x in range(9 - size)
        for y in range(9 - size)
        if not any((x + i, y + j) in taken for i in range(size) for j in range(size))
    )


@pytest.mark.parametrize("seed", range(20))
def test_shared_goal_is_in_the_largest_clearing(seed: int) -> None:
    """All goals are one point, and the square of the largest free size around it holds no cylinder."""
    env = forest(seed=seed, scenario="shared")
    view = env.snapshot(0)
    assert (view.goal == view.goal[0]).all()
    taken, size = cells(view), largest_free_square(cells(view))
    low = (view.goal[0, :2] + 3.5 - (size - 1) / 2).round().astype(int)
    square = {(int(low[0] + i), int(low[1] + j)) for i in range(size) for j in range(size)}
    assert not square & taken and all(0 <= x < 8 and 0 <= y < 8 for x, y in square)


def goals_over(env: SwarmForest, steps: int) -> Array:
    """Goals (steps, N, 3) while the drones hover."""
    out = []
    for _ in range(steps):
        env.step(hover(env))
        out.append(env.snapshot(0).goal)
    return np.array(out)


def test_swap_exchanges_goals_every_four_to_six_seconds() -> None:
    """The set of goals stays, their owners change, and only then."""
    goals = goals_over(forest(scenario="swap", seed=3), 1400)
    changes = np.flatnonzero((np.diff(goals, axis=0) != 0).any(axis=(1, 2))) + 2
    assert 1 <= len(changes) <= 3
    assert all(400 <= gap <= 600 for gap in np.diff([0, *changes]))
    for goal in goals[changes - 1]:
        np.testing.assert_array_equal(np.sort(goal, axis=0), np.sort(goals[0], axis=0))


def test_pursuit_is_one_smooth_path() -> None:
    """The shared goal never jumps, moves, and stays in the room."""
    goals = goals_over(forest(scenario="pursuit", seed=4), 1400)
    assert (goals == goals[:, :1]).all()
    stride = np.linalg.norm(np.diff(goals[:, 0], axis=0), axis=1)
    assert stride.max() < 0.05 and stride.sum() > 2.0
    assert np.abs(goals[..., :2]).max() < 5.0 and goals[..., 2].min() > 0.9


def test_moving_goal_jumps_every_five_seconds_by_at_most_four_metres() -> None:
    """A new free place every 500 steps."""
    env = forest(scenario="moving", seed=5)
    goals = goals_over(env, 1400)[:, 0]
    jumps = np.linalg.norm(np.diff(goals, axis=0), axis=1)
    assert set(np.flatnonzero(jumps) + 2) <= {500, 1000} and jumps.max() > 0.0
    assert jumps.max() <= 4.0


def test_success_needs_arrival_and_no_contact() -> None:
    """A drone put at its goal succeeds, one that stays away doesn't, one that hit a cylinder late doesn't."""
    env = forest(drones=3, density=0.1, scenario="random", episode_s=3.0)
    view = env.snapshot(0)
    spot = view.goal.astype(float)
    spot[1] = open_place(env)
    for step in range(300):
        here = spot.copy()
        if step == 250:
            here[2] = [view.obstacle[0, 0] + view.obstacle_radius_m + ARM_M - 0.01, view.obstacle[0, 1], 2.0]
        placed(env, here)
        *_, truncated, infos = env.step(hover(env))
    assert truncated.all()
    episode = infos["episode"]
    np.testing.assert_array_equal(episode["success"][0], [1, 0, 0])
    np.testing.assert_array_equal(episode["collision"][0], [0, 0, 1])
    np.testing.assert_array_equal(episode["obstacle_collision"][0], [0, 0, 1])
    np.testing.assert_array_equal(episode["deadlock"][0], [0, 1, 0])
    assert episode["goal_distance_m"][0, 0] < 0.05 < episode["goal_distance_m"][0, 1]


def test_collisions_are_clipped_and_replayed_in_training() -> None:
    """Once drones stay off the floor, episodes that go on from a clip appear, and they give no metrics."""
    env = forest(worlds=8, training=True, density=0.6, drones=8, episode_s=3.0)
    generator = np.random.default_rng(0)
    ended = replayed = 0
    for _ in range(300 * 20):
        jitter = 0.15 * generator.standard_normal((8, 8, 4))
        *_, truncated, infos = env.step((HOVER + 0.02 + jitter).astype(np.float32))
        if truncated.any() and env_warm(ended):
            replayed += int(np.isnan(infos["episode"]["success"][truncated, 0]).sum())
        ended += int(truncated.sum())
    assert replayed > 10


def test_a_snapshot_in_the_middle_of_training_goes_on_bit_for_bit() -> None:
    """Stored clips, replays, staggered episodes and both random streams are all part of the state."""
    changes = {"worlds": 4, "training": True, "density": 0.6, "drones": 8, "episode_s": 2.0, "noise": 1.0}
    env = forest(**changes)  # type: ignore[arg-type]
    generator = np.random.default_rng(1)
    actions = (HOVER + 0.02 + 0.15 * generator.standard_normal((6000, 4, 8, 4))).astype(np.float32)
    for action in actions[:5000]:
        env.step(action)
    state = env.state_dict()
    other = forest(seed=77, **changes)  # type: ignore[arg-type]
    other.load_state_dict(state)
    replays = 0
    for action in actions[5000:]:
        expected, got = env.step(action), other.step(action)
        for name in expected[0]:
            assert expected[0][name].tobytes() == got[0][name].tobytes()
        assert expected[1].tobytes() == got[1].tobytes()
        if expected[3].any():
            replays += int(np.isnan(expected[4]["episode"]["success"][expected[3], 0]).sum())
    assert replays > 0, "no replay began after the snapshot: it proved less than it says"


def env_warm(ended: int) -> bool:
    """Whether the staggered first episodes of eight worlds, which give no metrics either, are over."""
    return ended >= 16


def test_wrong_requests_are_refused() -> None:
    """A missing reset, another shape, a NaN and a state of another size each get a sentence."""
    env = SwarmForest(SwarmForestConfig(drones=2), 1)
    with pytest.raises(RequestError, match="reset"):
        env.step(np.zeros((1, 2, 4), np.float32))
    env.reset(seed=[0])
    with pytest.raises(RequestError, match="shape"):
        env.step(np.zeros((1, 3, 4), np.float32))
    with pytest.raises(RequestError, match="finite"):
        env.step(np.full((1, 2, 4), np.nan, np.float32))
    state = env.state_dict()
    for worlds in (state["worlds"][:-1], np.concatenate([state["worlds"], state["worlds"][:1]])):
        with pytest.raises(IntegrityError):
            env.load_state_dict({**state, "worlds": worlds})
    with pytest.raises(RequestError, match="worlds"):
        SwarmForest(SwarmForestConfig(), 0)
