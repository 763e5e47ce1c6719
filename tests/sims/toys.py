"""A task small enough to be checked by hand, for tests of what works on every task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pydantic import ConfigDict

from haltere.configs.errors import IntegrityError
from haltere.sims.task import Infos, ObsTree, TaskVectorEnv, task

TOY = "toy/Drift-v0"


@dataclass(frozen=True)
class DriftConfig:
    """``agents`` None is one agent without an agent axis; an episode of seed s lasts ``steps + s % spread`` steps."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    agents: int | None = 2
    steps: int = 5
    spread: int = 4
    gain: float = 0.1


@task(
    TOY,
    config=DriftConfig,
    metrics=("success", "travel_m"),
    rates=("success",),
    ctrl_dt_s=0.1,
    sim="mujoco",
    units={"place": "position [m]", "clock": "steps since the start", "action": "velocity"},
)
class Drift(TaskVectorEnv[DriftConfig]):
    """Points on a line, pushed by their action and by noise that depends on (seed, step, agent) alone.

    Agent i of an episode of seed s succeeds where ``(s + i) % 3 == 0``; ``travel_m`` is how far it came.
    """

    def __init__(self, config: DriftConfig, num_envs: int, *, training: bool = False, threads: int = 1) -> None:
        """Build the worlds."""
        super().__init__(config, num_envs, training=training, threads=threads)
        self.agents = config.agents
        self.rows = config.agents or 1
        self.seed = np.zeros(num_envs, np.int64)
        self.clock = np.zeros(num_envs, np.int64)
        self.place = np.zeros((num_envs, self.rows), np.float32)
        self.start = np.zeros((num_envs, self.rows), np.float32)
        self._set_spaces()

    @property
    def agent_observation_space(self) -> spaces.Dict:
        """Where it is, and since when."""
        return spaces.Dict(place=spaces.Box(-1e6, 1e6, (1,), np.float32), clock=spaces.Box(0.0, 1e6, (1,), np.float32))

    @property
    def agent_action_space(self) -> spaces.Box:
        """Two numbers, of which the first moves it."""
        return spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObsTree, Infos]:
        """Begin."""
        seeds = self.seed + 1 if seed is None else self._episode_seeds(seed)
        for world, value in enumerate(seeds):
            self._begin(world, int(value))
        return self._obs(), {}

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[ObsTree, NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], Infos]:
        """Drift."""
        flat = actions.reshape(self.num_envs, self.rows, 2)
        for world in range(self.num_envs):
            noise = np.random.default_rng([self.seed[world], self.clock[world]]).standard_normal(self.rows)
            self.place[world] += self.config.gain * flat[world, :, 0] + 0.01 * noise.astype(np.float32)
        self.clock += 1
        reward = self._shaped(-np.abs(self.place))
        ended = self.clock >= self.config.steps + self.seed % self.config.spread
        infos: Infos = {}
        if ended.any():
            success = (self.seed[:, None] + np.arange(self.rows)) % 3 == 0
            travel = np.abs(self.place - self.start)
            infos["final_obs"] = self._obs()
            infos["episode"] = {
                "success": self._shaped(success.astype(np.float32)),
                "travel_m": self._shaped(travel),
            }
            for world in np.flatnonzero(ended):
                self._begin(world, (int(self.seed[world]) * 48271 + 11) % (2**31 - 1))
        return self._obs(), reward, np.zeros(self.num_envs, np.bool_), ended, infos

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Everything."""
        return {name: getattr(self, name).copy() for name in ("seed", "clock", "place", "start")}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> ObsTree:
        """Go on."""
        for name, array in state.items():
            if array.shape != getattr(self, name).shape:
                raise IntegrityError(f"{name} has shape {array.shape}")
            setattr(self, name, array.copy())
        return self._obs()

    def film(self, world: int, aux: Mapping[str, NDArray[Any]] | None = None) -> NDArray[np.uint8]:
        """One pixel a fact: seed, clock, and the first agent's action times 100."""
        action = 0.0 if aux is None else float(np.reshape(aux["action"], (-1, 2))[0, 0])
        image = np.zeros((2, 2, 3), np.uint8)
        image[0, 0] = self.seed[world] % 256, self.clock[world], int(100 * abs(action))
        return image

    def _begin(self, world: int, seed: int) -> None:
        self.seed[world], self.clock[world] = seed, 0
        self.place[world] = np.random.default_rng(seed).uniform(-1, 1, self.rows).astype(np.float32)
        self.start[world] = self.place[world]

    def _obs(self) -> ObsTree:
        clock = np.repeat(self.clock[:, None], self.rows, 1).astype(np.float32)
        return {"place": self._shaped(self.place.copy()[..., None]), "clock": self._shaped(clock[..., None])}

    def _shaped(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        return array[:, 0] if self.agents is None else array


class Still:
    """Commands the first half of its range; remembers, per lane, for how long it has been acting."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.age: NDArray[np.int64] | None = None
        self.seen: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Forget."""
        if mask is None or self.age is None:
            self.age = None
        else:
            self.age[mask] = 0

    def act(self, obs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Half of what the place says, and show the age."""
        batch = len(obs["place"])
        if self.age is None:
            self.age = np.zeros(batch, np.int64)
        self.seen.append((self.age.copy(), obs["clock"][:, 0].copy()))
        age = self.age.copy()
        self.age += 1
        return {"action": np.repeat(np.tanh(obs["place"]), 2, axis=1), "age": age[:, None]}
