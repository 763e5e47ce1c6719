"""The Actor noun: numpy in, numpy out. Torch, ONNX, C, experts and safety filters are all Actors."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
ArrayTree = Mapping[str, NDArray[Any]]


class Actor(Protocol):
    """Commands B lanes at once, one control step a call. A lane is one agent of one world."""

    def reset(self, mask: BoolArray | None = None) -> None:
        """Forget: every lane, or those where ``mask`` (B,) is true."""

    def act(self, obs: ArrayTree) -> ArrayTree:
        """One control step.

        Args:
            obs: each observation (B, ...), float32, names as in the task's observation space.

        Returns:
            ``"action"`` (B, A) and whatever else the actor shows, such as ``"attention"`` (B, 2).
        """
        ...


class RandomActor:
    """Uniform actions in [-1, 1]: the floor that every trained policy is compared with."""

    def __init__(self, action_size: int, seed: int) -> None:
        """Draw from a generator of its own, seeded."""
        self._action_size = action_size
        self._generator = np.random.default_rng(seed)

    def reset(self, mask: BoolArray | None = None) -> None:
        """Nothing is remembered."""

    def act(self, obs: ArrayTree) -> ArrayTree:
        """Uniform noise of shape (B, A)."""
        batch = len(next(iter(obs.values())))
        action = self._generator.uniform(-1.0, 1.0, size=(batch, self._action_size))
        return {"action": action.astype(np.float32)}
