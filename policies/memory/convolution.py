"""A convolution over the last few steps, causal: what has changed, for a memory to store.

Source: the short convolution in front of a sequence layer, as in Gu and Dao 2023, arXiv:2312.00752, section 3.4, and
Poli et al. 2023, arXiv:2302.10866, section 3.1; over all channels at once, because a width is small here.
"""

import torch
from torch import Tensor, nn

from haltere.policies.base import State
from haltere.policies.memory.module import Memory, Recalled, projection
from haltere.policies.memory.ring import ages


class ShortConvolution(Memory):
    """A causal convolution of K steps, a rectifier and a projection. It begins as a difference.

    After an episode's first step nothing comes out, at first, while nothing moves, and nothing of whatever stands
    still, so that what a memory finds says who moved.

    State: ``recent`` (B, K - 1, D), the steps before this one, oldest first, zeros.
    """

    def __init__(self, width: int, steps: int) -> None:
        """Build for K steps, the present one among them."""
        super().__init__(width)
        self.steps = steps
        self.mix = nn.Linear(steps * width, width)
        self.out = projection(width, width)
        with torch.no_grad():
            now = projection(width, width).weight
            self.mix.weight.copy_(torch.cat([-now / (steps - 1)] * (steps - 1) + [now], dim=1))
            self.mix.bias.zero_()

    def initial_state(self, batch: int) -> State:
        """See the class."""
        return {"recent": self._zeros(batch, self.steps - 1, self.width)}

    def step(self, x: Tensor, state: State, *, told: Tensor | None = None, reuse: bool = False) -> Recalled:
        """See ``Memory``. The state is so small that reusing it would spare nothing."""
        line = torch.cat([state["recent"], x.unsqueeze(1)], dim=1)
        return Recalled(self._mixed(line.flatten(1)), {"recent": line[:, 1:]}, None)

    def sequence(
        self, x: Tensor, state: State, starts: Tensor, *, told: Tensor | None = None, reading: bool = False
    ) -> Recalled:
        """See ``Memory``."""
        count, kept = x.shape[1], self.steps - 1
        line = torch.cat([state["recent"], x], dim=1)
        # The state is zero where it is of no episode, so all of it may be seen until another episode starts.
        age = ages(torch.full_like(starts[:, 0], kept, dtype=torch.int64), starts)
        taps = [
            line[:, kept - back : kept - back + count] * (age >= back).unsqueeze(2) for back in range(kept, -1, -1)
        ]
        back = torch.arange(kept, 0, -1, device=x.device)
        recent = line[:, line.shape[1] - kept :] * (age[:, -1:] + 1 >= back).unsqueeze(2)
        return Recalled(self._mixed(torch.cat(taps, dim=2)), {"recent": recent}, None)

    def _mixed(self, taps: Tensor) -> Tensor:
        """(..., K * D), oldest first -> (..., D)."""
        out: Tensor = self.out(torch.relu(self.mix(taps)))
        return out
