"""What an episode's seed decides."""

from dataclasses import dataclass

import numpy as np

from haltere.sims.ballet.constants import DANCES, SLOTS
from haltere.sims.chance import IntArray, below, key, words
from haltere.sims.things import COLOURS, SHAPES

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
    noise = words(key(seeds), _SINGLES + sum(_PERMUTED))
    count = dancers[below(noise[:, _DANCERS], len(dancers))]
    # The order of random numbers is a random order.
    parts = np.split(noise[:, _SINGLES:], np.cumsum(_PERMUTED)[:-1], axis=1)
    slot, dance, shape, colour = (part.argsort(axis=1, kind="stable")[:, :SLOTS] for part in parts)
    target = below(noise[:, _TARGET], count)
    return Layout(count, delay[below(noise[:, _DELAY], len(delay))], target, slot, dance, shape, colour)
