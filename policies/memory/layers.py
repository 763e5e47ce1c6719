"""Layers around a memory: what it adds to is normed on the way in and added to on the way out."""

import torch
from torch import Tensor, nn

from haltere.policies.base import State
from haltere.policies.memory.aaren import Aaren
from haltere.policies.memory.attention import Attention
from haltere.policies.memory.config import MemoryConfig
from haltere.policies.memory.convolution import ShortConvolution
from haltere.policies.memory.hcam import Hcam
from haltere.policies.memory.lstm import Lstm
from haltere.policies.memory.module import Memory, Recalled, projection
from haltere.policies.memory.ring import pick
from haltere.policies.memory.titans import Titans
from haltere.policies.memory.trxl import Trxl


def build_memory(config: MemoryConfig) -> Memory:
    """The memory that a configuration names."""
    width, heads = config.width, config.heads
    match config.memory:
        case "hcam":
            sizes = (config.chunk, config.slots, config.top_k)
            return Hcam(width, heads, *sizes, summary=config.summary, memory_grad=config.memory_grad)
        case "trxl":
            return Trxl(width, heads, config.window)
        case "attention":
            return Attention(width, heads, config.span)
        case "lstm":
            return Lstm(width, config.reach)
        case "aaren":
            return Aaren(width, heads)
        case "titans":
            return Titans(width, heads, config.fast_hidden)


class Gate(nn.Module):
    """A gated recurrent unit in the place of a residual sum; begins as next to nothing but the residual.

    Source: Parisotto et al. 2020, arXiv:1910.06764, section 3.2, "gated-recurrent-unit-type gating", bias 2.
    """

    def __init__(self, width: int) -> None:
        """Build the six matrices."""
        super().__init__()
        self.added = projection(width, 3 * width)
        self.kept = projection(width, 2 * width)
        self.reset = projection(width, width)
        self.bias = nn.Parameter(torch.full((width,), 2.0))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Join a block's output y to the stream x, both (..., D)."""
        from_y, from_x = self.added(torch.relu(y)).chunk(3, dim=-1), self.kept(x).chunk(2, dim=-1)
        let = torch.sigmoid(from_y[0] + from_x[0])
        update = torch.sigmoid(from_y[1] + from_x[1] - self.bias)
        candidate = torch.tanh(from_y[2] + self.reset(let * x))
        return (1.0 - update) * x + update * candidate


class Sum(nn.Module):
    """The residual sum."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Add a block's output y to the stream x."""
        return x + y


class Layer(nn.Module):
    """Memories in a row, then a feed-forward block, each with layer norm before and a residual around it.

    With ``hcam`` and ``local`` there are two memories, attention over the last chunk's length of steps and then over
    chunks, as in the published agent; otherwise one. With a short convolution, what they are told of a step is what
    comes out of it, and what they are asked with is still the step itself.
    """

    def __init__(self, config: MemoryConfig) -> None:
        """Build for a configuration."""
        super().__init__()
        width, hidden = config.width, config.expansion * config.width
        parts: dict[str, Memory] = {"memory": build_memory(config)}
        if config.memory == "hcam" and config.local:
            parts = {"local": Trxl(width, config.heads, config.chunk), **parts}
        if config.convolution:
            parts = {"convolution": ShortConvolution(width, config.convolution), **parts}
        self.parts = nn.ModuleDict(parts)
        wide, narrow = projection(width, hidden, bias=True), projection(hidden, width, bias=True)
        self.think = nn.Sequential(wide, nn.GELU(), narrow)
        blocks = [name for name in (*parts, "think") if name != "convolution"]
        normed = [*parts, "told", "think"] if config.convolution else blocks
        self.norms = nn.ModuleDict({name: nn.LayerNorm(width) for name in normed})
        self.joins = nn.ModuleDict({name: Gate(width) if config.residual == "gate" else Sum() for name in blocks})

    @property
    def memories(self) -> dict[str, Memory]:
        """By name; the one called ``memory`` comes last."""
        return {name: part for name, part in self.parts.items() if isinstance(part, Memory)}

    def initial_state(self, batch: int) -> State:
        """The memories' states, by ``<memory>_<name>``."""
        return {
            f"{name}_{key}": tensor
            for name, memory in self.memories.items()
            for key, tensor in memory.initial_state(batch).items()
        }

    def fitted(self, state: State, steps: int) -> State:
        """As a memory's."""
        parts = {name: memory.fitted(part_of(state, name), steps) for name, memory in self.memories.items()}
        return {f"{name}_{key}": tensor for name, part in parts.items() for key, tensor in part.items()}

    def rings(self) -> list[str]:
        """See ``Memory``."""
        return [f"{name}_{key}" for name, memory in self.memories.items() for key in memory.rings]

    def step(self, x: Tensor, state: State, *, reuse: bool = False) -> Recalled:
        """As a memory's."""
        following: State = {}
        told = read = None
        for name, memory in self.memories.items():
            out, own, read = memory.step(self.norms[name](x), part_of(state, name), told=told, reuse=reuse)
            following |= {f"{name}_{key}": tensor for key, tensor in own.items()}
            if name == "convolution":
                told = self.norms["told"](out)
            else:
                x = self.joins[name](x, out)
        return Recalled(self._thought(x), following, read)

    def sequence(self, x: Tensor, state: State, starts: Tensor, *, reading: bool = False) -> Recalled:
        """As a memory's."""
        return self._sequence(x, state, starts, None, reading)

    def sequence_at(self, x: Tensor, state: State, starts: Tensor, at: Tensor, *, reading: bool = False) -> Recalled:
        """As a memory's."""
        return self._sequence(x, state, starts, at, reading)

    def _sequence(self, x: Tensor, state: State, starts: Tensor, at: Tensor | None, reading: bool) -> Recalled:
        """Either of the two; ``at`` is None for all steps."""
        following: State = {}
        told = read = None
        for name, memory in self.memories.items():
            y, part, wanted = self.norms[name](x), part_of(state, name), reading and name == "memory"
            if name == "memory" and at is not None:
                out, own, read = memory.sequence_at(y, part, starts, at, told=told, reading=wanted)
                x = pick(x, at)
            else:
                out, own, read = memory.sequence(y, part, starts, told=told, reading=wanted)
            following |= {f"{name}_{key}": tensor for key, tensor in own.items()}
            if name == "convolution":
                told = self.norms["told"](out)
            else:
                x = self.joins[name](x, out)
        return Recalled(self._thought(x), following, read)

    def _thought(self, x: Tensor) -> Tensor:
        joined: Tensor = self.joins["think"](x, self.think(self.norms["think"](x)))
        return joined


def part_of(state: State, name: str) -> State:
    """The entries ``<name>_<key>`` of a state, by key."""
    prefix = f"{name}_"
    return {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
