"""What a dataset says of itself: ``meta``, read and typed, before any of the data is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from haltere.configs.errors import RequestError, short
from haltere.sims.datasets.layout import INFO, OURS, STATS, TASKS, DatasetFault, Info, parse_info
from haltere.sims.datasets.stats import BASIC
from haltere.sims.datasets.tables import task_sentences

_NEEDED = ("episode_index", "length", "dataset_from_index", "dataset_to_index", "data/chunk_index", "data/file_index")


@dataclass(frozen=True)
class Film:
    """Where an episode's images of one kind lie.

    Attributes:
        path: of the file.
        start_s: of the episode in it.
    """

    path: Path
    start_s: float


@dataclass(frozen=True)
class Episode:
    """One episode: frames ``start`` to ``stop - 1`` of the dataset.

    Attributes:
        index: its number.
        start: its first frame's number in the dataset.
        stop: one after the last.
        data: file with its numbers.
        films: where its images lie, by feature.
        tasks: sentences that were in force.
        seed: of the world that it was recorded in; None in a dataset of others.
        metrics: those of the task, of this episode; empty in a dataset of others.
    """

    index: int
    start: int
    stop: int
    data: Path
    films: Mapping[str, Film]
    tasks: tuple[str, ...]
    seed: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Frames."""
        return self.stop - self.start

    @property
    def success(self) -> float | None:
        """The task's metric; None in a dataset of others."""
        return self.metrics.get("success")


@dataclass(frozen=True)
class Contents:
    """A dataset's own description.

    Attributes:
        root: the folder.
        info: ``meta/info.json``.
        episodes: in order.
        tasks: sentences, by task_index.
        stats: of each feature, as stored; None where there is no ``meta/stats.json``.
        table: the episode table as it is.
    """

    root: Path
    info: Info
    episodes: tuple[Episode, ...]
    tasks: tuple[str, ...]
    stats: dict[str, dict[str, NDArray[Any]]] | None
    table: pa.Table


def read_contents(root: Path) -> Contents:
    """Read everything under ``meta``.

    Raises:
        RequestError: there is no dataset.
        DatasetFault: its description isn't what the format says.
    """
    if not (root / INFO).is_file():
        half = (root / ".recording").is_dir()
        raise RequestError(
            f"{root}: isn't a LeRobot dataset: it has no {INFO}"
            f"{'; its recording has not ended, and the same command goes on' if half else ''}"
        )
    info = parse_info(_read_json(root / INFO))
    table = _episode_table(root)
    missing = [name for name in _NEEDED if name not in table.column_names]
    for key in info.keys(visual=True):
        if info.features[key].dtype == "video":
            wanted = (f"videos/{key}/{name}" for name in ("chunk_index", "file_index", "from_timestamp"))
            missing += [name for name in wanted if name not in table.column_names]
    if missing:
        raise DatasetFault("columns", f"meta/episodes: column '{missing[0]}' is missing", missing[0])
    if not (root / TASKS).is_file():
        raise DatasetFault("tasks", f"{TASKS} is missing")
    try:
        tasks = task_sentences(pq.read_table(root / TASKS))
    except (OSError, ValueError) as error:
        raise DatasetFault("tasks", f"{TASKS}: can't be read: {error}") from None
    return Contents(root, info, _episodes(root, info, table), tuple(tasks), _stats(root), table)


def _read_json(path: Path) -> Any:  # noqa: ANN401 -- whatever it holds
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetFault("layout", f"{path}: can't be read: {error}") from None


def _episode_table(root: Path) -> pa.Table:
    paths = sorted((root / "meta/episodes").glob("*/*.parquet"))
    if not paths:
        raise DatasetFault("layout", f"{root}: has no episode table, meta/episodes/chunk-000/file-000.parquet")
    try:
        return pa.concat_tables([pq.read_table(path) for path in paths], promote_options="permissive")
    except (OSError, pa.ArrowException) as error:
        raise DatasetFault("layout", f"{root}: meta/episodes can't be read: {error}") from None


def _episodes(root: Path, info: Info, table: pa.Table) -> tuple[Episode, ...]:
    films = [key for key in info.keys(visual=True) if info.features[key].dtype == "video"]
    skipped = [name for name in table.column_names if name.startswith("stats/")]
    found = []
    for number, row in enumerate(table.drop_columns(skipped).to_pylist()):
        if any(type(row[name]) is not int for name in _NEEDED):
            raise DatasetFault("layout", f"meta/episodes: row {number} has no whole numbers of {', '.join(_NEEDED)}")
        places = {}
        for key in films:
            chunk, file, start_s = (
                row[f"videos/{key}/{name}"] for name in ("chunk_index", "file_index", "from_timestamp")
            )
            if type(chunk) is not int or type(file) is not int or not isinstance(start_s, int | float):
                raise DatasetFault("video", "meta/episodes: has no place for its film", key, number)
            places[key] = Film(root / info.video_file(key, chunk, file), float(start_s))
        found.append(
            Episode(
                index=row["episode_index"],
                start=row["dataset_from_index"],
                stop=row["dataset_to_index"],
                data=root / info.data_file(row["data/chunk_index"], row["data/file_index"]),
                films=places,
                tasks=tuple(row.get("tasks") or ()),
                seed=row.get(f"{OURS}/seed"),
                metrics={
                    name.removeprefix(f"{OURS}/"): value
                    for name, value in row.items()
                    if name.startswith(f"{OURS}/") and isinstance(value, float)
                },
            )
        )
    return tuple(found)


def _stats(root: Path) -> dict[str, dict[str, NDArray[Any]]] | None:
    """``meta/stats.json`` as arrays, of whatever shape; None where it isn't there."""
    if not (root / STATS).exists():
        return None
    data = _read_json(root / STATS)
    if not isinstance(data, dict) or not all(isinstance(value, dict) for value in data.values()):
        raise DatasetFault("stats", f"{STATS} must hold the statistics of each feature, got {short(data)}")
    found: dict[str, dict[str, NDArray[Any]]] = {}
    for key, stats in data.items():
        found[key] = {}
        for name, value in stats.items():
            try:
                found[key][name] = np.atleast_1d(np.asarray(value, np.float64))
            except (TypeError, ValueError):
                raise DatasetFault(
                    "stats", f"{STATS}: {name} of {key} must be numbers, got {short(value)}", key
                ) from None
        missing = [name for name in BASIC if name not in found[key]]
        if missing:
            raise DatasetFault("stats", f"{STATS}: {key} has no {', '.join(missing)}", key)
    return found
