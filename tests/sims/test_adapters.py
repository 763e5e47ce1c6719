"""One world of any task is a true Gymnasium and PettingZoo citizen, and plays the evaluator's episodes."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import parallel_api_test, parallel_seed_test

from haltere.configs.errors import ConfigError, RequestError
from haltere.sims.adapters import GymTask, ParallelTask
from haltere.sims.registration import SINGLE, VECTOR
from haltere.sims.task import FIRST_HELD_OUT_SEED
from tests.sims.toys import TOY, Drift, DriftConfig


@pytest.fixture
def toy_id(monkeypatch: pytest.MonkeyPatch) -> str:
    """The toy in Gymnasium's registry, for one test."""
    spec = gymnasium.envs.registration.EnvSpec(
        TOY, entry_point=SINGLE, vector_entry_point=VECTOR, kwargs={"task_id": TOY, "steps": 6}
    )
    monkeypatch.setitem(gymnasium.registry, TOY, spec)
    return TOY


@pytest.mark.parametrize("agents", [None, 1, 3])
def test_gymnasium_accepts_it(agents: int | None, toy_id: str) -> None:
    """Gymnasium's own checker is content, rendering included, with one agent and with many."""
    check_env(gymnasium.make(toy_id, agents=agents, render_mode="rgb_array").unwrapped)


@pytest.mark.parametrize("agents", [None, 1, 3])
def test_pettingzoo_accepts_it(agents: int | None) -> None:
    """PettingZoo's own tests are content."""
    parallel_api_test(ParallelTask(TOY, agents=agents, steps=50), num_cycles=100)
    parallel_seed_test(lambda: ParallelTask(TOY, agents=agents), num_cycles=100)


@pytest.mark.parametrize("agents", [None, 3])
def test_three_views_of_one_episode(agents: int | None) -> None:
    """Vector env, Gymnasium env and Parallel env give the same episode for the same seed and actions, to the bit."""
    vector = Drift(DriftConfig(agents=agents), 1)
    single, parallel = GymTask(TOY, agents=agents), ParallelTask(TOY, agents=agents)
    names = parallel.possible_agents
    obs, _ = vector.reset(seed=[41])
    obs_1, _ = single.reset(seed=41)
    obs_n, _ = parallel.reset(seed=41)
    generator = np.random.default_rng(0)
    for _ in range(6):
        for i, name in enumerate(names):
            assert (np.reshape(obs["place"][0], (-1, 1))[i] == obs_n[name]["place"]).all()
        assert (obs["place"][0] == obs_1["place"]).all()
        action = generator.uniform(-1, 1, vector.single_action_space.shape).astype(np.float32)
        obs, reward, _, ended, infos = vector.step(action[None])
        obs_1, reward_1, _, truncated, info = single.step(action)
        rows = np.reshape(action, (-1, 2))
        obs_n, reward_n, _, truncated_n, info_n = parallel.step({name: rows[i] for i, name in enumerate(names)})
        assert reward_1 == pytest.approx(float(reward.mean()))
        assert list(reward_n.values()) == pytest.approx(np.reshape(reward, -1).tolist())
        assert ended[0] == truncated == truncated_n[names[0]]
        if ended[0]:
            break
    assert truncated
    assert (infos["final_obs"]["place"][0] == obs_1["place"]).all()
    for metric, values in infos["episode"].items():
        assert (info["metrics"][metric] == values[0]).all()
        assert [info_n[name]["metrics"][metric] for name in names] == np.reshape(values, -1).tolist()
    assert ("agent_reward" in info) == (agents is not None)
    assert parallel.agents == []


def test_episode_statistics_wrapper_works(toy_id: str) -> None:
    """Gymnasium's own RecordEpisodeStatistics, which claims info["episode"], runs to the end."""
    env = gymnasium.wrappers.RecordEpisodeStatistics(gymnasium.make(toy_id))
    env.reset(seed=0)
    truncated = False
    while not truncated:
        *_, truncated, info = env.step(env.action_space.sample())
    assert info["episode"]["l"] == 6
    assert set(info["metrics"]) == {"success", "travel_m"}


def test_spec_round_trip(toy_id: str) -> None:
    """An environment can be made again from its spec's JSON, settings included."""
    env = gymnasium.make(toy_id, agents=3)
    spec = gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json())
    again = gymnasium.make(spec)
    assert again.action_space.shape == (3, 2)
    assert again.reset(seed=5)[0]["place"].tolist() == env.reset(seed=5)[0]["place"].tolist()


@pytest.mark.parametrize("mode", [None, "sync"])
def test_make_vec(mode: str | None, toy_id: str) -> None:
    """gymnasium.make_vec gives the task's own batch, or Gymnasium's batch of single worlds: the same observations."""
    env = gymnasium.make_vec(toy_id, num_envs=3, vectorization_mode=mode, agents=2)
    obs, _ = env.reset(seed=7)
    assert isinstance(env.unwrapped, Drift) == (mode is None)
    assert obs["place"].tolist() == Drift(DriftConfig(agents=2), 3).reset(seed=7)[0]["place"].tolist()
    env.close()


def test_drawn_episodes_are_never_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a seed, episodes are drawn below the held-out seeds, and depend on the last seed given."""
    drawn: list[int] = []
    reset = Drift.reset

    def spy(self: Drift, *, seed: list[int], options: None = None) -> object:
        drawn.append(seed[0])
        return reset(self, seed=seed)

    monkeypatch.setattr(Drift, "reset", spy)
    for env in (GymTask(TOY), ParallelTask(TOY)):
        drawn.clear()
        for _ in range(2):
            env.reset(seed=3)
            for _ in range(40):
                env.reset()
        assert drawn[:41] == drawn[41:]
        assert len(set(drawn)) == 41
        assert max(drawn) < FIRST_HELD_OUT_SEED


def test_wrong_use_is_named() -> None:
    """A step without an episode, a wrong shape, a missing agent, a wrong setting: each says what and what instead."""
    single, parallel = GymTask(TOY), ParallelTask(TOY)
    with pytest.raises(RequestError, match=r"call reset\(\) before step\(\)"):
        single.step(np.zeros((2, 2)))
    for actions in ({}, {"agent_0": np.zeros(2)}):
        with pytest.raises(RequestError, match=r"call reset\(\) before step\(\)"):
            parallel.step(actions)
    single.reset(seed=0)
    parallel.reset(seed=0)
    with pytest.raises(RequestError, match=r"an action has shape \(2, 2\), got \(3, 2\)"):
        single.step(np.zeros((3, 2)))
    with pytest.raises(RequestError, match=r"one action for each of \['agent_0', 'agent_1'\], got \['agent_1'\]"):
        parallel.step({"agent_1": np.zeros(2)})
    with pytest.raises(RequestError, match=r"the action of agent_1 has shape \(2,\), got \(5,\)"):
        parallel.step({"agent_0": np.zeros(2), "agent_1": np.zeros(5)})
    for view in (GymTask, ParallelTask):
        with pytest.raises(ConfigError, match="agnets"):
            view(TOY, agnets=3)
        with pytest.raises(RequestError, match="no render mode 'human'"):
            view(TOY, render_mode="human")


def test_over_is_over() -> None:
    """Stepping past the end is refused: the world behind has already begun an episode that nobody asked for."""
    env = GymTask(TOY, agents=None, steps=1, spread=1)
    env.reset(seed=0)
    assert env.step(np.zeros(2))[3]
    with pytest.raises(RequestError, match="no episode is running"):
        env.step(np.zeros(2))
    many = ParallelTask(TOY, steps=1, spread=1)
    many.reset(seed=0)
    many.step({name: np.zeros(2) for name in many.agents})
    with pytest.raises(RequestError, match="no episode is running"):
        many.step({})
