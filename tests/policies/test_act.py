"""ACT against torch's own transformer and distributions; what its latent is worth in training; and that it acts."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from haltere.configs.errors import ConfigError, RequestError
from haltere.deploy.export import TaskFacts, export
from haltere.policies.act.config import ActConfig
from haltere.policies.act.model import ActPolicy
from haltere.policies.act.posterior import Latent
from haltere.policies.act.transformer import Attention, DecoderLayer, EncoderLayer
from haltere.policies.base import Chunking, Signature
from haltere.policies.registry import build_policy, check_effect

SIGNATURE = Signature({"state": (3,), "goal": (2,)}, 2)
SMALL: dict[str, Any] = {"width": 16, "encoder_layers": 2, "latent": 3, "horizon": 4, "executed": 2}


def policy(signature: Signature = SIGNATURE, **settings: Any) -> ActPolicy:  # noqa: ANN401
    """A small one, with biases and norms that aren't what they begin as."""
    built = build_policy(ActConfig(**{**SMALL, **settings}), signature, seed=3)
    assert isinstance(built, ActPolicy)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for weight in built.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    return built.eval()


def drawn(*shape: int, seed: int = 5) -> Tensor:
    """Standard normal, float64."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def give(mine: Attention, theirs: nn.MultiheadAttention) -> None:
    """Torch's attention the weights of mine."""
    for part in ("weight", "bias"):
        both = torch.cat([getattr(mine.query, part), getattr(mine.known, part)])
        getattr(theirs, f"in_proj_{part}").data.copy_(both)
    theirs.out_proj.load_state_dict(mine.out.state_dict())


def torchs(mine: nn.Module) -> nn.Module:
    """Torch's layer with the weights of mine; in training mode, because its shortcut for evaluation is another code."""
    width, heads = 16, 4
    settings: dict[str, Any] = {"dim_feedforward": 4 * width, "dropout": 0.0, "batch_first": True}
    theirs: Any
    if isinstance(mine, DecoderLayer):
        theirs = nn.TransformerDecoderLayer(width, heads, **settings).double()
        give(mine.crossing, theirs.multihead_attn)
        theirs.norm3.load_state_dict(mine.norms[2].state_dict())
    else:
        assert isinstance(mine, EncoderLayer)
        theirs = nn.TransformerEncoderLayer(width, heads, **settings).double()
    give(mine.attention, theirs.self_attn)
    for norm in range(2):
        getattr(theirs, f"norm{norm + 1}").load_state_dict(mine.norms[norm].state_dict())
    for number, layer in enumerate((mine.feed_forward[0], mine.feed_forward[2])):
        getattr(theirs, f"linear{number + 1}").load_state_dict(layer.state_dict())
    built: nn.Module = theirs.train()
    return built


def test_commands_are_those_of_torchs_transformer() -> None:
    """Latent and observations through its encoder, queries through its decoder; with two steps and two layers each."""
    mine = policy(observed=2, decoder_layers=2).double()
    sensed, latent = drawn(5, 2, 5), drawn(5, 3, seed=6)
    with torch.no_grad():
        known = torch.stack([mine.latent(latent), *(mine.sense(sensed[:, step]) for step in range(2))], dim=1)
        known = known + mine.places
        for layer in mine.encoder:
            known = torchs(layer)(known)
        x = mine.queries.expand(5, 4, 16)
        for layer in mine.decoder:
            x = torchs(layer)(x, known)
        last = nn.LayerNorm(16).double()
        last.load_state_dict(mine.norm.state_dict())
        np.testing.assert_allclose(mine.decode(sensed, latent), mine.out(last(x)), atol=1e-12)


def test_the_latent_is_read_off_by_torchs_transformer() -> None:
    """From the first of its tokens; places are sines and cosines of the token's number."""
    mine = policy(observed=2).double().posterior
    sensed, chunk = drawn(5, 2, 5), drawn(5, 4, 2, seed=6)
    rate = 10_000.0 ** -(np.arange(8) / 7)
    angle = torch.from_numpy(np.arange(7)[:, None] * rate)
    with torch.no_grad():
        x = torch.cat([mine.asking.expand(5, 1, 16), mine.sense(sensed), mine.command(chunk)], dim=1)
        x = x + torch.cat([angle.sin(), angle.cos()], dim=1)
        for layer in mine.layers:
            x = torchs(layer)(x)
        mean, log_variance = mine.out(x[:, 0]).split(3, dim=1)
        latent = mine(sensed, chunk)
    np.testing.assert_allclose(latent.mean, mean, atol=1e-5)
    np.testing.assert_allclose(latent.log_variance, log_variance, atol=1e-5)


def test_divergence_and_draws_are_torchs() -> None:
    """Summed over the latent's numbers; draws have the mean and the variance that they are said to have."""
    latent = Latent(drawn(6, 4), drawn(6, 4, seed=6))
    normal = Normal(latent.mean, (0.5 * latent.log_variance).exp())
    wanted = kl_divergence(normal, Normal(torch.zeros(()).double(), torch.ones(()).double())).sum(1)
    np.testing.assert_allclose(latent.divergence(), wanted, rtol=1e-12)
    many = Latent(*(part[:1].expand(100_000, 4) for part in latent)).drawn(torch.Generator().manual_seed(0))
    np.testing.assert_allclose(many.mean(0), normal.mean[0], atol=0.03)
    np.testing.assert_allclose(many.var(0), normal.variance[0], rtol=0.03)


def test_a_loss_is_its_parts_and_draws_from_its_generator_alone() -> None:
    """Equal generators, equal losses, in both modes; every weight learns; ``acted`` is the error of what it does."""
    mine = policy()
    mine.normaliser.fit({}, torch.tensor([-0.5, 0.0]), torch.tensor([0.5, 1.0]))
    generator = torch.Generator().manual_seed(1)
    obs = {name: torch.randn(32, 1, size[0], generator=generator) for name, size in SIGNATURE.obs.items()}
    chunk = torch.rand(32, 4, 2, generator=generator) - 0.25
    before = torch.random.get_rng_state()
    for training in (False, True):
        mine.train(training)
        first, again, other = (mine.loss(obs, chunk, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
        assert {name: float(part.detach()) for name, part in first.items()} == {
            name: float(part.detach()) for name, part in again.items()
        }
        assert first["l1"] != other["l1"] and first["kl"] == other["kl"]
        torch.testing.assert_close(first["loss"], first["l1"] + 10.0 * first["kl"])
        assert set(first) == {"loss", "l1", "kl"} | (set() if training else {"acted"})
    assert torch.equal(before, torch.random.get_rng_state())
    first["loss"].backward()
    still = [name for name, weight in mine.named_parameters() if weight.grad is None or not weight.grad.abs().max() > 0]
    assert not still

    mine.eval()
    with torch.no_grad():
        sensed = torch.cat(list(mine.normaliser.obs(obs).values()), dim=2)
        planned = mine.decode(sensed, torch.zeros(32, 3))
        judged = mine.loss(obs, chunk, torch.Generator())["acted"]
        done, _ = mine(obs, {})
    wanted = (planned - mine.normaliser.chunk(chunk)).abs().mean()
    torch.testing.assert_close(judged, wanted)
    torch.testing.assert_close(done["chunk"], mine.normaliser.command(planned).clamp(-1.0, 1.0))


def test_one_call_plans_a_chunk_and_nothing_is_drawn() -> None:
    """So there is no state, and no noise among the inputs."""
    mine = policy()
    assert mine.chunking == Chunking(1, 4, 2)
    assert mine.initial_state(3) == {}
    assert mine.inputs == {"state": (1, 3), "goal": (1, 2)}


def test_the_posterior_is_not_exported(tmp_path: Path) -> None:
    """The file has as many numbers as act, and a few constants."""
    mine = policy(encoder_layers=1)
    made = export(mine, tmp_path / "policy.onnx", facts=TaskFacts("haltere/Toy-v0", 0.1, {}))
    assert made.contract.parity.max_error <= 1e-5
    numbers = sum(int(np.prod(tensor.dims)) for tensor in onnx.load(made.path).graph.initializer)
    acting = sum(weight.numel() for name, weight in mine.named_parameters() if not name.startswith("posterior"))
    reading = sum(weight.numel() for weight in mine.posterior.parameters())
    assert acting - mine.latent.weight.numel() <= numbers < acting + 0.1 * reading


def trained(mine: ActPolicy, seen: Tensor, shown: Tensor, updates: int) -> dict[str, float]:
    """Shown one of the chunks (N, horizon, action) at a time, each with its observation; the losses after that."""
    optimizer, generator = torch.optim.Adam(mine.parameters(), lr=3e-3), torch.Generator().manual_seed(1)
    mine.train()
    for _ in range(updates):
        optimizer.zero_grad()
        which = torch.randint(len(seen), (64,), generator=generator)
        mine.loss({"state": seen[which]}, shown[which], generator)["loss"].backward()
        optimizer.step()
    mine.eval()
    with torch.no_grad():
        judged = mine.loss({"state": seen.repeat(200, 1, 1)}, shown.repeat(200, 1, 1), generator)
    return {name: float(part) for name, part in judged.items()}


WAYS = torch.tensor([0.8, -0.8])[:, None, None].expand(2, 4, 1)
"""Two chunks, for the same observation."""


@pytest.mark.parametrize("weight", [0.01, 10.0])
def test_a_cheap_latent_says_which_way_and_a_dear_one_says_nothing(weight: float) -> None:
    """Which of two ways is ln 2 nats. It spares an error of 0.8, which is less than ten times those nats."""
    mine = policy(Signature({"state": (1,)}, 1), kl_weight=weight)
    judged = trained(mine, torch.zeros(2, 1, 1), WAYS, 200)
    assert judged["acted"] > 0.75  # acting knows nothing of the way: no chunk is nearer than that to both, on average
    if weight < 1.0:
        assert judged["l1"] < 0.2
        assert judged["kl"] > 0.9 * np.log(2.0)
    else:
        assert judged["l1"] > 0.75
        assert judged["kl"] < 0.02


def test_it_does_what_it_was_shown() -> None:
    """Two chunks, one for each of two observations, at the published weight."""
    mine = policy(Signature({"state": (1,)}, 1))
    seen = torch.tensor([1.0, -1.0])[:, None, None]
    trained(mine, seen, WAYS, 200)
    with torch.no_grad():
        output, _ = mine({"state": seen}, {})
    np.testing.assert_allclose(output["chunk"], WAYS, atol=0.15)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"executed": 5}, "policy.executed: must be at most policy.horizon 4, got 5"),
        ({"width": 18}, "policy.width: must be even and a multiple of policy.heads 4, got 18"),
        ({"width": 15, "heads": 5}, "policy.width: must be even and a multiple of policy.heads 5, got 15"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], says: str) -> None:
    """With both of them named."""
    with pytest.raises(ConfigError, match=says):
        build_policy(ActConfig(**{**SMALL, **settings}), SIGNATURE, seed=0)


def test_the_weight_of_the_divergence_is_for_training() -> None:
    """Typed where nothing is trained, it is refused."""
    check_effect(ActConfig(), ["kl_weight"], training=True)
    with pytest.raises(RequestError, match=r"^--policy\.kl-weight: matters in training alone$"):
        check_effect(ActConfig(), ["kl_weight"], training=False)
