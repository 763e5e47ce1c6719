"""The U-Net against one of diffusers' parts, how far its convolutions see, and a chunk that comes out of noise."""

from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.downsampling import Downsample1D
from diffusers.models.resnet import ResidualTemporalBlock1D
from diffusers.models.upsampling import Upsample1D
from torch import Tensor, nn

from haltere.configs.errors import ConfigError, RequestError
from haltere.configs.loader import validate
from haltere.policies.base import Signature
from haltere.policies.chunking.transformer import ChunkTransformer
from haltere.policies.chunking.unet import ChunkUnet, ResidualBlock
from haltere.policies.diffusion.config import DiffusionConfig
from haltere.policies.diffusion.model import DiffusionPolicy
from haltere.policies.registry import build_policy, check_effect

from .repeating import repeated

SIGNATURE = Signature({"state": (5,)}, 2)
SMALL: dict[str, Any] = {"network": "unet", "channels": (16, 32), "horizon": 4, "executed": 2}
STEERING = 12


def unet(*channels: int) -> ChunkUnet:
    """In float64, with norms that aren't what they begin as; two action components."""
    torch.manual_seed(0)
    made = ChunkUnet(2, channels, STEERING).double()
    with torch.no_grad():
        for weight in made.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return made.eval()


def drawn(*shape: int, seed: int = 1) -> Tensor:
    """Standard normal, float64."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def diffusers_block(mine: ResidualBlock) -> Any:  # noqa: ANN401 -- as untyped as diffusers
    """Its residual block with the weights of mine; it shifts channels and doesn't scale them."""
    into: Any = mine.convolutions[0]
    theirs = ResidualTemporalBlock1D(into[0].in_channels, into[0].out_channels, STEERING).double()
    for block, layers in ((theirs.conv_in, mine.convolutions[0]), (theirs.conv_out, mine.convolutions[1])):
        assert isinstance(layers, nn.Sequential)
        block.conv1d.load_state_dict(layers[0].state_dict())
        block.group_norm.load_state_dict(layers[1].state_dict())
    shift, _ = mine.steer[1].weight.chunk(2)
    bias, _ = mine.steer[1].bias.chunk(2)
    theirs.time_emb.load_state_dict({"weight": shift, "bias": bias})
    theirs.residual_conv.load_state_dict(mine.past.state_dict())
    return theirs


def without_scale(net: nn.Module) -> None:
    """Have its blocks shift alone, as those of diffusers do."""
    with torch.no_grad():
        for block in net.modules():
            if isinstance(block, ResidualBlock):
                steer: Any = block.steer[1]
                for part in (steer.weight, steer.bias):
                    part[len(part) // 2 :] = 0.0


@pytest.mark.parametrize("channels", [(16,), (16, 24), (16, 24, 40)])
def test_the_network_is_diffusers_parts_in_the_published_order(channels: tuple[int, ...]) -> None:
    """Blocks, halvings and doublings; what goes past, and the finest level that lacks it."""
    mine = unet(*channels)
    without_scale(mine)
    steering, chunk = drawn(3, STEERING), drawn(3, 8, 2, seed=2)

    def level(part: Any, x: Tensor) -> Tensor:  # noqa: ANN401
        for block in part.blocks:
            x = diffusers_block(block)(x, steering)
        return x

    def resample(theirs: Any, part: nn.Module, x: Tensor) -> Tensor:  # noqa: ANN401
        theirs.double().conv.load_state_dict(part.state_dict())
        resampled: Tensor = theirs(x)
        return resampled

    with torch.no_grad():
        x, kept, last = chunk.transpose(1, 2), [], len(channels) - 1
        for at, size in enumerate(channels):
            x = level(mine.down[at], x)
            kept.append(x)
            if at < last:
                x = resample(Downsample1D(size, use_conv=True), mine.coarser[at], x)
        x = level(mine.middle, x)
        for at in range(last):
            x = level(mine.up[at], torch.cat([x, kept[last - at]], dim=1))
            x = resample(Upsample1D(x.shape[1], use_conv_transpose=True), mine.finer[at], x)
        wanted = mine.out(x).transpose(1, 2)
        got = mine(chunk, steering)
    assert got.shape == chunk.shape
    np.testing.assert_allclose(got, wanted, atol=1e-10)


def test_a_block_scales_and_shifts_by_hand() -> None:
    """Each channel between the two convolutions, by one and what steers."""
    block: ResidualBlock = unet(16).middle.blocks[0]  # type: ignore[assignment, union-attr, index]
    x, steering = drawn(3, 16, 8), drawn(3, STEERING, seed=2)
    with torch.no_grad():
        got = block(x, steering)
        weight, bias = (part.numpy() for part in block.steer[1].parameters())
        at = steering.numpy()
        steer = at * np.tanh(np.log1p(np.exp(at))) @ weight.T + bias
        between = block.convolutions[0](x).numpy() * (1.0 + steer[:, 16:, None]) + steer[:, :16, None]
        wanted = block.convolutions[1](torch.from_numpy(between)) + x
    np.testing.assert_allclose(got, wanted, atol=1e-12)


def without_norms(net: ChunkUnet) -> ChunkUnet:
    """A norm is over all of time; without it, convolutions alone say what depends on what."""
    for part in list(net.modules()):
        if isinstance(part, nn.Sequential):
            for number, layer in enumerate(part):
                if isinstance(layer, nn.GroupNorm):
                    part[number] = nn.Identity()
    return net


def test_convolutions_see_as_far_as_they_should() -> None:
    """Nine of them, of five commands each: two on each side for every one of them, no more and no fewer."""
    mine = without_norms(unet(16))
    chunk = drawn(1, 64, 2).requires_grad_()
    # Two blocks down and two in the middle, of two convolutions each, and a last one.
    reach = (4 * 2 + 1) * 2
    (slope,) = torch.autograd.grad(mine(chunk, drawn(1, STEERING))[0, 32].sum(), chunk)
    seen = slope[0].abs().sum(1).nonzero().flatten().tolist()
    assert seen == list(range(32 - reach, 32 + reach + 1))


def test_a_later_chunk_is_the_same_later() -> None:
    """By as many steps as the coarsest level's is long, far from both ends; by one step less it isn't."""
    mine, steering = without_norms(unet(16, 24, 40)), drawn(1, STEERING)
    chunk = torch.zeros(1, 512, 2, dtype=torch.float64)
    chunk[:, 250:260] = drawn(1, 10, 2)
    with torch.no_grad():
        base = mine(chunk, steering)
        for steps in (3, 4):
            moved = mine(chunk.roll(steps, dims=1), steering)
            same = (moved - base.roll(steps, dims=1))[:, 200:312].abs().max()
            assert (same < 1e-12) == (steps == 4)


def policy(**settings: Any) -> DiffusionPolicy:  # noqa: ANN401
    """A small one, freshly initialised."""
    built = build_policy(DiffusionConfig(**{**SMALL, **settings}), SIGNATURE, seed=3)
    assert isinstance(built, DiffusionPolicy)
    return built


def test_a_fresh_network_answers_to_all_it_is_given() -> None:
    """To the chunk, to what is sensed and to the level; at first already."""
    mine = policy().eval()
    obs, noisy = {"state": torch.randn(3, 2, 5)}, torch.randn(3, 4, 2)
    with torch.no_grad():
        first = mine.estimate(obs, noisy, torch.tensor([5, 5, 5]))
        others = [
            mine.estimate({"state": -obs["state"]}, noisy, torch.tensor([5, 5, 5])),
            mine.estimate(obs, -noisy, torch.tensor([5, 5, 5])),
            mine.estimate(obs, noisy, torch.tensor([90, 90, 90])),
        ]
    assert all((first - other).abs().max() > 1e-3 for other in others)


def test_a_trained_network_gives_back_what_it_was_shown() -> None:
    """Two chunks, one for each of two observations: DDIM finds the right one from any noise."""
    mine = policy(target="chunk")  # the velocity takes so small a network 1,500 updates
    ramp = torch.linspace(-0.6, 0.6, 4)
    shown = torch.stack([ramp, -ramp])[:, :, None].expand(2, 4, 2)
    np.testing.assert_allclose(repeated(mine, shown, 200, 2e-3), shown, atol=0.15)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"horizon": 5}, "policy.horizon: must be a multiple of 2, as there are 2 policy.channels, got 5"),
        ({"channels": (16,) * 4}, "policy.horizon: must be a multiple of 8, as there are 4 policy.channels, got 4"),
    ],
)
def test_a_horizon_that_cant_be_halved_is_refused(settings: dict[str, Any], says: str) -> None:
    """With what would do."""
    with pytest.raises(ConfigError, match=says):
        build_policy(DiffusionConfig(**{**SMALL, **settings}), SIGNATURE, seed=0)


def test_a_level_that_is_finest_and_coarsest_takes_any_horizon() -> None:
    """Nothing is halved; a transformer's width is nothing to it."""
    assert isinstance(policy(channels=(16,), horizon=7, width=18).network, ChunkUnet)


@pytest.mark.parametrize("channels", [[], [8], [20], [16] * 9])
def test_channels_that_cant_be_normed_are_refused(channels: list[int]) -> None:
    """Groups of eight, none of them of one number."""
    with pytest.raises(ConfigError, match=r"^here: policy\.channels"):
        validate(DiffusionConfig, {"type": "diffusion", "channels": channels}, "here", "policy")


def test_a_configuration_from_before_there_was_a_choice() -> None:
    """Is of a transformer."""
    config = validate(DiffusionConfig, {"type": "diffusion", "width": 16, "layers": 1}, "here", "policy")
    built = build_policy(config, SIGNATURE, seed=0)
    assert isinstance(built, DiffusionPolicy) and isinstance(built.network, ChunkTransformer)


@pytest.mark.parametrize("training", [True, False])
def test_settings_of_the_other_network_are_refused(training: bool) -> None:
    """Whichever it is."""
    transformer, other = DiffusionConfig(), DiffusionConfig(network="unet")
    check_effect(transformer, ["width", "layers", "heads", "network"], training=training)
    check_effect(other, ["channels", "network"], training=training)
    with pytest.raises(RequestError, match=r"^--policy\.channels: is for --policy\.network unet"):
        check_effect(transformer, ["channels"], training=training)
    for name in ("width", "layers", "heads"):
        with pytest.raises(RequestError, match=rf"^--policy\.{name}: is for --policy\.network transformer"):
            check_effect(other, [name], training=training)
