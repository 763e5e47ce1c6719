"""A transformer over the commands of a chunk, steered by one vector: adaptive layer norm that begins as nothing.

Peebles and Xie 2022, arXiv:2212.09748, section 3.2 (adaLN-Zero).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

LONGEST_PERIOD = 10_000.0


def sinusoids(value: Tensor, size: int) -> Tensor:
    """(B,) -> (B, size): sines and cosines of periods from 2 pi to ``LONGEST_PERIOD`` times as much.

    Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
    """
    half = size // 2
    rate = torch.exp(torch.arange(half, dtype=torch.float32) * (-math.log(LONGEST_PERIOD) / max(half - 1, 1)))
    angle = value[:, None].float() * rate
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class Attention(nn.Module):
    """Every command of a chunk attends to every other."""

    def __init__(self, width: int, heads: int) -> None:
        """``heads`` must divide ``width``."""
        super().__init__()
        self.heads = heads
        self.into = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) -> (B, T, width)."""
        batch, steps, width = x.shape
        query, key, value = self.into(x).view(batch, steps, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed: Tensor = self.out(scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))
        return mixed


class Block(nn.Module):
    """Attention and a feed-forward part, each shifted, scaled and let through by the steering vector."""

    def __init__(self, width: int, heads: int, expansion: int) -> None:
        """The feed-forward part is ``expansion`` times as wide."""
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False, eps=1e-6) for _ in range(2))
        self.attention = Attention(width, heads)
        inner = expansion * width
        self.feed_forward = nn.Sequential(nn.Linear(width, inner), nn.GELU(approximate="tanh"), nn.Linear(inner, width))
        self.steer = nn.Sequential(nn.SiLU(), _nothing(width, 6 * width))

    def forward(self, x: Tensor, steering: Tensor) -> Tensor:
        """(B, T, width) and (B, width) -> (B, T, width)."""
        shift, scale, let, shift2, scale2, let2 = self.steer(steering)[:, None].chunk(6, dim=-1)
        x = x + let * self.attention(self.norms[0](x) * (1.0 + scale) + shift)
        steered: Tensor = x + let2 * self.feed_forward(self.norms[1](x) * (1.0 + scale2) + shift2)
        return steered


class ChunkTransformer(nn.Module):
    """From a chunk as it stands, and what it is to depend on, to one number for each of its commands' components."""

    def __init__(self, action: int, horizon: int, width: int, layers: int, heads: int, expansion: int = 4) -> None:
        """Build; the outcome is zero until it is trained."""
        super().__init__()
        self.into = nn.Linear(action, width)
        self.places = nn.Parameter(0.02 * torch.randn(horizon, width))
        self.blocks = nn.ModuleList(Block(width, heads, expansion) for _ in range(layers))
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.steer = nn.Sequential(nn.SiLU(), _nothing(width, 2 * width))
        self.out = _nothing(width, action)

    def forward(self, chunk: Tensor, steering: Tensor) -> Tensor:
        """(B, horizon, action) and (B, width) -> (B, horizon, action)."""
        x = self.into(chunk) + self.places
        for block in self.blocks:
            x = block(x, steering)
        shift, scale = self.steer(steering)[:, None].chunk(2, dim=-1)
        out: Tensor = self.out(self.norm(x) * (1.0 + scale) + shift)
        return out


def _nothing(before: int, after: int) -> nn.Linear:
    """A layer whose outcome is zero until it is trained."""
    layer = nn.Linear(before, after)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
