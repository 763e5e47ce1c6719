"""Points in a plane that reach their goals: numpy, no simulator."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import gymnasium
import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray
from pydantic import ConfigDict

from haltere.configs.errors import IntegrityError
from haltere.sims.task import FIRST_HELD_OUT_SEED, Infos, ObsTree, TaskVectorEnv, task

TOP_SPEED_MPS = 1.0
CTRL_DT_S = 0.1
REACHED_M = 0.2


@dataclass(frozen=True)
class ReachConfig:
    """What can be set about the task.

    Attributes:
        episode_steps: control steps in an episode.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    episode_steps: Annotated[int, Ge(1)] = 10


@task(
    "pointmass/Reach-v0",
    config=ReachConfig,
    metrics=("success", "distance_m"),
    rates=("success",),
    ctrl_dt_s=CTRL_DT_S,
    sim="numpy",
    units={"goal": "m, world frame", "action": "fraction of 1 m/s, world frame"},
)
class Reach(TaskVectorEnv[ReachConfig]):
    """W points, one a world; each has to come within 0.2 m of a goal at most 0.5 m away."""

    agents = None

    def __init__(self, config: ReachConfig, num_envs: int, *, training: bool = False, threads: int = 1) -> None:
        """Place the points; ``reset`` places them again."""
        super().__init__(config, num_envs, training=training, threads=threads)
        self._goal = np.zeros((num_envs, 2), dtype=np.float32)
        self._tick = np.zeros(num_envs, dtype=np.int64)
        self._seed = np.arange(num_envs, dtype=np.int64)
        self._set_spaces()

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObsTree, Infos]:
        """Start every world's episode."""
        if seed is not None:
            self._seed = self._episode_seeds(seed)
        for world in range(self.num_envs):
            self._restart(world)
        return self._observe(), {}

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[ObsTree, NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], Infos]:
        """Move every point for one control period."""
        self._goal -= np.clip(actions, -1.0, 1.0) * np.float32(TOP_SPEED_MPS * CTRL_DT_S)
        self._tick += 1
        distance = np.linalg.norm(self._goal, axis=1).astype(np.float32)
        ended = self._tick >= self.config.episode_steps
        infos: Infos = {}
        if ended.any():
            success = (distance < REACHED_M).astype(np.float32)
            infos = {"final_obs": self._observe(), "episode": {"success": success, "distance_m": distance}}
            for world in np.flatnonzero(ended):
                self._restart(int(world))
        return self._observe(), -distance, np.zeros_like(ended), ended, infos

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Goals, ticks and the next seeds."""
        return {"goal": self._goal.copy(), "tick": self._tick.copy(), "seed": self._seed.copy()}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> ObsTree:
        """Go on from there."""
        if state["goal"].shape != self._goal.shape:
            raise IntegrityError(f"state of {len(state['goal'])} worlds, here are {self.num_envs}")
        self._goal, self._tick, self._seed = (state[name].copy() for name in ("goal", "tick", "seed"))
        return self._observe()

    @property
    def agent_observation_space(self) -> gymnasium.spaces.Dict:
        """The vector to the goal."""
        return gymnasium.spaces.Dict({"goal": gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)})

    @property
    def agent_action_space(self) -> gymnasium.spaces.Box:
        """A velocity."""
        return gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def _restart(self, world: int) -> None:
        generator = np.random.default_rng(int(self._seed[world]))
        self._goal[world] = generator.uniform(-0.35, 0.35, size=2)
        self._tick[world] = 0
        following = int(generator.integers(FIRST_HELD_OUT_SEED))
        self._seed[world] = following if self.training else following + FIRST_HELD_OUT_SEED

    def _observe(self) -> ObsTree:
        return {"goal": self._goal.copy()}
