"""A long short-term memory.

Source: Hochreiter and Schmidhuber 1997; gates, their order and their biases as in ``torch.nn.LSTM``. The biases begin
as in Tallec and Ollivier 2018, arXiv:1804.11188, section 3: a cell whose forget gate has the bias log(T - 1) keeps what
it holds for about T steps, so cells are given a T each, uniformly up to the longest that is to be remembered.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from haltere.policies.base import State
from haltere.policies.memory.module import Memory, Recalled


class Lstm(Memory):
    """One layer of as many cells as the width, which begin with memories of all lengths up to ``reach`` steps.

    It asks with what it keeps, so all it is given comes in as one sum.

    State: ``hidden`` (B, D) and ``cell`` (B, D), zeros.
    """

    def __init__(self, width: int, reach: int) -> None:
        """Draw weights as torch does, and the biases of forget and input gates for memories of 2 to ``reach`` steps."""
        super().__init__(width)
        self.cell = nn.LSTMCell(width, width)
        with torch.no_grad():
            forget = torch.log(torch.empty(width).uniform_(1.0, max(1.0, reach - 1.0)))
            self.cell.bias_ih.zero_()
            self.cell.bias_hh.zero_()
            self.cell.bias_hh[:width] = -forget
            self.cell.bias_hh[width : 2 * width] = forget

    def initial_state(self, batch: int) -> State:
        """See the class."""
        return {"hidden": self._zeros(batch, self.width), "cell": self._zeros(batch, self.width)}

    def step(self, x: Tensor, state: State, *, told: Tensor | None = None, reuse: bool = False) -> Recalled:
        """See ``Memory``."""
        hidden, cell = self._advance(self._pushed(x if told is None else x + told), state["hidden"], state["cell"])
        return Recalled(hidden, {"hidden": hidden, "cell": cell}, None)

    def sequence(
        self, x: Tensor, state: State, starts: Tensor, *, told: Tensor | None = None, reading: bool = False
    ) -> Recalled:
        """See ``Memory``; the part that no earlier step touches is computed for all of them at once."""
        hidden, cell = state["hidden"], state["cell"]
        keep = (~starts).to(x.dtype).unsqueeze(2)
        outs = []
        for pushed, kept in zip(self._pushed(x if told is None else x + told).unbind(1), keep.unbind(1), strict=True):
            hidden, cell = self._advance(pushed, hidden * kept, cell * kept)
            outs.append(hidden)
        return Recalled(torch.stack(outs, dim=1), {"hidden": hidden, "cell": cell}, None)

    def _pushed(self, x: Tensor) -> Tensor:
        """What the input adds to each gate, (..., 4D)."""
        return linear(x, self.cell.weight_ih, self.cell.bias_ih)

    def _advance(self, pushed: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        gates = pushed + linear(hidden, self.cell.weight_hh, self.cell.bias_hh)
        let_in, forget, candidate, let_out = gates.chunk(4, dim=1)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(let_in) * torch.tanh(candidate)
        return torch.sigmoid(let_out) * torch.tanh(cell), cell
