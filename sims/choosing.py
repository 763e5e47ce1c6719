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
from haltere.sims.single import Float32Array, SingleAgentTask


class StagedConfig(Protocol):
    """A task's configuration with a curriculum."""

    @property
    def curriculum(self) -> Sequence[Any]:
        """Stages, each over when training has taken ``until`` agent steps; levels are the configuration's own then."""


ConfigT = TypeVar("ConfigT", bound=StagedConfig)


class ChoosingTask(SingleAgentTask[ConfigT]):
    """W worlds with one agent each, whose action is a score for each of ``choices``.

    ``_move`` gets what is chosen, (W,). First episodes aren't staggered in training: whoever comes late has missed what
    a memory needs.
    """

    choices: int

    def __init__(self, config: ConfigT, num_envs: int, *, training: bool = False, threads: int = 1) -> None:
        """Check what was asked for; a subclass builds its worlds, then calls ``_ready``. The arguments are the base's.

        Raises:
            RequestError: fewer than one world or thread is asked for, or the curriculum's stages aren't in order.
        """
        super().__init__(config, num_envs, training=training, threads=threads)
        ends = [stage.until for stage in config.curriculum]
        if ends != sorted(set(ends)):
            raise RequestError(f"task {self.spec_.id}: each stage of env.curriculum must end later, got {ends}")

    def _ready(self) -> None:
        """Begin with the curriculum's first stage; ends a subclass's ``__init__``."""
        self.set_training_steps(0)
        self._set_spaces()

    @property
    def agent_action_space(self) -> spaces.Box:
        """A score for each choice."""
        return spaces.Box(-1.0, 1.0, (self.choices,), np.float32)

    def _meant(self, actions: Float32Array) -> IntArray:
        """What is chosen, (W,); scores are compared and never clipped."""
        return scores_to_choice(actions)

    def _stage(self, steps: int) -> Any | None:  # noqa: ANN401 -- the configuration's own kind of stage
        """The curriculum's stage after so many agent steps; None behind the last one, and outside training."""
        stages = self.config.curriculum if self.training else ()
        return next((stage for stage in stages if steps < stage.until), None)

    def expert(self) -> Actor:
        """See the base class and ``KnowingActor``."""
        return KnowingActor(self)

    @property
    @abstractmethod
    def answer(self) -> IntArray:
        """The right choice now in each world, (W,). For experts; it isn't for the agent."""


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
