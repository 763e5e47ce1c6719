"""What every task promises, checked on every task in the catalogue: a new one is tested by having a YAML."""

import hashlib
import io
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.utils.env_match import check_environments_match
from pettingzoo.test import parallel_api_test, parallel_seed_test

import haltere.sims  # noqa: F401 -- registers the tasks with Gymnasium
from haltere.agents.cli.eval import task_signature
from haltere.agents.recipe import resolve
from haltere.configs.catalogue import read_task_file, task_names
from haltere.configs.errors import HaltereError, IntegrityError
from haltere.deploy.loading import TorchActor
from haltere.policies.registry import build_policy
from haltere.sims.adapters import ParallelTask
from haltere.sims.mujoco.gl import working_gl
from haltere.sims.registration import load_task, make_vector
from haltere.sims.task import FIRST_HELD_OUT_SEED, TaskVectorEnv

Env = TaskVectorEnv[Any]
DRAWN = {"manip-pixels"}
"""Tasks whose observations OpenGL draws."""
TASKS = task_names()
LONGEST = 20_000
no_gl = pytest.mark.skipif(working_gl() is None, reason="no OpenGL draws here")
every_task = pytest.mark.parametrize("name", [pytest.param(n, marks=[no_gl] if n in DRAWN else []) for n in TASKS])
every_deterministic_task = pytest.mark.parametrize("name", [n for n in TASKS if load_task(n).spec_.deterministic])


def build(name: str, num_envs: int = 1, *, training: bool = False, threads: int = 1) -> Env:
    """A task with its YAML's settings."""
    return make_vector(name, num_envs, training=training, threads=threads, **read_task_file(name).env)


def actions(env: Env, seed: int) -> Iterator[np.ndarray]:
    """Actions for a batch of worlds; the same for each world."""
    generator = np.random.default_rng(seed)
    space = env.single_action_space
    while True:
        one = generator.uniform(space.low, space.high).astype(np.float32)
        yield np.repeat(one[None], env.num_envs, axis=0)


def trajectory(env: Env, steps: int, world: int = 0, action_seed: int = 0) -> str:
    """SHA-256 over everything that one world shows in so many steps."""
    digest = hashlib.sha256()
    for _, action in zip(range(steps), actions(env, action_seed), strict=False):
        obs, *rest, infos = env.step(action)
        for array in (*(obs[name] for name in sorted(obs)), *rest):
            digest.update(np.ascontiguousarray(array[world]).tobytes())
        if rest[1][world] or rest[2][world]:
            for name in env.spec_.metrics:
                digest.update(np.ascontiguousarray(infos["episode"][name][world]).tobytes())
    return digest.hexdigest()


def episode_length(name: str) -> int:
    """Control steps of the episode of seed 1 under this file's actions."""
    env = build(name)
    env.reset(seed=[1])
    for step, action in zip(range(1, LONGEST), actions(env, 0), strict=False):
        _, _, terminated, truncated, _ = env.step(action)
        if terminated[0] or truncated[0]:
            return step
    raise AssertionError(f"{name}: no end after {LONGEST} steps")


@every_task
def test_file_and_class_agree(name: str) -> None:
    """The YAML names the id that its module registers; every observation and the action have a unit in words."""
    file, task = read_task_file(name), load_task(name)
    assert task.spec_.id == file.task
    env = build(name)
    assert set(task.spec_.units) == {*env.agent_observation_space.spaces, "action"}
    assert env.agent_action_space.dtype == np.float32
    assert {space.dtype for space in env.agent_observation_space.spaces.values()} == {np.dtype(np.float32)}


@every_task
def test_its_policy_takes_what_it_shows(name: str) -> None:
    """The policy that the YAML trains can be built for the task, and acts in it."""
    recipe = resolve(name)
    signature = task_signature(recipe)
    policy = build_policy(recipe.policy, signature, seed=0).eval()
    obs = policy.random_obs(2, torch.Generator().manual_seed(0))
    # A policy may take more than the task shows, such as the noise that it refines.
    assert {name: obs[name].shape[-len(shape) :] for name, shape in signature.obs.items()} == signature.obs
    action = TorchActor(policy).act({name: tensor.numpy() for name, tensor in obs.items()})["action"]
    assert action.shape == (2, signature.action)


@every_task
@pytest.mark.filterwarnings("ignore:.*This is probably too (low|high)")
def test_gymnasium_accepts_it(name: str) -> None:
    """``check_env`` on what ``gymnasium.make`` gives. Unbounded observations are right where noise is Gaussian."""
    check_env(gymnasium.make(read_task_file(name).task).unwrapped, skip_render_check=True)


@every_task
def test_pettingzoo_accepts_it(name: str) -> None:
    """``parallel_api_test`` over 1,000 cycles and ``parallel_seed_test``."""
    file = read_task_file(name)
    parallel_api_test(ParallelTask(name, **file.env), num_cycles=1000)
    if load_task(name).spec_.deterministic:
        parallel_seed_test(lambda: ParallelTask(name, **file.env))


@every_deterministic_task
def test_environments_match(name: str) -> None:
    """Two environments agree over a whole episode and into the next; ``check_env`` looks at one step."""
    one, other = (gymnasium.make(read_task_file(name).task) for _ in range(2))
    check_environments_match(one, other, num_steps=episode_length(name) + 20, seed=3, skip_render=True)


@every_task
def test_spec_round_trip(name: str) -> None:
    """An environment can be made again from its spec's JSON, and with ``make_vec``."""
    env = gymnasium.make(read_task_file(name).task)
    again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.observation_space == env.observation_space
    assert again.action_space == env.action_space
    batch = gymnasium.make_vec(read_task_file(name).task, num_envs=2)
    assert isinstance(batch.unwrapped, load_task(name))
    assert batch.reset(seed=1)[0] in batch.observation_space


@every_deterministic_task
def test_same_seed_same_trajectory(name: str) -> None:
    """1,000 steps have one SHA-256: in three runs here and in two processes of their own."""

    def run() -> str:
        env = build(name, 2)
        env.reset(seed=[11, 12])
        return trajectory(env, 1000, world=1)

    code = (
        "import runpy, sys; file, name = sys.argv[1:]; contract = runpy.run_path(file); "
        "env = contract['build'](name, 2); env.reset(seed=[11, 12]); "
        "print(contract['trajectory'](env, 1000, world=1))"
    )
    command = [sys.executable, "-c", code, __file__, name]
    beside = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    runs = [run() for _ in range(3)]
    others = [each.communicate()[0].strip() for each in beside]
    assert [each.returncode for each in beside] == [0, 0]
    assert len({*runs, *others}) == 1
    env = build(name, 2)
    env.reset(seed=[11, 13])
    assert trajectory(env, 1000, world=1) != others[0]


@every_deterministic_task
def test_a_world_depends_on_its_seed_alone(name: str) -> None:
    """Neither the number of worlds, the place among them, threads nor what was played before changes a world."""
    steps = episode_length(name) + 100  # into the episode after
    env = build(name)
    env.reset(seed=[FIRST_HELD_OUT_SEED])
    alone = trajectory(env, steps)
    crowd = build(name, 5, threads=2)
    seeds = [*range(FIRST_HELD_OUT_SEED - 3, FIRST_HELD_OUT_SEED + 2)]
    crowd.reset(seed=seeds)
    assert trajectory(crowd, steps, world=3) == alone
    crowd.reset(seed=seeds[::-1])
    assert trajectory(crowd, steps, world=1) == alone
    env.reset(seed=FIRST_HELD_OUT_SEED)
    assert trajectory(env, steps) == alone


@every_deterministic_task
@pytest.mark.parametrize("training", [False, True])
def test_state_goes_on_bit_for_bit(name: str, training: bool) -> None:
    """What ``state_dict`` saved goes on exactly in new worlds, through a file without pickle, resets included."""
    steps = episode_length(name)
    env = build(name, 3, training=training)
    env.reset(seed=5)
    env.set_training_steps(10_000)
    trajectory(env, steps // 2 + 7)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **env.state_dict())
    # What comes next must not depend on the seed that happened to be given last.
    want = [trajectory(env, steps + 50, action_seed=1), trajectory(env, 50, world=2), env.reset()[0]]
    fresh = build(name, 3, training=training)
    fresh.reset(seed=99)
    file.seek(0)
    obs = fresh.load_state_dict(dict(np.load(file, allow_pickle=False)))
    fresh.set_training_steps(10_000)
    assert obs in fresh.observation_space
    got = [trajectory(fresh, steps + 50, action_seed=1), trajectory(fresh, 50, world=2), fresh.reset()[0]]
    assert got[:2] == want[:2]
    for key, array in want[2].items():
        assert (got[2][key] == array).all(), key


@every_task
def test_state_of_another_shape_is_refused(name: str) -> None:
    """The state of three worlds isn't loaded into two, nor half a state into any."""
    env = build(name, 3)
    env.reset(seed=0)
    state = env.state_dict()
    with pytest.raises(IntegrityError):
        build(name, 2).load_state_dict(state)
    for key in state:
        with pytest.raises(IntegrityError):
            build(name, 3).load_state_dict({k: v for k, v in state.items() if k != key})


@every_task
def test_values_and_metrics_are_as_declared(name: str) -> None:
    """An episode is finite, inside its spaces and of the declared types; it ends with every declared metric."""
    env = build(name, 2)
    obs, infos = env.reset(seed=[1, 1])
    assert infos == {}
    lanes = (2,) if env.agents is None else (2, env.agents)
    for action in actions(env, 0):
        assert obs in env.observation_space
        assert all(np.isfinite(array).all() for array in obs.values())
        obs, reward, terminated, truncated, infos = env.step(action)
        assert reward.shape == lanes
        assert (reward.dtype, terminated.dtype, truncated.dtype) == (np.float32, np.bool_, np.bool_)
        assert np.isfinite(reward).all()
        if (terminated | truncated).any():
            break
        assert infos == {}
    assert (terminated | truncated).all()
    assert infos["final_obs"] in env.observation_space
    assert tuple(infos["episode"]) == env.spec_.metrics
    for metric, values in infos["episode"].items():
        assert values.shape == lanes
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        assert metric not in env.spec_.rates or ((values >= 0) & (values <= 1)).all()


@every_task
def test_what_a_step_returns_is_the_callers(name: str) -> None:
    """No array is overwritten by a later step, and writing into one changes nothing."""
    env, other = build(name, 2), build(name, 2)
    env.reset(seed=4)
    other.reset(seed=4)
    action = next(actions(env, 0))
    obs, reward, *_ = env.step(action)
    other.step(action)
    kept = {key: array.copy() for key, array in obs.items()}
    kept_reward = reward.copy()
    for array in (*env.step(action)[0].values(), other.step(action)[1]):
        array[...] = 7.0
    assert all((obs[key] == kept[key]).all() for key in obs)
    assert (reward == kept_reward).all()
    assert trajectory(env, 20) == trajectory(other, 20)


@every_task
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_number_never_reaches_an_actuator(name: str, bad: float) -> None:
    """One non-finite command is refused, and so is a batch of another shape; the worlds are as they were."""
    env, other = build(name, 2), build(name, 2)
    env.reset(seed=8)
    other.reset(seed=8)
    action = next(actions(env, 0))
    action[1].flat[0] = bad
    with pytest.raises(HaltereError):
        env.step(action)
    with pytest.raises(HaltereError):
        env.step(action[:1])
    assert trajectory(env, 20) == trajectory(other, 20)


@every_task
def test_drawn_episodes_differ(name: str) -> None:
    """Worlds are different from each other, and so are one world's episodes, seeded or not."""
    env = build(name, 4)
    starts = [env.reset(seed=1)[0], env.reset()[0], env.reset()[0]]
    seen = {b"".join(array[world].tobytes() for array in start.values()) for start in starts for world in range(4)}
    assert len(seen) == 12
