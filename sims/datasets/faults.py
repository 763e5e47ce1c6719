"""Everything that can be wrong with a dataset without playing it, found before anything is trained on it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from haltere.sims.datasets.contents import Contents, Episode
from haltere.sims.datasets.layout import BOOKKEEPING, STATS, DatasetFault
from haltere.sims.datasets.tables import BadRowError, to_array

_CLOCK_S = 1e-4
"""How far a time may be from its frame's; what the published reader tolerates."""


def find_faults(contents: Contents) -> Iterator[DatasetFault]:
    """Everything wrong, in the order of the episodes; one fault for each column of an episode."""
    yield from _counts(contents)
    files: dict[Path, list[Episode]] = defaultdict(list)
    for episode in contents.episodes:
        files[episode.data].append(episode)
    for path, episodes in files.items():
        yield from _data_file(contents, path, episodes)
    yield from _films(contents)
    yield from _stored_stats(contents)


def _counts(contents: Contents) -> Iterator[DatasetFault]:
    """The episode table against itself and against ``meta/info.json``."""
    info, start = contents.info, 0
    lengths = contents.table["length"].to_pylist()
    for number, (episode, length) in enumerate(zip(contents.episodes, lengths, strict=True)):
        if episode.index != number:
            yield DatasetFault(
                "counts", f"meta/episodes: row {number} is episode {episode.index}", "episode_index", number
            )
        if episode.start != start or episode.length != length or length < 1:
            message = (
                f"meta/episodes: frames {episode.start} to {episode.stop} and length {length} don't follow {start}"
            )
            yield DatasetFault("counts", message, "length", number)
        start = episode.stop
    for name, said, found in (
        ("total_episodes", info.total_episodes, len(contents.episodes)),
        ("total_frames", info.total_frames, start),
    ):
        if said != found:
            yield DatasetFault("counts", f"meta/info.json: {name} is {said}, the episode table has {found}", name)
    if not contents.episodes:
        yield DatasetFault("counts", "the dataset has no episodes")


def _stored_stats(contents: Contents) -> Iterator[DatasetFault]:
    """Statistics of the right shape for every number; images' are (3, 1, 1)."""
    for key, feature in contents.info.features.items():
        if contents.stats is None or not (feature.numeric or feature.visual):
            continue
        if key not in contents.stats:
            if key not in BOOKKEEPING:
                yield DatasetFault("stats", f"{STATS}: has no statistics of column '{key}'", key)
            continue
        shape = (feature.shape[0], 1, 1) if feature.visual else feature.shape
        for name, value in contents.stats[key].items():
            wanted = (1,) if name == "count" else shape
            if value.shape != wanted:
                message = f"{STATS}: {name} of column '{key}' has shape {list(value.shape)}, not {list(wanted)}"
                yield DatasetFault("stats", message, key)
                break
            if not np.isfinite(value).all():
                yield DatasetFault("stats", f"{STATS}: {name} of column '{key}' isn't finite", key)
                break


def _data_file(contents: Contents, path: Path, episodes: Sequence[Episode]) -> Iterator[DatasetFault]:
    """One data file against the episodes that should lie in it."""
    name, first = path.relative_to(contents.root).as_posix(), episodes[0].index
    keys = contents.info.keys(visual=False)
    try:
        with pq.ParquetFile(path) as file:
            names = set(file.schema_arrow.names)
            missing = [key for key in keys if key not in names]
            for key in missing:
                yield DatasetFault("columns", f"{name}: column '{key}' is missing", key, first, 0)
            table = file.read(columns=[key for key in keys if key in names])
    except (OSError, pa.ArrowException) as error:
        yield DatasetFault("layout", f"{name}: can't be read: {error}", None, first)
        return
    checked = {key: _column(table, contents, key, episodes, name) for key in table.column_names}
    arrays = {key: values for key, (values, _) in checked.items() if values is not None}
    short = _rows(arrays.get("episode_index"), len(table), episodes, name)
    yield from (fault for _, fault in checked.values() if fault is not None)
    yield from short
    if short:
        return
    start = 0
    for episode in episodes:
        inside = {key: values[start : start + episode.length] for key, values in arrays.items()}
        yield from _clock(contents, episode, inside, name)
        yield from _values(episode, inside, name)
        start += episode.length


def _column(
    table: pa.Table, contents: Contents, key: str, episodes: Sequence[Episode], name: str
) -> tuple[NDArray[Any] | None, DatasetFault | None]:
    """A column as numbers, or what is wrong with its shape."""
    try:
        return to_array(table[key], contents.info.features[key], key), None
    except BadRowError as error:
        row = error.row
        for episode in episodes:
            if row < episode.length:
                return None, DatasetFault("shape", f"{name}: column '{key}' {error}", key, episode.index, row)
            row -= episode.length
        return None, DatasetFault("shape", f"{name}: column '{key}' {error} in row {error.row}", key)


def _rows(found: NDArray[Any] | None, rows: int, episodes: Sequence[Episode], name: str) -> list[DatasetFault]:
    """Whether a file holds as many frames of each episode as the episode table says."""
    wanted = sum(episode.length for episode in episodes)
    expected = np.repeat([episode.index for episode in episodes], [max(0, episode.length) for episode in episodes])
    if found is None:
        message = f"{name}: has {rows} frames, the episode table says {wanted}"
        return [DatasetFault("counts", message, "episode_index")] if rows != wanted else []
    if np.array_equal(found, expected):
        return []
    faults = []
    for episode in episodes:
        has = int((found == episode.index).sum())
        if has != episode.length:
            message = f"{name}: has {has} frames, the episode table says {episode.length}"
            faults.append(DatasetFault("counts", message, "episode_index", episode.index))
    if not faults:
        row = int(np.flatnonzero(found != expected)[0]) if len(found) == len(expected) else len(expected)
        message = f"{name}: row {row} is of an episode that should not be there"
        faults.append(DatasetFault("counts", message, "episode_index"))
    return faults


def _clock(contents: Contents, episode: Episode, inside: dict[str, NDArray[Any]], name: str) -> Iterator[DatasetFault]:
    """Numbers and times of an episode's frames, and the tasks that they name."""
    steps, fps = np.arange(episode.length), contents.info.fps
    for key, wanted in (("frame_index", steps), ("index", episode.start + steps)):
        wrong = np.flatnonzero(inside[key] != wanted) if key in inside else np.empty(0, np.int64)
        if len(wrong):
            frame = int(wrong[0])
            message = f"{name}: gap in {key}: {inside[key][frame]} where {wanted[frame]} follows; frames were dropped"
            yield DatasetFault("gap", message, key, episode.index, frame)
            return
    if "timestamp" in inside:
        wanted_s = steps / fps
        # A float32 clock is coarser the later it is.
        off = np.abs(inside["timestamp"] - wanted_s) > _CLOCK_S + 1e-6 * wanted_s
        if not np.isfinite(inside["timestamp"]).all() or off.any():
            frame = int(np.flatnonzero(off | ~np.isfinite(inside["timestamp"]))[0])
            got = inside["timestamp"][frame]
            message = (
                f"{name}: timestamp is {got:g} s, and {wanted_s[frame]:g} s at the dataset's {fps:g} frames a second"
            )
            yield DatasetFault("frame_rate", f"{message}: mixed frame rates", "timestamp", episode.index, frame)
    if "task_index" in inside:
        wrong = np.flatnonzero((inside["task_index"] < 0) | (inside["task_index"] >= len(contents.tasks)))
        if len(wrong):
            frame = int(wrong[0])
            message = f"{name}: task_index {inside['task_index'][frame]} isn't in meta/tasks.parquet"
            yield DatasetFault("tasks", message, "task_index", episode.index, frame)


def _values(episode: Episode, inside: dict[str, NDArray[Any]], name: str) -> Iterator[DatasetFault]:
    """NaN and infinity."""
    for key, values in inside.items():
        if key in BOOKKEEPING:
            continue
        finite = np.isfinite(values)
        if not finite.all():
            frame, *place = (int(number) for number in np.argwhere(~finite)[0])
            entry = f"{key}{place}"
            message = f"{name}: {entry} is {values[(frame, *place)]}; repair or drop the episode"
            yield DatasetFault("values", message, key, episode.index, frame)


def _films(contents: Contents) -> Iterator[DatasetFault]:
    """Films that exist, of the declared size and rate, with as many frames as their episodes."""
    info = contents.info
    for key in info.keys(visual=True):
        if info.features[key].dtype != "video":
            continue
        files: dict[Path, list[Episode]] = defaultdict(list)
        for episode in contents.episodes:
            files[episode.films[key].path].append(episode)
        for path, episodes in files.items():
            yield from _film(contents, key, path, episodes)


def _film(contents: Contents, key: str, path: Path, episodes: Sequence[Episode]) -> Iterator[DatasetFault]:
    name, first = path.relative_to(contents.root).as_posix(), episodes[0].index
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            size, frames, rate = (stream.height, stream.width), stream.frames, stream.average_rate or Fraction(0)
    except (OSError, IndexError, AttributeError, ValueError, av.FFmpegError) as error:
        # A stream of an unknown kind has no height, and a damaged name is no text.
        reason = getattr(error, "strerror", None) or "holds no film"
        yield DatasetFault("video", f"{name}: can't be read: {reason}", key, first)
        return
    fps, wanted = contents.info.fps, contents.info.features[key].shape
    if size != wanted[1:]:
        yield DatasetFault("shape", f"{name}: is {list(size)}, and {key} {list(wanted[1:])} pixels", key, first)
    if abs(float(rate) - fps) > 1e-3 * fps:
        message = f"{name}: mixed frame rates: {float(rate):g} frames a second, the dataset has {fps:g}"
        yield DatasetFault("frame_rate", message, key, first)
        return
    for episode in episodes:
        start = episode.films[key].start_s * fps
        if abs(start - round(start)) > 0.01 or round(start) + episode.length > frames:
            message = f"{name}: has {frames} frames, the episode needs {start:g} to {start + episode.length:g}"
            yield DatasetFault("video", message, key, episode.index)
