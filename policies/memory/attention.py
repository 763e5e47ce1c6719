"""Plain causal attention over the whole episode, whose keys and values are kept rather than computed anew.

Source: Vaswani et al. 2017, arXiv:1706.03762, equation 1; positions as rotations, Su et al. 2021, arXiv:2104.09864,
equation 34, so that what is kept stays right as the episode goes on.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from haltere.policies.base import ReadPlaces, State
from haltere.policies.memory.heads import apart, split, together
from haltere.policies.memory.module import Memory, Recalled, projection
from haltere.policies.memory.ring import ages, put, rolled, unrolled
from haltere.policies.memory.windows import Windows

PERIOD = 1 << 16
"""Steps in which every pair of components turns a whole number of times: no window is longer."""


class Attention(Memory):
    """Multi-head attention over the last ``span`` steps, which should be all of an episode.

    State: ``keys`` and ``values`` (B, span, D), rings, zeros; ``steps`` (B,) int64, of the episode so far.
    """

    rings = ("keys", "values")
    bounds = ("span",)
    read_places = ReadPlaces(1)
    turns: Tensor

    def __init__(self, width: int, heads: int, span: int) -> None:
        """Build the projections; a head's width must be even."""
        super().__init__(width)
        self.heads, self.span, self.places = heads, span, span
        self.query, self.key, self.value, self.out = (projection(width, width) for _ in range(4))
        self.register_buffer("turns", whole_turns(width // heads), persistent=False)

    def initial_state(self, batch: int) -> State:
        """See the class."""
        rings = {name: self._zeros(batch, self.span, self.width) for name in self.rings}
        return {**rings, "steps": self._count(batch)}

    def step(self, x: Tensor, state: State, *, told: Tensor | None = None, reuse: bool = False) -> Recalled:
        """See ``Memory``."""
        steps = state["steps"]
        query, key, value = self._projected(x, told, steps)
        slot = steps % self.span
        keys = put(state["keys"], slot, key.flatten(1), reuse=reuse)
        values = put(state["values"], slot, value.flatten(1), reuse=reuse)
        score = torch.matmul(apart(query), keys.transpose(1, 2))
        seen = torch.arange(self.span, device=x.device) <= steps[:, None]
        share = score.masked_fill(~seen.unsqueeze(1), -math.inf).softmax(dim=2)
        mixed = together(torch.matmul(share, values))
        following = {"keys": keys, "values": values, "steps": steps + 1}
        return Recalled(self.out(mixed), following, share.mean(dim=1))

    def sequence(
        self, x: Tensor, state: State, starts: Tensor, *, told: Tensor | None = None, reading: bool = False
    ) -> Recalled:
        """See ``Memory``."""
        steps, age = state["steps"], ages(state["steps"], starts)
        query, key, value = self._projected(x, told, age)
        history = min(self.span - 1, int(steps.max()))
        windows = Windows(x.shape[1], history, self.span)
        lines = {
            name: torch.cat([unrolled(state[name], steps, history), new.flatten(2)], dim=1)
            for name, new in (("keys", key), ("values", value))
        }
        query = windows.queries(query).transpose(2, 3)
        spans = [split(windows.spans(line), self.heads).transpose(2, 3) for line in lines.values()]
        seen = windows.seen(age).unsqueeze(2)
        read = None
        if reading:
            share = torch.matmul(query, spans[0].transpose(3, 4)).masked_fill(~seen, -math.inf).softmax(dim=4)
            read = windows.in_ring(share.mean(dim=2), age)
            mixed = torch.matmul(share, spans[1])
        else:
            # Lanes and blocks as one axis: of more than four, torch has no fast way.
            asked, known, said, mask = (part.flatten(0, 1) for part in (query, *spans, seen))
            mixed = scaled_dot_product_attention(asked, known, said, attn_mask=mask, scale=1.0)
            mixed = mixed.unflatten(0, query.shape[:2])
        following = {name: rolled(line, age[:, -1] + 1, self.span) for name, line in lines.items()}
        out = self.out(windows.joined(mixed.transpose(2, 3)).flatten(2))
        return Recalled(out, {**following, "steps": age[:, -1] + 1}, read)

    def _projected(self, x: Tensor, told: Tensor | None, step: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value (..., H, D / H) of steps (..., D) that are number ``step`` (...) of their episodes."""
        told = x if told is None else told
        query, key, value = (split(part, self.heads) for part in (self.query(x), self.key(told), self.value(told)))
        # Whole numbers: a sine of a large angle is off by more than all else, and differently in each runtime.
        phase = step.unsqueeze(-1) * self.turns % PERIOD
        angle = (phase.to(x.dtype) * (2.0 * math.pi / PERIOD)).unsqueeze(-2)
        return turned(query, angle) * (query.shape[-1] ** -0.5), turned(key, angle), value


def whole_turns(size: int) -> Tensor:
    """How often each of size / 2 pairs turns in ``PERIOD`` steps: the paper's angles, rounded to whole turns."""
    rate = 10_000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    return (rate * PERIOD / (2.0 * math.pi)).round().clamp(min=1).long()


def turned(x: Tensor, angle: Tensor) -> Tensor:
    """Rotate each pair (first half, second half) of components.

    Args:
        x: (..., size).
        angle: (..., size / 2) [rad].
    """
    first, second = x.chunk(2, dim=-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)
