"""The transformer of Vaswani et al. 2017, arXiv:1706.03762, section 3, without dropout: a norm behind every part."""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from haltere.policies.chunking.transformer import by_head


class Attention(nn.Module):
    """Tokens attend to tokens, their own or others."""

    def __init__(self, width: int, heads: int) -> None:
        """``heads`` must divide ``width``."""
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.known = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        """What tokens (B, T, width) make of those that they attend to, (B, S, width): (B, T, width)."""
        query = by_head(self.query(x), self.heads)
        key, value = (by_head(part, self.heads) for part in self.known(known).chunk(2, dim=-1))
        mixed: Tensor = self.out(scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))
        return mixed


class EncoderLayer(nn.Module):
    """Tokens attend to each other; then a feed-forward part."""

    def __init__(self, width: int, heads: int, expansion: int = 4) -> None:
        """The feed-forward part is ``expansion`` times as wide."""
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.attention = Attention(width, heads)
        self.feed_forward = feed_forward(width, expansion)
        drawn_wide(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) -> (B, T, width)."""
        x = self.norms[0](x + self.attention(x, x))
        fed: Tensor = self.norms[1](x + self.feed_forward(x))
        return fed


class DecoderLayer(nn.Module):
    """Tokens attend to each other, then to what is known; then a feed-forward part."""

    def __init__(self, width: int, heads: int, expansion: int = 4) -> None:
        """The feed-forward part is ``expansion`` times as wide."""
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.attention, self.crossing = Attention(width, heads), Attention(width, heads)
        self.feed_forward = feed_forward(width, expansion)
        drawn_wide(self)

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        """(B, T, width), and what is known (B, S, width) -> (B, T, width)."""
        x = self.norms[0](x + self.attention(x, x))
        x = self.norms[1](x + self.crossing(x, known))
        fed: Tensor = self.norms[2](x + self.feed_forward(x))
        return fed


def feed_forward(width: int, expansion: int) -> nn.Sequential:
    """Each token by itself."""
    return nn.Sequential(nn.Linear(width, expansion * width), nn.ReLU(), nn.Linear(expansion * width, width))


def drawn_wide(layer: nn.Module) -> None:
    """Draw each of its matrices so that it keeps variance (Glorot and Bengio 2010, equation 16).

    Published is one draw for queries, keys and values together, which are narrower for it by a factor of 1.4.
    """
    for weight in layer.parameters():
        if weight.dim() > 1:
            torch.nn.init.xavier_uniform_(weight)
