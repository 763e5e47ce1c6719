"""Hierarchical chunk attention memory: the past in chunks, of which a few are read in detail.

Source: Lampinen et al. 2021, arXiv:2105.14039, section 3. Summaries by a trained token follow Mohtashami and Jaggi
2023, arXiv:2305.16300, in which a landmark token stands for its block. A full memory forgets its oldest chunk.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from haltere.policies.base import ReadPlaces, State
from haltere.policies.fused import fused
from haltere.policies.memory.chunks import Chunks, ChunkWeights, chunk_attention, chunk_attention_over
from haltere.policies.memory.heads import sinusoids
from haltere.policies.memory.module import Memory, Recalled, projection
from haltere.policies.memory.numbering import Numbered, filled, stored, visible
from haltere.policies.memory.ring import ages, pick, put, resized, rolled, unrolled


class Hcam(Memory):
    """Chunks of C steps in M slots.

    State, zeros: ``summary`` (B, M, D), what a chunk is found by; ``memory`` (B, M, C, D), its steps, each with the
    code of how long before the chunk's newest it was; ``open`` (B, C, D), the steps of the chunk that isn't full yet;
    ``steps`` (B,) int64, of the episode so far. Chunk number n, from 0, lies in slot n modulo M, and may be read from
    the step after its last one on.
    """

    rings = ("summary", "memory")
    bounds = ("slots", "top_k")
    code: Tensor
    no_bias: Tensor

    def __init__(
        self,
        width: int,
        heads: int,
        chunk: int,
        slots: int,
        top_k: int,
        *,
        summary: Literal["mean", "token"] = "mean",
        memory_grad: bool = True,
    ) -> None:
        """Build the projections.

        Args:
            width: D.
            heads: of the attention inside a chunk.
            chunk: C.
            slots: M.
            top_k: chunks that are read in each step.
            summary: the mean of a chunk's steps, or their mean as a trained token weighs them.
            memory_grad: whether gradients reach what is stored; published without.
        """
        super().__init__(width)
        self.heads, self.chunk, self.slots, self.top_k, self.places = heads, chunk, slots, top_k, slots
        self.read_places = ReadPlaces(chunk, after=1)
        self.memory_grad = memory_grad
        self.summary_query, self.summary_key = (projection(width, width) for _ in range(2))
        self.query, self.value, self.out = (projection(width, width, bias=True) for _ in range(3))
        self.key = projection(width, width)
        self.token = nn.Parameter(torch.randn(width)) if summary == "token" else None
        self.register_buffer("code", sinusoids(torch.arange(chunk).flip(0), width), persistent=False)
        self.register_buffer("no_bias", torch.zeros(width), persistent=False)

    def initial_state(self, batch: int) -> State:
        """See the class."""
        return {
            "summary": self._zeros(batch, self.slots, self.width),
            "memory": self._zeros(batch, self.slots, self.chunk, self.width),
            "open": self._zeros(batch, self.chunk, self.width),
            "steps": self._count(batch),
        }

    def step(self, x: Tensor, state: State, *, told: Tensor | None = None, reuse: bool = False) -> Recalled:
        """See ``Memory``. A full chunk is stored at the beginning of a step, so that all reading comes after it."""
        steps = state["steps"]
        full = (steps > 0) & (steps % self.chunk == 0)
        rows = state["summary"].shape[1]
        slot = (steps // self.chunk - 1) % self.slots
        if rows < self.slots:  # fitted: a lane that stores nothing now may point beyond what there is
            slot = slot.clamp(max=rows - 1)
        new = self._closed(state["open"])
        summary, memory = (
            put(ring, slot, torch.where(full.view(-1, *[1] * (row.dim() - 1)), row, pick(ring, slot)), reuse=reuse)
            for ring, row in zip((state["summary"], state["memory"]), new, strict=True)
        )
        valid = torch.arange(rows, device=x.device) < (steps // self.chunk)[:, None]
        out, read = self.read(x, summary, memory, valid.to(x.dtype))
        told = x if told is None else told
        still_open = put(state["open"], steps % self.chunk, self._stored(told), reuse=reuse)
        return Recalled(out, {"summary": summary, "memory": memory, "open": still_open, "steps": steps + 1}, read)

    def read(self, x: Tensor, summary: Tensor, memory: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """What one step reads and how much of it from each chunk; see ``chunk_attention``."""
        out, weight = fused(
            "ChunkAttention",
            chunk_attention,
            (x, summary, memory, valid),
            self._weights(),
            {"heads": self.heads, "top_k": self.top_k},
        )
        return out, weight

    def sequence(
        self, x: Tensor, state: State, starts: Tensor, *, told: Tensor | None = None, reading: bool = False
    ) -> Recalled:
        """See ``Memory``."""
        return self._sequence(x, state, starts, None, x if told is None else told, reading)

    def sequence_at(
        self,
        x: Tensor,
        state: State,
        starts: Tensor,
        at: Tensor,
        *,
        told: Tensor | None = None,
        reading: bool = False,
    ) -> Recalled:
        """See ``Memory``. All steps are remembered, and reading is what costs most."""
        return self._sequence(x, state, starts, at, x if told is None else told, reading)

    def fitted(self, state: State, steps: int) -> State:
        """See ``Memory``."""
        last = int(state["steps"].max()) + steps - 1
        rows = min(self.slots, max(1, last // self.chunk))
        return state | {name: resized(state[name], rows) for name in self.rings}

    def _sequence(
        self, x: Tensor, state: State, starts: Tensor, at: Tensor | None, told: Tensor, reading: bool
    ) -> Recalled:
        """Either of the two; ``at`` is None for all steps."""
        steps, age = state["steps"], ages(state["steps"], starts)
        line = self._stored(torch.cat([unrolled(state["open"], steps, self.chunk), told], dim=1))
        old, new = stored(steps, self.chunk, self.slots), filled(steps, age, self.chunk)
        numbered = Numbered(*(torch.cat(parts, dim=1) for parts in zip(old, new, strict=True)))
        # The line begins C steps before the sequence, so a chunk's steps begin one after its end.
        within = (new.end + 1).unsqueeze(2) + torch.arange(self.chunk, device=x.device)
        kept = [self._stored(state[name][:, : old.number.shape[1]]) for name in self.rings]
        closed = self._closed(pick(line, within))
        summary, memory = (torch.cat(parts, dim=1) for parts in zip(kept, closed, strict=True))
        chunks = Chunks(summary, memory, visible(numbered, age, self.chunk, self.slots))
        asking, asked = (x, chunks) if at is None else (pick(x, at), chunks._replace(visible=pick(chunks.visible, at)))
        out, share = chunk_attention_over(asking, asked, self._weights(), self.heads, self.top_k)
        rings = self._rings(chunks, numbered.number, state["summary"].shape[1])
        following = {**rings, "open": rolled(line, age[:, -1] + 1, self.chunk)}
        read = self._by_slot(share, numbered.number) if reading else None
        return Recalled(out, {**following, "steps": age[:, -1] + 1}, read)

    def _by_slot(self, share: Tensor, number: Tensor) -> Tensor:
        """Weights (B, T, N) of chunks as weights of slots (B, T, M)."""
        slot = (number % self.slots).unsqueeze(1).expand_as(share)
        return share.new_zeros(*share.shape[:2], self.slots).scatter_add(2, slot, share)

    def _rings(self, chunks: Chunks, number: Tensor, rows: int) -> State:
        """The slots after the sequence, at least ``rows`` of them: they hold what its last step could read."""
        used = min(self.slots, int(number.max()) + 1)
        slots = torch.arange(used, device=number.device)[:, None]
        here = chunks.visible[:, -1].unsqueeze(1) & (number.unsqueeze(1) % self.slots == slots)
        taken, source = here.any(dim=2).to(chunks.summary.dtype), here.to(torch.uint8).argmax(dim=2)
        summary = pick(chunks.summary, source) * taken[:, :, None]
        memory = pick(chunks.memory, source) * taken[:, :, None, None]
        return {name: resized(ring, max(rows, used)) for name, ring in (("summary", summary), ("memory", memory))}

    def _weights(self) -> ChunkWeights:
        return ChunkWeights(
            self.summary_query.weight,
            self.no_bias,
            self.summary_key.weight,
            self.query.weight,
            self.query.bias,
            self.key.weight,
            self.value.weight,
            self.value.bias,
            self.out.weight,
            self.out.bias,
        )

    def _stored(self, x: Tensor) -> Tensor:
        return x if self.memory_grad else x.detach()

    def _closed(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Summary (..., D) and contents (..., C, D) of full chunks (..., C, D)."""
        memory = steps + self.code
        if self.token is None:
            return steps.mean(dim=-2), memory
        share = torch.softmax(torch.matmul(memory, self.token) / math.sqrt(self.width), dim=-1)
        return (share.unsqueeze(-1) * memory).sum(dim=-2), memory
