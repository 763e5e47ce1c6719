"""Chance: what the seed of an episode decides, for worlds that are arrays.

A counter-based generator of a few lines rather than numpy's: numpy may change the stream of its generators from one
version to the next, and one of them a world and episode would cost more than the world.
"""

import math

import numpy as np
from numpy.typing import NDArray

from haltere.sims.task import FIRST_HELD_OUT_SEED

IntArray = NDArray[np.int64]
WordArray = NDArray[np.uint64]
FloatArray = NDArray[np.float64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_LATER = np.uint64(0x5851F42D4C957F2D)


def begun_seeds(worlds: IntArray, seeds: IntArray | None, first: IntArray, number: IntArray) -> IntArray:
    """Seeds of the episodes that some worlds begin now, (k,).

    Args:
        worlds: (k,) which.
        seeds: (k,) those that were given; None to go on in the stream of each world's last given seed.
        first: (W,) last given seed of each world; kept up to date here.
        number: (W,) episodes since then; likewise.
    """
    if seeds is None:
        number[worlds] += 1
        return later_seeds(first[worlds], number[worlds])
    first[worlds], number[worlds] = seeds, 0
    return seeds


def later_seeds(first: IntArray, number: IntArray) -> IntArray:
    """Seed of the episode ``number`` (1, 2, ...) after the one that was begun with ``first``, each (k,).

    A stream rather than each seed from the one before: a chain through so few numbers soon runs in a circle.
    """
    return below(word(mix(key(first) ^ _LATER), number), FIRST_HELD_OUT_SEED)


def key(seeds: IntArray) -> WordArray:
    """What the words of an episode start from, of the shape of ``seeds``."""
    return mix(seeds.astype(np.uint64) + _GOLDEN)


def word(keys: WordArray, number: IntArray) -> WordArray:
    """The word of that number (0, 1, ...) of each key; shapes broadcast."""
    return mix(keys + number.astype(np.uint64) * _GOLDEN)


def words(keys: WordArray, count: int, first: int = 1) -> WordArray:
    """(k, count) random words from (k,) keys: those from number ``first`` on."""
    return word(keys[:, None], np.arange(first, first + count))


def below(word: WordArray, limit: int | IntArray) -> IntArray:
    """Numbers from 0 to ``limit`` - 1; the bias of a remainder of 64 bits is below 1e-13."""
    return (word % np.asarray(limit, np.uint64)).astype(np.int64)


def uniform(word: WordArray) -> NDArray[np.float64]:
    """Numbers in [0, 1), multiples of 2^-53."""
    return (word >> np.uint64(11)).astype(np.float64) * 2.0**-53


def mix(word: WordArray) -> WordArray:
    """SplitMix64's finaliser. Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"."""
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


def waves(frequency: FloatArray, phase: FloatArray, clock: IntArray, size: float) -> FloatArray:
    """Smooth noise of that root mean square: a sum of sines.

    Args:
        frequency: (k, components, sines) [rad per step].
        phase: (k, components, sines) [rad].
        clock: (k,) step of each.
        size: root mean square of a component.

    Returns:
        (k, components).
    """
    angle = frequency * clock[:, None, None] + phase
    summed: FloatArray = size * math.sqrt(2.0 / frequency.shape[2]) * np.sin(angle).sum(axis=2)
    return summed
