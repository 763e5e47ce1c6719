"""A feed-forward part that is several, and a router that chooses among them by the noise level and nothing else."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import silu


class Choice(NamedTuple):
    """Which experts the lanes of a call use.

    Attributes:
        probability: (B, experts), as the router has it; sums to one.
        chosen: (B, active) int64, numbers of those that are used.
        share: (B, experts) of each in the outcome: the probabilities of the chosen ones, scaled to sum to one, and
            zero for the others.
    """

    probability: Tensor
    chosen: Tensor
    share: Tensor

    def balance(self) -> Tensor:
        """The loss that has experts used alike: experts x sum of mean probability x mean selection.

        As much as experts are active where either is the same for all of them, and more where probable ones are
        selected more. Fedus et al. 2021, arXiv:2101.03961, equation 4, with lanes for tokens.
        """
        selected = torch.zeros_like(self.probability).scatter(1, self.chosen, 1.0)
        return self.probability.shape[1] * (self.probability.mean(0) * selected.mean(0)).sum()


class Router(nn.Module):
    """Chooses experts for a lane, and so for all of its tokens alike."""

    def __init__(self, width: int, experts: int, active: int) -> None:
        """For embeddings of ``width`` numbers."""
        super().__init__()
        self.experts, self.active = experts, active
        one = experts == 1  # nothing to choose
        self.network = None if one else nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, experts))

    def forward(self, embedded: Tensor, generator: torch.Generator | None = None) -> Choice:
        """Choose.

        Args:
            embedded: (B, width), of the noise level.
            generator: draws the experts by their probabilities; without it, the most probable ones are taken.
        """
        if self.network is None:
            certain = embedded.new_ones(len(embedded), 1)
            return Choice(certain, torch.zeros_like(certain, dtype=torch.int64), certain)
        probability = self.network(embedded).softmax(dim=1)
        if generator is None:
            chosen = probability.topk(self.active, dim=1).indices
        else:
            chosen = torch.multinomial(probability.detach(), self.active, generator=generator)
        kept = probability.gather(1, chosen)
        kept = kept / kept.sum(dim=1, keepdim=True)
        return Choice(probability, chosen, torch.zeros_like(probability).scatter(1, chosen, kept))


class Experts(nn.Module):
    """Gated feed-forward parts, SwiGLU of Shazeer 2020, arXiv:2002.05202, equation 6.

    Their weights lie side by side, so that those of some can be taken out by their numbers: ``into`` (experts, width,
    2 x hidden), gates first, and ``out`` (experts, hidden, width).
    """

    def __init__(self, width: int, hidden: int, experts: int) -> None:
        """So many, each with so many hidden units."""
        super().__init__()
        self.into = nn.Parameter(_uniform(experts, width, 2 * hidden))
        self.out = nn.Parameter(_uniform(experts, hidden, width))

    def forward(self, x: Tensor, share: Tensor) -> Tensor:
        """(B, T, width) and each expert's share (B, experts) -> (B, T, width)."""
        if torch.compiler.is_compiling():  # which lanes an expert has can't be part of a graph
            each = gated(x[:, None], self.into, self.out)
            return (share[..., None, None] * each).sum(dim=1)
        mixed = torch.zeros_like(x)
        for expert in range(len(self.into)):
            lanes = share[:, expert].nonzero()[:, 0]
            if len(lanes):
                part = gated(x[lanes], self.into[expert], self.out[expert])
                mixed = mixed.index_add(0, lanes, share[lanes, expert, None, None] * part)
        return mixed


def gated(x: Tensor, into: Tensor, out: Tensor, scale: Tensor | None = None) -> Tensor:
    """One gated part: (..., width) -> (..., width), its hidden units scaled where ``scale`` (hidden,) is given."""
    gate, value = (x @ into).chunk(2, dim=-1)
    hidden = silu(gate) * value
    return (hidden if scale is None else hidden * scale) @ out


def _uniform(experts: int, before: int, after: int) -> Tensor:
    """As torch initialises a linear layer."""
    return (2.0 * torch.rand(experts, before, after) - 1.0) / math.sqrt(before)
