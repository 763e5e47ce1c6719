"""Demonstrations as a learner wants them: moments, with what was sensed until then and commanded from then on."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.policies.base import Chunking, Obs
from haltere.policies.chunking.normaliser import Normaliser
from haltere.sims.datasets.columns import frame_rate, mismatches, observation_keys
from haltere.sims.datasets.reader import Dataset, open_dataset
from haltere.sims.task import FIRST_ROLLOUT_SEED, TaskVectorEnv

_DECODED = 256
"""Images that are decoded at a time."""


@dataclass(frozen=True)
class Demonstrations:
    """Whole episodes, one after the other; N frames, E episodes.

    Attributes:
        obs: each observation (N, ...), float32; images uint8, of which 255 is 1.
        action: (N, A) float32.
        start: (E,) first frame of each episode.
        stop: (E,) the frame after its last.
    """

    obs: Mapping[str, NDArray[Any]]
    action: NDArray[np.float32]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all of it, in hexadecimal: a run goes on with what it began with, or not at all."""
        arrays = (*(self.obs[name] for name in sorted(self.obs)), self.action, self.start, self.stop)
        whole = hashlib.sha256()
        for array in arrays:
            whole.update(np.ascontiguousarray(array).tobytes())
        return whole.hexdigest()

    def split(self, held_out: float) -> tuple["Moments", "Moments"]:
        """Moments to learn from, and those of the last episodes; at least one episode is learned from."""
        kept = max(1, len(self.start) - round(held_out * len(self.start)))
        return Moments(self, slice(0, kept)), Moments(self, slice(kept, None))


class Moments:
    """All moments of some of the episodes."""

    def __init__(self, demonstrations: Demonstrations, episodes: slice) -> None:
        """Take the episodes; nothing is copied."""
        self._from = demonstrations
        start, stop = demonstrations.start[episodes], demonstrations.stop[episodes]
        self._start, self._stop = (np.repeat(bound, stop - start) for bound in (start, stop))
        self._frame = np.concatenate([np.arange(*each) for each in zip(start, stop, strict=True)] or [np.zeros(0, int)])

    def __len__(self) -> int:
        """How many there are."""
        return len(self._frame)

    def frames(self) -> NDArray[np.int64]:
        """Number of each moment's frame."""
        return self._frame

    def take(self, which: NDArray[np.int64], chunking: Chunking) -> tuple[Obs, torch.Tensor]:
        """Some moments.

        The first frame of an episode stands for those before it, as in ``ChunkActor``, and its last command for those
        after it.

        Args:
            which: (B,) their numbers.
            chunking: how much is seen and planned.

        Returns:
            Each observation (B, observed, ...), and commands (B, horizon, A).
        """
        now, first, last = self._frame[which], self._start[which], self._stop[which] - 1
        seen = np.maximum(now[:, None] + np.arange(1 - chunking.observed, 1), first[:, None])
        planned = np.minimum(now[:, None] + np.arange(chunking.horizon), last[:, None])
        obs = {name: _tensor(array[seen]) for name, array in self._from.obs.items()}
        return obs, torch.from_numpy(self._from.action[planned])


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    tensor = torch.from_numpy(array)
    return tensor.float() / 255.0 if array.dtype == np.uint8 else tensor


def fit(normaliser: Normaliser, demonstrations: Demonstrations, frames: NDArray[np.int64]) -> None:
    """Give a normaliser the statistics of some frames."""
    obs = {}
    for name in normaliser.names:
        values = demonstrations.obs[name][frames].astype(np.float64)
        obs[name] = (torch.from_numpy(values.mean(axis=0)).float(), torch.from_numpy(values.std(axis=0)).float())
    action = demonstrations.action[frames]
    normaliser.fit(obs, torch.from_numpy(action.min(axis=0)), torch.from_numpy(action.max(axis=0)))


def load(path: Path, env: TaskVectorEnv[Any], episodes: int | None) -> Demonstrations:
    """Read demonstrations of a task.

    Args:
        path: a LeRobotDataset v3.0 folder.
        env: the task that they are to be of.
        episodes: how many, the first ones; all where None.

    Raises:
        RequestError: there is no dataset, or it is of another task, rate, observations or actions, or of fewer
            episodes; or it is damaged, with column, episode and frame.
    """
    if not path.exists():
        raise RequestError(f"{path}: no such folder; haltere demos TASK records some; --trainer.demos says where")
    dataset = open_dataset(path)
    for wrong in _misfits(dataset, env):
        raise RequestError(f"{path}: {wrong}")
    if not dataset.episodes or (episodes or 0) > len(dataset.episodes):
        raise RequestError(f"{path}: has {len(dataset.episodes)} episodes, and {episodes or 'some'} are asked for")
    chosen = dataset.episodes[:episodes]
    frames = chosen[-1].stop
    obs = {name: _column(dataset, key, frames) for name, key in observation_keys(env).items()}
    start, stop = (np.array([getattr(episode, bound) for episode in chosen]) for bound in ("start", "stop"))
    return Demonstrations(obs, np.asarray(dataset.column("action")[:frames]), start, stop)


def _misfits(dataset: Dataset, env: TaskVectorEnv[Any]) -> Iterator[str]:
    """What of a dataset isn't as the task has it, in sentences."""
    for _, wrong in mismatches(dataset.info.features, env):
        yield wrong
    task = env.spec_.id
    if dataset.ours is not None and dataset.ours["task"] != task:
        yield f"holds demonstrations of {dataset.ours['task']}, not of {task}"
    rate = float(frame_rate(env))
    if abs(dataset.info.fps - rate) > 1e-3 * rate:
        yield f"has {dataset.info.fps:g} frames a second, and {task} {rate:g} control steps"
    action = dataset.column("action")
    outside = np.argwhere(np.abs(action) > 1.0 + 1e-6)
    for frame, component in outside[:1]:
        episode = int(np.searchsorted([each.start for each in dataset.episodes], frame, side="right")) - 1
        first = dataset.episodes[episode].start
        where = f"episode {episode}, frame {frame - first}: action[{component}]"
        yield f"{where} is {action[frame, component]:g}; commands of {task} lie in [-1, 1]"
    for number, known in enumerate(dataset.episodes):
        if known.seed is not None and known.seed >= FIRST_ROLLOUT_SEED:
            yield f"episode {number} is of seed {known.seed}; from {FIRST_ROLLOUT_SEED} on, policies are tried"


def _column(dataset: Dataset, key: str, frames: int) -> NDArray[Any]:
    if not dataset.info.features[key].visual:
        return np.asarray(dataset.column(key)[:frames])
    parts: Sequence[NDArray[np.uint8]] = [
        dataset.images(key, np.arange(first, min(first + _DECODED, frames))) for first in range(0, frames, _DECODED)
    ]
    return np.concatenate(parts)
