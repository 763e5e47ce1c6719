"""A task of a few lines that needs a memory: a cue is shown once, and asked for later."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from gymnasium import spaces
from numpy.typing import NDArray
from pydantic import ConfigDict

from haltere.agents.recipe import Recipe
from haltere.agents.recurrent_ppo.config import RecurrentPPOConfig
from haltere.configs.errors import IntegrityError
from haltere.policies.memory.config import MemoryConfig
from haltere.sims.lanes import scores_to_choice
from haltere.sims.task import FIRST_HELD_OUT_SEED, Infos, ObsTree, TaskVectorEnv, task

TASK_ID = "haltere/ToyRecall-v0"
CUES = 3
WAIT = CUES
"""The choice that answers nothing."""


@dataclass(frozen=True)
class RecallConfig:
    """``delay``: steps before the question, between the two; ``blow_up_at``: training step from which all is NaN."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    delay: tuple[int, int] = (2, 9)
    patience: Annotated[int, Ge(1)] = 3
    blow_up_at: Annotated[int, Ge(0)] = 0
    hints: bool = True
    pairs: bool = False


@task(
    TASK_ID,
    config=RecallConfig,
    metrics=("success", "delay"),
    rates=("success",),
    ctrl_dt_s=0.1,
    sim="numpy",
    units={"seen": "cue or question", "picture": "noise of four kinds", "action": "a score for each answer"},
)
class ToyRecall(TaskVectorEnv[RecallConfig]):
    """One agent, or a pair, each with a cue of its own; the first answer, or running out of patience, ends a world."""

    choices = CUES + 1
    levels = ("delay",)

    def __init__(self, config: RecallConfig, num_envs: int, *, training: bool = False, threads: int = 1) -> None:
        """Build the worlds."""
        super().__init__(config, num_envs, training=training, threads=threads)
        self.agents = 2 if config.pairs else None
        self._state = np.zeros((num_envs, 5), np.int64)  # seed, clock, delay, two cues
        self._blown = False
        self._pictures = np.random.default_rng(0).random((4, 3, 5, 5), np.float32)
        self._set_spaces()

    @property
    def agent_observation_space(self) -> spaces.Dict:
        """The cue's one-hot or the question, and a picture that says nothing."""
        seen = spaces.Box(-np.inf, np.inf, (CUES + 1,), np.float32)
        return spaces.Dict({"picture": spaces.Box(0.0, 1.0, (3, 5, 5), np.float32), "seen": seen})

    @property
    def agent_action_space(self) -> spaces.Box:
        """A score for each cue, and one for waiting."""
        return spaces.Box(-1.0, 1.0, (CUES + 1,), np.float32)

    @property
    def acts(self) -> NDArray[np.bool_]:
        """Whether the question is put, where the task gives hints."""
        asked = self._state[:, 1] > self._state[:, 2]
        return asked if self.config.hints else np.ones(self.num_envs, np.bool_)

    @property
    def frame_id(self) -> NDArray[np.int64] | None:
        """The picture's kind, where the task gives hints."""
        return self._kind() if self.config.hints else None

    def _kind(self) -> NDArray[np.int64]:
        return self._state[:, 1] // 2 % 4

    def set_training_steps(self, steps: int) -> None:
        """Blow up when it is time."""
        self._blown = 0 < self.config.blow_up_at <= steps

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObsTree, Infos]:
        """Begin."""
        self._begin(np.arange(self.num_envs), self._episode_seeds(seed))
        return self._obs(), {}

    def _begin(self, worlds: NDArray[np.int64], seeds: NDArray[np.int64]) -> None:
        for world, seed in zip(worlds, seeds, strict=True):
            draw = np.random.default_rng(seed)
            self._state[world] = seed, 0, draw.integers(*self.config.delay), *draw.integers(CUES, size=2)

    def _obs(self) -> ObsTree:
        clock, delay, cues = self._state[:, 1], self._state[:, 2], self._state[:, 3:]
        seen = np.zeros((self.num_envs, 2, CUES + 1), np.float32)
        seen[np.arange(self.num_envs)[:, None], [0, 1], cues] = (clock == 0)[:, None]
        seen[:, :, CUES] = (clock > delay)[:, None]
        seen[self._blown] = np.nan
        picture = np.repeat(self._pictures[self._kind()][:, None], 2, axis=1)
        obs = {"picture": picture, "seen": seen}
        return obs if self.agents else {name: array[:, 0] for name, array in obs.items()}

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[ObsTree, NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], Infos]:
        """One control step."""
        clock, delay, cues = self._state[:, 1], self._state[:, 2], self._state[:, 3:]
        choice = scores_to_choice(actions).reshape(self.num_envs, -1)
        asked = clock > delay
        right = (choice == cues[:, : choice.shape[1]]) & asked[:, None]
        terminated = (choice != WAIT).any(axis=1) & asked
        truncated = ~terminated & (clock + 1 >= delay + 1 + self.config.patience)
        self._state[:, 1] += 1
        reward = right.astype(np.float32)
        reward = reward if self.agents else reward[:, 0]
        infos: Infos = {}
        ended = np.flatnonzero(terminated | truncated)
        if ended.size:
            infos = {"final_obs": self._obs(), "episode": {"success": reward, "delay": delay.astype(np.float32)}}
            later = (self._state[ended, 0] * 7919 + 13) % FIRST_HELD_OUT_SEED
            self._begin(ended, later)
        return self._obs(), reward, terminated, truncated, infos

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Everything."""
        return {"state": self._state.copy(), "seeds": self._generator_state()}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> ObsTree:
        """Go on."""
        if state["state"].shape != self._state.shape:
            raise IntegrityError("other worlds")
        self._state = state["state"].copy()
        self._set_generator_state(state["seeds"])
        return self._obs()


def recall_recipe(
    env: RecallConfig | None = None, policy: dict[str, Any] | None = None, **settings: object
) -> Recipe:
    """A small recurrent PPO on the toy; ``settings`` are the trainer's."""
    # All chunks are read: which of two that are equally relevant is read hangs on the last bit, and sums differ in it.
    small: dict[str, Any] = {"worlds": 12, "batch_episodes": 6, "total_steps": 1500, "checkpoint_every": 400}
    sizes: dict[str, Any] = {"width": 16, "layers": 2, "chunk": 3, "slots": 6, "top_k": 6, "window": 6, "span": 24}
    return Recipe(
        task_name="toy",
        task_id=TASK_ID,
        module=__name__,
        env=env or RecallConfig(),
        policy=MemoryConfig(**{**sizes, "channels": 4, **(policy or {})}),
        trainer=RecurrentPPOConfig(**{**small, **settings}),
    )
