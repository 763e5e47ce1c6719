"""Expert caching: what a denoiser computes from the noise level alone, computed once for each refinement.

Reuss et al. 2024, arXiv:2412.12953, section 3.3. The experts that a level uses become one gated part, as wide as all of
them together. Their shares scale its hidden units, which is the same as to scale the rows of its second matrix, and so
levels that use the same experts share one copy.
"""

from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import linear

from haltere.policies.mode.experts import gated
from haltere.policies.mode.transformer import Denoiser, Layer

Level: TypeAlias = int | Tensor
"""A refinement by its number; in a graph, which can't know it, as a tensor (1,) int64."""


class FoldedLayer(NamedTuple):
    """A layer at each of N levels; S different sets of experts, of H hidden units together.

    Attributes:
        bias: (N, 3 width) of the attention's first projection, with what the level adds to it.
        which: number of the set of each level, N of them.
        scale: (N, H) share of the expert that a hidden unit is of.
        into: (S, width, 2 H), gates first.
        out: (S, H, width).
    """

    bias: Tensor
    which: tuple[int, ...]
    scale: Tensor
    into: Tensor
    out: Tensor

    @staticmethod
    def of(layer: Layer, embedded: Tensor) -> "FoldedLayer":
        """Fold for embedded levels (N, width)."""
        attention, experts = layer.attention, layer.experts
        choice = layer.router(embedded)
        # In the order of their numbers: the same experts are the same set, whichever is the more probable one.
        chosen = choice.chosen.sort(dim=1).values
        sets, which = chosen.unique(dim=0, return_inverse=True)
        hidden = experts.out.shape[1]
        gates, values = (torch.cat([part[one] for one in sets.T], dim=2) for part in experts.into.chunk(2, dim=2))
        return FoldedLayer(
            linear(embedded, attention.into.weight, attention.into.bias),
            tuple(which.tolist()),
            choice.share.gather(1, chosen).repeat_interleave(hidden, dim=1),
            torch.cat([gates, values], dim=2),
            torch.cat([experts.out[one] for one in sets.T], dim=1),
        )


class Folded(NamedTuple):
    """A denoiser at N levels.

    Attributes:
        embedded: (N, width) the levels as tokens.
        layers: each of its layers.
    """

    embedded: Tensor
    layers: tuple[FoldedLayer, ...]


def fold(denoiser: Denoiser, told: Tensor) -> Folded:
    """Fold a denoiser for what it is told of N levels, (N,). Nothing of it follows the weights afterwards."""
    # Whoever folds first may be without gradients for good, and who comes next may not.
    with torch.inference_mode(False), torch.no_grad():
        embedded = denoiser.level(told[:, None])
        return Folded(embedded, tuple(FoldedLayer.of(layer, embedded) for layer in denoiser.blocks()))


def row(table: Tensor, level: Level) -> Tensor:
    """A level's row: a view where the level is known, and one Gather in a graph."""
    return table[level] if isinstance(level, int) else table.index_select(0, level)[0]


def estimate(denoiser: Denoiser, folded: Folded, sensed: Tensor, chunk: Tensor, level: Level) -> Tensor:
    """``Denoiser.forward`` with every lane at the same level, without routers."""
    embedded = row(folded.embedded, level).expand(chunk.shape[0], 1, -1)
    x = denoiser.tokens(embedded, sensed, chunk)
    for layer, part in zip(denoiser.blocks(), folded.layers, strict=True):
        attention = layer.attention
        x = x + attention(linear(layer.norms[0](x), attention.into.weight, row(part.bias, level)))
        chosen = _set_of(part, level)
        x = x + gated(layer.norms[1](x), row(part.into, chosen), row(part.out, chosen), row(part.scale, level))
    return denoiser.read(x)


def _set_of(part: FoldedLayer, level: Level) -> Level:
    if len(part.into) == 1:
        return 0
    return part.which[level] if isinstance(level, int) else torch.tensor(part.which).index_select(0, level)
