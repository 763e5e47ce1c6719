"""An energy with its gradient: as torch differentiates it, and written out for an export."""

from typing import Any

from torch import Tensor, fx, nn
from torch.func import functional_call, grad
from torch.fx.experimental.proxy_tensor import make_fx

Weights = dict[str, Tensor]


class Slope(nn.Module):
    """An energy's gradient, without gradients of its own asked for; works without gradient tracking as well."""

    def __init__(self, energy: nn.Module) -> None:
        """Of a module (chunk, sensed) -> (B,)."""
        super().__init__()
        self.energy = energy

    def forward(self, chunk: Tensor, sensed: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient (B, horizon, action), and the energy (B,)."""
        return _slope(self.energy, dict(self.energy.named_parameters()), chunk, sensed)


class WrittenOut(nn.Module):
    """A slope as a graph of plain operators, each derivative among them: torch's exporter can't see through the other.

    Attributes:
        energy: the same module, for its weights.
    """

    def __init__(self, energy: nn.Module, chunk: Tensor, sensed: Tensor) -> None:
        """Trace it with arguments of a number of lanes that no other dimension has.

        Two dimensions of one size are taken for one and the same by the tracer, and the number of lanes would be fixed.
        """
        super().__init__()
        self.energy = energy

        def whole(weights: Weights, chunk: Tensor, sensed: Tensor) -> tuple[Tensor, Tensor]:
            return _slope(energy, weights, chunk, sensed)

        traced: Any = make_fx(whole, tracing_mode="symbolic")(dict(energy.named_parameters()), chunk, sensed)
        assert isinstance(traced, fx.GraphModule)
        traced.graph.eliminate_dead_code()
        traced.recompile()
        self.graph = traced

    def forward(self, chunk: Tensor, sensed: Tensor) -> tuple[Tensor, Tensor]:
        """See ``Slope``."""
        slope, energy = self.graph(dict(self.energy.named_parameters()), chunk, sensed)
        return slope, energy


def _slope(module: nn.Module, weights: Weights, chunk: Tensor, sensed: Tensor) -> tuple[Tensor, Tensor]:
    def total(chunk: Tensor) -> tuple[Tensor, Tensor]:
        energy: Tensor = functional_call(module, weights, (chunk, sensed))
        return energy.sum(), energy  # lanes don't mix, so the sum's gradient holds each one's own

    slope, energy = grad(total, has_aux=True)(chunk)
    return slope, energy
