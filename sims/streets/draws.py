"""What an episode's seed decides: which streets are open, how junctions look, where each goal and its start are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haltere.sims.chance import IntArray, WordArray, below, key, mix, uniform, word, words
from haltere.sims.streets.constants import LEAST_WAY, LOOK, STEP

BoolArray = NDArray[np.bool_]
_SIZE, _SINGLES = 0, 1
_TASK = np.uint64(0xA24BAED4963EE407)
NO_WAY = np.iinfo(np.int64).max // 2
"""Streets to a junction that isn't there."""


@dataclass(frozen=True)
class Neighbourhood:
    """What k neighbourhoods look like.

    Junction ``row * side + column`` of J = side x side is there where both are less than the size; ``side`` is the
    largest size that the configuration allows.

    Attributes:
        size: (k,) junctions along a side.
        look: (k, J) how each junction looks, a number of 16 bits, no two alike.
        leads: (k, J, 4) the junction that each direction leads to; the junction itself where the street is closed.
        way: (k, J, J) streets of the shortest way between two junctions; ``NO_WAY`` where one isn't there.
    """

    size: IntArray
    look: IntArray
    leads: IntArray
    way: IntArray


def neighbourhoods(seeds: IntArray, sizes: IntArray, side: int, detours: float) -> Neighbourhood:
    """Draw episodes.

    Args:
        seeds: (k,) of each episode.
        sizes: the sizes to draw from.
        side: the largest of them, or more.
        detours: share of the streets that are open beyond a tree's.
    """
    junctions = side * side
    noise = words(key(seeds), _SINGLES + 6 * junctions)
    size = sizes[below(noise[:, _SIZE], len(sizes))]
    look, shuffle, weight, extra = np.split(noise[:, _SINGLES:], [junctions, 2 * junctions, 4 * junctions], axis=1)
    ends, fits = _streets(side)
    leads = np.tile(np.arange(junctions)[:, None], (len(seeds), 1, 4))
    for k in range(len(seeds)):
        there = np.flatnonzero(fits <= size[k])
        tree = _tree(ends[there], weight[k, there].argsort(kind="stable"), junctions)
        opened = there[tree | (uniform(extra[k, there]) < detours)]
        (one, other), direction = ends[opened].T, 1 + opened % 2
        leads[k, one, direction], leads[k, other, (direction + 2) % 4] = other, one
    return Neighbourhood(size, _looks(look, shuffle), leads, _ways(leads, _is_there(size, side)))


def _streets(side: int) -> tuple[IntArray, IntArray]:
    """Every street of the grid, east and south of each junction in turn: its ends (2 J, 2), and the size it needs."""
    row, column = np.divmod(np.arange(side * side), side)
    to = [(row + STEP[direction][0], column + STEP[direction][1]) for direction in (1, 2)]
    ends = np.stack([np.stack([row * side + column, r * side + c], axis=1) for r, c in to], axis=1)
    fits = np.stack([1 + np.maximum(r, c) for r, c in to], axis=1)
    return ends.reshape(-1, 2), fits.ravel()


def _tree(ends: IntArray, order: IntArray, junctions: int) -> BoolArray:
    """Which streets, taken in an order, join what wasn't joined before: a random tree. Source: Kruskal 1956."""
    parent, kept = list(range(junctions)), np.zeros(len(ends), np.bool_)

    def root(junction: int) -> int:
        while parent[junction] != junction:
            parent[junction] = junction = parent[parent[junction]]
        return junction

    pairs = ends.tolist()
    for street in order.tolist():
        one, other = (root(end) for end in pairs[street])
        parent[one] = other
        kept[street] = one != other
    return kept


def _looks(noise: WordArray, shuffle: WordArray) -> IntArray:
    """Different numbers below 2^16, (k, J), every set of them as likely as any other."""
    count = noise.shape[1]
    rising = np.sort(below(noise, 2**LOOK - count + 1), axis=1) + np.arange(count)
    return np.take_along_axis(rising, shuffle.argsort(axis=1, kind="stable"), axis=1)


def _is_there(size: IntArray, side: int) -> BoolArray:
    row, column = np.divmod(np.arange(side * side), side)
    there: BoolArray = np.maximum(row, column) < size[:, None]
    return there


def _ways(leads: IntArray, there: BoolArray) -> IntArray:
    """All shortest ways, (k, J, J): every junction tells its neighbours what it knows until nobody learns anything."""
    count = leads.shape[1]
    way = np.where(np.eye(count, dtype=np.bool_) & there[:, None], 0, NO_WAY)
    each = np.arange(len(leads))[:, None, None]
    while True:
        shorter = np.minimum(way, 1 + way[each, leads].min(axis=2))
        if (shorter == way).all():
            return way
        way = shorter


def tasks(
    seeds: IntArray, number: IntArray, there: Neighbourhood, worlds: IntArray, start: IntArray | None
) -> tuple[IntArray, IntArray]:
    """Start and goal of the ``number``-th task (0, 1, ...) of some worlds, (k,) each.

    Args:
        seeds: (k,) of their episodes.
        number: (k,).
        there: neighbourhoods of all worlds.
        worlds: (k,) which they are of.
        start: (k,) where to start, or None to draw that too.
    """
    noise = word(mix(key(seeds) ^ _TASK)[:, None], 2 * number[:, None] + np.arange(1, 3))
    way = there.way[worlds]
    if start is None:
        start = _pick(noise[:, 0], np.diagonal(way, axis1=1, axis2=2) == 0)
    far = way[np.arange(len(worlds)), start]
    return start, _pick(noise[:, 1], (far >= LEAST_WAY) & (far < NO_WAY))


def _pick(noise: WordArray, allowed: BoolArray) -> IntArray:
    """One of those that are allowed, (k, J) to (k,); each is as likely as any other."""
    rank = below(noise, allowed.sum(axis=1))
    picked: IntArray = (allowed.cumsum(axis=1) > rank[:, None]).argmax(axis=1)
    return picked
