"""Fast weights that learn while they act: each step is a step of gradient descent on what the memory got wrong.

Source: Behrouz et al. 2025, arXiv:2501.00663, equations 8 to 15. Experimental: no released code to compare with, the
paper's convolutions and persistent tokens are left out, and the memory is cut into heads. The gradient is written out,
so that no runtime needs automatic differentiation. With hidden units, a step is cut to the length at which the squared
error's own curvature would overshoot; without that, weights grew past all bounds within thirty steps.
"""

from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, silu

from haltere.policies.base import State
from haltere.policies.memory.heads import split
from haltere.policies.memory.module import Recalled, Recurrent, projection

Weights: TypeAlias = dict[str, Tensor]


class Titans(Recurrent):
    """An associative memory for each head: a matrix, or a layer of hidden units, that maps keys to values.

    State, zeros: for each matrix (``down``, and ``up`` where there are hidden units) the difference of the fast weights
    from where they begin, and ``<name>_momentum``; (B, H, out, in) each.
    """

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        """Build the projections, the three gates, and the weights that an episode begins with."""
        super().__init__(width)
        self.heads = heads
        self.query, self.key, self.value, self.out = (projection(width, width) for _ in range(4))
        self.gates = projection(width, 3 * heads, bias=True)
        with torch.no_grad():
            # Learn in small steps, with some momentum, and forget next to nothing.
            self.gates.bias.copy_(torch.tensor([-1.0, 0.0, -5.0]).repeat_interleave(heads))
        size = width // heads
        shapes = {"up": (hidden, size), "down": (size, hidden)} if hidden else {"down": (size, size)}
        self.begin = nn.ParameterDict(
            {name: nn.init.xavier_uniform_(torch.empty(heads, *shape)) for name, shape in shapes.items()}
        )

    def initial_state(self, batch: int) -> State:
        """See the class."""
        shapes = {name: tensor.shape for name, tensor in self.begin.items()}
        return {
            name + kind: self._zeros(batch, *shape) for name, shape in shapes.items() for kind in ("", "_momentum")
        }

    def step(self, x: Tensor, state: State, *, told: Tensor | None = None, reuse: bool = False) -> Recalled:
        """See ``Memory``."""
        told = x if told is None else told
        asked, known = self.query(x), self.key(told)
        query, key = (normalize(silu(split(part, self.heads)), dim=-1) for part in (asked, known))
        value = split(self.value(told), self.heads)
        learn, keep, forget = (
            part[..., None, None] for part in torch.sigmoid(split(self.gates(told), 3)).unbind(-2)
        )
        fast = {name: start + state[name] for name, start in self.begin.items()}
        following: State = {}
        slopes, curvature = descent(fast, key, value)
        learn = learn / curvature.clamp(min=1.0)
        for name, slope in slopes.items():
            momentum = keep * state[f"{name}_momentum"] - learn * slope
            fast[name] = (1.0 - forget) * fast[name] + momentum
            following |= {name: fast[name] - self.begin[name], f"{name}_momentum": momentum}
        return Recalled(self.out(recalled(fast, query).flatten(1)), following, None)


def recalled(fast: Weights, key: Tensor) -> Tensor:
    """What the memory has for a key.

    Args:
        fast: ``down`` (B, H, size, n) and, with hidden units, ``up`` (B, H, n, size).
        key: (B, H, size).

    Returns:
        (B, H, size).
    """
    x = key.unsqueeze(-1)
    hidden = silu(torch.matmul(fast["up"], x)) if "up" in fast else x
    return torch.matmul(fast["down"], hidden).squeeze(-1)


def descent(fast: Weights, key: Tensor, value: Tensor) -> tuple[Weights, Tensor]:
    """Which way the weights are wrong, and how far they may go against it.

    Returns:
        Slope of |recalled(key) - value|^2 / 2 of each head in each of its weights, and a bound of its curvature along
        any direction, (B, H, 1, 1): of the Gauss-Newton matrix, bounded block by block.
    """
    x = key.unsqueeze(-1)
    if "up" not in fast:
        wrong = torch.matmul(fast["down"], x) - value.unsqueeze(-1)
        return {"down": torch.matmul(wrong, x.transpose(2, 3))}, x.square().sum(dim=(2, 3), keepdim=True)
    before = torch.matmul(fast["up"], x)
    gate = torch.sigmoid(before)
    hidden = before * gate
    wrong = torch.matmul(fast["down"], hidden) - value.unsqueeze(-1)
    # Back through silu, whose slope is gate + silu (1 - gate).
    back = (fast["down"] * (gate + hidden * (1.0 - gate)).transpose(2, 3)).transpose(2, 3)
    of_up = back.square().sum(dim=(2, 3), keepdim=True) * x.square().sum(dim=(2, 3), keepdim=True)
    curvature = hidden.square().sum(dim=(2, 3), keepdim=True) + of_up
    slopes = {"up": torch.matmul(torch.matmul(back, wrong), x.transpose(2, 3))}
    return {**slopes, "down": torch.matmul(wrong, hidden.transpose(2, 3))}, curvature
