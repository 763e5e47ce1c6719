"""A policy of fused blocks: everything that can be said with them, and as little network as possible."""

import torch
from torch import Tensor, nn

from haltere.policies.base import Obs, Output, Policy, Signature, State
from haltere.policies.fused import fused

from .toys import ToyConfig


def dense(x: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor]:
    """One layer, as the kernel of that name; written so that its function depends on the sizes."""
    return (torch.nn.functional.linear(x.reshape(-1, 1, w.shape[1]), w, b).reshape(-1, len(b)),)


def mix(x: Tensor, memory: Tensor, bonus: Tensor | None, w: Tensor, *, power: int) -> tuple[Tensor, Tensor]:
    """Two outputs, an input that may be left out, an attribute, and a block within the block."""
    (moved,) = fused("Dense", dense, (x,), (w, w[0].new_zeros(len(w))))
    following = (0.5 * memory + moved).tanh()
    return following**power, following if bonus is None else following + bonus


class Blocks(Policy[ToyConfig]):
    """A recurrent network of fused blocks: one name at two sizes, one of them twice, and one without a kernel."""

    def __init__(self, config: ToyConfig) -> None:
        """Draw weights of its own, seeded."""
        super().__init__(config, Signature({"x": (8,)}, 2))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(5)
            self.layers = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 2)])
            self.w = nn.Parameter(torch.randn(8, 8) / 3)
        self.register_buffer("scale", torch.linspace(0.5, 3.0, 8))

    def initial_state(self, batch: int) -> State:
        """What was seen."""
        return {"memory": torch.zeros(batch, 8)}

    def forward(self, obs: Obs, state: State) -> tuple[Output, State]:
        """Layers, the mixed block, the head."""
        x = obs["x"]
        for index, layer in enumerate(self.layers[:2]):
            weight = layer.weight * self.scale if index == 0 else layer.weight
            x = fused("Dense", dense, (x,), (weight, layer.bias))[0].tanh()
        x, following = fused("Mix", mix, (x, state["memory"], None), (self.w,), {"power": 3})
        head = self.layers[2]
        return {"action": fused("Dense", dense, (x,), (head.weight, head.bias))[0].tanh()}, {"memory": following}
