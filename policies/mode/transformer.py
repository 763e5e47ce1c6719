"""The denoising transformer: noise level, what is sensed and commands are its tokens."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from haltere.policies.mode.config import ModeConfig
from haltere.policies.mode.experts import Choice, Experts, Router

EPSILON = 1e-6
"""Of the norms."""


class Attention(nn.Module):
    """Attention with normed queries and keys (Henry et al. 2020, arXiv:2010.04245; RMSNorm for their L2 norm)."""

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        """``heads`` must divide ``width``."""
        super().__init__()
        self.heads, self.causal = heads, causal
        self.into = nn.Linear(width, 3 * width)
        self.norms = nn.ModuleList(nn.RMSNorm(width // heads, eps=EPSILON) for _ in range(2))
        self.out = nn.Linear(width, width)

    def forward(self, projected: Tensor) -> Tensor:
        """Queries, keys and values end to end (B, T, 3 width), as ``into`` gives them -> (B, T, width)."""
        batch, tokens, size = projected.shape
        parts = projected.view(batch, tokens, 3, self.heads, size // 3 // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        query, key = self.norms[0](query), self.norms[1](key)
        mixed = scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out


class Layer(nn.Module):
    """Attention, then experts; both to be added to what comes in."""

    def __init__(self, config: ModeConfig) -> None:
        """One of ``config.layers``."""
        super().__init__()
        width = config.width
        self.norms = nn.ModuleList(nn.RMSNorm(width, eps=EPSILON) for _ in range(2))
        self.attention = Attention(width, config.heads, config.causal)
        self.router = Router(width, config.experts, config.active)
        self.experts = Experts(width, config.expansion * width, config.experts)

    def forward(self, x: Tensor, embedded: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Choice]:
        """(B, T, width) and the noise level (B, width) -> (B, T, width), and the experts that were used."""
        x = x + self.attention(self.attention.into(self.norms[0](x) + embedded[:, None]))
        choice = self.router(embedded, generator)
        return x + self.experts(self.norms[1](x), choice.share), choice


class Denoiser(nn.Module):
    """The network F of EDM. After Reuss et al. 2024, arXiv:2412.12953, section 3, and their published code.

    Two things differ from that code: a layer's experts add to what the layer was given, where theirs add to the normed
    value, and there is no dropout.
    """

    def __init__(self, config: ModeConfig, action: int) -> None:
        """For commands of ``action`` components."""
        super().__init__()
        width = config.width
        self.horizon = config.horizon
        self.level = nn.Linear(1, width)
        self.command = nn.Linear(action, width)
        self.places = nn.Parameter(0.02 * torch.randn(1 + config.observed + config.horizon, width))
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(width, eps=EPSILON)
        self.out = nn.Linear(width, action)
        # Next to nothing at first, so that training begins with the chunk that EDM's scalings alone would estimate.
        nn.init.normal_(self.out.weight, std=0.02)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, sensed: Tensor, chunk: Tensor, told: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Sequence[Choice]]:
        """One call.

        Args:
            sensed: (B, observed, width) tokens.
            chunk: (B, horizon, action), scaled.
            told: (B,) what it is told of the noise.
            generator: draws experts, in training.

        Returns:
            The outcome (B, horizon, action), and each layer's experts.
        """
        embedded = self.level(told[:, None])
        x, choices = self.tokens(embedded[:, None], sensed, chunk), []
        for layer in self.blocks():
            x, choice = layer(x, embedded, generator)
            choices.append(choice)
        return self.read(x), choices

    def blocks(self) -> Iterator[Layer]:
        """Its layers, in order."""
        for layer in self.layers:
            assert isinstance(layer, Layer)
            yield layer

    def tokens(self, embedded: Tensor, sensed: Tensor, chunk: Tensor) -> Tensor:
        """(B, 1, width), (B, observed, width) and (B, horizon, action) -> (B, 1 + observed + horizon, width)."""
        return torch.cat([embedded, sensed, self.command(chunk)], dim=1) + self.places

    def read(self, x: Tensor) -> Tensor:
        """What the last layer gives -> (B, horizon, action)."""
        out: Tensor = self.out(self.norm(x[:, -self.horizon :]))
        return out
