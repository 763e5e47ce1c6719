"""Worlds and agents to lanes and back: one lane is one agent of one world, and the axis that an actor works on.

Lane ``w * agents + a`` is agent ``a`` of world ``w``. Reshaping gives a view where the array is contiguous;
``world_to_lanes`` copies.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from haltere.sims.task import TaskVectorEnv

ScalarT = TypeVar("ScalarT", bound=np.generic)


def array_to_lanes(array: NDArray[ScalarT], agents: int | None) -> NDArray[ScalarT]:
    """(W, agents, ...) to (W * agents, ...); unchanged where ``agents`` is None."""
    return array if agents is None else array.reshape(-1, *array.shape[2:])


def array_from_lanes(array: NDArray[ScalarT], agents: int | None) -> NDArray[ScalarT]:
    """(W * agents, ...) to (W, agents, ...); unchanged where ``agents`` is None."""
    return array if agents is None else array.reshape(-1, agents, *array.shape[1:])


def to_lanes(tree: Mapping[str, NDArray[Any]], agents: int | None) -> dict[str, NDArray[Any]]:
    """``array_to_lanes`` of every array of a tree."""
    return {name: array_to_lanes(array, agents) for name, array in tree.items()}


def from_lanes(tree: Mapping[str, NDArray[Any]], agents: int | None) -> dict[str, NDArray[Any]]:
    """``array_from_lanes`` of every array of a tree."""
    return {name: array_from_lanes(array, agents) for name, array in tree.items()}


def world_to_lanes(array: NDArray[ScalarT], agents: int | None) -> NDArray[ScalarT]:
    """Give each lane its world's value: (W,) to (W * agents,), such as ``terminations`` for ``Actor.reset``."""
    return array if agents is None else np.repeat(array, agents)


def signature_shapes(env: TaskVectorEnv[Any]) -> tuple[dict[str, tuple[int, ...]], int]:
    """What a policy for this task must take and give, one lane of it.

    Returns:
        Shape of each observation by name, in the space's order, and the number of action components.
    """
    shapes = {name: tuple(space.shape or ()) for name, space in env.agent_observation_space.spaces.items()}
    return shapes, int(np.prod(env.agent_action_space.shape))


def scores_to_choice(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """What is done where the action is a score for each of n choices: (..., n) to (...), the first of equals."""
    choice: NDArray[np.int64] = scores.argmax(axis=-1)
    return choice


def choice_to_scores(choice: NDArray[np.integer[Any]], choices: int) -> NDArray[np.float32]:
    """The plainest scores that make a choice, (...) to (..., n): 1 for it and -1 for everything else."""
    return np.where(np.arange(choices) == choice[..., None], np.float32(1.0), np.float32(-1.0))
