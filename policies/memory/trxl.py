"""Attention over the last steps, each known by how long ago it was: Transformer-XL's segment memory.

Source: Dai et al. 2019, arXiv:1901.02860, section 3; for reinforcement learning, Parisotto et al. 2020,
arXiv:1910.06764. What is kept are the layer's inputs, or what it is told of them. In torch's terms the paper's cache
has no gradient: give the sequence a state that was detached.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from haltere.policies.base import ReadPlaces, State
from haltere.policies.memory.heads import carried_back, carried_on, sinusoids, split
from haltere.policies.memory.module import Memory, Recalled, projection
from haltere.policies.memory.ring import ages, put, rolled, unrolled
from haltere.policies.memory.windows import Windows


class Trxl(Memory):
    """Multi-head attention over a window of steps, by content and by distance.

    State: ``cache`` (B, window, D), a ring of the layer's inputs, zeros; ``steps`` (B,) int64, of the episode so far.
    """

    rings = ("cache",)
    bounds = ("window",)
    read_places = ReadPlaces(1)
    near: Tensor

    def __init__(self, width: int, heads: int, window: int) -> None:
        """Build the projections and the two biases u and v."""
        super().__init__(width)
        self.heads, self.window, self.places = heads, window, window
        self.query, self.key, self.value, self.position, self.out = (projection(width, width) for _ in range(5))
        self.content_bias = nn.Parameter(torch.zeros(heads, width // heads))
        self.place_bias = nn.Parameter(torch.zeros(heads, width // heads))
        self.register_buffer("near", sinusoids(torch.arange(window), width), persistent=False)

    def initial_state(self, batch: int) -> State:
        """See the class."""
        return {"cache": self._zeros(batch, self.window, self.width), "steps": self._count(batch)}

    def step(self, x: Tensor, state: State, *, told: Tensor | None = None, reuse: bool = False) -> Recalled:
        """See ``Memory``."""
        steps = state["steps"]
        cache = put(state["cache"], steps % self.window, x if told is None else told, reuse=reuse)
        back = (steps[:, None] - torch.arange(self.window, device=x.device)) % self.window
        by_content, by_place = self._asked(x)
        content = torch.matmul(carried_back(by_content, self.key.weight), cache.transpose(1, 2))
        place = torch.matmul(by_place.transpose(0, 1), self._places(self.near)).transpose(0, 1)
        score = content + place.gather(2, back.unsqueeze(1).expand(-1, self.heads, -1))
        seen = (back <= steps[:, None]).unsqueeze(1)
        share = score.masked_fill(~seen, -math.inf).softmax(dim=2)
        out = self.out(carried_on(torch.matmul(share, cache), self.value.weight))
        return Recalled(out, {"cache": cache, "steps": steps + 1}, share.mean(dim=1))

    def sequence(
        self, x: Tensor, state: State, starts: Tensor, *, told: Tensor | None = None, reading: bool = False
    ) -> Recalled:
        """See ``Memory``."""
        steps, age = state["steps"], ages(state["steps"], starts)
        history = min(self.window - 1, int(steps.max()))
        line = torch.cat([unrolled(state["cache"], steps, history), x if told is None else told], dim=1)
        windows = Windows(x.shape[1], history, self.window)
        by_content, by_place = (windows.queries(part).transpose(2, 3) for part in self._asked(x))
        key, value = (windows.spans(part(line)).unflatten(3, (self.heads, -1)) for part in (self.key, self.value))
        content = torch.matmul(by_content, key.permute(0, 1, 3, 4, 2))
        far = sinusoids(torch.arange(windows.keys).flip(0), self.width).to(x)
        score = content + shifted(torch.matmul(by_place, self._places(far)))
        share = score.masked_fill(~windows.seen(age).unsqueeze(2), -math.inf).softmax(dim=4)
        mixed = torch.matmul(share, value.transpose(2, 3)).transpose(2, 3)
        following = {"cache": rolled(line, age[:, -1] + 1, self.window), "steps": age[:, -1] + 1}
        read = windows.in_ring(share.mean(dim=2), age) if reading else None
        return Recalled(self.out(windows.joined(mixed).flatten(2)), following, read)

    def _asked(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (..., H, D / H) by content and by distance."""
        query = split(self.query(x), self.heads)
        scale = 1.0 / math.sqrt(query.shape[-1])
        return (query + self.content_bias) * scale, (query + self.place_bias) * scale

    def _places(self, code: Tensor) -> Tensor:
        """What codes of distances (N, D) are compared by, (H, D / H, N)."""
        return split(self.position(code), self.heads).permute(1, 2, 0)


def shifted(score: Tensor) -> Tensor:
    """Scores by distance, turned into scores by key.

    Query i of S meets key j of J at the distance J - S + i - j. Row i therefore moves S - 1 - i to the left; what comes
    in at the right is of keys that are younger than the query, and means nothing.

    Args:
        score: (..., S, J), of the distances from J - 1 down to 0.
    """
    queries, keys = score.shape[-2:]
    by_key: Tensor = pad(score, (1, 0)).flatten(-2)[..., queries:].unflatten(-1, (queries, keys))
    return by_key
