"""The LeRobotDataset v3.0 format: where things lie and what they are called. Nothing here opens a file.

Source: huggingface/lerobot, docs/source/lerobot-dataset-v3.mdx and what its reader and writer make of it
(src/lerobot/datasets). ``haltere`` in ``meta/info.json`` and the episode table's columns ``haltere/...`` are ours;
other readers pass over them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any

from haltere.configs.errors import RequestError, short

VERSION = "v3.0"
INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
EPISODES = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
OURS = "haltere"

ACTION = "action"
OBSERVATION = "observation."
IMAGES = "observation.images."
BOOKKEEPING = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}
"""Columns that every dataset has, with their types; one number a frame."""
VISUAL = ("video", "image")


class DatasetFault(RequestError):
    """What is wrong with a dataset, and where.

    Attributes:
        kind: ``layout``, ``columns``, ``shape``, ``values``, ``frame_rate``, ``gap``, ``counts``, ``tasks``, ``video``
            or ``stats``; from the checker also ``task``, ``drift``, ``success`` and ``duplicate``.
        column: the feature.
        episode: its number in the dataset.
        frame: its number in the episode.
    """

    def __init__(
        self, kind: str, message: str, column: str | None = None, episode: int | None = None, frame: int | None = None
    ) -> None:
        """Say what is wrong; the sentence is ``place: message``."""
        place = ", ".join(
            f"{name} {value}" for name, value in (("episode", episode), ("frame", frame)) if value is not None
        )
        super().__init__(": ".join(part for part in (place, message) if part))
        self.kind, self.column, self.episode, self.frame = kind, column, episode, frame

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        where = {"column": self.column, "episode": self.episode, "frame": self.frame}
        return {"kind": self.kind, "message": str(self), **where}


@dataclass(frozen=True)
class Sizes:
    """When a file is full, in MiB, and a folder, in files; the published defaults."""

    data_files_size_in_mb: int = 100
    video_files_size_in_mb: int = 200
    chunks_size: int = 1000


@dataclass(frozen=True)
class Feature:
    """One column of the data, or one film.

    Attributes:
        dtype: of numpy, or ``video`` or ``image``.
        shape: of one frame; (3, H, W) for images, (1,) for a number.
    """

    dtype: str
    shape: tuple[int, ...]

    @property
    def visual(self) -> bool:
        """Whether it is an image."""
        return self.dtype in VISUAL

    @property
    def numeric(self) -> bool:
        """Whether it is numbers in the data files."""
        return not self.visual and self.dtype not in ("string", "language")


@dataclass(frozen=True)
class Info:
    """What ``meta/info.json`` says.

    Attributes:
        fps: frames a second.
        features: by key, bookkeeping included.
        total_episodes: of the dataset.
        total_frames: of all episodes.
        data_path: template of the data files' names.
        video_path: template of the films' names; None where there are none.
        ours: what is under ``haltere``; None in a dataset of others.
    """

    fps: float
    features: dict[str, Feature]
    total_episodes: int
    total_frames: int
    data_path: str
    video_path: str | None
    ours: Mapping[str, Any] | None

    def keys(self, *, visual: bool) -> list[str]:
        """Features that are images, or those that are numbers."""
        return [key for key, feature in self.features.items() if (feature.visual if visual else feature.numeric)]

    def data_file(self, chunk: int, file: int) -> str:
        """Name of a data file relative to the dataset."""
        return self.data_path.format(chunk_index=chunk, file_index=file)

    def video_file(self, key: str, chunk: int, file: int) -> str:
        """Name of a film relative to the dataset."""
        return (self.video_path or VIDEO).format(video_key=key, chunk_index=chunk, file_index=file)


def parse_info(data: Any) -> Info:  # noqa: ANN401 -- whatever the JSON held
    """Type the contents of ``meta/info.json``.

    Raises:
        DatasetFault: a key is missing, or is something else.
    """
    if not isinstance(data, dict):
        raise DatasetFault("layout", f"{INFO} must hold one object, got {short(data)}")
    if data.get("codebase_version") != VERSION:
        raise DatasetFault("layout", f"{INFO}: codebase_version must be {VERSION}, got {data.get('codebase_version')}")
    features = data.get("features")
    if not isinstance(features, dict) or not features:
        raise DatasetFault("layout", f"{INFO}: features must name the columns, got {short(features)}")
    typed = {key: _feature(key, value) for key, value in features.items()}
    fps = data.get("fps")
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0.0 < fps <= 1e5:
        raise DatasetFault("frame_rate", f"{INFO}: fps must be a number of frames a second above 0, got {short(fps)}")
    _same_rate(features, float(fps))
    video = data.get("video_path")
    ours = data.get(OURS)
    if ours is not None and not isinstance(ours, dict):
        raise DatasetFault("layout", f"{INFO}: {OURS} must be an object, got {short(ours)}")
    return Info(
        fps=float(fps),
        features=typed | {key: Feature(kind, (1,)) for key, kind in BOOKKEEPING.items() if key not in typed},
        total_episodes=_count(data, "total_episodes"),
        total_frames=_count(data, "total_frames"),
        data_path=_template(data.get("data_path"), "data_path", {"chunk_index", "file_index"}),
        video_path=None
        if video is None
        else _template(video, "video_path", {"video_key", "chunk_index", "file_index"}),
        ours=ours,
    )


def _feature(key: str, value: Any) -> Feature:  # noqa: ANN401 -- whatever the JSON held
    shape: Any = value.get("shape") if isinstance(value, dict) else None
    good = isinstance(shape, list) and all(type(size) is int and 1 <= size <= 1 << 24 for size in shape)
    if not good or not isinstance(value.get("dtype"), str):
        raise DatasetFault("layout", f"{INFO}: feature {key} needs a dtype and a shape, got {short(value)}", key)
    feature = Feature(value["dtype"], tuple(shape) or (1,))
    if not feature.visual:
        return feature
    names = value.get("names")
    if len(shape) != 3:
        raise DatasetFault("shape", f"{INFO}: images of {key} must have three dimensions, got {shape}", key)
    # Older recorders say height, width, channels.
    last = names[2] if isinstance(names, list) and len(names) == 3 else None
    if last in ("channel", "channels", "c"):
        return Feature(feature.dtype, (shape[2], shape[0], shape[1]))
    return feature


def _same_rate(features: Mapping[str, Any], fps: float) -> None:
    """Refuse a feature that was recorded at a rate of its own."""
    for key, feature in features.items():
        info = feature.get("info")
        for rate in (feature.get("fps"), info.get("video.fps") if isinstance(info, dict) else None):
            if isinstance(rate, int | float) and abs(rate - fps) > 1e-3 * fps:
                message = f"{INFO}: mixed frame rates: {key} has {rate:g} frames a second, the dataset {fps:g}"
                raise DatasetFault("frame_rate", message, key)


def _count(data: Mapping[str, Any], key: str) -> int:
    value = data.get(key)
    if type(value) is not int or value < 0:
        raise DatasetFault("layout", f"{INFO}: {key} must be a whole number of at least 0, got {short(value)}")
    return value


def _template(value: Any, key: str, fields: set[str]) -> str:  # noqa: ANN401 -- whatever the JSON held
    """A template that can name files of this folder alone."""
    message = f"{INFO}: {key} must be a file name with {', '.join(sorted(fields))}, got {short(value)}"
    if not isinstance(value, str) or value.startswith("/") or ".." in value or "\\" in value:
        raise DatasetFault("layout", message)
    try:
        found = {name for _, name, _, _ in Formatter().parse(value) if name is not None}
        if found <= fields:
            value.format(video_key="key", chunk_index=0, file_index=0)
            return value
    except (ValueError, LookupError):
        pass  # the same sentence as for a wrong name
    raise DatasetFault("layout", message)
