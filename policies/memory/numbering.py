"""Which chunk is where, when it was full, and which steps of a sequence may read it. Whole numbers, no activations.

Chunk number n of an episode, from 0, holds its steps n C to n C + C - 1 and lies in slot n modulo M. Times are counted
from the first step of the sequence, at 0; what lies before has negative ones.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Numbered(NamedTuple):
    """Some chunks of each lane.

    Attributes:
        number: (B, N) within the episode; -1 for none.
        end: (B, N) time of its last step.
    """

    number: Tensor
    end: Tensor


def stored(steps: Tensor, chunk: int, slots: int) -> Numbered:
    """The chunks that lie in the slots, as far as any lane has filled them; (B, N) in the order of the slots.

    Args:
        steps: (B,) steps of the episode before the sequence.
        chunk: C.
        slots: M.
    """
    # A chunk that has just become full is stored by the next step.
    count = (steps - 1).clamp(min=0) // chunk
    used = torch.arange(min(slots, int(count.max())), device=steps.device)
    number = count[:, None] - 1 - (count[:, None] - 1 - used) % slots
    return Numbered(number.clamp(min=-1), (number + 1) * chunk - 1 - steps[:, None])


def filled(steps: Tensor, age: Tensor, chunk: int) -> Numbered:
    """The chunks that become full in time for a step of the sequence to read them.

    Args:
        steps: (B,) steps of the episode before the sequence.
        age: (B, T) steps of its episode before each.
        chunk: C.
    """
    length = age.shape[1]
    # Of the steps at the times -1 to T - 2, how many of the episode there were up to each of them.
    upto = torch.cat([steps[:, None], age[:, :-1] + 1], dim=1)
    full = (upto > 0) & (upto % chunk == 0)
    time = torch.arange(length, device=age.device)
    found = torch.where(full, time, length).sort(dim=1).values[:, : -(-length // chunk)]
    index = found.clamp(max=length - 1)
    number = torch.where(found < length, upto.gather(1, index) // chunk - 1, -1)
    return Numbered(number, index - 1)


def visible(chunks: Numbered, age: Tensor, chunk: int, slots: int) -> Tensor:
    """Which step may read which chunk: full before it, of the same episode, and not yet overwritten.

    Args:
        chunks: N of each lane.
        age: (B, T).
        chunk: C.
        slots: M.

    Returns:
        (B, T, N) bool.
    """
    number = chunks.number.unsqueeze(1)
    since = torch.arange(age.shape[1], device=age.device)[:, None] - chunks.end.unsqueeze(1)
    age = age.unsqueeze(2)
    return (number >= 0) & (since > 0) & (since <= age) & (age // chunk - number <= slots)
