"""How noise goes into a chunk and out again: DDPM's process with squared-cosine betas, and its two samplers."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

LARGEST_BETA = 0.999


def squared_cosine(steps: int) -> Tensor:
    """Betas (steps,), float64, of Nichol and Dhariwal 2021, arXiv:2102.09672, equation 17."""

    def kept(t: float) -> float:
        return math.cos((t + 0.008) / 1.008 * math.pi / 2.0) ** 2

    betas = [1.0 - kept((i + 1) / steps) / kept(i / steps) for i in range(steps)]
    return torch.tensor(betas, dtype=torch.float64).clamp(max=LARGEST_BETA)


class Table(NamedTuple):
    """A sampler: everything that a refinement needs, row k for the k-th.

    Attributes:
        level: (N,) int64, the training step whose noise the chunk holds before it.
        signal: (N,) share of the chunk in it, sqrt of alpha-bar.
        noise: (N,) share of the noise, sqrt of 1 - alpha-bar.
        to_chunk: (N,) weight of the estimated chunk in what comes next.
        to_noise: (N,) weight of the estimated noise.
        to_same: (N,) weight of what was there.
        fresh: (N,) standard deviation of the noise that is added.
    """

    level: Tensor
    signal: Tensor
    noise: Tensor
    to_chunk: Tensor
    to_noise: Tensor
    to_same: Tensor
    fresh: Tensor


def _levels(train_steps: int, refinements: int) -> Tensor:
    """Equal strides down from the noisiest level ("trailing", Lin et al. 2023, arXiv:2305.08891, table 2)."""
    stride = train_steps / refinements
    return torch.tensor([round(train_steps - k * stride) - 1 for k in range(refinements)])


def _alpha_bars(train_steps: int, refinements: int) -> tuple[Tensor, Tensor, Tensor]:
    """Levels, alpha-bar at each of them, and at the next; behind the last one there is no noise."""
    alpha_bar = torch.cumprod(1.0 - squared_cosine(train_steps), dim=0)
    level = _levels(train_steps, refinements)
    now = alpha_bar[level]
    return level, now, torch.cat([now[1:], torch.ones(1, dtype=torch.float64)])


def ddim(train_steps: int, refinements: int) -> Table:
    """Song et al. 2020, arXiv:2010.02502, equation 12 with sigma 0: no noise but the first."""
    level, now, then = _alpha_bars(train_steps, refinements)
    none = torch.zeros_like(now)
    rows = (now.sqrt(), (1.0 - now).sqrt(), then.sqrt(), (1.0 - then).sqrt(), none, none)
    return Table(level, *(row.float() for row in rows))


def ddpm(train_steps: int, refinements: int) -> Table:
    """Ho et al. 2020, arXiv:2006.11239, equations 6 and 7, with the smaller of their two variances."""
    level, now, then = _alpha_bars(train_steps, refinements)
    alpha = now / then
    beta = 1.0 - alpha
    chunk, same = then.sqrt() * beta / (1.0 - now), alpha.sqrt() * (1.0 - then) / (1.0 - now)
    fresh = ((1.0 - then) / (1.0 - now) * beta).sqrt()
    rows = (now.sqrt(), (1.0 - now).sqrt(), chunk, torch.zeros_like(now), same, fresh)
    return Table(level, *(row.float() for row in rows))
