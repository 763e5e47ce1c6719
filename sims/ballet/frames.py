"""Which pictures of an episode are the same, so that whoever trains encodes each only once.

While the agent watches it can't move, and at rest all is as before: a show of n dancers has at most 1 + 8 n different
pictures, whatever its length.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haltere.sims.ballet.constants import PATHS, ROOM, SLOTS
from haltere.sims.ballet.worlds import START_CELL, Worlds
from haltere.sims.chance import IntArray

_NEIGHBOURS = 8
REST_FRAME = 0
"""The frame of a room in which everybody is where the episode began."""
_FIRST_WALK = 1 + SLOTS * _NEIGHBOURS
FRAMES = _FIRST_WALK + (ROOM - 2) ** 2
"""Every frame number is below this."""


def _dance_frames() -> IntArray:
    """Which of the eight cells around its slot a dancer is in after each move: 1 to 8, or 0 in its slot; (13, 16)."""
    square = 3 * (PATHS[..., 0] + 1) + PATHS[..., 1] + 1
    frames: IntArray = np.array([1, 2, 3, 4, 0, 5, 6, 7, 8])[square]
    return frames


def _walk_frames() -> IntArray:
    """The frame of an agent that chooses, by its cell, (121,)."""
    row, column = np.divmod(np.arange(ROOM * ROOM), ROOM)
    frame = _FIRST_WALK + (row - 1) * (ROOM - 2) + column - 1
    frame[START_CELL] = REST_FRAME
    return frame


_DANCE_FRAME, _WALK_FRAME = _dance_frames(), _walk_frames()


def frame_ids(worlds: Worlds) -> IntArray:
    """Number of the picture that each world shows now, (W,), from 0 to ``FRAMES`` - 1.

    Within one episode two pictures are equal exactly where their numbers are. The number is the picture's alone: the
    instruction changes between two of the same number.
    """
    frame = _WALK_FRAME[worlds.agent]
    there, dancer, move = worlds.dancing()
    step = _DANCE_FRAME[worlds.layout.dance[there, dancer], move]
    frame[there] = np.where(step > 0, dancer * _NEIGHBOURS + step, REST_FRAME)
    return frame


@dataclass(frozen=True)
class Distinct:
    """The different pictures of T steps of W worlds.

    Attributes:
        step: (F,) a step at which each of them was seen, the first one.
        world: (F,) the world that showed it.
        index: (T, W) which of the F each step showed.
    """

    step: IntArray
    world: IntArray
    index: IntArray


def distinct_frames(frames: IntArray, begins: NDArray[np.bool_]) -> Distinct:
    """Find the pictures worth encoding.

    With ``d = distinct_frames(frames, begins)`` and images (T, W, 3, ...), ``encode(images[d.step, d.world])[d.index]``
    is what ``encode`` would give for every step.

    Args:
        frames: (T, W) what ``Ballet.frame_id`` was at each step.
        begins: (T, W) whether the step is the first of its episode. The first row may be within one.
    """
    episode = np.cumsum(begins, axis=0)
    steps, worlds = frames.shape
    key = (episode * worlds + np.arange(worlds)) * FRAMES + frames
    _, first, index = np.unique(key, return_index=True, return_inverse=True)
    step, world = np.divmod(first, worlds)
    return Distinct(step, world, index.reshape(steps, worlds))
