"""Energies against a plain reading in numpy, slopes against finite differences, and where steps down them lead."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, grad

from haltere.agents.imitation.config import ImitationConfig
from haltere.agents.imitation.demonstrations import Demonstrations
from haltere.agents.imitation.learner import Learner, Streams
from haltere.configs.errors import ConfigError, RequestError
from haltere.policies.base import Signature
from haltere.policies.ebt.config import EbtConfig
from haltere.policies.ebt.energy import Energy
from haltere.policies.ebt.model import EbtPolicy
from haltere.policies.ebt.slope import Slope
from haltere.policies.registry import build_policy, check_effect

SIGNATURE = Signature({"state": (5,), "goal": (1,)}, 2)
SMALL: dict[str, Any] = {"width": 8, "heads": 2, "layers": 2, "horizon": 3, "executed": 2}
Arrays = dict[str, NDArray[np.float64]]


def policy(signature: Signature = SIGNATURE, **settings: Any) -> EbtPolicy:  # noqa: ANN401
    """A small one in float64, with gains that aren't one."""
    built = build_policy(EbtConfig(**{**SMALL, **settings}), signature, seed=3)
    assert isinstance(built, EbtPolicy)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for weight in built.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    return built.double().eval()


def drawn(*shape: int, seed: int = 5) -> Tensor:
    """Standard normal, float64."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sensed(lanes: int, mine: EbtPolicy) -> dict[str, Tensor]:
    """Something to see."""
    observed = mine.config.observed
    return {name: drawn(lanes, observed, *shape) for name, shape in mine.signature.obs.items()}


def energy_in_numpy(weights: Arrays, chunk: NDArray[np.float64], tokens: NDArray[np.float64], heads: int) -> float:
    """The energy of one lane, (horizon, action) and (observed, width), one command and one head at a time; alpha 3."""

    def norm(x: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        return x / np.sqrt(np.mean(x * x) + 1e-6) * weights[f"{name}.gain"]

    x = np.stack([weights["into.weight"] @ command for command in chunk]) + weights["places"]
    width = x.shape[1]
    size = width // heads
    for layer in range(sum(name.endswith("up.weight") for name in weights)):
        block = f"blocks.{layer}"
        into, seen = weights[f"{block}.attention.into.weight"], weights[f"{block}.attention.sensed.weight"]
        own = np.stack([into @ norm(row, f"{block}.norms.0") for row in x])
        others = np.stack([seen @ token for token in tokens])
        mixed = np.zeros_like(x)
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            keys = np.concatenate([others[:, :width][:, part], own[:, width : 2 * width][:, part]])
            values = np.concatenate([others[:, width:][:, part], own[:, 2 * width :][:, part]])
            keys = np.stack([norm(key, f"{block}.attention.key_norm") for key in keys])
            for place, row in enumerate(own[:, :width][:, part]):
                score = keys @ norm(row, f"{block}.attention.query_norm") / np.sqrt(size)
                share = np.exp(score) / np.exp(score).sum()
                mixed[place, part] = share @ values
        x = x + mixed @ weights[f"{block}.attention.out.weight"].T
        for place, row in enumerate(x.copy()):
            inner = weights[f"{block}.up.weight"] @ norm(row, f"{block}.norms.1")
            x[place] += weights[f"{block}.down.weight"] @ (inner / (1.0 + np.exp(-inner)))
    return float(sum(weights["out.weight"][0] @ norm(row, "norm") for row in x) + np.sum(chunk**2) / 6.0)


def test_energy_and_slope_are_what_numpy_makes_of_the_weights() -> None:
    """The number itself, and its central differences for every component of every command."""
    mine = policy()
    chunk, tokens = drawn(2, 3, 2), mine.tokens(sensed(2, mine)).detach()
    with torch.no_grad():
        slope, energy = mine.slope(chunk, tokens)
    weights = {name: weight.detach().numpy() for name, weight in mine.slope.energy.named_parameters()}
    for lane in range(2):
        at, seen = chunk[lane].numpy(), tokens[lane].numpy()
        assert energy[lane] == pytest.approx(energy_in_numpy(weights, at, seen, 2), abs=1e-12)
        for place in np.ndindex(3, 2):
            step = np.zeros((3, 2))
            step[place] = 1e-5
            ends = [energy_in_numpy(weights, at + side * step, seen, 2) for side in (1.0, -1.0)]
            assert slope[lane][place] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-8)


def test_the_slope_is_autograds_in_every_mode() -> None:
    """With gradients tracked or not, in inference mode, and written out for an export, for any number of lanes."""
    mine = policy()
    written = policy().float().exportable()
    assert isinstance(written, EbtPolicy)
    for lanes in (1, 3, 17):
        chunk, tokens = drawn(lanes, 3, 2).requires_grad_(), mine.tokens(sensed(lanes, mine)).detach()
        (wanted,) = torch.autograd.grad(mine.slope.energy(chunk, tokens).sum(), chunk)
        for mode in (torch.enable_grad, torch.no_grad, torch.inference_mode):
            with mode():
                single, _ = written.slope(chunk.detach().float(), tokens.float())
                again, _ = mine.slope(chunk.detach(), tokens)
            np.testing.assert_allclose(again.detach(), wanted, atol=1e-12)
            np.testing.assert_allclose(single.detach(), wanted, atol=1e-5)


@pytest.mark.parametrize("start", ["between", "noise"])
def test_what_the_loss_teaches_is_its_finite_difference(start: str) -> None:
    """Through the energy's gradient, in float64: along random directions of all weights."""
    mine = policy(start=start, inner_steps=1, jitter=1.5)
    obs, chunk = sensed(4, mine), drawn(4, 3, 2, seed=6).clamp(-1.0, 1.0)

    def loss() -> Tensor:
        return mine.loss(obs, chunk, torch.Generator().manual_seed(7))["loss"]

    weights = list(mine.parameters())
    slopes = torch.autograd.grad(loss(), weights)
    for seed in range(3):
        directions = [drawn(*weight.shape, seed=100 * seed + number) for number, weight in enumerate(weights)]
        wanted = sum(float((slope * way).sum()) for slope, way in zip(slopes, directions, strict=True))
        ends = []
        for side in (1e-6, -2e-6):
            with torch.no_grad():
                for weight, way in zip(weights, directions, strict=True):
                    weight += side * way
            ends.append(float(loss().detach()))
        with torch.no_grad():
            for weight, way in zip(weights, directions, strict=True):
                weight += 1e-6 * way
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(wanted, rel=1e-5, abs=1e-7)


def test_each_inner_step_learns_for_itself() -> None:
    """Two steps teach the mean of what each of them teaches alone, from where the first one led."""
    mine = policy(start="noise", inner_steps=2, langevin=0.0)
    obs, chunk = sensed(4, mine), drawn(4, 3, 2, seed=6).clamp(-1.0, 1.0)
    losses = mine.loss(obs, chunk, torch.Generator().manual_seed(7))
    losses["loss"].backward()  # type: ignore[no-untyped-call]
    energy = mine.slope.energy
    weights = {name: weight.detach() for name, weight in energy.named_parameters()}
    tokens = mine.tokens(obs).detach()

    def stepped(weights: dict[str, Tensor], at: Tensor) -> Tensor:
        return at - 3.0 * grad(lambda at: functional_call(energy, weights, (at, tokens)).sum())(at)

    def error(weights: dict[str, Tensor], at: Tensor) -> Tensor:
        return (stepped(weights, at) - chunk).square().mean()

    first = torch.randn(chunk.shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    second = stepped(weights, first).detach()
    parts = [grad(error)(weights, at) for at in (first, second)]
    for name, weight in energy.named_parameters():
        assert weight.grad is not None
        np.testing.assert_allclose(weight.grad, 0.5 * (parts[0][name] + parts[1][name]), atol=1e-10)
    errors = [float(error(weights, at)) for at in (first, second)]
    np.testing.assert_allclose([losses["first"], losses["last"]], errors, rtol=1e-10)
    assert float(losses["loss"].detach()) == pytest.approx(np.mean(errors))


class Bowl(nn.Module):
    """Half of ``steepness`` times the squared distance from 0.3."""

    def __init__(self, steepness: float) -> None:
        """No weights."""
        super().__init__()
        self.steepness = steepness

    def forward(self, chunk: Tensor, sensed: Tensor) -> Tensor:
        """(B,)."""
        return 0.5 * self.steepness * (chunk - 0.3).square().sum((1, 2))


def refined(mine: EbtPolicy, lanes: int, seed: int = 8) -> tuple[Tensor, list[dict[str, Tensor]]]:
    """Noise, and what each refinement of it shows, with the chunk in normalised units as ``at``."""
    obs, state = mine.random_obs(lanes, torch.Generator().manual_seed(seed)), mine.initial_state(lanes)
    shown = []
    with torch.no_grad():
        for _ in range(mine.config.refinements):
            output, state = mine(obs, state)
            shown.append({**output, "at": state["chunk"]})
    return obs["noise"][:, 0], shown


@pytest.mark.parametrize("steepness", [0.05, 0.3, 0.6])
def test_steps_down_a_bowl_reach_its_bottom(steepness: float) -> None:
    """What is left of the way shrinks by the same factor with every step, 1 - alpha x steepness."""
    mine = policy(start="noise", refinements=12, alpha=3.0).float()
    mine.slope = Slope(Bowl(steepness))
    noise, shown = refined(mine, 4)
    for count, made in enumerate(shown, start=1):
        left = (1.0 - 3.0 * steepness) ** count
        np.testing.assert_allclose(made["at"] - 0.3, left * (noise - 0.3), atol=1e-5)
        before = (left / (1.0 - 3.0 * steepness)) * (noise - 0.3)
        high = 0.5 * steepness * before.square().sum((1, 2))
        np.testing.assert_allclose(made["energy"][:, 0], high, rtol=1e-4, atol=1e-5)
        steep = steepness * before.square().mean((1, 2)).sqrt()
        np.testing.assert_allclose(made["gradient"][:, 0], steep, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("pace", [1.0, 2.0, 3.5])
@pytest.mark.parametrize("refinements", [2, 3, 10])
def test_any_number_of_steps_reaches_the_bottom_in_time(refinements: int, pace: float) -> None:
    """Where a whole step would lead there at once: each refinement goes the same part of the way, the last one too."""
    mine = policy(start="between", refinements=refinements, alpha=2.0, pace=pace).float()
    mine.slope = Slope(Bowl(0.5))
    noise, shown = refined(mine, 4)
    for count, made in enumerate(shown, start=1):
        np.testing.assert_allclose(made["at"] - 0.3, (1.0 - count / refinements) ** pace * (noise - 0.3), atol=1e-5)


def test_lengths_of_steps_are_drawn_within_the_jitter() -> None:
    """As often shortened as lengthened, by up to that factor; the draws are the generator's."""
    mine = policy(jitter=2.0, alpha=3.0)
    alpha = mine._alpha(drawn(4000, 3, 2), torch.Generator().manual_seed(1))
    assert alpha.shape == (4000, 1, 1)
    assert 1.5 <= alpha.min() < 1.51 and 5.9 < alpha.max() <= 6.0
    assert float((alpha < 3.0).double().mean()) == pytest.approx(0.5, abs=0.03)
    assert (policy()._alpha(drawn(3, 3, 2), torch.Generator()) == 3.0).all()


@pytest.mark.parametrize("near", [1.0, 4.0])
def test_training_begins_as_near_the_demonstration_as_was_asked_for(near: float) -> None:
    """The share of noise is an even number to that power: a quantile q of it lies at q^near."""
    mine, lanes = policy(near=near, start="between"), 4000
    begun: list[Tensor] = []
    mine.slope.energy.register_forward_pre_hook(lambda _, given: begun.append(given[0].detach()))
    clean = torch.full((lanes, 3, 2), 0.25, dtype=torch.float64)
    mine.loss(sensed(lanes, mine), clean, torch.Generator().manual_seed(1))
    apart = begun[0] - mine.normaliser.chunk(clean)
    # Six standard normal numbers a lane, times its share: the mean of their squares gives away the shares' mean square.
    assert float(apart.square().mean()) == pytest.approx(1.0 / (2.0 * near + 1.0), rel=0.08)
    quantiles = torch.quantile(apart.abs().amax(dim=(1, 2)), torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))
    greatest = drawn(lanes, 6).abs().amax(dim=1) * torch.linspace(0.0, 1.0, lanes, dtype=torch.float64) ** near
    wanted = torch.quantile(greatest, torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))
    np.testing.assert_allclose(quantiles, wanted, rtol=0.15)


def test_more_inner_steps_are_taken_now_and_then() -> None:
    """From ``inner_steps`` on, each number as often as the others: each step calls the energy once."""
    mine = policy(inner_steps=2, inner_steps_extra=2)
    calls = []
    mine.slope.energy.register_forward_hook(lambda *_: calls.append(1))
    counts, generator = [], torch.Generator().manual_seed(0)
    for _ in range(60):
        calls.clear()
        mine.loss(sensed(1, mine), drawn(1, 3, 2), generator)
        counts.append(len(calls))
    assert {number for number in range(7) if counts.count(number) > 10} == {2, 3, 4}
    assert set(counts) == {2, 3, 4}


def learned(updates: int, **settings: Any) -> EbtPolicy:  # noqa: ANN401
    """What comes of 400 demonstrations of two commands that are -0.8 or 0.8 in all of it, whatever is sensed."""
    ways = np.where(np.random.default_rng(3).random(400) < 0.5, -0.8, 0.8).astype(np.float32)
    state, at = np.zeros((400, 2), np.float32), np.arange(400)
    whole = Demonstrations({"state": state}, np.repeat(ways[:, None], 8, axis=1), at, at + 1)
    config = EbtConfig(width=16, layers=1, horizon=2, executed=1, refinements=10, **settings)
    made = build_policy(config, Signature({"state": (2,)}, 8), seed=0)
    assert isinstance(made, EbtPolicy)
    rates = {"learning_rate": 1e-2, "warm_up": 20}
    trainer = ImitationConfig(total_steps=updates, iteration=updates, batch_size=64, **rates)  # type: ignore[arg-type]
    one = Learner(made, whole, trainer, Streams.spawn(0), lambda policy: {})
    one.iterate()
    made.load_state_dict({name: torch.from_numpy(array) for name, array in one.state_dict().policy.items()})
    return made.eval()


def test_either_of_two_ways_is_learned_and_not_their_mean() -> None:
    """Where training begins between noise and the demonstration; and the energy goes down on the way to it."""
    _, shown = refined(learned(400), 200)
    action = shown[-1]["action"]
    assert ((action.abs() - 0.8).abs() < 0.15).float().mean() > 0.9
    assert 0.25 < (action > 0).float().mean() < 0.75
    assert (action.sign().sum(dim=1).abs() == 8.0).float().mean() > 0.9
    energies = torch.stack([made["energy"][:, 0] for made in shown])
    assert (energies.diff(dim=0).mean(dim=1) < 0.0).all()
    assert (energies[-1] < energies[0]).float().mean() > 0.9


def test_their_mean_is_learned_from_noise_alone() -> None:
    """As published: noise knows nothing of the demonstration, so the least error is that of the mean."""
    _, shown = refined(learned(200, start="noise", inner_steps=2), 200)
    assert shown[-1]["action"].abs().max() < 0.4


def test_settings_that_contradict_each_other_are_refused() -> None:
    """With both of them named."""
    with pytest.raises(ConfigError, match=r"policy\.width: must be a multiple of policy\.heads 4, got 18"):
        build_policy(EbtConfig(width=18), SIGNATURE, seed=0)


@pytest.mark.parametrize(
    ("settings", "training", "name", "says"),
    [
        ({"refinements": 1}, False, "settled", "there is one alone"),
        ({"refinements": 1}, False, "pace", "there is one alone"),
        ({"start": "noise"}, False, "pace", "every refinement goes all of it"),
        ({"start": "noise"}, True, "near", "it never does"),
        ({}, False, "near", "matters in training alone"),
        ({"inner_steps": 1}, True, "langevin", "there is one alone"),
        ({}, False, "jitter", "matters in training alone"),
        ({}, False, "inner_steps", "matters in training alone"),
    ],
)
def test_what_would_do_nothing_is_refused(settings: dict[str, Any], training: bool, name: str, says: str) -> None:
    """Where it is typed."""
    with pytest.raises(RequestError, match=says):
        check_effect(EbtConfig(**settings), [name], training=training)


def test_the_energy_knows_the_order_of_commands() -> None:
    """And its commands' neighbours: turned round, a chunk has another one."""
    torch.manual_seed(0)
    energy, chunk, tokens = Energy(2, 3, 8, 1, 2, bowl=0.3), torch.randn(4, 3, 2), torch.randn(4, 2, 8)
    with torch.no_grad():
        assert ((energy(chunk, tokens) - energy(chunk.flip(1), tokens)).abs() > 1e-4).all()
