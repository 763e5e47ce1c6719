"""Reading a LeRobotDataset v3.0 folder, ours or anybody's: checked as a whole first, then read as it is needed."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError, RequestError, unknown_name
from haltere.sims.datasets.contents import Contents, Episode, read_contents
from haltere.sims.datasets.decode import FilmReader
from haltere.sims.datasets.faults import find_faults
from haltere.sims.datasets.layout import DatasetFault, Info
from haltere.sims.datasets.stats import Stats, feature_stats
from haltere.sims.datasets.tables import to_array

CACHE_MIB = 256


def open_dataset(path: Path | str, *, cache_mib: float = CACHE_MIB) -> "Dataset":
    """Open a dataset, once everything in it has been looked at.

    Args:
        path: its folder.
        cache_mib: memory for decoded images [MiB].

    Raises:
        RequestError: there is no dataset.
        DatasetFault: it is damaged: columns are missing, values aren't finite, frame rates are mixed, shapes, counts
            or frame numbers aren't what they should be; names column, episode and frame.
    """
    contents = read_contents(Path(path))
    for fault in find_faults(contents):
        raise fault
    return Dataset(contents, cache_mib=cache_mib)


class Dataset:
    """A dataset whose numbers are loaded a column at a time, and whose images when they are asked for.

    Attributes:
        root: the folder.
        info: rate, features and counts.
        episodes: in order.
        tasks: sentences, by ``task_index``.
        frames: of all episodes.
    """

    def __init__(self, contents: Contents, *, cache_mib: float = CACHE_MIB) -> None:
        """Read nothing yet; ``open_dataset`` checks first."""
        self.root: Path = contents.root
        self.info: Info = contents.info
        self.episodes: Sequence[Episode] = contents.episodes
        self.tasks: Sequence[str] = contents.tasks
        self.frames: int = contents.info.total_frames
        self._contents = contents
        self._columns: dict[str, NDArray[Any]] = {}
        self._films = FilmReader(contents.info.fps, int(cache_mib * (1 << 20)))
        self._starts = np.array([episode.start for episode in contents.episodes])
        # The data file that was read last: episodes of one file mostly come one after the other.
        self._open: tuple[Path, pq.ParquetFile, NDArray[np.int64]] | None = None
        self._first = {episode.data: episode.start for episode in reversed(contents.episodes)}

    @property
    def ours(self) -> Mapping[str, Any] | None:
        """What haltere's recorder says of it: task, settings, version; None in a dataset of others."""
        return self.info.ours

    def column(self, key: str) -> NDArray[Any]:
        """All frames of a feature, loaded once; not to be written to.

        Args:
            key: such as ``action``.

        Returns:
            (frames, ...) float32 with the feature's shape; of the bookkeeping (frames,), int64 or, the time, float64.

        Raises:
            RequestError: there is no such column.
        """
        if key not in self._columns:
            self._known(key, visual=False)
            files = dict.fromkeys(episode.data for episode in self.episodes)
            columns = [pq.read_table(path, columns=[key])[key] for path in files]
            feature = self.info.features[key]
            values = np.concatenate([to_array(column, feature, key) for column in columns])
            values.setflags(write=False)
            self._columns[key] = values
        return self._columns[key]

    def images(self, key: str, frames: Sequence[int] | NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
        """Some frames of a film, decoded unless they were a moment ago.

        Args:
            key: such as ``observation.images.image``.
            frames: their numbers in the dataset, (n,), in any order.

        Returns:
            (n, 3, H, W) of 256 levels; divided by 255 they are the task's observation.

        Raises:
            RequestError: there are no such images or frames, or they aren't stored as a film.
            DatasetFault: a film is damaged; with the first frame, of those wanted, that can't be shown.
        """
        self._known(key, visual=True)
        feature = self.info.features[key]
        if feature.dtype != "video":
            raise RequestError(f"{self.root}: '{key}' is stored as single pictures; only films can be read")
        wanted = np.asarray(frames, np.int64)
        if wanted.ndim != 1 or (len(wanted) and not 0 <= wanted.min() <= wanted.max() < self.frames):
            raise RequestError(f"{self.root}: has frames 0 to {self.frames - 1}, got {frames!r:.60}")
        out = np.empty((len(wanted), *feature.shape), np.uint8)
        # In order, so that a film is gone through forwards.
        for place in np.argsort(wanted, kind="stable"):
            episode = self.episodes[int(np.searchsorted(self._starts, wanted[place], side="right")) - 1]
            film = episode.films[key]
            shown = round(film.start_s * self.info.fps) + int(wanted[place]) - episode.start
            try:
                out[place] = self._films.frame(film.path, shown)
            except HaltereError as error:
                number = int(wanted[place]) - episode.start
                raise DatasetFault("video", str(error), key, episode.index, number) from error
        return out

    @cached_property
    def stats(self) -> Mapping[str, Stats]:
        """Statistics of each feature as stored; where the dataset has none, of its numbers as they are."""
        if self._contents.stats is not None:
            return self._contents.stats
        return {key: feature_stats(self.column(key)) for key in self.info.keys(visual=False)}

    def stored_episode_stats(self, key: str, name: str) -> list[Any] | None:
        """A statistic of each episode as the episode table has it; None where it hasn't."""
        column = f"stats/{key}/{name}"
        return self._contents.table[column].to_pylist() if column in self._contents.table.column_names else None

    def stream(
        self, keys: Sequence[str] | None = None, *, episodes: Sequence[int] | None = None
    ) -> Iterator[tuple[Episode, dict[str, NDArray[Any]]]]:
        """Go through the dataset an episode at a time; no more than one is in memory.

        Args:
            keys: features wanted; all numbers and films where None.
            episodes: numbers of those wanted, in that order; all where None.

        Yields:
            The episode, and each feature (length, ...): numbers as ``column`` has them, images as ``images``.

        Raises:
            RequestError: there is no such feature or episode.
        """
        wanted = list(self.info.features) if keys is None else list(keys)
        for key in wanted:
            self._known(key)
        numbers = [key for key in wanted if self.info.features[key].numeric]
        films = [key for key in wanted if self.info.features[key].dtype == "video"]
        for number in range(len(self.episodes)) if episodes is None else episodes:
            if not 0 <= number < len(self.episodes):
                raise RequestError(f"{self.root}: has episodes 0 to {len(self.episodes) - 1}, got {number}")
            episode = self.episodes[number]
            arrays = self._numbers(episode, numbers)
            frames = np.arange(episode.start, episode.stop)
            yield episode, arrays | {key: self.images(key, frames) for key in films}

    def _numbers(self, episode: Episode, keys: list[str]) -> dict[str, NDArray[Any]]:
        """An episode's numbers, from the row groups that hold them."""
        if not keys:
            return {}
        if self._open is None or self._open[0] != episode.data:
            file = pq.ParquetFile(episode.data)
            rows = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
            self._open = (episode.data, file, np.array(rows, np.int64))
        _, file, sizes = self._open
        ends = np.cumsum(sizes)
        start = episode.start - self._first[episode.data]
        groups = np.flatnonzero((ends > start) & (ends - sizes < start + episode.length))
        table: pa.Table = file.read_row_groups(groups.tolist(), columns=keys)
        skipped = start - int(ends[groups[0]] - sizes[groups[0]])
        table = table.slice(skipped, episode.length)
        return {key: to_array(table[key], self.info.features[key], key) for key in keys}

    def _known(self, key: str, *, visual: bool | None = None) -> None:
        features = self.info.features
        choices = [name for name in features if visual is None or features[name].visual == visual]
        if key not in choices:
            kind = "column" if visual is None else "image" if visual else "column of numbers"
            raise unknown_name(f"{kind} in {self.root}", key, choices)
