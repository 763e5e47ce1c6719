"""Noise as Karras et al. 2022, arXiv:2206.00364 (EDM), have it: a chunk plus sigma times standard normal noise."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

DENSITY_SCALE = 0.5
"""Of the log-logistic density of training levels; its median is sigma_data (Reuss et al. 2023, arXiv:2304.02532)."""


class Scalings(NamedTuple):
    """How a network F is made a denoiser: same * x + out * F(into * x). EDM, table 1, column "Ours".

    Attributes:
        same: c_skip.
        out: c_out.
        into: c_in.
    """

    same: Tensor
    out: Tensor
    into: Tensor

    @staticmethod
    def of(sigma: Tensor, data: float) -> "Scalings":
        """At noise of standard deviation ``sigma`` on commands of standard deviation ``data``."""
        total = (sigma**2 + data**2).sqrt()
        return Scalings((data / total) ** 2, sigma * data / total, 1.0 / total)


def target(clean: Tensor, noise: Tensor, sigma: Tensor, data: float) -> Tensor:
    """What F is to give: EDM, equation 8, (clean - c_skip (clean + sigma noise)) / c_out without its cancellation."""
    return (sigma * clean - data**2 * noise) / (data * (sigma**2 + data**2).sqrt())


def noise_input(sigma: Tensor) -> Tensor:
    """What the network is told of the noise, c_noise: EDM, table 1."""
    return 0.25 * sigma.log()


def drawn_levels(count: int, least: float, most: float, median: float, generator: torch.Generator) -> Tensor:
    """(count,) levels of a training step: log-logistic between ``least`` and ``most``."""
    low, high = (_sigmoid((math.log(bound) - math.log(median)) / DENSITY_SCALE) for bound in (least, most))
    share = low + (high - low) * torch.rand(count, generator=generator, dtype=torch.float64)
    return torch.exp(math.log(median) + DENSITY_SCALE * torch.logit(share)).clamp(least, most).float()


def _sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value))


class Table(NamedTuple):
    """The sampler: everything that a refinement needs, row k for the k-th.

    Attributes:
        sigma: (N,) of the noise before it.
        into: (N,) weight of the chunk in what the network is given.
        same: (N,) weight of the chunk in what comes next.
        out: (N,) weight of the network's outcome.
        fresh: (N,) standard deviation of the noise that is added.
    """

    sigma: Tensor
    into: Tensor
    same: Tensor
    out: Tensor
    fresh: Tensor


def ddim(refinements: int, least: float, most: float, data: float) -> Table:
    """DDIM (Song et al. 2020, arXiv:2010.02502) from ``most`` to nothing, with exponential sigmas.

    In terms of sigma it is Euler's step, EDM, algorithm 1 without its correction: D + (next / sigma) (x - D).
    """
    sigma, then = _levels(refinements, least, most)
    return _table(sigma, then / sigma, torch.zeros_like(sigma), data)


def ancestral(refinements: int, least: float, most: float, data: float) -> Table:
    """The same levels, with part of the noise taken out and drawn anew in each step.

    Ancestral sampling (Song et al. 2020, arXiv:2011.13456, equation 47), of which DDPM is the case of other levels:
    D + (next / sigma)^2 (x - D), and fresh noise that makes up for what is missing to ``next``.
    """
    sigma, then = _levels(refinements, least, most)
    kept = (then / sigma) ** 2
    return _table(sigma, kept, then * (1.0 - kept).sqrt(), data)


def _levels(refinements: int, least: float, most: float) -> tuple[Tensor, Tensor]:
    """Exponential sigmas, and for each the one that comes after it; behind the last one there is no noise."""
    sigma = torch.linspace(math.log(most), math.log(least), refinements, dtype=torch.float64).exp()
    return sigma, torch.cat([sigma[1:], torch.zeros(1, dtype=torch.float64)])


def _table(sigma: Tensor, kept: Tensor, fresh: Tensor, data: float) -> Table:
    """Steps from a chunk x to D + kept (x - D) + fresh noise.

    The first row takes standard normal noise as it is drawn, and includes its scaling by sigma.
    """
    scalings = Scalings.of(sigma, data)
    begin = torch.ones_like(sigma)
    begin[0] = sigma[0]
    same = begin * (kept + (1.0 - kept) * scalings.same)
    return Table(*(row.float() for row in (sigma, begin * scalings.into, same, (1.0 - kept) * scalings.out, fresh)))
