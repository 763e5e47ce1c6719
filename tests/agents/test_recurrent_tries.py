"""Tries of one seed: compared with each other, bound to a choice, told one each; what is read and seen meanwhile."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from haltere.agents.recipe import resolve
from haltere.agents.recurrent_ppo.buffer import EpisodeBuffer, Played
from haltere.configs.errors import ConfigError
from haltere.sims.lanes import choice_to_scores
from tests.recall import RecallConfig

from .learners import BALLET, learner, played, step_by_step


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
    for wrong, message in (
        ({"trainer.tries": 3}, r"bound: each needs .* the 8 choices together, got tries, 3 and 1"),
        ({"trainer.baseline": "critic"}, r"bound: each needs trainer\.baseline tries .* got critic, 9 and 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            learner(recipe=resolve("ballet", BALLET | settings | wrong))


def free_and_told(seeds: int, free: int, agents: int) -> tuple[Played, np.ndarray]:
    """Free tries and eight that were told a choice each, of each seed, by hand; how probable each told one was.

    Who was told acts at the second step alone. Who is free acts at three steps of five, and is paid for the first of
    these and behind the last; the returns of all are different. The first seed's are small, the second's tiny.
    """
    draws, tries = np.random.default_rng(1), free + 8
    shape = (5, seeds, tries, agents)
    acting, choices = np.zeros(shape, bool), draws.integers(0, 8, shape)
    acting[1] = acting[2:4, :, :free] = True
    choices[:, :, free:] = np.arange(8)[:, None]
    chance = draws.dirichlet(np.ones(8), (seeds, agents)).swapaxes(1, 2)
    log_probs = np.log(draws.random(shape))
    log_probs[1, :, free:] = np.log(chance)
    rewards = np.zeros(shape)
    rewards[1] = draws.random(shape[1:])
    rewards[4, :, :free] = draws.random((seeds, free, agents))
    rewards[:, 0] *= 0.05
    rewards[:, 1] *= 0.01
    lengths = np.where(np.arange(tries) < free, 5, 2)[None, :, None] + np.zeros(shape[1:], np.int64)
    values = draws.random(shape)
    flat = (array.reshape(5, -1) for array in (acting, choices, log_probs, values, rewards))
    acts, chosen, *floats = flat
    numbers = np.zeros(acts.shape, np.int64)
    return Played(numbers, acts, chosen, *(f.astype(np.float32) for f in floats), lengths.reshape(-1)), chance


@pytest.mark.parametrize("agents", [1, 2])
@pytest.mark.parametrize("free", [1, 3])
def test_what_follows_a_first_choice_is_measured_by_holding_on_to_it(free: int, agents: int) -> None:
    """A free try's later advantage is how much more it got than who was told its first choice, seed by seed.

    It counts in units of what was expected, or of an eighth; first choices are judged by those who were told them.
    """
    seeds, tries = 4, free + 8
    rollout, chance = free_and_told(seeds, free, agents)
    buffer = EpisodeBuffer(
        *(1, spaces.Box(0, 1, (1,)), spaces.Discrete(8)),
        generator=np.random.default_rng(0),
        tries=tries,
        agents=agents,
        compare=True,
        free=free,
        gamma=1.0,
        n_envs=seeds * tries * agents,
        device="cpu",
    )
    buffer.fill(rollout)
    paid = rollout.rewards.sum(axis=0).reshape(seeds, tries, agents)
    first = rollout.choices[1].reshape(paid.shape)
    got = buffer.advantages.reshape(3, *paid.shape)
    units = set()
    for seed, agent in np.ndindex(seeds, agents):
        told = paid[seed, free:, agent]
        expected = sum(chance[seed, choice, agent] * told[choice] for choice in range(8))
        units |= {(expected < 0.02, expected < 1 / 8)}
        for choice in range(8):
            wanted = 8 * chance[seed, choice, agent] * (told[choice] - expected) / max(expected, 0.02)
            np.testing.assert_allclose(got[:, seed, free + choice, agent], [wanted, 0, 0], rtol=1e-4, atol=1e-6)
        for one in range(free):
            more = paid[seed, one, agent] - told[first[seed, one, agent]]
            assert more != 0
            wanted = more / max(expected, 1 / 8)
            np.testing.assert_allclose(got[:, seed, one, agent], [0, wanted, wanted], rtol=1e-4, atol=1e-6)
    assert units == {(True, True), (False, True), (False, False)}


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


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"trainer.free": 4}, r"trainer\.free: must be at most trainer\.tries 3, got 4"),
        ({"trainer.gamma": 0.9}, r"trainer\.gamma: must be 1 where tries hold on .*\(trainer\.free 1 of 3\), got 0\.9"),
    ],
)
def test_tries_that_hold_on_need_settings_that_go_together(wrong: dict[str, object], message: str) -> None:
    """What is held on to has all that follows to its credit at once: discounts would set it against others unfairly."""
    held = {"trainer.tries": 3, "trainer.free": 1, "trainer.gamma": 1.0}
    learner(recipe=resolve("ballet", BALLET | held))
    with pytest.raises(ConfigError, match=message):
        learner(recipe=resolve("ballet", BALLET | held | wrong))


def test_who_acts_at_once_has_a_part_of_its_own() -> None:
    """Without a stem there is nothing to be asked about: such tries are kept apart from those that watch first."""
    one = learner(recipe=resolve("ballet", BALLET | {"trainer.tries": 3, "trainer.reconstruction": 0.1}))
    rollout = played(one)
    rollout.acting[0, :3] = True  # as if the first seed's tries were asked in their first step
    one.buffer.fill(rollout)
    parts = [part for some in one.buffer.minibatches(6) for part in some]
    assert sorted(part.stem is None for part in parts) == [False, True]
    one.model._update(parts)
