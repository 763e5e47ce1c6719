"""What an actor reads of its memory, set beside what it is asked about: is the right past among what is read?"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError
from haltere.sims.actor import ReadingActor

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

METRICS = ("retrieved", "retrieved_chance", "read_share", "read_share_chance", "forgotten")
"""What is said of each episode, at the step at which it is asked about something past.

    retrieved           whether any place is read (share above 0) that holds some of the steps asked about
    retrieved_chance    how likely it would be, were as many places as are read drawn at random from all that are full
    read_share          share of the attention on those places
    read_share_chance   the same of an attention that is equal everywhere
    forgotten           share of the steps asked about that have made way for newer ones in all places
"""
RATES = METRICS[:1]


class Places(NamedTuple):
    """How the places of a memory hold the steps of an episode; see ``ReadingActor``.

    Attributes:
        steps: of each place.
        after: a place can be read so many steps after its last one.
    """

    steps: int
    after: int

    def held(self, count: int, now: int) -> IntArray:
        """The first step that each of ``count`` places holds at step ``now``, (count,); -1 for an empty one."""
        newest = (now + 1 - self.after) // self.steps - 1
        number = newest - (newest - np.arange(count)) % count
        return np.where(number >= 0, number * self.steps, -1)

    def by_step(self, read: NDArray[np.floating], now: int) -> FloatArray:
        """Shares of places (..., R) as shares of the steps 0 to ``now``, (..., now + 1): a place's steps are equal."""
        first = self.held(read.shape[-1], now)
        full = np.flatnonzero(first >= 0)
        shares = np.zeros((*read.shape[:-1], now + 1))
        within = first[full, None] + np.arange(self.steps)
        shares[..., within] = (read[..., full] / self.steps)[..., None]
        return shares

    def retrieval(self, read: NDArray[np.floating], asked: IntArray, now: int) -> dict[str, FloatArray]:
        """``METRICS`` of W worlds.

        Args:
            read: (W, R), or (W, agents, R).
            asked: (W, 2) the first and the last step asked about.
            now: the present step of all worlds.

        Returns:
            (W,) or (W, agents) each.
        """
        first = self.held(read.shape[-1], now)
        full = int((first >= 0).sum())
        right = (first >= 0) & (first <= asked[:, 1:]) & (first + self.steps > asked[:, :1])
        right = right.reshape(len(right), *[1] * (read.ndim - 2), -1)
        count = np.broadcast_to(right.sum(axis=-1), read.shape[:-1])
        taken = (read > 0.0).sum(axis=-1)
        # Drawn without putting back: all of the right places are missed.
        missed = np.ones(read.shape[:-1])
        for already in range(int(count.max(initial=0))):
            factor = np.maximum(full - taken - already, 0) / (full - already)
            missed *= np.where(already < count, factor, 1.0)
        oldest = int(first[first >= 0].min(initial=now)) if full == first.size else 0
        lost = np.clip(oldest - asked[:, 0], 0, asked[:, 1] + 1 - asked[:, 0]) / (asked[:, 1] + 1 - asked[:, 0])
        values = (
            ((read > 0.0) & right).any(axis=-1),
            1.0 - missed,
            (read * right).sum(axis=-1),
            count / max(full, 1),
            np.broadcast_to(lost.reshape(-1, *[1] * (count.ndim - 1)), count.shape),
        )
        return {name: value.astype(np.float64) for name, value in zip(METRICS, values, strict=True)}


def places_of(actor: object) -> Places | None:
    """The places of an actor that shows what it reads; None for any other."""
    if not isinstance(actor, ReadingActor) or not actor.read_steps:
        return None
    return Places(actor.read_steps, actor.read_after)


def checked(read: NDArray[np.floating], lanes: int) -> NDArray[np.floating]:
    """What an actor says that it reads, (lanes, R).

    Raises:
        HaltereError: it has another shape, or isn't made of finite numbers of at least 0.
    """
    if read.ndim != 2 or len(read) != lanes or not read.shape[1]:
        raise HaltereError(f"an actor's 'read' must be ({lanes}, places), got {read.shape}")
    if not (np.isfinite(read) & (read >= 0.0)).all():
        raise HaltereError("an actor's 'read' must be shares, finite and at least 0")
    return read
