"""Rings of the last steps, where the newest overwrites the oldest; each lane keeps its own count.

Step number n, from 0, lies in row n modulo the ring's size. Rows that no step of the episode has written are zero.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad


def pick(rows: Tensor, index: Tensor) -> Tensor:
    """Rows of each lane by number.

    Args:
        rows: (B, N, ...).
        index: (B,) or (B, ...) int64.

    Returns:
        (B, ...) or (B, ..., ...): for each number a row.
    """
    lanes = torch.arange(index.shape[0], device=index.device)
    return rows[lanes.view(-1, *[1] * (index.dim() - 1)), index]


def put(ring: Tensor, slot: Tensor, row: Tensor, *, reuse: bool = False) -> Tensor:
    """The ring with one row of each lane replaced.

    Args:
        ring: (B, L, ...).
        slot: (B,) which row.
        row: (B, ...).
        reuse: write into the ring that is given.
    """
    index = (torch.arange(slot.shape[0], device=slot.device), slot)
    return ring.index_put_(index, row) if reuse else ring.index_put(index, row)


def resized(ring: Tensor, rows: int) -> Tensor:
    """The first rows of a ring (B, L, ...), or all of them and then zeros."""
    spare = rows - ring.shape[1]
    return ring[:, :rows] if spare <= 0 else pad(ring, [0, 0] * (ring.dim() - 2) + [0, spare])


def ages(steps: Tensor, starts: Tensor) -> Tensor:
    """How many steps of its episode lie before each step.

    Args:
        steps: (B,) steps of the episode before the sequence.
        starts: (B, T) bool, true where a step is the first of an episode.

    Returns:
        (B, T) int64.
    """
    time = torch.arange(starts.shape[1], device=starts.device)
    last = torch.where(starts, time, -1).cummax(dim=1).values
    return torch.where(last >= 0, time - last, steps[:, None] + time)


def unrolled(ring: Tensor, steps: Tensor, count: int) -> Tensor:
    """The last ``count`` steps, (B, count, ...), oldest first; zeros where there weren't as many."""
    time = torch.arange(count, device=steps.device)
    return pick(ring, (steps[:, None] - count + time) % ring.shape[1])


def rolled(line: Tensor, steps: Tensor, size: int) -> Tensor:
    """A ring (B, size, ...) of the last steps.

    Args:
        line: (B, N, ...), oldest first, at least as many as the ring will hold of them.
        steps: (B,) steps of the episode up to the line's last.
        size: of the ring.
    """
    back = (steps[:, None] - 1 - torch.arange(size, device=steps.device)) % size
    rows = pick(line, (line.shape[1] - 1 - back).clamp(min=0))
    written = (back < steps[:, None]).view(*back.shape, *[1] * (line.dim() - 2))
    return torch.where(written, rows, torch.zeros_like(rows))
