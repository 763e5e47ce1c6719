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


def demonstrations(
    env: ManipFork, seeds: list[int], chunk: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """What the expert sensed in each step of an episode a seed, the ``chunk`` commands from there on, and success.

    Behind the end of an episode its last command is repeated.
    """
    obs, _ = env.reset(seed=seeds)
    expert, running, solved = env.expert(), np.ones(len(seeds), bool), np.zeros(len(seeds), bool)
    sensed: list[list[Any]] = [[] for _ in seeds]
    done: list[list[Any]] = [[] for _ in seeds]
    while running.any():
        action = expert.act(obs)["action"]
        for world in np.flatnonzero(running):
            sensed[world].append(obs["state"][world])
            done[world].append(action[world])
        obs, reward, terminated, truncated, _ = env.step(action)
        solved |= running & (reward > 0)
        running &= ~(terminated | truncated)
    padded = [np.array(commands + commands[-1:] * chunk) for commands in done]
    chunks = [rows[t : t + chunk] for rows in padded for t in range(len(rows) - chunk)]
    return np.concatenate([np.array(rows) for rows in sensed]), np.stack(chunks), solved
