"""Toy tasks whose recordings can be followed by hand, datasets of them, and ways to damage one."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from annotated_types import Ge
from gymnasium import spaces
from numpy.typing import NDArray
from pydantic import ConfigDict

from haltere.sims.actor import Actor
from haltere.sims.datasets.layout import Sizes
from haltere.sims.datasets.record import plan_recording, record
from haltere.sims.task import Infos, ObsTree, TaskVectorEnv, task

POINT = "toy/Point-v0"
MODULE = __name__
SIZE = 12
DATA = "data/chunk-000/file-000.parquet"
SENTENCES = ("go left", "go right")


@dataclass(frozen=True)
class PointConfig:
    """``camera`` adds images; an episode of seed s lasts ``steps + s % 5`` steps; each ``failing``-th seed fails."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    steps: Annotated[int, Ge(1)] = 12
    camera: bool = False
    failing: Annotated[int, Ge(1)] = 7
    agents: int | None = None
    ctrl_dt_s: float = 0.05


@task(
    POINT,
    config=PointConfig,
    metrics=("success",),
    rates=("success",),
    ctrl_dt_s=0.05,
    sim="numpy",
    units={"state": "position and velocity [m, m/s]", "goal": "[m]", "action": "acceleration"},
)
class Point(TaskVectorEnv[PointConfig]):
    """A point that is pushed, and remembers each push: any other action shows in everything that follows."""

    def __init__(self, config: PointConfig, num_envs: int, *, training: bool = False, threads: int = 1) -> None:
        """Build the worlds."""
        super().__init__(config, num_envs, training=training, threads=threads)
        self.agents = config.agents
        self.rows = config.agents or 1
        self.seed = np.zeros(num_envs, np.int64)
        self.clock = np.zeros(num_envs, np.int64)
        self.state = np.zeros((num_envs, self.rows, 4), np.float32)
        self.goal = np.zeros((num_envs, self.rows), np.float32)
        self._set_spaces()

    @property
    def agent_observation_space(self) -> spaces.Dict:
        """State (4,), goal (1,), and an image with ``camera``."""
        found: dict[str, spaces.Space[Any]] = {
            "state": spaces.Box(-np.inf, np.inf, (4,), np.float32),
            "goal": spaces.Box(-np.inf, np.inf, (1,), np.float32),
        }
        if self.config.camera:
            found["image"] = spaces.Box(0.0, 1.0, (3, SIZE, SIZE), np.float32)
        return spaces.Dict(found)

    @property
    def agent_action_space(self) -> spaces.Box:
        """Two pushes."""
        return spaces.Box(-1.0, 1.0, (2,), np.float32)

    @property
    def instructions(self) -> Sequence[str]:
        """By the goal's side."""
        return [SENTENCES[int(goal > 0.0)] for goal in self.goal[:, 0]]

    def expert(self) -> Actor:
        """See ``Pusher``."""
        return Pusher(self)

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObsTree, Infos]:
        """Begin."""
        for world, value in enumerate(self._episode_seeds(seed)):
            self._begin(world, int(value))
        return self._obs(), {}

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[ObsTree, NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], Infos]:
        """Push; a push changes the velocity, and the velocity bends the place."""
        push = np.asarray(actions, np.float32).reshape(self.num_envs, self.rows, 2)
        self.state[..., 2:] = np.float32(0.9) * self.state[..., 2:] + np.float32(0.3) * push
        self.state[..., :2] += np.float32(0.3) * np.tanh(self.state[..., 2:])
        self.clock += 1
        ended = self.clock >= self.config.steps + self.seed % 5
        infos: Infos = {}
        if ended.any():
            success = np.repeat((self.seed[:, None] % self.config.failing) != 0, self.rows, axis=1)
            infos["final_obs"] = self._obs()
            infos["episode"] = {"success": self._shaped(success.astype(np.float32))}
            for world in np.flatnonzero(ended):
                self._begin(int(world), int(self.seed[world]) + 1)
        flags = np.zeros(self.num_envs, np.bool_)
        return self._obs(), self._shaped(np.zeros((self.num_envs, self.rows), np.float32)), flags, ended, infos

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Nobody asks."""
        raise NotImplementedError

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> ObsTree:
        """Nobody asks."""
        raise NotImplementedError

    def _begin(self, world: int, seed: int) -> None:
        self.seed[world], self.clock[world] = seed, 0
        draw = np.random.default_rng(seed)
        self.state[world] = draw.uniform(-1, 1, (self.rows, 4)).astype(np.float32)
        self.goal[world] = draw.uniform(-1, 1, self.rows).astype(np.float32)

    def _obs(self) -> ObsTree:
        found = {"state": self._shaped(self.state.copy()), "goal": self._shaped(self.goal.copy()[..., None])}
        if self.config.camera:
            # A ramp that the point slides, so that each frame shows another picture.
            ramp = np.linspace(0.0, 2.0, SIZE)[None, None, None, :] + self.state[:, 0, 0, None, None, None]
            tint = np.array([0.0, 0.7, 1.4])[None, :, None, None] + self.state[:, 0, 1, None, None, None]
            image = 0.5 + 0.5 * np.sin(ramp + tint + np.zeros((1, 1, SIZE, 1)))
            found["image"] = image.astype(np.float32)
        return found

    def _shaped(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        return array[:, 0] if self.agents is None else array


class Pusher:
    """Pushes towards the goal, with noise of the episode's own: a drawing actor."""

    def __init__(self, env: Point) -> None:
        """Act in these worlds."""
        self._env = env

    def start(self, seeds: Sequence[int]) -> None:
        """Draw for each episode by its seed."""
        self._draws = [np.random.default_rng([1, seed]) for seed in seeds]

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Nothing is remembered."""

    def act(self, obs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Towards the goal."""
        rows = self._env.rows
        noise = np.concatenate([draw.uniform(-0.6, 0.6, (rows, 2)) for draw in self._draws])
        return {"action": np.clip(0.5 * (obs["goal"] - obs["state"][:, :2]) + noise, -0.9, 0.9).astype(np.float32)}


def recorded(folder: Path, *, episodes: int = 20, seed: int = 0, keep: bool = False, **settings: Any) -> Path:  # noqa: ANN401
    """A clean dataset; its first recording runs in this process."""
    sizes = settings.pop("sizes", Sizes())
    workers = settings.pop("workers", 1)
    plan = plan_recording(MODULE, POINT, PointConfig(**settings), seed=seed, episodes=episodes, keep_failures=keep)
    record(plan, folder, workers=workers, sizes=sizes)
    return folder


def edit_data(folder: Path, change: Callable[[dict[str, list[Any]]], None], name: str = DATA) -> None:
    """Rewrite a data file; ``change`` gets each column as a list and may drop columns or change rows."""
    path = folder / name
    table = pq.read_table(path)
    columns = table.to_pydict()
    change(columns)
    schema = pa.schema([table.schema.field(key) for key in columns])
    pq.write_table(pa.table({key: pa.array(values, schema.field(key).type) for key, values in columns.items()}), path)


def edit_json(folder: Path, name: str, change: Callable[[Any], None]) -> None:
    """Rewrite a JSON file."""
    path = folder / name
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def edit_episodes(folder: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Rewrite the episode table."""
    path = folder / "meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
