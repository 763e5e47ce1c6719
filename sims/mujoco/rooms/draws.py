"""What an episode's seed decides: where boxes stand, what they show, where the agent is led, what the screens show.

Boxes and objects are drawn when an episode begins. The way of the agent and the screens follow from seed and clock
alone and are drawn as they are needed, so that a long delay costs no memory.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haltere.sims.chance import IntArray, WordArray, below, key, mix, uniform, word, words
from haltere.sims.mujoco.rooms.constants import BOXES, OBJECTS, ROOM

FloatArray = NDArray[np.float64]

_TARGET, _BOXES, _DELAY, _SHOWS, _TURN, _SINGLES = 0, 1, 2, 3, 4, 5
_WALK, _SCREEN = (np.uint64(salt) for salt in (0x8CB92BA72F3D8DD7, 0xD6E8FEB86659FD93))
_WORDS_A_POINT = 3


@dataclass(frozen=True)
class Layout:
    """What k episodes look like. Boxes come by their number.

    Attributes:
        boxes: (k,) how many there are.
        delay: (k,) steps after each show.
        shows: (k,) shows before the question, which is about the first of them.
        target: (k,) number of the box that the agent will be asked for.
        place: (k, 8, 2) where each box stands: x and y in the room [m]; zeros from ``boxes`` on.
        order: (k, 8) the box that opens first, second, ... in each show.
        objects: (k, 285) a permutation of all objects: box b shows object ``s * boxes + b`` of it in show s, and the
            screens show those that no box does.
    """

    boxes: IntArray
    delay: IntArray
    shows: IntArray
    target: IntArray
    place: FloatArray
    order: IntArray
    objects: IntArray


def layouts(seeds: IntArray, boxes: IntArray, delay: IntArray, asked_after: IntArray) -> Layout:
    """Draw episodes.

    Args:
        seeds: (k,) of each episode.
        boxes: the numbers of boxes to draw from.
        delay: the delays to draw from.
        asked_after: the numbers of further shows to draw from.
    """
    noise = words(key(seeds), _SINGLES + 4 * BOXES + OBJECTS)
    count = boxes[below(noise[:, _BOXES], len(boxes))]
    parts = np.split(noise[:, _SINGLES:], [BOXES, 2 * BOXES, 3 * BOXES, 4 * BOXES], axis=1)
    angle, radius, number, order, objects = parts
    # The order of random numbers is a random order; the boxes that aren't there come last.
    absent = np.arange(BOXES) >= count[:, None]
    return Layout(
        boxes=count,
        delay=delay[below(noise[:, _DELAY], len(delay))],
        shows=1 + asked_after[below(noise[:, _SHOWS], len(asked_after))],
        target=below(noise[:, _TARGET], count),
        place=_places(uniform(noise[:, _TURN]), uniform(angle), uniform(radius), _shuffled(number, absent), absent),
        order=_shuffled(order, absent),
        objects=objects.argsort(axis=1, kind="stable"),
    )


def _shuffled(noise: WordArray, absent: NDArray[np.bool_]) -> IntArray:
    """0, ..., n - 1 in random order, then the rest: (k, 8)."""
    return np.where(absent, np.uint64(np.iinfo(np.uint64).max), noise >> np.uint64(1)).argsort(axis=1, kind="stable")


def _places(
    turn: FloatArray, angle: FloatArray, radius: FloatArray, number: IntArray, absent: NDArray[np.bool_]
) -> FloatArray:
    """Where boxes stand, (k, 8, 2): every arrangement with gaps of ``gap_rad`` and more is as likely as any other.

    Sorted numbers in what the gaps leave of a turn, then a gap after each of them; radii fill the ring evenly.
    """
    count = BOXES - absent.sum(axis=1, keepdims=True)
    free = 2.0 * math.pi - count * ROOM.gap_rad
    sorted_angle = np.sort(np.where(absent, 2.0, angle), axis=1)
    theta = 2.0 * math.pi * turn[:, None] + free * sorted_angle + ROOM.gap_rad * np.arange(BOXES)
    distance = np.sqrt(ROOM.nearest_m**2 + radius * (ROOM.farthest_m**2 - ROOM.nearest_m**2))
    there = distance[..., None] * direction(theta)
    there[absent] = 0.0
    return np.take_along_axis(there, number[..., None], axis=1)


def _cos(angle: FloatArray) -> FloatArray:
    """The C library's cosine, one by one: numpy's may round otherwise in another batch."""
    return np.array([math.cos(value) for value in angle.ravel().tolist()]).reshape(angle.shape)


def walk_point(seeds: IntArray, number: IntArray) -> tuple[FloatArray, FloatArray]:
    """Where the agent is led for the ``number``-th time, from 0 on, both (k,).

    Returns:
        Points (k, 2) in the disc of ``led_m`` around the middle [m], and headings (k,) in the room [rad].
    """
    noise = word((key(seeds) ^ _WALK)[:, None], _WORDS_A_POINT * number[:, None] + np.arange(1, 1 + _WORDS_A_POINT))
    turn, share, heading = uniform(noise[:, 0]), uniform(noise[:, 1]), uniform(noise[:, 2])
    point = ROOM.led_m * np.sqrt(share)[:, None] * direction(2.0 * math.pi * turn)
    return point, 2.0 * math.pi * heading


def direction(angle: FloatArray) -> FloatArray:
    """Unit vectors (..., 2) at angles from the room's x axis [rad]."""
    return np.stack([_cos(angle), _cos(angle - 0.5 * math.pi)], axis=-1)


def screen(seeds: IntArray, number: IntArray, screens: int, spare: IntArray) -> tuple[IntArray, IntArray]:
    """Which of the screens opens for the ``number``-th time, and which of ``spare`` objects it shows, (k,) each."""
    noise = word(mix(key(seeds) ^ _SCREEN)[:, None], 2 * number[:, None] + np.arange(1, 3))
    return below(noise[:, 0], screens), below(noise[:, 1], spare)
