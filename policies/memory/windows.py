"""How the steps of a sequence attend to the steps before them, block by block rather than each to all."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True)
class Windows:
    """A sequence of queries, cut into blocks of which each meets the keys that any of its queries may see.

    The keys are a line of ``history + steps``, of which the last ``steps`` are the queries' own.

    Attributes:
        steps: T, queries.
        history: keys before the first query; fewer than ``window``.
        window: keys that a query may see, its own step among them.
    """

    steps: int
    history: int
    window: int

    @property
    def size(self) -> int:
        """S, queries of a block. One block for all is least work where a window covers most of them."""
        return min(self.steps, self.window)

    @property
    def count(self) -> int:
        """N, blocks."""
        return -(-self.steps // self.size)

    @property
    def before(self) -> int:
        """Keys of a block before its first query's own."""
        return self.history if self.count == 1 else self.window - 1

    @property
    def keys(self) -> int:
        """J, keys of a block."""
        return self.before + self.size

    def queries(self, x: Tensor) -> Tensor:
        """(B, T, ...) -> (B, N, S, ...), filled up with zeros."""
        spare = self.count * self.size - self.steps
        padded = pad(x, (*[0] * (2 * (x.dim() - 2)), 0, spare)) if spare else x
        blocks: Tensor = padded.unflatten(1, (self.count, self.size))
        return blocks

    def spans(self, line: Tensor) -> Tensor:
        """(B, history + T, D) -> (B, N, J, D), filled up with zeros."""
        if self.count == 1:
            return line.unsqueeze(1)
        front, back = self.before - self.history, self.count * self.size - self.steps
        return pad(line, (0, 0, front, back)).unfold(1, self.keys, self.size).transpose(2, 3)

    def distance(self, device: torch.device) -> Tensor:
        """(S, J) how many steps a key of a block is older than a query; negative where it is younger."""
        query, key = (torch.arange(count, device=device) for count in (self.size, self.keys))
        return self.before + query[:, None] - key

    def seen(self, age: Tensor) -> Tensor:
        """Which keys each query may see: neither younger, nor out of the window, nor of an earlier episode.

        Args:
            age: (B, T) steps of the episode before each.

        Returns:
            (B, N, S, J) bool; every query sees its own step.
        """
        distance = self.distance(age.device)
        return (distance >= 0) & (distance <= self.queries(age.clamp(max=self.window - 1)).unsqueeze(-1))

    def joined(self, y: Tensor) -> Tensor:
        """(B, N, S, ...) -> (B, T, ...)."""
        return y.flatten(1, 2)[:, : self.steps]

    def in_ring(self, share: Tensor, age: Tensor) -> Tensor:
        """Attention on keys by their rows in a ring of ``window`` steps.

        Args:
            share: (B, N, S, J); zero for keys that aren't seen.
            age: (B, T).

        Returns:
            (B, T, window).
        """
        row = (self.queries(age).unsqueeze(-1) - self.distance(age.device)) % self.window
        ring = share.new_zeros(*share.shape[:3], self.window)
        return self.joined(ring.scatter_add(3, row, share))
