"""What the numbers of a dataset show by themselves: wrong statistics, episodes that come twice, dull actions."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haltere.sims.datasets.columns import Env
from haltere.sims.datasets.layout import ACTION, BOOKKEEPING, STATS, DatasetFault
from haltere.sims.datasets.reader import Dataset
from haltere.sims.datasets.stats import LEVELS, QUANTILES, Stats, feature_stats, histogram, image_stats

_OF_DEVIATION = 1e-3
_OF_IMAGE = 0.05
_SATURATED = 0.999
_MOSTLY = 0.5
_AT_ONCE = 256


def damaged_films(dataset: Dataset) -> Iterator[DatasetFault]:
    """Films with frames that can't be shown: the first one of each, and how many episodes have any."""
    for key in _films(dataset):
        first: dict[Path, DatasetFault] = {}
        episodes: Counter[Path] = Counter()
        for episode in dataset.episodes:
            try:
                dataset.images(key, range(episode.start, episode.stop))
            except DatasetFault as fault:
                film = episode.films[key].path
                first.setdefault(film, fault)
                episodes[film] += 1
        for film, found in first.items():
            of = sum(episode.films[key].path == film for episode in dataset.episodes)
            message = f"{found.__cause__}; {episodes[film]} of the film's {of} episodes can't be shown whole"
            yield DatasetFault(found.kind, message, key, found.episode, found.frame)


def _films(dataset: Dataset) -> list[str]:
    return [key for key in dataset.info.keys(visual=True) if dataset.info.features[key].dtype == "video"]


def statistics(dataset: Dataset, *, films: bool = True) -> Iterator[DatasetFault]:
    """Stored statistics that aren't those of the data: a normaliser made from them would be wrong.

    Quantiles of others' datasets are bounds or estimates, and have only to lie within the data.

    Args:
        dataset: any.
        films: whether those of films are looked at as well; no film may be damaged then.
    """
    stored = dataset.stats
    for key in dataset.info.keys(visual=False):
        if key in BOOKKEEPING or key not in stored:
            continue
        values = dataset.column(key)
        wrong = _wrong(stored[key], feature_stats(values), exact=dataset.ours is not None)
        if wrong is not None:
            yield DatasetFault("stats", f"{STATS}: of column '{key}', {wrong}", key)
        yield from _episode_statistics(dataset, key, values)
    for key in _films(dataset) if films else ():
        if key in stored:
            yield from _image_statistics(dataset, key, stored[key])


def _wrong(stored: Stats, found: Stats, *, exact: bool) -> str | None:
    """The first statistic that is too far from the data's."""
    tolerance = _OF_DEVIATION * found["std"] + 1e-6 * np.maximum(1.0, np.abs(found["mean"]))
    for name, value in stored.items():
        if name == "count":
            if int(value[0]) != int(found["count"][0]):
                return f"count is {int(value[0])}, the data's is {int(found['count'][0])}"
        elif name in QUANTILES and not exact:
            outside = (value < found["min"] - tolerance) | (value > found["max"] + tolerance)
            if outside.any():
                return f"{name} lies outside the data"
        elif name in found:
            far = ~(np.abs(value - found[name]) <= tolerance)  # a NaN is far too
            if far.any():
                entry = tuple(int(number) for number in np.argwhere(far)[0])
                return f"{name}{list(entry)} is {value[entry]:.6g}, the data's is {found[name][entry]:.6g}"
    return None


def _episode_statistics(dataset: Dataset, key: str, values: NDArray[Any]) -> Iterator[DatasetFault]:
    """The episode table's statistics; the first episode whose are wrong."""
    columns = {name: dataset.stored_episode_stats(key, name) for name in ("min", "max", "mean", "std")}
    for episode in dataset.episodes:
        found = feature_stats(values[episode.start : episode.stop])
        stored: Stats = {}
        for name, column in columns.items():
            try:
                if column is not None:
                    stored[name] = np.asarray(column[episode.index], np.float64).reshape(found[name].shape)
            except (TypeError, ValueError):
                message = f"meta/episodes: {name} of column '{key}' isn't numbers of its shape"
                yield DatasetFault("stats", message, key, episode.index)
                return
        wrong = _wrong(stored, found, exact=True)
        if wrong is not None:
            yield DatasetFault("stats", f"meta/episodes: of column '{key}', {wrong}", key, episode.index)
            return


def _image_statistics(dataset: Dataset, key: str, stored: Stats) -> Iterator[DatasetFault]:
    """Mean and deviation of what the films show; coding changes them a little."""
    levels = np.zeros((3, LEVELS), np.int64)
    for start in range(0, dataset.frames, _AT_ONCE):
        levels += histogram(dataset.images(key, range(start, min(start + _AT_ONCE, dataset.frames))))
    found = image_stats(levels, dataset.frames)
    for name in ("mean", "std"):
        far = np.abs(stored[name] - found[name]).max()
        if far > _OF_IMAGE:
            yield DatasetFault("stats", f"{STATS}: {name} of '{key}' is {far:.3f} from that of its films", key)


def duplicates(dataset: Dataset) -> Iterator[DatasetFault]:
    """Episodes of one seed, or with the same numbers and images all over."""
    seeds: dict[int, int] = {}
    seen: dict[bytes, int] = {}
    films = _films(dataset)
    columns = [dataset.column(key) for key in dataset.info.keys(visual=False) if key not in BOOKKEEPING]
    for episode in dataset.episodes:
        digest = hashlib.blake2b(digest_size=16)
        for values in columns:
            digest.update(np.ascontiguousarray(values[episode.start : episode.stop]).tobytes())
        first = seen.setdefault(digest.digest(), episode.index)
        same = seeds.setdefault(episode.seed, episode.index) if episode.seed is not None else episode.index
        if first != episode.index and all(_same_images(dataset, key, first, episode.index) for key in films):
            yield DatasetFault("duplicate", f"is episode {first} again, number for number", None, episode.index)
        elif same != episode.index:
            yield DatasetFault("duplicate", f"has the seed of episode {same}, {episode.seed}", None, episode.index)


def _same_images(dataset: Dataset, key: str, first: int, second: int) -> bool:
    """Whether two episodes of one length look alike; a handful of frames tells."""
    length = dataset.episodes[first].length
    steps = np.unique(np.linspace(0, length - 1, 16).astype(np.int64))
    shown = [dataset.images(key, dataset.episodes[number].start + steps) for number in (first, second)]
    return bool(np.abs(shown[0].astype(np.int64) - shown[1]).mean(axis=(1, 2, 3)).max() < 0.5)


def dull_actions(dataset: Dataset, env: Env) -> list[str]:
    """Entries of the action that never change, or mostly lie at a bound.

    Scores of choices always lie at their bounds, and don't count.
    """
    values = dataset.column(ACTION).astype(np.float64)
    entries = values.reshape(len(values), -1)
    found = [
        f"action[{entry}] is {entries[0, entry]:g} in every frame"
        for entry in range(entries.shape[1])
        if np.ptp(entries[:, entry]) == 0.0
    ]
    if env.choices is not None:
        return found
    low, high = (np.ravel(bound) for bound in (env.single_action_space.low, env.single_action_space.high))  # type: ignore[attr-defined]
    middle, half = (low + high) / 2, (high - low) / 2
    shares = (np.abs(entries - middle) >= _SATURATED * half).mean(axis=0)
    for entry, share in enumerate(shares):
        if share >= _MOSTLY and np.ptp(entries[:, entry]) > 0.0:
            found.append(f"action[{entry}] is at a bound in {share:.0%} of the frames")
    return found
