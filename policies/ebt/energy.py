"""The energy of a chunk of commands: a transformer with one number at its end.

It is differentiated twice in training, and by ``torch.func.grad`` within an export, so it is written in operators that
have second derivatives on every device (``scaled_dot_product_attention`` has none on a CPU), and without the biases of
``nn.Linear``, which fix the number of lanes in a graph that ``make_fx`` traces.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from haltere.policies.chunking.transformer import by_head

EPSILON = 1e-6


class RMSNorm(nn.Module):
    """Zhang and Sennrich 2019, arXiv:1910.07467, equation 4."""

    def __init__(self, size: int) -> None:
        """For vectors of this size."""
        super().__init__()
        self.gain = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        """(..., size) -> (..., size)."""
        normed: Tensor = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON) * self.gain
        return normed


class Attention(nn.Module):
    """Every command of a chunk attends to every other, and to what is sensed.

    Queries and keys are normed (Henry et al. 2020, arXiv:2010.04245): without that, steps down a steep energy feed on
    themselves.
    """

    def __init__(self, width: int, heads: int) -> None:
        """``heads`` must divide ``width``."""
        super().__init__()
        self.heads = heads
        self.into = nn.Linear(width, 3 * width, bias=False)
        self.sensed = nn.Linear(width, 2 * width, bias=False)
        self.query_norm, self.key_norm = RMSNorm(width // heads), RMSNorm(width // heads)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, sensed: Tensor) -> Tensor:
        """(B, horizon, width) and (B, observed, width) -> (B, horizon, width)."""
        query, *own = self.into(x).chunk(3, dim=-1)
        pairs = zip(self.sensed(sensed).chunk(2, dim=-1), own, strict=True)
        key, value = (by_head(torch.cat(pair, dim=1), self.heads) for pair in pairs)
        query, key = self.query_norm(by_head(query, self.heads)), self.key_norm(key)
        weight = torch.softmax(query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5, dim=-1)
        mixed: Tensor = self.out((weight @ value).transpose(1, 2).flatten(2))
        return mixed


class Block(nn.Module):
    """Attention and a feed-forward part."""

    def __init__(self, width: int, heads: int, expansion: int) -> None:
        """The feed-forward part is ``expansion`` times as wide."""
        super().__init__()
        self.norms = nn.ModuleList(RMSNorm(width) for _ in range(2))
        self.attention = Attention(width, heads)
        self.up = nn.Linear(width, expansion * width, bias=False)
        self.down = nn.Linear(expansion * width, width, bias=False)

    def forward(self, x: Tensor, sensed: Tensor) -> Tensor:
        """(B, horizon, width) and (B, observed, width) -> (B, horizon, width)."""
        x = x + self.attention(self.norms[0](x), sensed)
        fed: Tensor = x + self.down(silu(self.up(self.norms[1](x))))
        return fed


class Energy(nn.Module):
    """From a chunk and what is sensed to one number: the lower, the better they go together.

    A transformer in a bowl, half of ``bowl`` times the squared length of the chunk. Through its norms the transformer
    hardly sees how far out a chunk lies, and could not lead it back from noise by itself.
    """

    def __init__(
        self, action: int, horizon: int, width: int, layers: int, heads: int, bowl: float, expansion: int = 4
    ) -> None:
        """Build."""
        super().__init__()
        self.bowl = bowl
        self.into = nn.Linear(action, width, bias=False)
        # As large as this, because a norm's slope is one over what it norms, and commands are often zero.
        self.places = nn.Parameter(torch.randn(horizon, width))
        self.blocks = nn.ModuleList(Block(width, heads, expansion) for _ in range(layers))
        self.norm = RMSNorm(width)
        self.out = nn.Linear(width, 1, bias=False)

    def forward(self, chunk: Tensor, sensed: Tensor) -> Tensor:
        """(B, horizon, action) and (B, observed, width) -> (B,), summed over the commands."""
        x = self.into(chunk) + self.places
        for block in self.blocks:
            x = block(x, sensed)
        energy: Tensor = self.out(self.norm(x)).sum((1, 2)) + 0.5 * self.bowl * chunk.square().sum((1, 2))
        return energy
