"""An actor that knows the answer: the ceiling that every memory is compared with."""

import numpy as np
from numpy.typing import NDArray

from haltere.sims.actor import ArrayTree
from haltere.sims.lanes import choice_to_scores
from haltere.sims.mujoco.rooms.constants import DIRECTIONS
from haltere.sims.mujoco.rooms.task import MemoryRooms


class RoomsExpert:
    """Walks to the right box. It looks into the worlds, not at the observations."""

    def __init__(self, env: MemoryRooms) -> None:
        """Act in these worlds, and in no others."""
        self._env = env

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Nothing is remembered."""

    def act(self, obs: ArrayTree) -> ArrayTree:
        """The direction of the right box, as scores (W, 8)."""
        return {"action": choice_to_scores(self._env.answer, len(DIRECTIONS))}
