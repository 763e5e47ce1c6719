"""What tasks of one agent a world have in common: how episodes begin, step and end."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.sims.chance import IntArray
from haltere.sims.task import Infos, ObsTree, TaskVectorEnv

Float32Array = NDArray[np.float32]
Outcome = tuple[Float32Array, NDArray[np.bool_], NDArray[np.bool_]]
"""Reward, whether the world terminated, whether its time is up; (W,) each."""
ConfigT = TypeVar("ConfigT")


class SingleAgentTask(TaskVectorEnv[ConfigT]):
    """W worlds with one agent each."""

    def __init__(self, config: ConfigT, num_envs: int, *, training: bool = False, threads: int = 1) -> None:
        """Check what was asked for; a subclass builds its worlds. The arguments are the base's.

        Raises:
            RequestError: fewer than one world or thread is asked for.
        """
        super().__init__(config, num_envs, training=training, threads=threads)
        if num_envs < 1 or threads < 1:
            raise RequestError(f"worlds and threads must be at least 1, got {num_envs} and {threads}")
        self.agents = None
        self._running = False

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObsTree, Infos]:
        """Begin an episode in every world; see the base class."""
        self._begin(np.arange(self.num_envs), self._episode_seeds(seed))
        self._running = True
        self.look(None)
        return self._observe(), {}

    def step(self, actions: Float32Array) -> tuple[ObsTree, Float32Array, NDArray[np.bool_], NDArray[np.bool_], Infos]:
        """One control period in every world; see the base class.

        Args:
            actions: (W, A); see ``_meant`` for what is outside [-1, 1].

        Raises:
            RequestError: ``reset`` was never called, or the actions have another shape or aren't finite.
            HaltereError: a simulator could not integrate a world's state.
        """
        shape = (self.num_envs, *self.agent_action_space.shape)
        actions = np.asarray(actions, np.float32)
        if not self._running or actions.shape != shape or not np.isfinite(actions).all():
            raise RequestError(
                f"actions must be finite, of shape {shape} and come after reset(), got shape {actions.shape}"
            )
        reward, terminated, truncated = self._move(self._meant(actions))
        obs = self._observe()
        infos: Infos = {}
        ended = np.flatnonzero(terminated | truncated)
        if len(ended):
            values = np.full((len(self.spec_.metrics), self.num_envs), np.nan, np.float32)
            values[:, ended] = self._measures()[:, ended]
            infos = {"episode": dict(zip(self.spec_.metrics, values, strict=True))}
            infos["final_obs"], obs = self._begin_anew(obs, ended)
        return obs, reward, terminated, truncated, infos

    def _meant(self, actions: Float32Array) -> NDArray[Any]:
        """What ``_move`` gets for actions (W, A): what is outside [-1, 1] is taken as its nearest bound."""
        return np.clip(actions, -1.0, 1.0)

    def _begin_anew(self, obs: ObsTree, ended: IntArray) -> tuple[ObsTree, ObsTree]:
        """Begin episodes where they ended: what was seen last, valid there, and what is seen now everywhere."""
        self._begin(ended, None)
        return obs, self._observe()

    @abstractmethod
    def _begin(self, worlds: IntArray, seeds: NDArray[np.int64] | None) -> None:
        """Begin an episode in (k,) worlds, of seeds (k,), or of each world's next one."""

    @abstractmethod
    def _move(self, meant: Any) -> Outcome:  # noqa: ANN401 -- as _meant gives it
        """One step of every world."""

    @abstractmethod
    def _observe(self) -> ObsTree:
        """What every agent senses now, in arrays of its own."""

    @abstractmethod
    def _measures(self) -> NDArray[Any]:
        """Every metric as it is now, (metrics, W), in the order in which the task names them."""
