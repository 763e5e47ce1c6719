"""The half of ACT that is there in training alone: which latent a demonstrated chunk stands for."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from haltere.policies.act.config import ActConfig
from haltere.policies.act.transformer import EncoderLayer
from haltere.policies.chunking.transformer import sinusoids


class Latent(NamedTuple):
    """A normal distribution of each lane's latent, its numbers independent of each other.

    Attributes:
        mean: (B, latent).
        log_variance: (B, latent).
    """

    mean: Tensor
    log_variance: Tensor

    def drawn(self, generator: torch.Generator) -> Tensor:
        """A latent (B, latent) through which gradients go (Kingma and Welling 2013, arXiv:1312.6114, section 2.4)."""
        noise = torch.randn(self.mean.shape, generator=generator, dtype=self.mean.dtype)
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def divergence(self) -> Tensor:
        """(B,), Kullback and Leibler's, in nats, from the standard normal distribution; the same, appendix B."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1.0 - self.log_variance).sum(1)


class Posterior(nn.Module):
    """A transformer over a token of its own, the observations and the demonstrated commands."""

    def __init__(self, config: ActConfig, sensed: int, action: int) -> None:
        """For steps of ``sensed`` numbers and commands of ``action``."""
        super().__init__()
        width = config.width
        self.asking = nn.Parameter(torch.randn(width))
        self.sense, self.command = nn.Linear(sensed, width), nn.Linear(action, width)
        places = sinusoids(torch.arange(1 + config.observed + config.horizon), width)
        self.register_buffer("places", places, persistent=False)
        self.layers = nn.ModuleList(EncoderLayer(width, config.heads) for _ in range(config.encoder_layers))
        self.out = nn.Linear(width, 2 * config.latent)

    def forward(self, sensed: Tensor, chunk: Tensor) -> Latent:
        """Normalised observations (B, observed, sensed) and commands (B, horizon, action)."""
        asking = self.asking.expand(len(chunk), 1, -1)
        x = torch.cat([asking, self.sense(sensed), self.command(chunk)], dim=1) + self.get_buffer("places")
        for layer in self.layers:
            x = layer(x)
        return Latent(*self.out(x[:, 0]).chunk(2, dim=1))
