"""Meta-World's scripted policies as demonstrators, with a little smooth noise in their motion.

They remember nothing. The noise follows from the episode's seed and its clock, so that a demonstration depends on
nothing else; the gripper has none, for a finger that trembles drops things.
"""

import math
import warnings
from typing import Any

import metaworld.policies
import numpy as np
from numpy.typing import NDArray

from haltere.sims.actor import ArrayTree
from haltere.sims.chance import IntArray, key, uniform, waves, words
from haltere.sims.mujoco.mt10.constants import SUB_TASKS
from haltere.sims.mujoco.mt10.draws import FloatArray
from haltere.sims.mujoco.mt10.worlds import Worlds

_CLOSED, _HELD_M = 0.32, 0.035
_PULL_M = 0.02
_SHARE = 0.25
"""Of what is left of the way, gone in a step by most of the scripted policies: a gain of 25, at 1 cm a step."""
_SALT = np.uint64(0xA0761D6478BD642F)
_WAVES, _AXES = 3, 3
_WAVE_RAD = (0.1, 0.6)
"""Range of the noise's frequencies [rad per control step]: periods of 10 to 63 steps."""


def noise(seeds: IntArray, clock: IntArray, size: float) -> FloatArray:
    """Smooth noise of that root mean square in each of three components, (k, 3), at each episode's step, (k,)."""
    share = uniform(words(key(seeds) ^ _SALT, 2 * _WAVES * _AXES)).reshape(len(seeds), 2, _AXES, _WAVES)
    frequency = _WAVE_RAD[0] + (_WAVE_RAD[1] - _WAVE_RAD[0]) * share[:, 0]
    return waves(frequency, 2.0 * math.pi * share[:, 1], clock, size)


class _PegInsertion(metaworld.policies.SawyerPegInsertionSideV3Policy):
    """Meta-World's, mended: a peg that is held a little high isn't grasped again while it is dragged along."""

    @staticmethod
    def _desired_pos(o_d: dict[str, Any]) -> FloatArray:
        hand, peg = o_d["hand_pos"], o_d["peg_pos"]
        near = math.hypot(*(hand[:2] - peg[:2])) <= 0.04
        if near and o_d["gripper_distance_apart"] < _CLOSED and 0.025 < abs(hand[2] - peg[2]) <= _HELD_M:
            o_d = o_d | {"hand_pos": np.array([hand[0], hand[1], peg[2]])}
        wanted: FloatArray = metaworld.policies.SawyerPegInsertionSideV3Policy._desired_pos(o_d)
        return wanted


class _DoorOpening(metaworld.policies.SawyerDoorOpenV3Policy):
    """Meta-World's, mended: a hand that has slid along the handle to the hinge goes on pulling, and not back."""

    @staticmethod
    def _desired_pos(o_d: dict[str, Any]) -> FloatArray:
        hand = o_d["hand_pos"]
        wanted: FloatArray = metaworld.policies.SawyerDoorOpenV3Policy._desired_pos(o_d)
        handle = o_d["door_pos"]  # the line before has moved it to where the hand should be
        if (wanted == handle).all() and hand[0] < handle[0]:
            return np.array([hand[0] - _PULL_M, handle[1] - _PULL_M, handle[2]])
        return wanted


_MENDED = {"peg-insert-side": _PegInsertion, "door-open": _DoorOpening}


class Demonstrators:
    """The scripted policy of each world's sub-task, by what Meta-World would show of it."""

    def __init__(self, worlds: Worlds, size: float, repeat: int = 1) -> None:
        """Act in these worlds, and in no others.

        Args:
            worlds: in which.
            size: the noise's.
            repeat: for how many of Meta-World's steps a command holds. Scripted policies go a share of what is left of
                their way in a step; so that a command that holds longer doesn't go too far, it is made smaller.
        """
        self._worlds, self._size, self._repeat = worlds, size, repeat
        self._gain = (1.0 - (1.0 - _SHARE) ** repeat) / (repeat * _SHARE)
        self._policies: list[Any] = [_MENDED.get(s.name, getattr(metaworld.policies, s.expert))() for s in SUB_TASKS]

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Nothing is remembered."""

    def act(self, obs: ArrayTree) -> ArrayTree:
        """Commands (W, 4) as ``"action"``."""
        worlds = self._worlds
        state = worlds.shown.astype(np.float32).astype(np.float64)  # what is sensed is in single precision
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they mean to be clipped, and say so in every step
            pairs = zip(worlds.kind, state, strict=True)
            action = np.stack([self._policies[kind].get_action(row) for kind, row in pairs])
        action = action.astype(np.float64)
        action[:, :_AXES] *= self._gain
        action = np.clip(action, -1.0, 1.0)
        if self._size > 0.0:
            action[:, :_AXES] += noise(worlds.seed, worlds.clock // self._repeat, self._size)
        return {"action": np.clip(action, -1.0, 1.0).astype(np.float32)}
