"""Attention as a recurrence: a softmax over everything so far, in constant memory.

Source: Feng et al. 2024, arXiv:2405.13956, section 3. A query that doesn't depend on the input lets the softmax be
carried along as (largest score, sum of weighted values, sum of weights), each brought to the scale of the largest.
"""

import math

import torch
from torch import Tensor, nn

from haltere.policies.base import State
from haltere.policies.memory.heads import split
from haltere.policies.memory.module import Memory, Recalled, projection

NOTHING = -1e9
"""Largest score of nothing at all: finite, because a file's contract holds numbers, and below any score."""

Sums = tuple[Tensor, Tensor, Tensor]


class Aaren(Memory):
    """Multi-head attention of a learned query over all steps so far.

    State: ``largest`` (B, H), -1e9; ``values`` (B, H, D / H) and ``weights`` (B, H), zeros.
    """

    def __init__(self, width: int, heads: int) -> None:
        """Build the projections and each head's query."""
        super().__init__(width)
        self.heads = heads
        self.query = nn.Parameter(torch.randn(heads, width // heads))
        self.key = projection(width, width)
        self.value = projection(width, width)
        self.out = projection(width, width)

    def initial_state(self, batch: int) -> State:
        """See the class."""
        return {
            "largest": self._zeros(batch, self.heads) + NOTHING,
            "values": self._zeros(batch, self.heads, self.width // self.heads),
            "weights": self._zeros(batch, self.heads),
        }

    def step(self, x: Tensor, state: State, *, told: Tensor | None = None, reuse: bool = False) -> Recalled:
        """See ``Memory``."""
        sums = merged((state["largest"], state["values"], state["weights"]), self._alone(x if told is None else told))
        return self._recalled(sums, sums)

    def sequence(
        self, x: Tensor, state: State, starts: Tensor, *, told: Tensor | None = None, reading: bool = False
    ) -> Recalled:
        """See ``Memory``; a scan in log2(T) rounds (Hillis and Steele 1986), in which no episode reaches another."""
        before = (state["largest"], state["values"], state["weights"])
        alone = self._alone(x if told is None else told)
        sums = tuple(torch.cat([old.unsqueeze(1), new], dim=1) for old, new in zip(before, alone, strict=True))
        cut = torch.cat([torch.zeros_like(starts[:, :1]), starts], dim=1)
        reach, length = 1, x.shape[1] + 1
        while reach < length:
            largest, values, weights = (part[:, :-reach] for part in sums)
            unreached = torch.where(cut[:, reach:, None], NOTHING, largest)
            joined = merged((unreached, values, weights), tuple(part[:, reach:] for part in sums))
            sums = tuple(torch.cat([part[:, :reach], new], dim=1) for part, new in zip(sums, joined, strict=True))
            cut = torch.cat([cut[:, :reach], cut[:, reach:] | cut[:, :-reach]], dim=1)
            reach *= 2
        return self._recalled(tuple(part[:, 1:] for part in sums), tuple(part[:, -1] for part in sums))

    def _alone(self, x: Tensor) -> Sums:
        """The sums of one step (..., D) by itself."""
        key, value = split(self.key(x), self.heads), split(self.value(x), self.heads)
        score = (key * self.query).sum(dim=-1) / math.sqrt(key.shape[-1])
        return score, value, torch.ones_like(score)

    def _recalled(self, sums: tuple[Tensor, ...], last: tuple[Tensor, ...]) -> Recalled:
        _, values, weights = sums
        out = self.out((values / weights.unsqueeze(-1)).flatten(-2))
        return Recalled(out, dict(zip(("largest", "values", "weights"), last, strict=True)), None)


def merged(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The sums over both of two sets of steps; equations 8 to 10 of the paper.

    Args:
        one: largest score (...), weighted values (..., size), weights (...).
        other: likewise.
    """
    largest = torch.maximum(one[0], other[0])
    scales = (torch.exp(one[0] - largest), torch.exp(other[0] - largest))
    values = one[1] * scales[0].unsqueeze(-1) + other[1] * scales[1].unsqueeze(-1)
    return largest, values, one[2] * scales[0] + other[2] * scales[1]
