"""Playing a dataset's actions again, each episode in the world of its seed, beside what was recorded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haltere.sims.datasets.columns import Env, observation_keys, to_levels
from haltere.sims.datasets.contents import Episode
from haltere.sims.datasets.layout import ACTION
from haltere.sims.datasets.reader import Dataset

WORLDS = 16
LEVELS_APART = 5.0
"""Mean difference over an image [levels of 256]: more than a film's coding does to anything but noise."""

Scales = Mapping[str, NDArray[np.float64]]
Progress = Callable[[int, int], None]


@dataclass
class EpisodeReplay:
    """How one episode went the second time.

    Attributes:
        episode: the recorded one.
        drift: feature -> for each frame the largest difference of any entry, over its scale; for images the mean
            difference in levels.
        apart: feature -> the largest difference, in the feature's own unit.
        ended: steps after which the world ended; None where it hadn't when the actions were over.
        success: the task's metric; None where it didn't end.
    """

    episode: Episode
    drift: dict[str, list[float]] = field(default_factory=dict)
    apart: dict[str, float] = field(default_factory=dict)
    ended: int | None = None
    success: float | None = None


def scales_of(dataset: Dataset, keys: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """What a difference is measured by: the entry's standard deviation, or 1 where it never changes."""
    found = {}
    for key in keys:
        deviation = dataset.column(key).std(axis=0, dtype=np.float64)
        found[key] = np.where(deviation > 1e-6, deviation, 1.0)
    return found


def replay(
    dataset: Dataset,
    make_env: Callable[[int], Env],
    episodes: Sequence[Episode],
    scales: Scales,
    *,
    shift: int = 0,
    progress: Progress | None = None,
) -> list[EpisodeReplay]:
    """Play recorded actions.

    Args:
        dataset: that holds the episodes.
        make_env: builds W worlds of the task with the recorded settings; called once.
        episodes: those to play, with seeds.
        scales: from ``scales_of``, of all observations that are numbers.
        shift: take the action of so many frames later (or, below 0, earlier); the last or first one is repeated.
        progress: ``progress(episodes done, episodes)``.
    """
    batch = min(WORLDS, len(episodes))
    env = make_env(batch)
    found: list[EpisodeReplay] = []
    try:
        for start in range(0, len(episodes), batch):
            found += _Batch(dataset, env, episodes[start : start + batch], scales, shift).play()
            if progress is not None:
                progress(len(found), len(episodes))
    finally:
        env.close()
    return found


class _Batch:
    """Episodes side by side."""

    def __init__(self, dataset: Dataset, env: Env, episodes: Sequence[Episode], scales: Scales, shift: int) -> None:
        self._dataset, self._env, self._scales = dataset, env, scales
        self._keys = observation_keys(env)
        self._results = [EpisodeReplay(episode) for episode in episodes]
        self._actions = dataset.column(ACTION)
        self._shift = shift

    def play(self) -> list[EpisodeReplay]:
        """Until every episode has ended or has no more actions."""
        env, results = self._env, self._results
        seeds = [int(result.episode.seed or 0) for result in results]
        obs, _ = env.reset(seed=[*seeds, *[seeds[-1]] * (env.num_envs - len(seeds))])
        lengths = np.array([result.episode.length for result in results])
        for step in range(int(lengths.max())):
            playing = [world for world, result in enumerate(results) if result.ended is None and step < lengths[world]]
            if not playing:
                break
            self._compare(obs, playing, step)
            obs, _, terminated, truncated, infos = env.step(self._commands(step))
            for world in playing:
                if terminated[world] or truncated[world]:
                    results[world].ended = step + 1
                    results[world].success = float(np.mean(infos["episode"]["success"][world]))
        return results

    def _commands(self, step: int) -> NDArray[np.float32]:
        """Every world's action; whatever is over repeats its last."""
        frames = []
        for result in self._results:
            episode = result.episode
            frames.append(episode.start + min(max(step + self._shift, 0), episode.length - 1))
        frames += [frames[-1]] * (self._env.num_envs - len(frames))
        return np.ascontiguousarray(self._actions[frames])

    def _compare(self, obs: Mapping[str, NDArray[Any]], playing: list[int], step: int) -> None:
        """What is sensed now beside what was recorded."""
        frames = [self._results[world].episode.start + step for world in playing]
        for name, key in self._keys.items():
            seen = np.asarray(obs[name])[playing]
            if self._dataset.info.features[key].visual:
                levels = to_levels(seen).astype(np.float64) - self._dataset.images(key, frames)
                drift = apart = np.abs(levels).reshape(len(playing), -1).mean(axis=1)
            else:
                recorded = self._dataset.column(key)[frames].astype(np.float64)
                difference = np.abs(seen.reshape(recorded.shape) - recorded)
                apart = difference.reshape(len(playing), -1).max(axis=1)
                drift = (difference / self._scales[key]).reshape(len(playing), -1).max(axis=1)
            for place, world in enumerate(playing):
                result = self._results[world]
                result.drift.setdefault(key, []).append(float(drift[place]))
                result.apart[key] = max(result.apart.get(key, 0.0), float(apart[place]))
