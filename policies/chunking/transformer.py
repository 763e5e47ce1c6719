"""A transformer over the commands of a chunk, steered by one vector: adaptive layer norm that begins as nothing.

Peebles and Xie 2022, arXiv:2212.09748, section 3.2 (adaLN-Zero).
"""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, linear, scaled_dot_product_attention, silu

from haltere.policies.fused import fused

LONGEST_PERIOD = 10_000.0
NORM_EPS = 1e-6


def sinusoids(value: Tensor, size: int) -> Tensor:
    """(B,) -> (B, size): sines and cosines of periods from 2 pi to ``LONGEST_PERIOD`` times as much.

    Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
    """
    half = size // 2
    rate = torch.exp(torch.arange(half, dtype=torch.float32) * (-math.log(LONGEST_PERIOD) / max(half - 1, 1)))
    angle = value[:, None].float() * rate
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def by_head(x: Tensor, heads: int) -> Tensor:
    """(B, T, width) -> (B, heads, T, width / heads)."""
    apart: Tensor = x.unflatten(2, (heads, -1)).transpose(1, 2)
    return apart


def denoiser_block(
    x: Tensor,
    steering: Tensor,
    steer_w: Tensor,
    steer_b: Tensor,
    into_w: Tensor,
    into_b: Tensor,
    out_w: Tensor,
    out_b: Tensor,
    up_w: Tensor,
    up_b: Tensor,
    down_w: Tensor,
    down_b: Tensor,
    *,
    heads: int,
) -> tuple[Tensor]:
    """Compute what ``Block`` has the weights of; in the order of the kernel ``DenoiserBlock``.

    Args:
        x: (B, T, width).
        steering: (B, width).
        steer_w: (6 width, width); shift, scale and gate of attention, then those of the feed-forward part.
        steer_b: (6 width,).
        into_w: (3 width, width); queries, keys and values.
        into_b: (3 width,).
        out_w: (width, width).
        out_b: (width,).
        up_w: (inner, width).
        up_b: (inner,).
        down_w: (width, inner).
        down_b: (width,).
        heads: of attention.

    Returns:
        (B, T, width).
    """
    steer = linear(silu(steering), steer_w, steer_b)[:, None]
    return steered_block(x, steer, into_w, into_b, out_w, out_b, up_w, up_b, down_w, down_b, heads=heads)


def steered_block(
    x: Tensor,
    steer: Tensor,
    into_w: Tensor,
    into_b: Tensor,
    out_w: Tensor,
    out_b: Tensor,
    up_w: Tensor,
    up_b: Tensor,
    down_w: Tensor,
    down_b: Tensor,
    *,
    heads: int,
) -> tuple[Tensor]:
    """``denoiser_block`` from its second layer on; in the order of the kernel ``SteeredBlock``.

    Args:
        x: (B, T, width).
        steer: (B, 1, 6 width), what the first layer gives.
        into_w: (3 width, width).
        into_b: (3 width,).
        out_w: (width, width).
        out_b: (width,).
        up_w: (inner, width).
        up_b: (inner,).
        down_w: (width, inner).
        down_b: (width,).
        heads: of attention.

    Returns:
        (B, T, width).
    """
    batch, steps, width = x.shape
    shift, scale, let, shift2, scale2, let2 = steer.chunk(6, dim=-1)
    moved = layer_norm(x, (width,), eps=NORM_EPS) * (1.0 + scale) + shift
    parts = linear(moved, into_w, into_b).view(batch, steps, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    mixed = scaled_dot_product_attention(parts[0], parts[1], parts[2]).transpose(1, 2).flatten(2)
    x = x + let * linear(mixed, out_w, out_b)
    moved = layer_norm(x, (width,), eps=NORM_EPS) * (1.0 + scale2) + shift2
    return (x + let2 * linear(gelu(linear(moved, up_w, up_b), approximate="tanh"), down_w, down_b),)


def dense(x: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor]:
    """One layer, (B, ..., K) -> (B, ..., N): the kernel ``Dense``."""
    return (linear(x, w, b),)


class Attention(nn.Module):
    """The weights by which every command of a chunk attends to every other."""

    def __init__(self, width: int) -> None:
        """Of one width throughout."""
        super().__init__()
        self.into = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)


class Block(nn.Module):
    """Attention and a feed-forward part, each shifted, scaled and let through by the steering vector."""

    def __init__(self, width: int, heads: int, expansion: int) -> None:
        """The feed-forward part is ``expansion`` times as wide; ``heads`` must divide ``width``."""
        super().__init__()
        self.heads = heads
        self.attention = Attention(width)
        inner = expansion * width
        self.feed_forward = nn.Sequential(nn.Linear(width, inner), nn.GELU(approximate="tanh"), nn.Linear(inner, width))
        self.steer = nn.Sequential(nn.SiLU(), _nothing(width, 6 * width))

    def forward(self, x: Tensor, steering: Tensor) -> Tensor:
        """(B, T, width) and (B, width) -> (B, T, width)."""
        weights = (*_weights(self.steer[1]), *self._weights())
        return fused("DenoiserBlock", denoiser_block, (x, steering), weights, {"heads": self.heads})[0]

    def steered(self, x: Tensor, steer: Tensor) -> Tensor:
        """``forward`` given what ``steers`` makes of the steering vector: (B, T, width), (B, 1, 6 width)."""
        return fused("SteeredBlock", steered_block, (x, steer), self._weights(), {"heads": self.heads})[0]

    def _weights(self) -> tuple[Tensor, ...]:
        layers = (self.attention.into, self.attention.out, self.feed_forward[0], self.feed_forward[2])
        return tuple(tensor for layer in layers for tensor in _weights(layer))


class ChunkTransformer(nn.Module):
    """From a chunk as it stands, and what it is to depend on, to one number for each of its commands' components."""

    def __init__(self, action: int, horizon: int, width: int, layers: int, heads: int, expansion: int = 4) -> None:
        """Build; the outcome is zero until it is trained."""
        super().__init__()
        self.into = nn.Linear(action, width)
        self.places = nn.Parameter(0.02 * torch.randn(horizon, width))
        self.blocks = nn.ModuleList(Block(width, heads, expansion) for _ in range(layers))
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=NORM_EPS)
        self.steer = nn.Sequential(nn.SiLU(), _nothing(width, 2 * width))
        self.out = _nothing(width, action)

    def forward(self, chunk: Tensor, steering: Tensor) -> Tensor:
        """(B, horizon, action) and (B, width) -> (B, horizon, action)."""
        x = self.into(chunk) + self.places
        for block in self.blocks:
            x = block(x, steering)
        return self._end(x, self.steer(steering)[:, None])

    def steers(self, steering: Tensor) -> list[tuple[Tensor, ...]]:
        """What N steering vectors (B, N, width) make of the blocks and the end, by vectors, for ``steered``.

        One product for all of them reads the weights once.
        """
        moved = silu(steering)
        layers = [*(cast(Block, block).steer for block in self.blocks), self.steer]
        made = (fused("Dense", dense, (moved,), _weights(steer[1]))[0].split(1, dim=1) for steer in layers)
        return list(zip(*made, strict=True))

    def steered(self, chunk: Tensor, steers: tuple[Tensor, ...]) -> Tensor:
        """``forward``, given one entry of ``steers``."""
        x = self.into(chunk) + self.places
        for block, steer in zip(self.blocks, steers[:-1], strict=True):
            x = cast(Block, block).steered(x, steer)
        return self._end(x, steers[-1])

    def _end(self, x: Tensor, steer: Tensor) -> Tensor:
        shift, scale = steer.chunk(2, dim=-1)
        out: Tensor = self.out(self.norm(x) * (1.0 + scale) + shift)
        return out


def _weights(layer: nn.Module) -> tuple[Tensor, Tensor]:
    linear_layer = cast(nn.Linear, layer)
    return linear_layer.weight, linear_layer.bias


def _nothing(before: int, after: int) -> nn.Linear:
    """A layer whose outcome is zero until it is trained."""
    layer = nn.Linear(before, after)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
