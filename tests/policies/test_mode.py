"""MoDE against readings of its own: noise, routing, experts; and that folding them ahead changes nothing."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from diffusers.schedulers.scheduling_edm_euler import EDMEulerScheduler
from diffusers.schedulers.scheduling_euler_ancestral_discrete import EulerAncestralDiscreteScheduler
from numpy.typing import NDArray
from scipy.special import erf, softmax
from scipy.stats import fisk, kstest
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from haltere.agents.imitation.config import ImitationConfig
from haltere.agents.imitation.demonstrations import Demonstrations
from haltere.agents.imitation.learner import Learner, Streams
from haltere.configs.errors import ConfigError
from haltere.deploy.export import TaskFacts, export
from haltere.deploy.parity import initial_state, lane_errors, random_inputs
from haltere.deploy.proof import onnx_model
from haltere.policies.base import Output, Signature, State
from haltere.policies.mode.config import ModeConfig
from haltere.policies.mode.cost import cost
from haltere.policies.mode.experts import Choice, Router
from haltere.policies.mode.model import ModePolicy
from haltere.policies.mode.noise import Scalings, drawn_levels, noise_input, target
from haltere.policies.mode.transformer import Layer
from haltere.policies.registry import build_policy

SIGNATURE = Signature({"state": (5,), "goal": (3,)}, 2)
SMALL: dict[str, Any] = {"width": 16, "layers": 2, "horizon": 4, "executed": 2, "refinements": 5}


def policy(**settings: Any) -> ModePolicy:  # noqa: ANN401
    """A small one whose weights are far enough from zero for estimates to matter, and for levels to differ."""
    built = build_policy(ModeConfig(**{**SMALL, **settings}), SIGNATURE, seed=3)
    assert isinstance(built, ModePolicy)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for weight in built.parameters():
            weight += 0.2 * torch.randn(weight.shape, generator=generator)
    return built.eval()


def routed(mine: ModePolicy) -> ModePolicy:
    """The same weights with routers."""
    other = build_policy(dataclasses.replace(mine.config, routing="routed"), mine.signature, seed=0)
    other.load_state_dict(mine.state_dict())
    assert isinstance(other, ModePolicy)
    return other.eval()


def arrays(step: tuple[Output, State]) -> dict[str, NDArray[Any]]:
    """All that a call gives."""
    return {name: tensor.detach().numpy() for part in step for name, tensor in part.items()}


def error(one: tuple[Output, State], other: tuple[Output, State]) -> float:
    """The largest, as a proof of parity measures it."""
    return float(lane_errors(arrays(one), arrays(other)).max())


def test_scalings_are_those_of_edm() -> None:
    """Table 1 and equation 8: also what the network is to give, and that its errors weigh alike at all levels."""
    sigma, data = np.geomspace(0.001, 80.0, 30), 0.5
    same, out, into = (np.asarray(part) for part in Scalings.of(torch.from_numpy(sigma), data))
    np.testing.assert_allclose(same, data**2 / (sigma**2 + data**2))
    np.testing.assert_allclose(out, sigma * data / np.sqrt(data**2 + sigma**2))
    np.testing.assert_allclose(into, 1.0 / np.sqrt(sigma**2 + data**2))
    np.testing.assert_allclose(noise_input(torch.from_numpy(sigma)), np.log(sigma) / 4.0)
    np.testing.assert_allclose((sigma**2 + data**2) / (sigma * data) ** 2 * out**2, 1.0)
    clean, noise = np.random.default_rng(0).standard_normal((2, 30))
    wanted = (clean - same * (clean + sigma * noise)) / out
    got = target(*(torch.from_numpy(part).float() for part in (clean, noise, sigma)), data)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_training_levels_are_log_logistic() -> None:
    """Scipy's distribution, cut off at both ends."""
    law, least, most = fisk(2.0, scale=0.5), 0.01, 5.0
    low, high = law.cdf([least, most])
    drawn = drawn_levels(5000, least, most, 0.5, torch.Generator().manual_seed(0)).numpy()
    assert drawn.min() >= least * 0.9999 and drawn.max() <= most
    assert kstest(drawn, lambda sigma: (law.cdf(sigma) - low) / (high - low)).pvalue > 0.01


@pytest.mark.parametrize(("refinements", "sigma_max"), [(2, 80.0), (10, 80.0), (5, 3.0)])
def test_ddim_steps_as_diffusers_euler_does(refinements: int, sigma_max: float) -> None:
    """Every refinement of a chunk, from the same noise with the same network; and as DDIM is written in sigma."""
    mine = policy(refinements=refinements, sigma_max=sigma_max, routing="routed")
    theirs = EDMEulerScheduler(sigma_min=0.001, sigma_max=sigma_max, sigma_data=0.5, sigma_schedule="exponential")
    theirs.set_timesteps(refinements)
    sigmas = [*np.exp(np.linspace(np.log(sigma_max), np.log(0.001), refinements)), 0.0]
    generator = torch.Generator().manual_seed(5)
    obs, state = mine.random_obs(3, generator), mine.initial_state(3)
    chunk = sigmas[0] * obs["noise"][:, 0]
    sensed = mine.normaliser.obs({name: obs[name] for name in SIGNATURE.obs})
    for level, time in enumerate(theirs.timesteps):
        sigma = torch.full((3,), sigmas[level], dtype=torch.float32)
        with torch.no_grad():
            output, state = mine(obs, state)
            clean = mine.denoised(sensed, chunk, sigma)
            tokens, scaled = mine.sense(torch.cat(list(sensed.values()), dim=2)), theirs.scale_model_input(chunk, time)
            estimated, _ = mine.denoiser(tokens, scaled, noise_input(sigma))
        stepped = theirs.step(estimated, time, chunk).prev_sample
        by_hand = (clean.double() + sigmas[level + 1] / sigmas[level] * (chunk.double() - clean)).float()
        np.testing.assert_allclose(stepped, by_hand, atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(state["chunk"], by_hand, atol=1e-5, rtol=1e-5)
        chunk = by_hand
    assert (output["chunk"].abs() <= 1.0).all()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers on numpy 2
@pytest.mark.parametrize("routing", ["routed", "cached"])
def test_ancestral_steps_as_diffusers_does(routing: str) -> None:
    """Every refinement of a chunk, with the same network and the same noise in each."""
    refinements, sigma_max = 6, 8.0
    mine = policy(refinements=refinements, sigma_max=sigma_max, sampler="ancestral", routing=routing)
    theirs = EulerAncestralDiscreteScheduler()
    theirs.set_timesteps(refinements)
    sigmas = np.exp(np.linspace(np.log(sigma_max), np.log(0.001), refinements))
    theirs.sigmas = torch.tensor([*sigmas, 0.0], dtype=torch.float64)
    obs, state = mine.random_obs(3, torch.Generator().manual_seed(5)), mine.initial_state(3)
    sensed = mine.normaliser.obs({name: obs[name] for name in SIGNATURE.obs})
    chunk = (sigmas[0] * obs["noise"][:, 0]).double()
    for level, time in enumerate(theirs.timesteps):
        # Diffusers draws its noise itself, in the type of the network's outcome.
        fresh = torch.randn(chunk.shape, generator=torch.Generator().manual_seed(level), dtype=torch.float64)
        obs["noise"][:, 1] = fresh.float()
        with torch.no_grad():
            output, state = mine(obs, state)
            clean = mine.denoised(sensed, chunk.float(), torch.full((3,), sigmas[level], dtype=torch.float32))
        theirs.is_scale_input_called = True
        noise = (chunk - clean.double()) / sigmas[level]
        chunk = theirs.step(noise, time, chunk, generator=torch.Generator().manual_seed(level)).prev_sample
        np.testing.assert_allclose(state["chunk"], chunk, atol=2e-5, rtol=2e-5)
    assert (output["chunk"].abs() <= 1.0).all()


def test_what_draws_in_each_refinement_isnt_unrolled() -> None:
    """A call is given two draws of noise, and an unrolled one would need one for each refinement."""
    with pytest.raises(ConfigError, match=r"policy\.unrolled: is for policy\.sampler ddim"):
        policy(sampler="ancestral", unrolled=True)


def test_one_refinement_is_the_mean() -> None:
    """What is expected behind nothing but noise; diffusers can't do with one step."""
    mine = policy(refinements=1)
    obs = mine.random_obs(3, torch.Generator().manual_seed(5))
    sensed = mine.normaliser.obs({name: obs[name] for name in SIGNATURE.obs})
    with torch.no_grad():
        output, _ = mine(obs, {})
        wanted = mine.denoised(sensed, 80.0 * obs["noise"][:, 0], torch.full((3,), 80.0)).clamp(-1.0, 1.0)
    np.testing.assert_allclose(output["chunk"], wanted, atol=1e-5)


@pytest.mark.parametrize("causal", [True, False])
def test_a_layer_by_hand(causal: bool) -> None:
    """Norms, attention, router, choice and experts once more in numpy, a lane and a token at a time, in float64."""
    config = ModeConfig(width=8, heads=2, experts=4, active=2, expansion=2, causal=causal)
    torch.manual_seed(1)
    layer = Layer(config).double()
    with torch.no_grad():
        for weight in layer.parameters():
            weight += 0.4 * torch.randn_like(weight)
    w = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    generator = np.random.default_rng(2)
    x, level = generator.standard_normal((3, 5, 8)), generator.standard_normal((3, 8))

    def normed(values: Any, name: str) -> Any:  # noqa: ANN401
        return values / np.sqrt((values**2).mean(-1, keepdims=True) + 1e-6) * w[name]

    for lane in range(3):
        given = normed(x[lane], "norms.0.weight") + level[lane]
        query, key, value = np.split(given @ w["attention.into.weight"].T + w["attention.into.bias"], 3, axis=-1)
        mixed = np.zeros((5, 8))
        for head in (slice(0, 4), slice(4, 8)):
            q, k = (normed(part[:, head], f"attention.norms.{n}.weight") for n, part in enumerate((query, key)))
            for token in range(5):
                seen = token + 1 if causal else 5
                mixed[token, head] = softmax(q[token] @ k[:seen].T / 2.0) @ value[:seen, head]
        after = x[lane] + mixed @ w["attention.out.weight"].T + w["attention.out.bias"]

        hidden = level[lane] @ w["router.network.0.weight"].T + w["router.network.0.bias"]
        hidden = 0.5 * hidden * (1.0 + erf(hidden / math.sqrt(2.0)))
        probability = softmax(hidden @ w["router.network.2.weight"].T + w["router.network.2.bias"])
        best = np.argsort(-probability)[:2]
        part = np.zeros((5, 8))
        for expert in best:
            gate, linear = np.split(normed(after, "norms.1.weight") @ w["experts.into"][expert], 2, axis=-1)
            part += probability[expert] / probability[best].sum() * (
                (gate / (1.0 + np.exp(-gate)) * linear) @ w["experts.out"][expert]
            )
        with torch.no_grad():
            got, choice = layer(torch.from_numpy(x), torch.from_numpy(level), None)
        np.testing.assert_allclose(got[lane], after + part, atol=1e-12)
        np.testing.assert_allclose(choice.probability[lane], probability, atol=1e-12)
        assert set(choice.chosen[lane].tolist()) == set(best.tolist())


def test_routers_see_the_noise_level_alone() -> None:
    """No gradient comes from what is sensed or from the chunk, and lanes of one level choose alike; others don't."""
    mine = policy()
    sensed, chunk = torch.randn(6, 2, 16, requires_grad=True), torch.randn(6, 4, 2, requires_grad=True)
    told = noise_input(torch.tensor([0.001, 0.001, 0.5, 0.5, 80.0, 80.0])).requires_grad_()
    _, choices = mine.denoiser(sensed, chunk, told)
    differ = 0
    for choice in choices:
        inputs, share = (sensed, chunk, told), choice.share[:, 0].sum()
        grads = torch.autograd.grad(share, inputs, allow_unused=True, retain_graph=True)
        assert grads[0] is None and grads[1] is None and grads[2] is not None
        np.testing.assert_allclose(choice.probability[::2].detach(), choice.probability[1::2].detach(), atol=1e-6)
        differ += int((choice.probability[0] - choice.probability[4]).abs().max() > 0.05)
    assert differ


def test_the_balance_of_experts_by_hand() -> None:
    """Three lanes, three experts, two of them used."""
    probability = torch.tensor([[0.6, 0.3, 0.1], [0.5, 0.2, 0.3], [0.1, 0.2, 0.7]])
    chosen = torch.tensor([[0, 1], [0, 2], [2, 1]])
    # Means 0.4, 0.7/3 and 1.1/3; each expert is selected by two lanes of three.
    wanted = 3 * (0.4 * 2 / 3 + 0.7 / 3 * 2 / 3 + 1.1 / 3 * 2 / 3)
    assert float(Choice(probability, chosen, probability).balance()) == pytest.approx(wanted)
    one_sided = Choice(torch.tensor([[0.9, 0.1, 0.0]]), torch.tensor([[0, 1]]), probability[:1])
    assert float(one_sided.balance()) == pytest.approx(3.0)


def test_experts_are_drawn_in_training_and_taken_otherwise() -> None:
    """One after the other without putting back, by their probabilities; the two most probable ones in evaluation."""
    torch.manual_seed(2)
    router = Router(8, 4, 2)
    embedded = torch.randn(1, 8).expand(20_000, 8)
    drawn = router(embedded, torch.Generator().manual_seed(3))
    p = drawn.probability[0].detach().double().numpy()
    wanted = np.zeros((4, 4))
    for first in range(4):
        for second in set(range(4)) - {first}:
            wanted[first, second] = p[first] * p[second] / (1.0 - p[first])
    counted = np.zeros((4, 4))
    np.add.at(counted, tuple(drawn.chosen.numpy().T), 1.0 / 20_000)
    np.testing.assert_allclose(counted + counted.T, wanted + wanted.T, atol=0.02)
    np.testing.assert_allclose(drawn.share.sum(1).detach(), 1.0, atol=1e-6)
    assert ((drawn.share > 0).sum(1) == 2).all()
    taken = router(embedded[:5])
    assert (taken.chosen.sort(dim=1).values == torch.from_numpy(np.sort(np.argsort(-p)[:2]))).all()


def test_training_may_take_the_most_probable_experts_too() -> None:
    """With ``drawn`` off the loss of training is that of evaluation, where nothing is drawn but levels and noise."""
    losses = {}
    for drawn in (False, True):
        mine = policy(drawn=drawn)
        generator = torch.Generator().manual_seed(1)
        obs = {name: torch.randn(32, 2, size[0], generator=generator) for name, size in SIGNATURE.obs.items()}
        chunk = torch.rand(32, 4, 2, generator=generator)
        judged = mine.loss(obs, chunk, torch.Generator().manual_seed(0))["loss"]
        trained = mine.train().loss(obs, chunk, torch.Generator().manual_seed(0))["loss"]
        losses[drawn] = torch.equal(judged, trained)
    assert losses == {False: True, True: False}


def test_the_loss_draws_from_its_generator_alone() -> None:
    """Equal generators, equal losses; in evaluation mode experts aren't drawn; every weight learns."""
    mine = policy()
    generator = torch.Generator().manual_seed(1)
    obs = {name: torch.randn(32, 2, size[0], generator=generator) for name, size in SIGNATURE.obs.items()}
    chunk = torch.rand(32, 4, 2, generator=generator)

    def lost(seed: int) -> dict[str, Tensor]:
        return mine.loss(obs, chunk, torch.Generator().manual_seed(seed))

    judged = lost(0)
    mine.train()
    before = torch.random.get_rng_state()
    first, again, other = lost(0), lost(0), lost(1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(first["loss"], again["loss"]) and not torch.equal(first["loss"], other["loss"])
    assert not torch.equal(first["loss"], judged["loss"])
    parts = {name: float(part.detach()) for name, part in first.items()}
    assert parts["loss"] == pytest.approx(parts["denoising"] + 0.01 * parts["balance"])
    first["loss"].backward()
    still = [name for name, weight in mine.named_parameters() if weight.grad is None or not weight.grad.abs().max() > 0]
    assert not still


@pytest.mark.parametrize(
    "settings",
    [{}, {"causal": True}, {"unrolled": True}, {"active": 1}, {"active": 4}, {"experts": 1, "active": 1}],
    ids=str,
)
def test_cached_is_routed(settings: dict[str, Any]) -> None:
    """Every refinement of whole chunks, at several batch sizes."""
    cached = policy(**{"layers": 3, "refinements": 10, **settings})
    other = routed(cached)
    if not settings:  # or there would be little to tell apart
        assert max(len(layer.into) for layer in cached.folded().layers) > 1
    generator = torch.Generator().manual_seed(7)
    for batch in (1, 3, 17):
        obs, state = cached.random_obs(batch, generator), cached.initial_state(batch)
        for _ in range(1 if cached.config.unrolled else 12):
            with torch.no_grad():
                mine, theirs = cached(obs, state), other(obs, state)
            assert error(mine, theirs) <= 1e-5
            state = mine[1]


def test_one_call_is_ten() -> None:
    """Unrolled, the same chunk comes out at once."""
    one = policy(unrolled=True)
    many = policy()
    generator = torch.Generator().manual_seed(8)
    obs, state = one.random_obs(3, generator), many.initial_state(3)
    assert one.initial_state(3) == {}
    with torch.no_grad():
        whole, _ = one(obs, {})
        for _ in range(many.config.refinements):
            last, state = many(obs, state)
    np.testing.assert_allclose(whole["chunk"], last["chunk"], atol=1e-5)


def test_a_lane_at_another_refinement_is_refused() -> None:
    """It gets no number, in place of that of another noise level; routed, each lane has its own."""
    cached = policy()
    other = routed(cached)
    obs = cached.random_obs(3, torch.Generator().manual_seed(9))
    state = {"chunk": torch.randn(3, 4, 2), "done": torch.tensor([[1.0], [2.0], [1.0]])}
    with torch.no_grad():
        mine, theirs = cached(obs, state), other(obs, state)
    assert mine[0]["action"].isnan().all(dim=1).tolist() == [False, True, False]
    kept = ({name: part[::2] for name, part in mine[k].items()} for k in range(2))
    wanted = ({name: part[::2] for name, part in theirs[k].items()} for k in range(2))
    assert error(tuple(kept), tuple(wanted)) <= 1e-5  # type: ignore[arg-type]
    alone, _ = other({name: part[1:2] for name, part in obs.items()}, {n: part[1:2] for n, part in state.items()})
    np.testing.assert_allclose(alone["chunk"].detach()[0], theirs[0]["chunk"][1], atol=1e-5)


def trained(mine: ModePolicy) -> None:
    """By an optimiser, the way a learner does it."""
    mine.train()
    optimizer = torch.optim.AdamW(mine.parameters(), lr=0.05)
    obs = {name: torch.randn(8, 2, size[0]) for name, size in SIGNATURE.obs.items()}
    with torch.enable_grad():
        mine.loss(obs, torch.rand(8, 4, 2), torch.Generator().manual_seed(0))["loss"].backward()
    optimizer.step()
    mine.eval()


def averaged(mine: ModePolicy) -> None:
    """In evaluation mode all along."""
    with torch.no_grad():
        for weight in mine.parameters():
            weight.lerp_(torch.ones_like(weight), 0.1)


def loaded(mine: ModePolicy) -> None:
    """From a file."""
    mine.load_state_dict({name: value + 0.1 for name, value in mine.state_dict().items()})


def behind_its_back(mine: ModePolicy) -> None:
    """A change that torch doesn't count; putting it into evaluation mode helps."""
    for weight in mine.parameters():
        weight.data += 0.1
    mine.eval()


@pytest.mark.parametrize("change", [trained, averaged, loaded, behind_its_back])
def test_what_is_folded_follows_the_weights(change: Callable[[ModePolicy], None]) -> None:
    """However they change after it was folded, a call is that of a network with the new ones."""
    torch.manual_seed(0)
    cached = policy()
    obs, state = cached.random_obs(3, torch.Generator().manual_seed(1)), cached.initial_state(3)
    with torch.no_grad():
        before = cached(obs, state)
        assert cached.folded() is cached.folded()
        change(cached)
        after, wanted = cached(obs, state), routed(cached)(obs, state)
    assert error(after, wanted) <= 1e-5
    assert error(after, before) > 1e-3


@pytest.mark.parametrize(
    "settings", [{}, {"unrolled": True, "layers": 1, "refinements": 3}, {"experts": 1, "active": 1}], ids=str
)
def test_the_exported_file_has_no_router(settings: dict[str, Any], tmp_path: Path) -> None:
    """And is the network to 1e-5, also where a chunk is still noise of sigma 80; it refuses what torch refuses."""
    mine = policy(**{"refinements": 10, **settings})
    made = export(mine, tmp_path / "policy.onnx", facts=TaskFacts("haltere/Toy-v0", 0.1, {}))
    assert made.contract.parity.max_error <= 1e-5
    graph = onnx.load(made.path).graph
    kinds = [node.op_type for node in graph.node]
    calls = mine.config.refinements if mine.config.unrolled else 1
    assert "TopK" not in kinds
    assert kinds.count("Softmax") == calls * mine.config.layers
    if mine.config.unrolled:
        return
    folded = mine.folded().layers
    mixed = random_inputs(mine, 3, torch.Generator().manual_seed(0), initial_state(mine, 3))
    mixed["state.done"] = np.array([[1.0], [1.0], [2.0]], np.float32)
    assert np.isnan(onnx_model(made.path.read_bytes())(mixed)["action"]).all(axis=1).tolist() == [False, False, True]
    # Experts are there as often as there are sets of them, and not once for each refinement.
    kept = [tensor.dims for tensor in graph.initializer if list(tensor.dims[-2:]) == list(folded[0].into.shape[1:])]
    assert sum(math.prod(dims[:-2]) for dims in kept) == sum(len(layer.into) for layer in folded) < 10 * len(folded)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"width": 24, "heads": 3, "experts": 5, "active": 3, "expansion": 2, "observed": 1, "horizon": 7},
        {"experts": 1, "active": 1, "expansion": 8},
    ],
    ids=str,
)
@pytest.mark.parametrize("cached", [False, True])
def test_costs_are_as_torch_counts_them(settings: dict[str, Any], cached: bool) -> None:
    """Multiply-adds of one call, and parameters."""
    mine = policy(**settings, routing="cached" if cached else "routed")
    counted = cost(mine.config, SIGNATURE, cached=cached)
    obs, state = mine.random_obs(1, torch.Generator().manual_seed(0)), mine.initial_state(1)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        mine(obs, state)
    assert 2 * counted.multiply_adds == counter.get_total_flops()
    assert counted.parameters == sum(weight.numel() for weight in mine.parameters())
    idle = (mine.config.experts - mine.config.active) * sum(
        layer.experts.into[0].numel() + layer.experts.out[0].numel() for layer in mine.denoiser.layers
    )
    routers = sum(weight.numel() for name, weight in mine.named_parameters() if "router" in name or ".level." in name)
    assert counted.active == counted.parameters - idle - (routers if cached else 0)


def test_what_an_eye_costs_is_not_counted() -> None:
    """And not left out without a word either."""
    with pytest.raises(ValueError, match="'ahead' is an image"):
        cost(ModeConfig(), Signature({"state": (3,), "ahead": (3, 16, 16)}, 2), cached=True)


def test_equal_active_width_costs_the_same() -> None:
    """The dense network to compare with: one expert as wide as two."""
    experts = ModeConfig()
    dense = dataclasses.replace(experts, experts=1, active=1, expansion=2 * experts.expansion)
    assert cost(dense, SIGNATURE, cached=True)[:2] == cost(experts, SIGNATURE, cached=True)[:2]
    wide, narrow = build_policy(dense, SIGNATURE, seed=0), build_policy(experts, SIGNATURE, seed=0)
    assert isinstance(wide, ModePolicy) and isinstance(narrow, ModePolicy)
    shapes = [[layer.into.shape[1:] for layer in one.folded().layers] for one in (wide, narrow)]
    assert shapes[0] == shapes[1]


def test_one_of_two_ways_is_taken_where_two_were_shown() -> None:
    """Either, and never the middle."""
    ways = np.where(np.random.default_rng(3).random(400) < 0.5, -0.8, 0.8).astype(np.float32)
    state, at = np.zeros((400, 2), np.float32), np.arange(400)
    whole = Demonstrations({"state": state}, ways[:, None], at, at + 1)
    config = ImitationConfig(total_steps=800, iteration=800, batch_size=64, learning_rate=3e-3, warm_up=50)
    # From 80 down, some of the ten steps would be spent where so little training gives next to nothing.
    settings = ModeConfig(width=16, layers=1, heads=2, horizon=1, executed=1, sigma_min=0.02, sigma_max=5.0)
    mine = build_policy(settings, Signature({"state": (2,)}, 1), seed=0)
    assert isinstance(mine, ModePolicy)
    one = Learner(mine, whole, config, Streams.spawn(0), lambda policy: {})
    one.iterate()
    mine.load_state_dict({name: torch.from_numpy(array) for name, array in one.state_dict().policy.items()})
    mine.eval()
    obs = mine.random_obs(200, torch.Generator().manual_seed(0)) | {"state": torch.zeros(200, 2, 2)}
    memory = mine.initial_state(200)
    with torch.no_grad():
        for _ in range(10):
            out, memory = mine(obs, memory)
    near = (out["action"].abs() - 0.8).abs() < 0.3
    assert near.float().mean() > 0.9
    assert 0.25 < (out["action"] > 0).float().mean() < 0.75


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"executed": 5}, "policy.executed: must be at most policy.horizon 4, got 5"),
        ({"active": 5}, "policy.active: must be at most policy.experts 4, got 5"),
        ({"sigma_min": 1.0, "sigma_max": 0.5}, "policy.sigma_min: must be at most policy.sigma_max 0.5, got 1.0"),
        ({"width": 18}, "policy.width: must be a multiple of policy.heads 4, got 18"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], says: str) -> None:
    """With both of them named."""
    with pytest.raises(ConfigError, match=says):
        build_policy(ModeConfig(**{**SMALL, **settings}), SIGNATURE, seed=0)


def test_settings_without_effect() -> None:
    """Say so."""
    assert set(ModeConfig().without_effect(False)) == {"balance", "drawn"}
    assert not ModeConfig().without_effect(True)
    assert set(ModeConfig(experts=1, active=1).without_effect(True)) == {"balance", "drawn"}
