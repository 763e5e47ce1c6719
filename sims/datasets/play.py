"""Playing one part of a recording: the task's expert, one episode a seed, everything that it senses and does."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from haltere.sims.actor import ArrayTree, DrawingActor
from haltere.sims.datasets.columns import Env, env_features, frame_rate, observation_keys, to_levels
from haltere.sims.datasets.films import EpisodeFilm
from haltere.sims.datasets.layout import ACTION
from haltere.sims.datasets.parts import Plan, part_folder, write_folder
from haltere.sims.datasets.tables import to_column
from haltere.sims.lanes import array_from_lanes, from_lanes
from haltere.sims.registration import task_class, task_config
from haltere.sims.rollout import Progress, rollout

FRAMES, EPISODES = "frames.parquet", "episodes.json"
INSTRUCTION = "instruction"


class RecordingExpert:
    """The expert of the worlds that it enters, which keeps what it sees and commands until an episode ends."""

    def __init__(self, films: Path) -> None:
        """Write films into a folder, one for each world and image."""
        self._films = films

    def enter(self, env: Env) -> None:
        """Become the expert of these worlds."""
        self._env, self._expert = env, env.expert()
        self._keys = observation_keys(env)
        self.features = env_features(env)
        self.rate = frame_rate(env)
        worlds = range(env.num_envs)
        self._running = np.ones(env.num_envs, np.bool_)
        self._kept: list[dict[str, list[NDArray[Any]]]] = [
            {key: [] for key, feature in self.features.items() if feature.numeric} for _ in worlds
        ]
        self._said: list[list[str]] = [[] for _ in worlds]
        images = [key for key, feature in self.features.items() if feature.visual]
        self._film = [{key: EpisodeFilm(self.film(world, key), self.rate) for key in images} for world in worlds]

    def film(self, world: int, key: str) -> Path:
        """Where the film of a world's episode lies."""
        return self._films / f"{key}-{world:03d}.mp4"

    def start(self, seeds: Sequence[int]) -> None:
        """See ``DrawingActor``."""
        if isinstance(self._expert, DrawingActor):
            self._expert.start(seeds)

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Stop keeping what happens in worlds whose episode has ended."""
        self._expert.reset(mask)
        if mask is not None:
            self._running &= ~array_from_lanes(mask, self._env.agents).reshape(self._env.num_envs, -1).any(axis=1)

    def act(self, obs: ArrayTree) -> ArrayTree:
        """What the expert does; it and what it was shown are kept."""
        output = self._expert.act(obs)
        action = array_from_lanes(np.asarray(output["action"], np.float32), self._env.agents)
        seen = from_lanes(obs, self._env.agents)
        sentences = self._env.instructions
        for world in np.flatnonzero(self._running).tolist():
            self._kept[world][ACTION].append(action[world].copy())
            self._said[world].append(sentences[world])
            for name, key in self._keys.items():
                if self.features[key].visual:
                    self._film[world][key].write(to_levels(seen[name][world]))
                else:
                    self._kept[world][key].append(np.array(seen[name][world], np.float32))
        return output

    def close(self) -> None:
        """Finish the films."""
        for films in self._film:
            for film in films.values():
                film.close()

    def levels(self, world: int) -> dict[str, list[list[int]]]:
        """How often each level occurs in a world's images."""
        return {key: film.levels.tolist() for key, film in self._film[world].items()}

    def table(self, world: int) -> pa.Table:
        """An episode's frames: its features, and the instruction in force."""
        arrays = {key: np.stack(values) for key, values in self._kept[world].items()}
        columns = {key: to_column(values, self.features[key]) for key, values in arrays.items()}
        return pa.table(columns | {INSTRUCTION: pa.array(self._said[world], pa.string())})


def play_part(plan: Plan, folder: Path, part: int, progress: Progress | None = None) -> int:
    """Play the seeds of a part and write those episodes that are kept.

    Args:
        plan: of the recording.
        folder: of the dataset.
        part: which of its parts.
        progress: see ``rollout``.

    Returns:
        Control steps played.

    Raises:
        HaltereError: see ``rollout``.
        OSError: the disk is full, or the folder is gone.
    """
    cls = task_class(plan.module, plan.task)
    config = task_config(cls, plan.env)
    seeds = plan.seeds(part)
    steps = 0

    def fill(temporary: Path) -> None:
        nonlocal steps
        expert = RecordingExpert(temporary)
        played = rollout(expert, lambda worlds: cls(config, worlds), seeds, worlds=len(seeds), progress=progress)
        expert.close()
        steps = int(played.lengths.sum())
        metrics = {name: values.reshape(len(seeds), -1).mean(axis=1) for name, values in played.metrics.items()}
        kept, writer = [], None
        for world, seed in enumerate(seeds):
            if metrics["success"][world] < 1.0 and not plan.keep_failures:
                for path in temporary.glob(f"*-{world:03d}.mp4"):
                    path.unlink()
                continue
            table = expert.table(world)
            if writer is None:
                writer = pq.ParquetWriter(temporary / FRAMES, table.schema)
            writer.write_table(table)
            kept.append(
                {
                    "seed": seed,
                    "metrics": {name: float(values[world]) for name, values in metrics.items()},
                    "length": len(table),
                    "films": {key: expert.film(world, key).name for key in expert.levels(world)},
                    "levels": expert.levels(world),
                }
            )
        if writer is not None:
            writer.close()
        facts = {"played": len(seeds), "steps": steps, "kept": kept}
        (temporary / EPISODES).write_text(json.dumps(facts), encoding="utf-8")

    write_folder(part_folder(folder, part), fill)
    return steps
