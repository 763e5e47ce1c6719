"""A task of a few lines that PPO learns in seconds: noisy point masses, three to a world."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from gymnasium import spaces
from numpy.typing import NDArray
from pydantic import ConfigDict

from haltere.agents.ppo.config import PPOConfig
from haltere.agents.recipe import Recipe
from haltere.configs.errors import IntegrityError
from haltere.policies.swarm.config import SwarmConfig
from haltere.sims.task import FIRST_HELD_OUT_SEED, Infos, ObsTree, TaskVectorEnv, task

TASK_ID = "haltere/ToyMass-v0"
SHAPES: dict[str, tuple[int, ...]] = {"self": (19,), "neighbour": (2, 6), "obstacle": (9,)}
"""What the swarm policy takes; mostly zeros here."""


@dataclass(frozen=True)
class ToyConfig:
    """``blow_up_at``: control step, counted over all of training, from which observations are NaN; never where 0."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    episode_steps: Annotated[int, Ge(1)] = 40
    blow_up_at: Annotated[int, Ge(0)] = 0


@task(
    TASK_ID,
    config=ToyConfig,
    metrics=("success", "final_distance_m", "curriculum"),
    rates=("success",),
    ctrl_dt_s=0.1,
    sim="mujoco",
    units={"self": "position and velocity [m, m/s]", "neighbour": "relative position [m]", "obstacle": "time [s]"},
)
class ToyMass(TaskVectorEnv[ToyConfig]):
    """Three point masses in a plane; each is paid for being near the origin and pushed by noise."""

    def __init__(self, config: ToyConfig, num_envs: int, *, training: bool = False, threads: int = 1) -> None:
        """Build the worlds."""
        super().__init__(config, num_envs, training=training, threads=threads)
        self.agents = 3
        self._noise = [np.random.default_rng(0) for _ in range(num_envs)]
        self._clock = np.zeros(num_envs, np.int64)
        self._total = 0
        self._curriculum = 0
        self._position = np.zeros((num_envs, 3, 2), np.float32)
        self._velocity = np.zeros((num_envs, 3, 2), np.float32)
        self._set_spaces()

    @property
    def agent_observation_space(self) -> spaces.Dict:
        """Names as the swarm policy wants them."""
        return spaces.Dict({name: spaces.Box(-np.inf, np.inf, shape, np.float32) for name, shape in SHAPES.items()})

    @property
    def agent_action_space(self) -> spaces.Box:
        """Acceleration."""
        return spaces.Box(-1.0, 1.0, (2,), np.float32)

    def set_training_steps(self, steps: int) -> None:
        """Remember them, to be seen in a metric."""
        self._curriculum = steps

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObsTree, Infos]:
        """Begin; world i of an integer seed has seed + i."""
        for world, value in enumerate(self._episode_seeds(0 if seed is None else seed)):
            self._begin(world, int(value))
        if self.training:
            self._clock = np.arange(self.num_envs) % self.config.episode_steps
        return self._obs(), {}

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[ObsTree, NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], Infos]:
        """One control step."""
        push = np.stack([generator.standard_normal((3, 2), np.float32) for generator in self._noise])
        self._velocity = (0.9 * self._velocity + 0.1 * actions + 0.01 * push).astype(np.float32)
        self._position = (self._position + 0.1 * self._velocity).astype(np.float32)
        self._clock += 1
        self._total += 1
        distance = np.linalg.norm(self._position, axis=-1)
        left = distance.max(axis=1) > 3.0
        truncated = (self._clock >= self.config.episode_steps) & ~left
        infos: Infos = {}
        ended = np.flatnonzero(left | truncated)
        if ended.size:
            infos["final_obs"] = self._obs()
            infos["episode"] = {
                "success": (distance < 0.5).astype(np.float32),
                "final_distance_m": distance.astype(np.float32),
                "curriculum": np.full(self.num_envs, self._curriculum, np.float32),
            }
            for world in ended:
                self._begin(int(world), int(self._noise[world].integers(FIRST_HELD_OUT_SEED)))
        return self._obs(), -distance.astype(np.float32), left, truncated, infos

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Everything, the generators by their 128-bit words."""
        words = [generator.bit_generator.state for generator in self._noise]
        mask = (1 << 64) - 1
        return {
            "generators": np.array(
                [
                    [part for name in ("state", "inc") for part in (w["state"][name] >> 64, w["state"][name] & mask)]
                    + [w["has_uint32"], w["uinteger"]]
                    for w in words
                ],
                np.uint64,
            ),
            "counters": np.array([self._total, self._curriculum], np.int64),
            "clock": self._clock.copy(),
            "position": self._position.copy(),
            "velocity": self._velocity.copy(),
        }

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> ObsTree:
        """Go on."""
        if state["position"].shape != self._position.shape:
            raise IntegrityError(f"toy: {len(state['position'])} worlds in the state, expected {self.num_envs}")
        for generator, row in zip(self._noise, state["generators"].tolist(), strict=True):
            words = {"state": row[0] << 64 | row[1], "inc": row[2] << 64 | row[3]}
            generator.bit_generator.state = {
                "bit_generator": "PCG64",
                "state": words,
                "has_uint32": row[4],
                "uinteger": row[5],
            }
        self._total, self._curriculum = (int(value) for value in state["counters"])
        self._clock = state["clock"].copy()
        self._position, self._velocity = state["position"].copy(), state["velocity"].copy()
        return self._obs()

    def _begin(self, world: int, seed: int) -> None:
        self._noise[world] = np.random.default_rng(seed)
        self._clock[world] = 0
        self._position[world] = self._noise[world].uniform(-1, 1, (3, 2))
        self._velocity[world] = 0.0

    def _obs(self) -> ObsTree:
        """Fresh arrays; a NaN among them once the configured step has come."""
        obs = {name: np.zeros((self.num_envs, 3, *shape), np.float32) for name, shape in SHAPES.items()}
        obs["self"][..., :2], obs["self"][..., 2:4] = self._position, self._velocity
        obs["self"][..., 6:15] = np.eye(3, dtype=np.float32).ravel()  # upright: the policy turns what it sees by this
        for other in (1, 2):
            obs["neighbour"][:, :, other - 1, :2] = np.roll(self._position, -other, axis=1) - self._position
        obs["obstacle"][..., 0] = self._clock[:, None] / self.config.episode_steps
        if self.config.blow_up_at and self._total >= self.config.blow_up_at:
            obs["self"][0, 0, 0] = np.nan
        return obs


def toy_recipe(env: ToyConfig | None = None, **trainer: Any) -> Recipe:  # noqa: ANN401
    """Four worlds of the toy, trained with PPO; ``trainer`` are settings of ``PPOConfig``."""
    small = {
        "worlds": 4,
        "rollout_steps": 16,
        "batch_size": 64,
        "epochs": 2,
        "critic_width": 16,
        "episode_window": 50,
        "total_steps": 192 * 10,
        "checkpoint_every": 192 * 2,
        "learning_rate": 1e-3,
        "learning_rate_final": 1e-4,
    }
    config = PPOConfig(**{**small, **trainer})
    return Recipe("toy", TASK_ID, __name__, env or ToyConfig(), SwarmConfig(width=10), config)
