"""Recurrent PPO: what a rollout computes at once is what steps give; the update is PPO's; the seed alone decides."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from torch import Tensor

from haltere.agents.recipe import resolve
from haltere.agents.recurrent_ppo.algorithm import Scale
from haltere.agents.recurrent_ppo.buffer import EpisodeBuffer, Part, Played
from haltere.agents.recurrent_ppo.learner import Learner, Streams
from haltere.agents.recurrent_ppo.network import draw, gumbel
from haltere.agents.runs import start_run
from haltere.configs.errors import ConfigError, HaltereError
from haltere.policies.base import Signature
from haltere.policies.registry import build_policy
from haltere.policies.swarm.config import SwarmConfig
from tests.recall import RecallConfig, recall_recipe
from tests.toy import ToyMass, toy_recipe

from .learners import BALLET, learner, played, step_by_step

MEMORIES = ("hcam", "trxl", "attention", "lstm", "aaren", "titans")


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("tries", [1, 3])
@pytest.mark.parametrize("env", [RecallConfig(), RecallConfig(hints=False), RecallConfig(pairs=True)], ids=str)
def test_a_rollout_is_its_steps(memory: str, env: RecallConfig, tries: int) -> None:
    """Lanes that wait, join late and leave early, and what is the same seen once: all as plain steps one by one."""
    one = learner(env, {"memory": memory}, tries=tries)
    rollout = played(one)
    assert len(set(rollout.lengths.tolist())) > 3
    log_prob, value, reward = step_by_step(one, rollout)
    act = rollout.acting
    assert act.any(axis=0).all() and act[0].all() != env.hints
    np.testing.assert_allclose(rollout.log_probs[act], log_prob[act], atol=1e-5)
    np.testing.assert_allclose(rollout.values[act], value[act], atol=1e-5)
    np.testing.assert_allclose(rollout.rewards, reward, atol=1e-5)


@pytest.mark.parametrize("convolution", [0, 2])
def test_a_rollout_of_ballet_is_its_steps(convolution: int) -> None:
    """The same in Ballet with levels mixed, where pictures come again and again and are kept once.

    In float64, because differences between pictures that are nearly alike lose digits, and each way other ones.
    """
    one = learner(recipe=resolve("ballet", BALLET | {"policy.convolution": convolution}))
    network = one.network.double()
    encode = network.policy.encode
    network.actor.encode = lambda obs: encode({name: tensor.double() for name, tensor in obs.items()})
    rollout = played(one)
    assert one._sights.count < 0.4 * rollout.lengths.sum()
    log_prob, value, reward = step_by_step(one, rollout)
    act = rollout.acting
    np.testing.assert_allclose(rollout.log_probs[act], log_prob[act], atol=1e-6)
    np.testing.assert_allclose(rollout.values[act], value[act], atol=1e-6)
    np.testing.assert_allclose(rollout.rewards, reward, atol=1e-6)
    assert act.sum(axis=0).max() <= 6


@pytest.mark.parametrize("tries", [1, 3])
@pytest.mark.parametrize("memory", MEMORIES)
def test_the_update_sees_what_the_rollout_saw(memory: str, tries: int) -> None:
    """Before its first step an update finds the rollout's own log-probabilities and values, in parts of any length."""
    env = RecallConfig(delay=(2, 40), pairs=tries > 1)
    one = learner(env, {"memory": memory}, reconstruction=0.1, tries=tries)
    one.buffer.fill(played(one))
    parts = next(one.buffer.minibatches(24))
    assert len(parts) > 1
    for part in parts:
        assert (part.stem is None) == (tries == 1)
        log_prob, value, _ = judge(one, part)
        np.testing.assert_allclose(log_prob.detach(), part.old_log_prob, atol=1e-5)
        np.testing.assert_allclose(value.detach(), part.old_value, atol=1e-5)
    assert sum(len(part.choice) for part in parts) == one.buffer.played.acting.sum()


def test_a_shared_stem_changes_nothing() -> None:
    """Losses and gradients of tries that share their beginning are those of the same episodes, each whole in itself."""
    found = []
    for tries in (3, 1):
        one = learner(RecallConfig(delay=(2, 40)), tries=3)
        one.buffer.fill(played(one))
        one.buffer._tries = tries
        parts = next(one.buffer.minibatches(12))
        scale = Scale.of(parts, compare=False)
        assert all((part.stem is None) == (tries == 1) for part in parts)
        losses = [one.model._losses(part, scale) for part in parts]
        sum(loss["policy_loss"] + loss["value_loss"] for loss in losses).backward()  # type: ignore[union-attr]
        found.append([value.grad for value in one.network.parameters()])
    assert sum(gradient is not None and bool(gradient.abs().max() > 1e-4) for gradient in found[0]) > 30
    for mine, theirs in zip(*found, strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-3)


def judge(one: Learner, part: Part) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probability, value and entropy of a part's actions, by whole sequences."""
    policy, stem = one.network.policy, part.stem
    embeddings = policy.encode(one._sights.of(part.sights))
    state = one.network.actor.initial_state(len(part.lengths))
    if stem is not None:
        begun = one.network.actor.initial_state(len(stem.lengths))
        whole = policy.remember(embeddings[stem.sensed], begun, stem.starts)
        state = {name: tensor[stem.of] for name, tensor in whole.state.items()}
    features = policy.remember(embeddings[part.sensed], state, part.starts).features
    at = part.at[part.episode, part.place]
    chances = torch.distributions.Categorical(logits=policy.score(features[part.episode, at]))
    return chances.log_prob(part.choice), one.network.critic(features[part.episode, at])[:, 0], chances.entropy()


class Stock:
    """A part as stable-baselines3's own ``train`` wants to see buffer and policy."""

    def __init__(self, one: Learner, part: Part) -> None:
        """Keep them."""
        self.one, self.part, self.optimizer = one, part, one.network.optimizer
        flat = one.buffer
        self.values, self.returns = flat.values[flat.valid], flat.returns[flat.valid]

    def get(self, batch_size: int) -> Iterator[RolloutBufferSamples]:
        """All in one."""
        part = self.part
        data = (part.old_value, part.old_log_prob, part.advantage, part.returns)
        yield RolloutBufferSamples(torch.zeros(1), part.choice.float()[:, None], *data)

    def evaluate_actions(self, obs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of the part."""
        assert torch.equal(actions, self.part.choice)
        log_prob, value, entropy = judge(self.one, self.part)
        return value, log_prob, entropy

    def parameters(self) -> Iterator[Tensor]:
        """The network's."""
        return self.one.network.parameters()

    def set_training_mode(self, mode: bool) -> None:
        """Nothing depends on it."""


@pytest.mark.parametrize("clip_range_vf", [None, 0.05])
def test_the_update_is_stable_baselines3s(clip_range_vf: float | None) -> None:
    """Three epochs end with the weights to which its own ``train`` comes with all episodes in one batch."""
    ends = []
    for theirs in (False, True):
        env = RecallConfig(delay=(2, 30))
        one = learner(env, batch_episodes=12, epochs=3, learning_rate=1e-2, clip_range_vf=clip_range_vf)
        one.buffer.fill(played(one))
        if theirs:
            one.model.ent_coef = one._config.ent_coef
            assert isinstance(one.model.action_space, spaces.Discrete)
            stock = Stock(one, one.buffer._part(np.arange(12)))
            one.model.rollout_buffer = one.model.policy = stock  # type: ignore[assignment]
            PPO.train(one.model)
        else:
            assert len(next(one.buffer.minibatches(12))) > 1
            one.model.train()
        ends.append({name: value.detach().clone() for name, value in one.network.named_parameters()})
    moved = learner(RecallConfig(), batch_episodes=12).network.state_dict()
    assert any((ends[0][name] - moved[name]).abs().max() > 1e-2 for name in ends[0])
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], atol=2e-4, rtol=0)


def test_advantages_are_those_of_the_formula() -> None:
    """Generalised advantages over actions alone, whatever passes between two of them; Schulman et al. 2016, eq. 16."""
    draws = np.random.default_rng(0)
    steps, lanes, gamma, lam = 12, 5, 0.9, 0.8
    acting = draws.random((steps, lanes)) < 0.5
    acting[:, 4] = False
    values, rewards = draws.normal(size=(2, steps, lanes)).astype(np.float32)
    lengths = draws.integers(6, 13, lanes)
    behind = np.arange(steps)[:, None] >= lengths
    acting, rewards = acting & ~behind, np.where(behind, 0, rewards).astype(np.float32)
    zeros = np.zeros((steps, lanes), np.int64)
    buffer = EpisodeBuffer(
        *(1, spaces.Box(0, 1, (1,)), spaces.Discrete(3)),
        generator=draws,
        gamma=gamma,
        gae_lambda=lam,
        n_envs=lanes,
        device="cpu",
    )
    buffer.fill(Played(zeros, acting, zeros, values, values, rewards, lengths))
    for lane in range(lanes):
        when = np.flatnonzero(acting[:, lane])
        np.testing.assert_array_equal(buffer.valid[:, lane], np.arange(len(buffer.valid)) < len(when))
        if not len(when):
            continue
        ends = [*when[1:], steps]
        paid = [rewards[begin:end, lane].sum() for begin, end in zip(when, ends, strict=True)]
        worth = [*values[when, lane], 0.0]
        delta = [paid[k] + gamma * worth[k + 1] - worth[k] for k in range(len(when))]
        wanted = [sum((gamma * lam) ** (j - k) * delta[j] for j in range(k, len(when))) for k in range(len(when))]
        np.testing.assert_allclose(buffer.advantages[: len(when), lane], wanted, rtol=1e-4, atol=1e-5)


def test_choices_have_the_probabilities_of_their_scores() -> None:
    """Frequencies over many draws, within five standard errors of the softmax."""
    scores = torch.tensor([0.0, 1.0, -2.0, 0.5])
    choice, log_prob = draw(scores.expand(40_000, 4), gumbel(40_000, 4, torch.Generator().manual_seed(0)))
    wanted = scores.softmax(0)
    torch.testing.assert_close(log_prob, wanted.log()[choice])
    frequency = torch.bincount(choice, minlength=4) / 40_000
    assert ((frequency - wanted).abs() < 5 * (wanted * (1 - wanted) / 40_000).sqrt()).all()


def test_every_episode_is_in_one_minibatch() -> None:
    """An epoch holds every episode once, in minibatches of nearly equal size, shuffled anew by its own generator."""
    one = learner(worlds=13)
    one.buffer.fill(played(one))
    seen = []
    for _ in range(2):
        sizes, lengths = [], []
        for parts in one.buffer.minibatches(5):
            sizes.append(sum(len(part.lengths) for part in parts))
            lengths += [length for part in parts for length in part.lengths.tolist()]
        assert sizes == [5, 4, 4]
        assert sorted(lengths) == sorted(one.buffer.played.lengths.tolist())
        seen.append(lengths)
    assert seen[0] != seen[1]


def test_the_share_of_a_part_is_its_share() -> None:
    """Losses of parts add up to those of one part with all episodes in it."""
    one = learner(RecallConfig(delay=(2, 40)))
    one.buffer.fill(played(one))
    parts = next(one.buffer.minibatches(12))
    whole = one.buffer._part(np.arange(12))
    wanted = one.model._losses(whole, Scale.of([whole], compare=False))
    got = [one.model._losses(part, Scale.of(parts, compare=False)) for part in parts]
    assert len(got) > 1
    for name, loss in wanted.items():
        torch.testing.assert_close(sum(losses[name] for losses in got), loss, atol=1e-5, rtol=1e-4)


def weights(one: Learner) -> bytes:
    """All of the network, as bytes."""
    return b"".join(value.numpy().tobytes() for value in one.network.state_dict().values())


def test_global_generators_are_neither_used_nor_moved() -> None:
    """Training gives the same bits whatever the global generators hold, and leaves them where they were."""
    found = []
    for seed in (0, 1):
        random.seed(seed)  # noqa: TID251 - the global generators are what must not matter
        np.random.seed(seed)  # noqa: TID251
        torch.manual_seed(seed)
        numpys: Any = np.random.get_state()
        before = [random.getstate(), numpys[1].tobytes(), torch.get_rng_state().numpy().tobytes()]
        one = learner(reconstruction=0.1)
        for _ in range(2):
            one.iterate()
        numpys = np.random.get_state()
        assert [random.getstate(), numpys[1].tobytes(), torch.get_rng_state().numpy().tobytes()] == before
        found.append(weights(one))
    assert found[0] == found[1]


def test_the_seed_decides() -> None:
    """Equal seeds give equal weights after training, other seeds other ones; streams don't depend on each other."""
    digests = []
    for seed in (1, 1, 2):
        one = learner(seed=seed)
        one.iterate()
        digests.append(weights(one))
    assert digests[0] == digests[1] != digests[2]
    assert len({stream.generate_state(4).tobytes() for stream in Streams.spawn(0)}) == 6


def test_it_learns_to_remember() -> None:
    """In seconds the cue is remembered nearly always, where chance is one in three; each level's success is logged."""
    env = RecallConfig(delay=(2, 6), patience=2)
    settings = {"worlds": 48, "batch_episodes": 48, "epochs": 4, "learning_rate": 5e-3, "episode_window": 400}
    one = learner(env, ent_coef=0.01, total_steps=20_000, **settings)
    row: dict[str, float] = {}
    while one.steps < 20_000:
        row = one.iterate()
        if row["episode/success"] > 0.9:
            break
    assert row["episode/success"] > 0.9
    assert {name for name in row if name.startswith("success/")} == {f"success/delay-{n}" for n in range(2, 6)}


def test_reconstruction_falls() -> None:
    """What was sensed is told better after some updates; without a weight there are no such heads."""
    one = learner(reconstruction=1.0, learning_rate=5e-3, worlds=24, batch_episodes=12)
    rows = [one.iterate() for _ in range(12)]
    assert rows[-1]["train/reconstruction_seen"] < 0.8 * rows[0]["train/reconstruction_seen"]
    assert "train/reconstruction_picture" in rows[0]
    assert learner().network.reconstruction is None


def test_too_far_a_move_stops_the_update() -> None:
    """Beyond the target divergence no further step is taken in an iteration."""
    free, held = (learner(target_kl=kl, learning_rate=5e-2, epochs=8) for kl in (None, 1e-3))
    for one in (free, held):
        one.buffer.fill(played(one))
        one.model.train()
    assert held.model._n_updates < free.model._n_updates == 8


def test_nan_stops_with_its_cause(tmp_path: Path) -> None:
    """A NaN from the worlds stops training at that step, names what was NaN, and keeps the last checkpoint."""
    trainer = start_run(recall_recipe(RecallConfig(blow_up_at=400)), seed=0, path=tmp_path / "run")
    with pytest.raises(HaltereError, match=r"diverged at step .*an observation of these.*checkpoint is"):
        trainer.fit()


def test_what_cant_be_trained_is_refused(tmp_path: Path) -> None:
    """A task without choices, a policy without memory and another trainer's settings: one sentence each."""
    recipe = replace(recall_recipe(), task_id="haltere/ToyMass-v0", module="tests.toy", env=toy_recipe().env)
    swarm = replace(recipe, policy=SwarmConfig(width=10))
    said = r"^trainer.type: recurrent_ppo trains where an action is a choice, and in haltere/ToyMass-v0 it isn't; "
    with pytest.raises(ConfigError, match=said + r"the policy 'swarm' has no memory, so: --trainer.type ppo$"):
        start_run(swarm, seed=0, path=tmp_path / "a")
    one = learner()
    with pytest.raises(ConfigError, match=said + "ppo trains others, with policies without memory$"):
        Learner(ToyMass(toy_recipe().env, 4), one.network.actor, one._config, Streams.spawn(0))
    actor = build_policy(SwarmConfig(width=10), Signature({"self": (19,), "neighbour": (2, 6), "obstacle": (9,)}, 4), 0)
    with pytest.raises(ConfigError, match=r"over sequences, and the policy 'swarm' has none; ppo trains those$"):
        Learner(one._env, actor, one._config, Streams.spawn(0))
    actor.initial_state = lambda batch: {"memory": torch.zeros(batch, 1)}  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match=r"over sequences, and SwarmPolicy lacks encode, advance, remember, fitted"):
        Learner(one._env, actor, one._config, Streams.spawn(0))
    assert not (tmp_path / "a").exists()
