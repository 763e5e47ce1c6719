"""What tasks have in common in which one agent picks a direction, and which grow harder by stages of the training."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.sims.actor import Actor, ArrayTree
from haltere.sims.chance import IntArray
from haltere.sims.lanes import choice_to_scores, scores_to_choice
from haltere.sims.task import Infos, ObsTree, TaskVectorEnv

Float32Array = NDArray[np.float32]
Outcome = tuple[Float32Array, NDArray[np.bool_], NDArray[np.bool_]]
"""Reward, whether the world terminated, whether its time is up; (W,) each."""


class StagedConfig(Protocol):
    """A task's configuration with a curriculum."""

    @property
    def curriculum(self) -> Sequence[Any]:
        """Stages, each over when training has taken ``until`` agent steps; levels are the configuration's own then."""


ConfigT = TypeVar("ConfigT", bound=StagedConfig)


class ChoosingTask(TaskVectorEnv[ConfigT]):
    """W worlds with one agent each, whose action is a score for each of ``choices``.

    First episodes aren't staggered in training: whoever comes late has missed what a memory needs.
    """

    choices: int

    def __init__(self, config: ConfigT, num_envs: int, *, training: bool = False, threads: int = 1) -> None:
        """Check what was asked for; a subclass builds its worlds, then calls ``_ready``. The arguments are the base's.

        Raises:
            RequestError: fewer than one world or thread is asked for, or the curriculum's stages aren't in order.
        """
        super().__init__(config, num_envs, training=training, threads=threads)
        if num_envs < 1 or threads < 1:
            raise RequestError(f"worlds and threads must be at least 1, got {num_envs} and {threads}")
        ends = [stage.until for stage in config.curriculum]
        if ends != sorted(set(ends)):
            raise RequestError(f"task {self.spec_.id}: each stage of env.curriculum must end later, got {ends}")
        self.agents = None
        self._running = False

    def _ready(self) -> None:
        """Begin with the curriculum's first stage; ends a subclass's ``__init__``."""
        self.set_training_steps(0)
        self._set_spaces()

    @property
    def agent_action_space(self) -> spaces.Box:
        """A score for each choice."""
        return spaces.Box(-1.0, 1.0, (self.choices,), np.float32)

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObsTree, Infos]:
        """Begin an episode in every world; see the base class."""
        self._begin(np.arange(self.num_envs), self._episode_seeds(seed))
        self._running = True
        self.look(None)
        return self._observe(), {}

    def step(self, actions: Float32Array) -> tuple[ObsTree, Float32Array, NDArray[np.bool_], NDArray[np.bool_], Infos]:
        """One choice in every world; see the base class.

        Args:
            actions: (W, choices) scores.

        Raises:
            RequestError: ``reset`` was never called, or the actions have another shape or aren't finite.
            HaltereError: a simulator could not integrate a world's state.
        """
        shape = (self.num_envs, self.choices)
        actions = np.asarray(actions, np.float32)
        if not self._running or actions.shape != shape or not np.isfinite(actions).all():
            raise RequestError(
                f"actions must be finite, of shape {shape} and come after reset(), got shape {actions.shape}"
            )
        reward, terminated, truncated = self._move(scores_to_choice(actions))
        obs = self._observe()
        infos: Infos = {}
        ended = np.flatnonzero(terminated | truncated)
        if len(ended):
            values = np.full((len(self.spec_.metrics), self.num_envs), np.nan, np.float32)
            values[:, ended] = self._measures()[:, ended]
            infos = {"episode": dict(zip(self.spec_.metrics, values, strict=True))}
            infos["final_obs"], obs = self._begin_anew(obs, ended)
        return obs, reward, terminated, truncated, infos

    def _stage(self, steps: int) -> Any | None:  # noqa: ANN401 -- the configuration's own kind of stage
        """The curriculum's stage after so many agent steps; None behind the last one, and outside training."""
        stages = self.config.curriculum if self.training else ()
        return next((stage for stage in stages if steps < stage.until), None)

    def _begin_anew(self, obs: ObsTree, ended: IntArray) -> tuple[ObsTree, ObsTree]:
        """Begin episodes where they ended: what was seen last, valid there, and what is seen now everywhere."""
        self._begin(ended, None)
        return obs, self._observe()

    def expert(self) -> Actor:
        """See the base class and ``KnowingActor``."""
        return KnowingActor(self)

    @property
    @abstractmethod
    def answer(self) -> IntArray:
        """The right choice now in each world, (W,). For experts; it isn't for the agent."""

    @abstractmethod
    def _begin(self, worlds: IntArray, seeds: NDArray[np.int64] | None) -> None:
        """Begin an episode in (k,) worlds, of seeds (k,), or of each world's next one."""

    @abstractmethod
    def _move(self, choice: IntArray) -> Outcome:
        """One step of every world, with what its agent chose, (W,)."""

    @abstractmethod
    def _observe(self) -> ObsTree:
        """What every agent senses now, in arrays of its own."""

    @abstractmethod
    def _measures(self) -> NDArray[Any]:
        """Every metric as it is now, (metrics, W), in the order in which the task names them."""


class KnowingActor:
    """Makes the right choice in every step: the ceiling that every memory is compared with.

    It looks into the worlds, not at the observations.
    """

    def __init__(self, env: ChoosingTask[Any]) -> None:
        """Act in these worlds, and in no others."""
        self._env = env

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Nothing is remembered."""

    def act(self, obs: ArrayTree) -> ArrayTree:
        """The right choices as scores, (W, choices)."""
        return {"action": choice_to_scores(self._env.answer, self._env.choices)}
