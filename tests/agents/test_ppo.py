"""PPO over lanes is stable-baselines3's PPO, and nothing but its own seeds decides what it learns."""

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from haltere.agents.ppo.actor_critic import Critic
from haltere.agents.ppo.config import PPOConfig
from haltere.agents.ppo.lanes_env import LanesEnv
from haltere.agents.ppo.learner import Learner, Streams
from haltere.agents.ppo.rollout import SeededRolloutBuffer
from haltere.agents.runs import start_run
from haltere.configs.errors import ConfigError, HaltereError, RequestError
from haltere.configs.loader import validate
from haltere.policies.base import Policy, Signature, State
from haltere.policies.registry import build_policy
from haltere.policies.swarm.config import SwarmConfig
from haltere.policies.swarm.model import SwarmPolicy
from haltere.sims.task import FIRST_HELD_OUT_SEED
from tests.toy import SHAPES, ToyConfig, ToyMass, toy_recipe

SIGNATURE = Signature(SHAPES, 2)
NAMES = tuple(SHAPES)


def learner(seed: int = 3, **settings: Any) -> Learner:  # noqa: ANN401 - settings of PPOConfig
    """A learner on the toy, without a run folder."""
    recipe = toy_recipe(**settings)
    env = ToyMass(recipe.env, recipe.trainer.worlds, training=True)
    actor = build_policy(recipe.policy, SIGNATURE, seed=0)
    return Learner(env, actor, recipe.trainer, Streams.spawn(seed))


def test_rows_are_world_times_agents_plus_agent() -> None:
    """A lane's row holds one agent's observations side by side, and its action reaches that agent."""
    env = ToyMass(ToyConfig(), 2)
    lanes = LanesEnv(env, NAMES, 10)
    lanes.seed(5)
    flat = lanes.reset()
    obs, _ = ToyMass(ToyConfig(), 2).reset(seed=5)
    expected = np.concatenate([obs["self"][1, 2], obs["neighbour"][1, 2].ravel(), obs["obstacle"][1, 2]])
    assert flat.shape == (6, sum(int(np.prod(shape)) for shape in SHAPES.values()))
    np.testing.assert_array_equal(flat[1 * 3 + 2], expected)
    action = np.zeros((6, 2), np.float32)
    action[5] = 1.0
    moved = lanes.step(action)[0]
    still = LanesEnv(ToyMass(ToyConfig(), 2), NAMES, 10)
    still.seed(5)
    still.reset()
    unmoved = still.step(np.zeros((6, 2), np.float32))[0]
    assert (moved[:, :2] != unmoved[:, :2]).any(axis=1).tolist() == [False] * 5 + [True]


class LaneByLane(LanesEnv):
    """The same lanes as stable-baselines3 would have them: final observations in ``infos``, no bootstrap of ours."""

    def step_wait(self) -> VecEnvStepReturn:
        """Ask the task itself, and tell PPO in its own way."""
        obs, reward, terminated, truncated, infos = self.task_env.step(self._actions.reshape(self._action_shape))
        done = np.repeat(terminated | truncated, 3)
        told: list[dict[str, Any]] = [{} for _ in done]
        for lane in np.flatnonzero(done):
            told[lane] = {
                "terminal_observation": self.flatten(infos["final_obs"])[lane],
                "TimeLimit.truncated": bool((truncated & ~terminated)[lane // 3]),
            }
        return self.flatten(obs), reward.reshape(-1).copy(), done, told


def test_time_limits_are_bootstrapped_as_stable_baselines3_does() -> None:
    """Rewards, values, returns and advantages of a rollout over time limits are those of its own lane-by-lane code."""
    ours, theirs = learner(), learner()
    theirs.lanes.__class__ = LaneByLane
    for one in (ours, theirs):
        one.model._last_obs = one.lanes.reset()
        one.model._last_episode_starts = np.ones(12, bool)
        one.lanes.task_env._clock[:] = [30, 35, 39, 20]  # type: ignore[attr-defined] # three worlds run out of time
        assert one.model.collect_rollouts(one.lanes, one._callback, one.model.rollout_buffer, 16)
    for name in ("observations", "rewards", "values", "returns", "advantages", "episode_starts", "log_probs"):
        mine, reference = (getattr(one.model.rollout_buffer, name) for one in (ours, theirs))
        np.testing.assert_allclose(mine, reference, rtol=0, atol=1e-5, err_msg=name)
    assert ours.model.rollout_buffer.episode_starts[1:].sum() == 9


def test_gaussian_is_torch_distributions() -> None:
    """Log-probability and entropy are those of torch's own normal distribution."""
    network = learner().network
    with torch.no_grad():
        network.log_std.copy_(torch.tensor([-0.7, 0.4]))
    flat = torch.randn(50, 40, generator=torch.Generator().manual_seed(0))
    action, value, log_prob = network(flat)
    oracle = torch.distributions.Normal(network.mean_action(flat), network.log_std.exp().expand(50, 2))
    torch.testing.assert_close(log_prob, oracle.log_prob(action).sum(1))
    again, evaluated, entropy = network.evaluate_actions(flat, action)
    torch.testing.assert_close(evaluated, log_prob)
    torch.testing.assert_close(again, value)
    torch.testing.assert_close(entropy.expand(50), oracle.entropy().sum(1))
    torch.testing.assert_close(network(flat, deterministic=True)[0], network.mean_action(flat))


def test_noise_has_the_configured_spread() -> None:
    """Sampled actions scatter around the mean with the network's standard deviation, within five standard errors."""
    network = learner(log_std_init=-1.0).network
    flat = torch.zeros(20_000, 40)
    scatter = network(flat)[0] - network.mean_action(flat)
    deviation = float(np.exp(-1.0))
    assert torch.allclose(scatter.std(0), torch.tensor(deviation), rtol=5 / np.sqrt(2 * 20_000))
    assert scatter.mean(0).abs().max() < 5 * deviation / np.sqrt(20_000)


def test_critic_moments_are_numpys() -> None:
    """Moments merged batch by batch are the mean and variance of everything at once."""
    critic = Critic(3, 4)
    rows = np.random.default_rng(0).normal([0, 5, -300], [1, 0.01, 40], (1000, 3)).astype(np.float32)
    for part in np.split(rows, [10, 11, 400]):
        critic.observe(torch.from_numpy(part))
    np.testing.assert_allclose(critic.mean, rows.mean(0, dtype=np.float64), rtol=1e-9)
    np.testing.assert_allclose(critic.variance, rows.var(0, dtype=np.float64), rtol=1e-6)


def buffers(batch: int) -> tuple[SeededRolloutBuffer, RolloutBuffer, list[Any]]:
    """Our buffer and theirs with the same numbers in them, and an epoch of ours."""
    box, action = spaces.Box(-1, 1, (2,), np.float32), spaces.Box(-1, 1, (1,), np.float32)
    mine = SeededRolloutBuffer(5, box, action, generator=np.random.default_rng(1), n_envs=7, device="cpu")
    theirs = RolloutBuffer(5, box, action, n_envs=7, device="cpu")
    draw = np.random.default_rng(2)
    for _ in range(5):
        rows = [draw.normal(size=(7, n)).astype(np.float32) for n in (2, 1)]
        vectors = [torch.from_numpy(draw.normal(size=7).astype(np.float32)) for _ in range(2)]
        for buffer in (mine, theirs):
            buffer.add(rows[0], rows[1], np.ones(7), np.zeros(7), *vectors)
    for buffer in (mine, theirs):
        buffer.compute_returns_and_advantage(torch.zeros(7), np.zeros(7))
    return mine, theirs, list(mine.get(batch))


@pytest.mark.parametrize("batch", [4, 12, 34, 35, 1000])
def test_minibatches_are_equal_and_complete(batch: int) -> None:
    """An epoch holds every lane step once, with the columns of its own, in parts that differ by one at most."""
    _, theirs, parts = buffers(batch)
    sizes = [len(part.observations) for part in parts]
    assert max(sizes) <= batch and max(sizes) - min(sizes) <= 1
    whole = next(iter(theirs.get(None)))
    for field in range(6):
        keys = torch.cat([part.old_log_prob for part in parts]), whole.old_log_prob
        mine, oracle = torch.cat([part[field] for part in parts]), whole[field]
        torch.testing.assert_close(mine[keys[0].argsort()], oracle[keys[1].argsort()], rtol=0, atol=0)


def test_update_is_stable_baselines3s() -> None:
    """The class that learns inherits ``train`` and ``collect_rollouts`` from stable-baselines3's PPO, unchanged."""
    model = type(learner().model)
    assert model.train is PPO.train
    assert model.collect_rollouts is PPO.collect_rollouts


def weights(one: Learner) -> bytes:
    """All of the network, as bytes."""
    return b"".join(value.numpy().tobytes() for value in one.network.state_dict().values())


def global_generators() -> list[object]:
    """Where Python's, numpy's and torch's global generators are."""
    numpys: Any = np.random.get_state()
    return [random.getstate(), numpys[1].tobytes(), numpys[2:], torch.get_rng_state().numpy().tobytes()]


def test_global_generators_are_neither_used_nor_moved() -> None:
    """Training gives the same bits whatever the global generators hold, and leaves them where they were."""
    found = []
    for seed in (0, 1):
        random.seed(seed)  # noqa: TID251 - the global generators are what must not matter
        np.random.seed(seed)  # noqa: TID251
        torch.manual_seed(seed)
        before = global_generators()
        one = learner()
        for _ in range(4):
            one.iterate()
        assert global_generators() == before
        found.append(weights(one))
    assert found[0] == found[1]


def test_seed_decides(tmp_path: Path) -> None:
    """Equal seeds give equal weights, other seeds other ones."""
    digests = []
    for index, seed in enumerate((1, 1, 2)):
        result = start_run(toy_recipe(total_steps=400), seed=seed, path=tmp_path / str(index)).fit()
        digests.append((result.run / "policy.safetensors").read_bytes())
    assert digests[0] == digests[1] != digests[2]


def test_streams_are_independent() -> None:
    """No two of a run's streams are alike, and training worlds start below the held-out seeds."""
    draws = {stream.generate_state(4).tobytes() for stream in Streams.spawn(0)}
    assert len(draws) == 5
    starts = [learner(seed)._first_seed for seed in range(20)]
    assert len(set(starts)) == 20
    assert all(0 <= start <= FIRST_HELD_OUT_SEED - 4 for start in starts)


def test_it_learns() -> None:
    """A few seconds of training bring the point masses to the origin far more often than chance does."""
    one = learner(
        worlds=8,
        rollout_steps=40,
        batch_size=240,
        epochs=8,
        learning_rate=3e-3,
        learning_rate_final=2e-3,
        total_steps=40 * 24 * 32,
        clip_range=0.2,
        log_std_init=-0.5,
        clip_range_vf=None,
        max_grad_norm=0.5,
    )
    rows = [one.iterate() for _ in range(32)]
    first, last = next(row for row in rows if "episode/success" in row), rows[-1]
    assert last["episode/success"] > first["episode/success"] + 0.3
    assert last["episode/return"] > 0.7 * first["episode/return"]
    assert last["train/explained_variance"] > 0.5


def test_scheduled_noise_follows_its_schedule() -> None:
    """With a final log-std the noise falls linearly in its logarithm, and no gradient moves it; without, one does."""
    one = learner(total_steps=192 * 4, log_std_init=-0.5, log_std_final=-2.5)
    stds = [one.iterate()["train/std"] for _ in range(4)]
    assert np.log(stds) == pytest.approx([-0.5, -1.0, -1.5, -2.0])
    with pytest.raises(ConfigError, match=r"^trainer\.ent_coef: has no effect on noise that"):
        learner(log_std_final=-2.5, ent_coef=0.01)
    free = learner(total_steps=192 * 4, log_std_init=-0.5)
    for _ in range(2):
        free.iterate()
    assert not np.allclose(free.network.log_std.detach().numpy(), -0.5)


def test_learning_rate_falls_linearly() -> None:
    """The step size goes from the first to the final value over the configured total."""
    one = learner(total_steps=192 * 4, learning_rate=1e-3, learning_rate_final=2e-4)
    rates = [one.iterate()["train/learning_rate"] for _ in range(4)]
    assert rates == pytest.approx([8e-4, 6e-4, 4e-4, 2e-4])


def test_curriculum_is_told_every_iteration() -> None:
    """The task hears how far training is before each rollout."""
    one = learner()
    told: list[int] = []
    one.lanes.task_env.set_training_steps = told.append  # type: ignore[method-assign]
    for _ in range(3):
        one.iterate()
    assert told == [0, 192, 384]


def test_nan_stops_with_its_cause(tmp_path: Path) -> None:
    """A NaN from the worlds stops training at that step, names what was NaN, and keeps the last checkpoint."""
    trainer = start_run(toy_recipe(ToyConfig(blow_up_at=16 * 5 + 3)), seed=0, path=tmp_path / "run")
    sentence = r"diverged at step 1,152: .*observation.*last checkpoint is .*768"
    with pytest.raises(HaltereError, match=sentence) as caught:
        trainer.fit()
    assert caught.value.exit_code == 1
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()].count("768") == 1


class Remembering(SwarmPolicy):
    """A policy with memory."""

    def initial_state(self, batch: int) -> State:
        """Something to remember."""
        return {"hidden": torch.zeros(batch, 3)}


@pytest.mark.parametrize(
    ("choices", "advice"),
    [
        (None, r"; recurrent_ppo trains those where an action is a choice, as it isn't here"),
        (2, r"; an action of haltere/ToyMass-v0 is a choice, so: --trainer\.type recurrent_ppo"),
    ],
)
def test_memory_is_refused(choices: int | None, advice: str) -> None:
    """A policy with memory isn't trained wrongly; the error says what trains it here, if anything does."""
    recipe = toy_recipe()
    env = ToyMass(recipe.env, 4, training=True)
    env.choices = choices
    policy: Policy[Any] = Remembering(SwarmConfig(width=10), SIGNATURE)
    said = r"trainer\.type: ppo trains policies without memory, and the policy 'swarm' has one"
    with pytest.raises(ConfigError, match=f"^{said}{advice}$"):
        Learner(env, policy, recipe.trainer, Streams.spawn(0))


def test_a_rollout_of_one_step_is_refused() -> None:
    """The smallest rollout that PPO can scale is two steps, and the error says so."""
    settings = toy_recipe(worlds=1, rollout_steps=1).trainer
    env = ToyMass(ToyConfig(), 1, training=True)
    env.agents = 1
    with pytest.raises(ConfigError, match="rollout_steps: one lane needs at least 2"):
        Learner(env, build_policy(SwarmConfig(width=10), SIGNATURE, seed=0), settings, Streams.spawn(0))


@dataclass(frozen=True)
class Impostor:
    """A configuration that claims to be PPO's."""

    type: str = "ppo"


def test_used_folder_is_refused(tmp_path: Path) -> None:
    """A second run doesn't start over a first, and a recipe that fails leaves no folder behind."""
    with pytest.raises(ConfigError):
        start_run(replace(toy_recipe(), trainer=Impostor()), seed=0, path=tmp_path / "none")
    assert not (tmp_path / "none").exists()
    start_run(toy_recipe(), seed=0, path=tmp_path / "run")
    with pytest.raises(RequestError, match="already holds a run"):
        start_run(toy_recipe(), seed=0, path=tmp_path / "run")


@pytest.mark.parametrize(
    ("key", "value"),
    [("worlds", 0), ("gamma", 1.5), ("learning_rate", float("nan")), ("epochs", 1.5), ("init", "zeros"), ("lr", 1.0)],
)
def test_config_is_checked(key: str, value: object) -> None:
    """Values out of range, NaN, other types and unknown keys are refused with the key's name."""
    with pytest.raises(ConfigError, match=key):
        validate(PPOConfig, {key: value}, "x.yaml", "trainer")


def test_network_holds_actor_and_critic_apart() -> None:
    """The exported weights are the actor's alone; the critic shares none of them."""
    one = learner()
    one.iterate()
    state = one.state_dict()
    assert set(state.policy) == set(one.network.actor.state_dict())
    assert any(name.startswith("network.critic.layers") for name in state.arrays)
