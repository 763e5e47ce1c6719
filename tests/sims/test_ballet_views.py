"""Ballet keeps what every task promises, and a choice is a number in the views of a single world."""

import subprocess
import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import parallel_api_test

from haltere.configs.errors import RequestError
from haltere.sims.adapters import GymTask, ParallelTask
from haltere.sims.ballet.config import BalletConfig
from haltere.sims.ballet.task import Ballet
from haltere.sims.lanes import choice_to_scores, scores_to_choice, signature_shapes
from haltere.sims.registration import SINGLE
from haltere.sims.task import task
from tests.contracts import test_tasks as contract
from tests.sims.toys import TOY, Drift, DriftConfig

BALLET = Ballet.spec_.id
ENV = {"dancers": 2, "delay": 4, "pixels": 33, "choice_steps": 40}


def test_same_seed_same_trajectory() -> None:
    """1,000 steps have one SHA-256, here and in a process of its own."""
    code = (
        "import runpy, sys; from haltere.sims.ballet.task import Ballet, BalletConfig; "
        "contract = runpy.run_path(sys.argv[1]); env = Ballet(BalletConfig(delay=4, pixels=33), 2); "
        "env.reset(seed=[11, 12]); print(contract['trajectory'](env, 1000, world=1))"
    )
    command = [sys.executable, "-c", code, contract.__file__]
    other = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    env = Ballet(BalletConfig(delay=4, pixels=33), 2)
    for _ in range(2):
        env.reset(seed=[11, 12])
        assert contract.trajectory(env, 1000, world=1) == other
    env.reset(seed=[11, 13])
    assert contract.trajectory(env, 1000, world=1) != other


def test_a_choice_is_a_number_in_a_single_world() -> None:
    """Gymnasium sees Discrete(8) and PettingZoo too; the same episode as with scores."""
    single, parallel, batch = GymTask(BALLET, **ENV), ParallelTask(BALLET, **ENV), Ballet(BalletConfig(**ENV), 1)
    assert single.action_space == parallel.action_space("agent_0") == spaces.Discrete(8)
    assert batch.single_action_space == spaces.Box(-1.0, 1.0, (8,), np.float32)
    obs, _ = batch.reset(seed=[6])
    one, _ = single.reset(seed=6)
    many, _ = parallel.reset(seed=6)
    answer = int(batch.answer[0])
    terminated = False
    while not terminated:
        for name, array in obs.items():
            assert (one[name] == array[0]).all()
            assert (many["agent_0"][name] == array[0]).all()
        scores = np.linspace(-0.5, 0.3, 8, dtype=np.float32)[None].copy()
        scores[0, answer] = 0.31
        obs, reward, ended, _, infos = batch.step(scores)
        one, reward_1, terminated, _, info = single.step(np.int64(answer))
        many, rewards, *_ = parallel.step({"agent_0": answer})
        assert terminated == ended[0]
        assert reward[0] == reward_1 == rewards["agent_0"]
    assert reward_1 == 1.0
    assert info["metrics"]["success"] == infos["episode"]["success"][0] == 1.0


@pytest.mark.parametrize("wrong", [-1, 8, 2.0, [1], np.zeros(8, np.float32), "N", None])
def test_what_is_no_choice_is_refused(wrong: Any) -> None:  # noqa: ANN401 -- anything
    """By both views, with the task's name, what may be given and what was."""
    single, parallel = GymTask(BALLET, **ENV), ParallelTask(BALLET, **ENV)
    single.reset(seed=0)
    parallel.reset(seed=0)
    for step in (lambda: single.step(wrong), lambda: parallel.step({"agent_0": wrong})):
        with pytest.raises(RequestError, match="from 0 to 7, got"):
            step()


@task(
    "toy/Voters-v0",
    config=DriftConfig,
    metrics=("success", "travel_m"),
    rates=("success",),
    ctrl_dt_s=0.1,
    sim="mujoco",
    units={"place": "m", "clock": "steps", "action": "forward or back"},
)
class Voters(Drift):
    """The toy's agents, which choose to be pushed (0) or not (1)."""

    choices = 2

    def step(self, actions: np.ndarray) -> Any:  # noqa: ANN401 -- the base class's
        """Push those whose first score is at least the second."""
        pushed = scores_to_choice(actions) == 0
        return super().step(np.repeat(pushed[..., None], 2, axis=-1).astype(np.float32))


@pytest.mark.parametrize("agents", [None, 1, 3])
def test_choices_work_for_any_number_of_agents(agents: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One number without an agent axis, and one for each agent with it."""
    settings = {"agents": agents, "steps": 6, "gain": 1.0}
    spec = gymnasium.envs.registration.EnvSpec(
        Voters.spec_.id, entry_point=SINGLE, kwargs={"task_id": Voters.spec_.id, **settings}
    )
    monkeypatch.setitem(gymnasium.registry, spec.id, spec)
    check_env(gymnasium.make(spec.id, render_mode="rgb_array").unwrapped)
    parallel_api_test(ParallelTask(Voters.spec_.id, **settings), num_cycles=50)
    single = GymTask(Voters.spec_.id, **settings)
    wanted = spaces.Discrete(2) if agents is None else spaces.MultiDiscrete([2] * agents)
    assert single.action_space == wanted
    before, _ = single.reset(seed=4)
    choice = 0 if agents is None else np.arange(agents) % 2
    after, *_ = single.step(choice)
    moved = np.reshape(after["place"] - before["place"], -1)
    assert (np.rint(moved) == 1 - np.reshape(choice, -1)).all()
    with pytest.raises(RequestError, match="whole number"):
        single.step(np.zeros(4, np.int64))


def test_scores_and_choices() -> None:
    """There and back; the first of equals; a task without choices keeps its spaces."""
    choice = np.array([[0, 3], [2, 1]])
    scores = choice_to_scores(choice, 4)
    assert scores.shape == (2, 2, 4)
    assert scores.dtype == np.float32
    assert set(scores.ravel().tolist()) == {-1.0, 1.0}
    assert (scores_to_choice(scores) == choice).all()
    assert scores_to_choice(np.zeros((3, 5), np.float32)).tolist() == [0, 0, 0]
    assert Drift.choices is None
    assert GymTask(TOY, agents=3).action_space.shape == (3, 2)


def test_a_policy_gives_eight_scores() -> None:
    """The signature that a policy is built for."""
    shapes, actions = signature_shapes(Ballet(BalletConfig(), 1))
    assert shapes == {"image": (3, 99, 99), "instruction": (14,)}
    assert actions == 8
