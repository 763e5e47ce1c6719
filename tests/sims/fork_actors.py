"""Actors for manip-fork: demonstrators of one way alone, and what they would do on average."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haltere.sims.mujoco.fork.expert import command, styles
from haltere.sims.mujoco.fork.task import ManipFork


class MeanOfBoth:
    """The mean of what the two experts would do, who differ in nothing but their way."""

    def enter(self, env: ManipFork) -> None:
        """Act in these worlds."""
        self._env = env

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Nothing is remembered."""

    def act(self, obs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Half of each."""
        style = styles(self._env.state_dict()["worlds"][:, 2])
        state = obs["state"].astype(float)
        both = [command(state, replace(style, way=np.full(len(state), way))) for way in (1.0, -1.0)]
        return {"action": np.mean(both, axis=0).astype(np.float32)}
