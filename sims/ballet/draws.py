"""Chance: what an episode's seed decides.

A counter-based generator of a few lines rather than numpy's: numpy may change the stream of its generators from one
version to the next, and one of them a world and episode would cost more than the world.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haltere.sims.ballet.constants import COLOURS, DANCES, SHAPES, SLOTS
from haltere.sims.task import FIRST_HELD_OUT_SEED

IntArray = NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_LATER = np.uint64(0x5851F42D4C957F2D)
_TARGET, _DANCERS, _DELAY, _SINGLES = 0, 1, 2, 3
_PERMUTED = (SLOTS, len(DANCES), len(SHAPES), len(COLOURS))


@dataclass(frozen=True)
class Layout:
    """What k episodes look like. Dancers come in the order in which they dance.

    Attributes:
        dancers: (k,) how many there are.
        delay: (k,) steps between dances.
        target: (k,) which dancer the agent will be asked for.
        slot: (k, 8) where each is: the compass direction from the start.
        dance: (k, 8) what each dances.
        shape: (k, 8).
        colour: (k, 8). Within an episode all four differ between dancers; those from ``dancers`` on aren't there.
    """

    dancers: IntArray
    delay: IntArray
    target: IntArray
    slot: IntArray
    dance: IntArray
    shape: IntArray
    colour: IntArray


def layouts(seeds: IntArray, dancers: IntArray, delay: IntArray) -> Layout:
    """Draw episodes.

    Args:
        seeds: (k,) of each episode.
        dancers: the numbers of dancers to draw from.
        delay: the delays to draw from.
    """
    noise = _words(_key(seeds), _SINGLES + sum(_PERMUTED))
    count = dancers[_below(noise[:, _DANCERS], len(dancers))]
    # The order of random numbers is a random order.
    parts = np.split(noise[:, _SINGLES:], np.cumsum(_PERMUTED)[:-1], axis=1)
    slot, dance, shape, colour = (part.argsort(axis=1, kind="stable")[:, :SLOTS] for part in parts)
    target = _below(noise[:, _TARGET], count)
    return Layout(count, delay[_below(noise[:, _DELAY], len(delay))], target, slot, dance, shape, colour)


def later_seeds(first: IntArray, number: IntArray) -> IntArray:
    """Seed of the episode ``number`` (1, 2, ...) after the one that was begun with ``first``, each (k,).

    A stream rather than each seed from the one before: a chain through so few numbers soon runs in a circle.
    """
    word = _mix(_mix(_key(first) ^ _LATER) + number.astype(np.uint64) * _GOLDEN)
    return _below(word, FIRST_HELD_OUT_SEED)


def _key(seeds: IntArray) -> NDArray[np.uint64]:
    return _mix(seeds.astype(np.uint64) + _GOLDEN)


def _words(key: NDArray[np.uint64], count: int) -> NDArray[np.uint64]:
    """(k, count) random words from (k,) keys."""
    return _mix(key[:, None] + np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN)


def _below(words: NDArray[np.uint64], limit: int | IntArray) -> IntArray:
    """Numbers from 0 to ``limit`` - 1; the bias of a remainder of 64 bits is below 1e-13."""
    return (words % np.asarray(limit, np.uint64)).astype(np.int64)


def _mix(word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser. Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"."""
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))
