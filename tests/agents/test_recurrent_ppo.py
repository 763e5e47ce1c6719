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
from haltere.sims.lanes import choice_to_scores, signature_shapes
from tests.recall import RecallConfig, recall_recipe
from tests.toy import toy_recipe

MEMORIES = ("hcam", "trxl", "attention", "lstm", "aaren", "titans")
BALLET = {
    "env.dancers": "mix",
    "env.delay": 16,
    "env.curriculum": [],
    "env.choice_steps": 6,
    "policy.width": 16,
    "policy.slots": 48,
    "policy.channels": 4,
    "trainer.worlds": 6,
    "trainer.tries": 1,
    "trainer.free": 1,
    "trainer.bound": "draw",
    "trainer.baseline": "critic",
    "trainer.noise": "step",
    "trainer.batch_episodes": 6,
}


def learner(
    env: RecallConfig | None = None,
    policy: dict[str, Any] | None = None,
    seed: int = 3,
    recipe: Any = None,  # noqa: ANN401 - a Recipe
    **settings: Any,  # noqa: ANN401 - of the trainer
) -> Learner:
    """A learner without a run folder; on the toy unless another recipe is given."""
    recipe = recipe or recall_recipe(env, policy, **settings)
    worlds = recipe.make_env(recipe.trainer.worlds, training=True)
    actor = build_policy(recipe.policy, Signature(*signature_shapes(worlds)), seed=0)
    return Learner(worlds, actor, recipe.trainer, Streams.spawn(seed))


def played(one: Learner, seed: int = 5) -> Played:
    """One episode in every world."""
    obs, _ = one._env.reset(seed=seeds(one, seed))
    return one.player.play(obs)


def seeds(one: Learner, seed: int) -> list[int]:
    """One for each world, the same for all tries."""
    tries = one._config.tries
    return [seed + world // tries for world in range(one._env.num_envs)]


@torch.no_grad()
def step_by_step(one: Learner, rollout: Played, seed: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log-probabilities, values and rewards (T, lanes) of a rollout's choices, by plain steps of the policy."""
    env, network = one._env, one.network
    obs, _ = env.reset(seed=seeds(one, seed))
    lanes, agents = len(rollout.lengths), env.agents or 1
    state, running = network.actor.initial_state(lanes), np.ones(lanes, bool)
    found = np.zeros((3, *rollout.acting.shape), np.float32)

    def sensed(tree: dict[str, np.ndarray]) -> dict[str, Tensor]:
        skip = 1 if env.agents is None else 2
        return {name: torch.from_numpy(array.reshape(lanes, *array.shape[skip:])) for name, array in tree.items()}

    for step, choice in enumerate(rollout.choices):
        done = network.policy.advance(network.policy.encode(sensed(obs)), state)
        state = done.state
        chances = torch.distributions.Categorical(logits=done.scores)
        found[0, step] = chances.log_prob(torch.from_numpy(choice)).numpy()
        found[1, step] = network.critic(done.features)[:, 0].numpy()
        actions = choice_to_scores(choice, env.choices or 0)
        obs, reward, terminated, truncated, infos = env.step(actions.reshape(env.action_space.shape))
        found[2, step] = np.where(running, reward.reshape(-1), 0.0)
        for lane in np.flatnonzero(np.repeat(truncated, agents) & running):
            last = {name: tensor for name, tensor in sensed(infos["final_obs"]).items()}
            features = network.policy.advance(network.policy.encode(last), state).features
            found[2, step, lane] += one._config.gamma * float(network.critic(features)[lane, 0])
        running &= ~np.repeat(terminated | truncated, agents)
        assert one._config.free is not None or (rollout.lengths[running] > step + 1).all()
    assert not running.any()
    return found[0], found[1], found[2]


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


def test_a_rollout_of_ballet_is_its_steps() -> None:
    """The same in Ballet with levels mixed, where pictures come again and again and are kept once."""
    one = learner(recipe=resolve("ballet", BALLET))
    rollout = played(one)
    assert one._sights.count < 0.4 * rollout.lengths.sum()
    log_prob, value, reward = step_by_step(one, rollout)
    act = rollout.acting
    np.testing.assert_allclose(rollout.log_probs[act], log_prob[act], atol=1e-5)
    # What is stored are differences between pictures that are nearly alike, which lose a digit.
    np.testing.assert_allclose(rollout.values[act], value[act], atol=3e-5)
    np.testing.assert_allclose(rollout.rewards, reward, atol=3e-5)
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


def test_tries_are_compared_with_each_other() -> None:
    """An advantage is the discounted return less the mean of the other tries', in units of the mean of all."""
    one = learner(RecallConfig(pairs=True), tries=4, baseline="tries", gamma=0.5)
    one.buffer.fill(played(one))
    buffer = one.buffer
    total = (buffer.rewards * buffer.valid * 0.5 ** np.arange(len(buffer.valid))[:, None]).sum(axis=0)
    for lane in range(24):
        every = range(lane // 8 * 8 + lane % 2, lane // 8 * 8 + 8, 2)
        others = [other for other in every if other != lane]
        assert len(others) == 3
        wanted = (total[lane] - total[others].mean()) / max(np.abs(total[every]).mean(), 0.25)
        np.testing.assert_allclose(buffer.advantages[:, lane], wanted, atol=1e-6)
    assert buffer.advantages.any()
    with pytest.raises(ConfigError, match=r"tries needs trainer\.tries of at least 2, got 1"):
        learner(baseline="tries")
    with pytest.raises(ConfigError, match=r"must divide trainer\.worlds 12, got 5"):
        learner(tries=5)


def test_bound_tries_hold_on_to_their_first_choice() -> None:
    """They act once, look no more, and have all that follows to their credit; the free ones are as without them."""
    settings = {"trainer.worlds": 12, "trainer.tries": 4, "trainer.free": 1, "trainer.noise": "episode"}
    one = learner(recipe=resolve("ballet", BALLET | settings | {"env.dancers": 4}))
    rollout = played(one)
    bound = np.arange(12) % 4 > 0
    acts = rollout.acting.sum(axis=0)
    assert (acts[bound] == 1).all() and (acts[~bound] > 1).all()
    first = rollout.acting.argmax(axis=0)
    assert (rollout.lengths[bound] == first[bound] + 1).all()
    for lane in np.flatnonzero(bound):
        assert len(set(rollout.choices[first[lane] :, lane].tolist())) == 1
    log_prob, value, _ = step_by_step(one, rollout)
    act = rollout.acting
    np.testing.assert_allclose(rollout.log_probs[act], log_prob[act], atol=1e-5)
    np.testing.assert_allclose(rollout.values[act], value[act], atol=1e-5)
    one.buffer.fill(rollout)
    assert one.buffer.rewards[0, bound].sum() == rollout.rewards[:, bound].sum() > 0
    assert len({len(part.lengths) for part in next(one.buffer.minibatches(12))}) <= 2
    rows = sum(len(part.lengths) for part in next(one.buffer.minibatches(12)))
    assert rows <= 6  # of twelve: a seed's bound tries have sensed the same


def test_each_choice_once_is_the_slope_of_the_expected_returns_logarithm() -> None:
    """Autograd through the logarithm says by how much each score should move; the advantages say the same."""
    told = {"trainer.tries": 9, "trainer.free": 1, "trainer.bound": "each", "trainer.baseline": "tries"}
    settings = told | {"trainer.worlds": 27, "trainer.noise": "episode", "trainer.gamma": 1.0, "env.dancers": 8}
    one = learner(recipe=resolve("ballet", BALLET | settings))
    one.player._network.policy.head.weight.data *= 20.0  # type: ignore[operator] # scores that differ
    one.buffer.fill(played(one))
    buffer, seeds = one.buffer, 3
    chosen = buffer.actions[0].reshape(seeds, 9)[:, 1:]
    assert (chosen == np.arange(8)).all()
    log_prob, paid = (array.reshape(seeds, 9)[:, 1:] for array in (buffer.log_probs[0], buffer.rewards[0]))
    np.testing.assert_allclose(np.exp(log_prob).sum(axis=1), 1.0, atol=1e-5)
    assert (paid.sum(axis=1) == 1).all() and np.ptp(np.exp(log_prob)) > 0.05
    scores = torch.from_numpy(log_prob.copy()).requires_grad_()
    (scores.softmax(dim=1) * torch.from_numpy(paid.copy())).sum(dim=1).log().sum().backward()
    moved = buffer.advantages[0].reshape(seeds, 9)[:, 1:] / 8
    got = moved - moved.sum(axis=1, keepdims=True) * np.exp(log_prob)
    np.testing.assert_allclose(got, scores.grad, atol=1e-5)
    assert one.episodes.finished == 3  # the free ones
    later = buffer.advantages[1:].reshape(-1, seeds, 9)
    assert (buffer.advantages[0].reshape(seeds, 9)[:, 0] == 0).all() and (later[:, :, 1:] == 0).all()
    expected = np.maximum((np.exp(log_prob) * paid).sum(axis=1), 1 / 8)
    for seed in range(seeds):  # what follows a first choice is as good as it ends better than holding on to it does
        free = buffer.rewards.sum(axis=0).reshape(seeds, 9)[seed, 0]
        held = paid[seed, buffer.actions[0].reshape(seeds, 9)[seed, 0]]
        np.testing.assert_allclose(later[:, seed, 0], (free - held) / expected[seed], atol=1e-5)
    for wrong, message in (
        ({"trainer.tries": 3}, r"bound: each needs .* the 8 choices together, got tries, 3 and 1"),
        ({"trainer.baseline": "critic"}, r"bound: each needs trainer\.baseline tries .* got critic, 9 and 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            learner(recipe=resolve("ballet", BALLET | settings | wrong))


def test_fewer_chunks_are_read_until_a_stage_is_over() -> None:
    """The stage of an iteration is that of its first step, also in a run that was resumed; other memories go on."""
    stages = ({"until": 1, "top_k": 1}, {"until": 10**6, "top_k": 3})
    recipe = resolve("ballet", BALLET | {"env.dancers": 2, "trainer.narrowed": stages, "policy.top_k": 2})
    one, again = learner(recipe=recipe), learner(recipe=recipe)
    rollouts = []
    for configured in (2, 1):
        one.network.policy.read_at_most(configured)
        rollouts.append(played(one).log_probs)
    assert not np.allclose(*rollouts)  # as many chunks as are read, so much does the policy know
    memory = one.network.actor.layers[0].parts["memory"]
    one.iterate()
    assert memory.top_k == 1
    again.load_state_dict(one.state_dict())
    for learned in (one, again):
        learned.iterate()
        assert learned.network.actor.layers[0].parts["memory"].top_k == 2  # at most what is configured
    learner(recipe=resolve("ballet", BALLET | {"trainer.narrowed": stages, "policy.memory": "lstm"})).iterate()
    with pytest.raises(ConfigError, match=r"narrowed: each stage must end later, got \[5, 5\]"):
        learner(recipe=resolve("ballet", BALLET | {"trainer.narrowed": ({"until": 5, "top_k": 1},) * 2}))


def test_who_does_not_look_changes_nothing() -> None:
    """Images of the worlds that look are those that they would see anyway."""
    recipe = resolve("ballet", BALLET)
    worlds = [recipe.make_env(6, training=True) for _ in range(2)]
    for env in worlds:
        env.reset(seed=1)
    look = np.array([True, False, False, True, False, True])
    worlds[0].look(look)
    actions = choice_to_scores(np.zeros(6, np.int64), 8)
    for _ in range(20):
        some, every = (env.step(actions)[0] for env in worlds)
        assert np.array_equal(some["image"][look], every["image"][look])
        assert np.array_equal(some["instruction"], every["instruction"])
    worlds[0].look(None)
    assert np.array_equal(*(env.step(actions)[0]["image"] for env in worlds))


def test_held_noise_goes_on_in_one_direction() -> None:
    """A beginner's choices, from scores that hardly differ, are all the same with held noise, and vary otherwise."""
    same = {}
    for noise in ("episode", "step"):
        one = learner(recipe=resolve("ballet", BALLET | {"trainer.noise": noise, "env.dancers": 1}))
        rollout = played(one)
        act = rollout.acting
        kinds = [len(set(rollout.choices[act[:, lane], lane].tolist())) for lane in range(6)]
        same[noise] = np.mean(kinds)
        log_prob, _, _ = step_by_step(one, rollout)
        np.testing.assert_allclose(rollout.log_probs[act], log_prob[act], atol=1e-5)
    assert same["episode"] < 1.5 < same["step"]


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
    with pytest.raises(ConfigError, match=r"^trainer.type: recurrent_ppo trains tasks with choices, and haltere/ToyM"):
        start_run(swarm, seed=0, path=tmp_path / "a")
    one = learner()
    actor = build_policy(SwarmConfig(width=10), Signature({"self": (19,), "neighbour": (2, 6), "obstacle": (9,)}, 4), 0)
    with pytest.raises(ConfigError, match=r"over sequences, got SwarmPolicy without encode, advance, remember, fitted"):
        Learner(one._env, actor, one._config, Streams.spawn(0))
    assert not (tmp_path / "a").exists()
