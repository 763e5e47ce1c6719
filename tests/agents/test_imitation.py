"""Learning from demonstrations: which moments it sees, what it keeps of them, and that it goes on bit for bit."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from haltere.agents.imitation.average import Average
from haltere.agents.imitation.config import ImitationConfig
from haltere.agents.imitation.demonstrations import Demonstrations, Moments, fit
from haltere.agents.imitation.learner import Learner, Streams
from haltere.configs.errors import HaltereError, IntegrityError
from haltere.policies.base import Chunking, Policy, Signature
from haltere.policies.chunking.base import ChunkPolicy
from haltere.policies.diffusion.config import DiffusionConfig
from haltere.policies.registry import build_policy
from haltere.policies.regression.config import RegressionConfig

SIGNATURE = Signature({"state": (2,)}, 1)


def demonstrations(lengths: list[int], seed: int = 0) -> Demonstrations:
    """Frame t of episode e senses (100 e + t, noise) and commands the cosine of the former."""
    number = np.concatenate([100.0 * e + np.arange(length) for e, length in enumerate(lengths)])
    noise = np.random.default_rng(seed).standard_normal(len(number))
    state, action = np.stack([number, noise], axis=1), np.cos(number)[:, None]
    stop = np.cumsum(lengths)
    start = stop - np.array(lengths)
    return Demonstrations({"state": state.astype(np.float32)}, action.astype(np.float32), start, stop)


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.integers(1, 4),
    st.integers(1, 6),
    st.data(),
)
def test_moments_are_windows_of_one_episode(lengths: list[int], observed: int, horizon: int, data: Any) -> None:  # noqa: ANN401
    """Steps before the first are the first again, commands after the last the last again; never another episode's."""
    moments, none = demonstrations(lengths).split(0.0)
    assert (len(moments), len(none)) == (sum(lengths), 0)
    which = data.draw(st.integers(0, len(moments) - 1))
    episode = next(e for e in range(len(lengths)) if which < sum(lengths[: e + 1]))
    now, last = which - sum(lengths[:episode]), lengths[episode] - 1
    obs, chunk = moments.take(np.array([which]), Chunking(observed, horizon, 1))
    seen = [100.0 * episode + max(0, now - back) for back in reversed(range(observed))]
    assert obs["state"][0, :, 0].tolist() == seen
    planned = [math.cos(100.0 * episode + min(last, now + ahead)) for ahead in range(horizon)]
    np.testing.assert_allclose(chunk[0, :, 0], planned, atol=1e-5)


def test_the_last_episodes_are_held_out() -> None:
    """Whole ones, so that nothing of them is learned from; an only episode is learned from."""
    learned, judged = demonstrations([5, 5, 5, 5]).split(0.25)
    assert learned.frames().tolist() == list(range(15))
    assert judged.frames().tolist() == list(range(15, 20))
    assert len(demonstrations([5]).split(0.9)[0]) == 5


def test_images_are_shares_of_full_light() -> None:
    """They are kept as bytes, and given as the task gives them."""
    image = np.full((3, 3, 2, 2), 51, np.uint8)
    whole = Demonstrations({"image": image}, np.zeros((3, 1), np.float32), np.array([0]), np.array([3]))
    obs, _ = whole.split(0.0)[0].take(np.array([1, 2]), Chunking(2, 1, 1))
    assert obs["image"].shape == (2, 2, 3, 2, 2)
    np.testing.assert_allclose(obs["image"], 0.2)


def test_units_are_those_of_what_is_learned_from() -> None:
    """Mean 0 and standard deviation 1; commands from -1 to 1; what doesn't vary is left alone; and all of it back."""
    made = demonstrations([40, 30, 30])
    made.obs["state"][:, 1] = 7.0
    policy = build_policy(RegressionConfig(), SIGNATURE, seed=0)
    assert isinstance(policy, ChunkPolicy)
    fit(policy.normaliser, made, np.arange(70))
    state = policy.normaliser.obs({"state": torch.from_numpy(made.obs["state"][:70])})["state"].numpy()
    np.testing.assert_allclose(state.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(state.std(axis=0), [1.0, 0.0], atol=1e-4)
    action = torch.from_numpy(made.action[:70])
    chunk = policy.normaliser.chunk(action)
    np.testing.assert_allclose([chunk.min(), chunk.max()], [-1.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(policy.normaliser.command(chunk), action, atol=1e-6)


def test_units_of_a_command_that_is_always_the_same() -> None:
    """It comes out again, whatever else the network makes of it within [-1, 1]."""
    policy = build_policy(RegressionConfig(), SIGNATURE, seed=0)
    assert isinstance(policy, ChunkPolicy)
    normaliser = policy.normaliser
    normaliser.fit({}, torch.tensor([0.3]), torch.tensor([0.3]))
    np.testing.assert_allclose(normaliser.command(normaliser.chunk(torch.tensor([0.3]))), [0.3], atol=1e-6)


def test_the_average_is_that_of_the_published_code() -> None:
    """Kept share 1 - (1 + n)^-power after n updates, at most ``most``: computed anew from all weights there were."""
    policy = build_policy(RegressionConfig(width=4, layers=1), SIGNATURE, seed=0)
    assert isinstance(policy, ChunkPolicy)
    average, generator = Average(policy, 0.75, 0.5), torch.Generator().manual_seed(0)
    wanted = [weight.detach().clone().double() for weight in policy.parameters()]
    for n in range(1, 20):
        with torch.no_grad():
            for weight in policy.parameters():
                weight += torch.randn(weight.shape, generator=generator)
        average.update(policy)
        kept = min(0.5, 1.0 - (1.0 + n) ** -0.75)
        new = [weight.detach() for weight in policy.parameters()]
        wanted = [kept * old + (1.0 - kept) * one for old, one in zip(wanted, new, strict=True)]
    for mine, right in zip(average.policy.parameters(), wanted, strict=True):
        np.testing.assert_allclose(mine, right, rtol=1e-5, atol=1e-6)


def learner(total: int = 60, seed: int = 0, **settings: Any) -> Learner:  # noqa: ANN401
    """A small one."""
    config = ImitationConfig(**{"total_steps": total, "iteration": 10, "warm_up": 5, "batch_size": 16, **settings})
    policy = build_policy(DiffusionConfig(width=8, heads=2, layers=1, horizon=4, executed=2), SIGNATURE, seed=seed)
    assert isinstance(policy, ChunkPolicy)
    return Learner(policy, demonstrations([30] * 10), config, Streams.spawn(seed), lambda policy: {"success": 0.5})


def test_updates_are_those_of_a_loop_written_out() -> None:
    """Units, clipping, AdamW, its rates and the average, against plain torch; rollouts and judging see the average."""
    config = ImitationConfig(
        **{"total_steps": 20, "iteration": 10, "warm_up": 5, "batch_size": 16, "rollout_every": 20, "held_out": 0.2},
        **{"learning_rate": 0.03, "weight_decay": 0.3, "beta1": 0.6, "beta2": 0.8, "max_grad_norm": 0.05},
    )
    made, tried = demonstrations([30] * 10), []
    kind, streams = RegressionConfig(observed=1, horizon=4, executed=2, width=8), Streams.spawn(0)
    policies = [build_policy(kind, SIGNATURE, seed=0) for _ in range(2)]
    policy, plain = (each for each in policies if isinstance(each, ChunkPolicy))

    def rollout(flown: Policy[Any]) -> dict[str, float]:
        tried.append([weight.clone() for weight in flown.parameters()])
        return {}

    one = Learner(policy, made, config, streams, rollout)
    last = [one.iterate() for _ in range(2)][-1]

    learned = Moments(made, slice(0, 8))
    judged = Moments(made, slice(8, None))
    fit(plain.normaliser, made, learned.frames())
    optimizer = torch.optim.AdamW(plain.parameters(), betas=(0.6, 0.8), weight_decay=0.3)
    average = [weight.detach().clone() for weight in plain.parameters()]
    order, clipped = np.random.default_rng(streams.order), 0
    for update in range(20):
        obs, chunk = learned.take(order.integers(len(learned), size=16), plain.chunking)
        cosine = 0.5 * (1.0 + math.cos(math.pi * max(update - 5, 0) / 15))
        optimizer.param_groups[0]["lr"] = 0.03 * min(1.0, (update + 1) / 6) * cosine
        optimizer.zero_grad()
        (plain.normaliser.chunk(chunk) - plain.estimate(plain.sensed(obs))).square().mean().backward()  # type: ignore[no-untyped-call]
        norm = math.sqrt(sum(float(weight.grad.square().sum()) for weight in plain.parameters()))
        clipped += norm > 0.05
        for weight in plain.parameters():
            weight.grad *= min(1.0, 0.05 / norm)
        optimizer.step()
        kept = min(config.average_most, 1.0 - (2.0 + update) ** -config.average_power)
        for old, weight in zip(average, plain.parameters(), strict=True):
            old.mul_(kept).add_(weight.detach(), alpha=1.0 - kept)
    assert clipped == 20
    for part, wanted in ((policy.parameters(), plain.parameters()), (tried[0], average)):
        for mine, right in zip(part, wanted, strict=True):
            np.testing.assert_allclose(mine.detach(), right.detach(), rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        for weight, averaged in zip(plain.parameters(), average, strict=True):
            weight.copy_(averaged)
        obs, chunk = judged.take(np.arange(len(judged)), plain.chunking)
        loss = (plain.normaliser.chunk(chunk) - plain.estimate(plain.sensed(obs))).square().mean()
    assert last["held_out/loss"] == pytest.approx(float(loss), rel=1e-4)


def test_it_goes_on_bit_for_bit() -> None:
    """Three iterations, a new learner from the state, three more: every array as without the stop."""
    whole, first, second = learner(), learner(), learner()
    rows = [whole.iterate() for _ in range(6)]
    for _ in range(3):
        first.iterate()
    second.load_state_dict(first.state_dict())
    again = [second.iterate() for _ in range(3)]
    assert again == rows[3:]
    mine, theirs = whole.state_dict(), second.state_dict()
    assert mine.values == theirs.values
    for part in ("policy", "arrays"):
        one, other = getattr(mine, part), getattr(theirs, part)
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    assert any(not np.array_equal(mine.policy[name], mine.arrays[f"raw.{name}"]) for name in mine.policy)


def test_a_damaged_state_is_refused() -> None:
    """By name."""
    one = learner()
    one.iterate()
    state = one.state_dict()
    del state.arrays["noise_generator"]
    with pytest.raises(IntegrityError, match="noise_generator"):
        learner().load_state_dict(state)


def test_other_demonstrations_are_refused() -> None:
    """A run goes on with those that it began with: one command among 300 differs here."""
    one, other = learner(), learner()
    one.iterate()
    made = demonstrations([30] * 10)
    made.action[17] += 0.01
    policy = build_policy(DiffusionConfig(width=8, heads=2, layers=1, horizon=4, executed=2), SIGNATURE, seed=0)
    assert isinstance(policy, ChunkPolicy)
    changed = Learner(policy, made, ImitationConfig(), Streams.spawn(0), lambda policy: {})
    with pytest.raises(IntegrityError, match="aren't those that the run began with"):
        changed.load_state_dict(one.state_dict())
    with pytest.raises(IntegrityError, match="other episodes were held out"):
        learner(held_out=0.2).load_state_dict(one.state_dict())
    other.load_state_dict(one.state_dict())


def test_step_sizes_rise_and_fall() -> None:
    """From nothing in ``warm_up`` updates, then a half cosine to nothing at the end."""
    one = learner(total=100, iteration=1, warm_up=10, learning_rate=1.0, rollout_every=0)
    rates = [one.iterate()["train/learning_rate"] for _ in range(100)]
    assert rates[:9] == pytest.approx([(n + 1) / 11 for n in range(1, 10)])
    assert max(rates) == pytest.approx(1.0, abs=0.1)
    assert rates[54] == pytest.approx(0.5, abs=0.01)
    assert (np.diff(rates[11:]) < 0).all()
    assert rates[-1] == pytest.approx(0.0, abs=1e-6)


def test_rollouts_come_when_they_are_due_and_at_the_end() -> None:
    """And nowhere else."""
    one = learner(total=50, rollout_every=20)
    rows = [one.iterate() for _ in range(5)]
    assert ["episode/success" in row for row in rows] == [False, True, False, True, True]


def test_held_out_episodes_are_judged_alike_every_time() -> None:
    """The same moments and the same noise: a policy that hardly changes has the same loss, to the digit."""
    one = learner(learning_rate=1e-12, held_out=0.2, rollout_every=0)
    rows = [one.iterate() for _ in range(3)]
    assert len({round(row["held_out/loss"], 6) for row in rows}) == 1
    assert len({round(row["train/loss"], 6) for row in rows}) == 3
    assert "held_out/loss" not in learner(held_out=0.0).iterate()


def test_a_run_that_diverges_says_so() -> None:
    """With the update, and without keeping anything of it."""
    one = learner(learning_rate=1e30, max_grad_norm=1e30)
    with pytest.raises(HaltereError, match="training diverged at update"):
        for _ in range(6):
            one.iterate()


def test_a_mean_is_learned_where_two_ways_were_shown() -> None:
    """Regression gives the middle, diffusion either: the fork in one number."""
    ways = np.where(np.random.default_rng(3).random(400) < 0.5, -0.8, 0.8).astype(np.float32)
    state, at = np.zeros((400, 2), np.float32), np.arange(400)
    whole = Demonstrations({"state": state}, ways[:, None], at, at + 1)
    config = ImitationConfig(total_steps=1500, iteration=1500, batch_size=64, learning_rate=3e-3)
    kept: dict[str, Policy[Any]] = {}
    single = {"horizon": 1, "executed": 1}
    for settings in (RegressionConfig(**single), DiffusionConfig(width=16, layers=1, **single)):
        policy = build_policy(settings, SIGNATURE, seed=0)
        assert isinstance(policy, ChunkPolicy)
        one = Learner(policy, whole, config, Streams.spawn(0), lambda policy: {})
        one.iterate()
        policy.load_state_dict({name: torch.from_numpy(array) for name, array in one.state_dict().policy.items()})
        kept[settings.type] = policy.eval()
    obs = kept["diffusion"].random_obs(200, torch.Generator().manual_seed(0)) | {"state": torch.zeros(200, 2, 2)}
    with torch.no_grad():
        mean = kept["regression"]({"state": obs["state"]}, {})[0]["action"]
        state_ = kept["diffusion"].initial_state(200)
        for _ in range(10):
            out, state_ = kept["diffusion"](obs, state_)
    assert mean.abs().max() < 0.15
    near = (out["action"].abs() - 0.8).abs() < 0.15
    assert near.float().mean() > 0.9
    assert 0.25 < (out["action"] > 0).float().mean() < 0.75
