"""From the parts of a recording to the folder that the format describes."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError
from haltere.sims.datasets import layout
from haltere.sims.datasets.columns import names_of
from haltere.sims.datasets.films import join, video_facts
from haltere.sims.datasets.layout import BOOKKEEPING, Feature, Sizes
from haltere.sims.datasets.parts import WORKSPACE, Plan, part_folder, sync
from haltere.sims.datasets.play import EPISODES, FRAMES, INSTRUCTION
from haltere.sims.datasets.stats import Stats, feature_stats, image_stats, plain
from haltere.sims.datasets.tables import data_schema, tasks_table, to_array, to_column

_MIB = 1 << 20


@dataclass
class _Place:
    """The file that is being filled, of one kind."""

    limit: float
    files_a_chunk: int
    chunk: int = 0
    file: int = 0
    used: float = 0.0

    def add(self, size: float) -> bool:
        """Make room for so many bytes; whether a new file has begun."""
        full = self.used > 0.0 and self.used + size >= self.limit
        if full:
            self.chunk, self.file = divmod(self.chunk * self.files_a_chunk + self.file + 1, self.files_a_chunk)
            self.used = 0.0
        self.used += size
        return full


@dataclass
class _Film:
    """Films of one image that go into one file."""

    target: Path
    episodes: list[tuple[Path, int]] = field(default_factory=list)
    frames: int = 0


@dataclass
class Assembly:
    """A dataset that is being written from parts.

    Attributes:
        plan: of the recording.
        folder: of the dataset, which holds the parts.
        features: those of the task, by key.
        rate: frames a second.
        sizes: when files are full.
    """

    plan: Plan
    folder: Path
    features: dict[str, Feature]
    rate: Fraction
    sizes: Sizes

    def __post_init__(self) -> None:
        """Begin with nothing written."""
        self._out = self.folder / WORKSPACE / "whole"
        self._all = self.features | {key: Feature(kind, (1,)) for key, kind in BOOKKEEPING.items()}
        self._rows: list[dict[str, Any]] = []
        self._tasks: dict[str, int] = {}
        self._frames = self._played = 0
        self._succeeded = 0.0
        self._images = [key for key, feature in self.features.items() if feature.visual]
        self._levels = {key: np.zeros((3, 256), np.int64) for key in self._images}
        self._data = _Place(self.sizes.data_files_size_in_mb * _MIB, self.sizes.chunks_size)
        video_limit = self.sizes.video_files_size_in_mb * _MIB
        self._video = {key: _Place(video_limit, self.sizes.chunks_size) for key in self._images}
        self._films: dict[str, list[_Film]] = {key: [] for key in self._images}
        self._writer: pq.ParquetWriter | None = None

    def write(self) -> tuple[int, int]:
        """Write the dataset and put it into its place; the parts stay.

        Returns:
            Episodes and frames that it holds.

        Raises:
            HaltereError: no episode was kept.
            OSError: the disk is full.
        """
        shutil.rmtree(self._out, ignore_errors=True)
        for part in range(self.plan.parts()):
            for table, facts in self._part(part):
                self._episode(table, facts)
        if self._writer is None:
            raise HaltereError(
                f"{self.folder}: the expert succeeded in none of {self._played} episodes; nothing to keep"
            )
        self._writer.close()
        for films in self._films.values():
            for film in films:
                film.target.parent.mkdir(parents=True, exist_ok=True)
                join(film.episodes, film.target, self.rate)
        self._write_meta()
        self._publish()
        return len(self._rows), self._frames

    def _part(self, part: int) -> Iterator[tuple[pa.Table, dict[str, Any]]]:
        """Each kept episode of a part with its facts."""
        folder = part_folder(self.folder, part)
        facts = json.loads((folder / EPISODES).read_text(encoding="utf-8"))
        self._played += facts["played"]
        if not facts["kept"]:
            return
        with pq.ParquetFile(folder / FRAMES) as file:
            for number, episode in enumerate(facts["kept"]):
                films = {key: folder / name for key, name in episode["films"].items()}
                yield file.read_row_group(number), episode | {"films": films}

    def _episode(self, table: pa.Table, facts: Mapping[str, Any]) -> None:
        """Append one episode to the data, the films and the episode table."""
        length, number = len(table), len(self._rows)
        said = table[INSTRUCTION].to_pylist()
        for sentence in said:
            self._tasks.setdefault(sentence, len(self._tasks))
        steps = np.arange(length)
        arrays: dict[str, NDArray[Any]] = {
            key: to_array(table[key], feature, key) for key, feature in self.features.items() if feature.numeric
        }
        arrays |= {
            "timestamp": (steps / float(self.rate)).astype(np.float32),
            "frame_index": steps,
            "episode_index": np.full(length, number),
            "index": self._frames + steps,
            "task_index": np.array([self._tasks[sentence] for sentence in said]),
        }
        stats = {key: feature_stats(values) for key, values in arrays.items()}
        row: dict[str, Any] = {
            "episode_index": number,
            "tasks": list(dict.fromkeys(said)),
            "length": length,
            "dataset_from_index": self._frames,
            "dataset_to_index": self._frames + length,
        }
        row |= self._append_data(arrays)
        for key in self._images:
            levels = np.array(facts["levels"][key])
            self._levels[key] += levels
            stats[key] = image_stats(levels, length)
            row |= self._append_film(key, facts["films"][key], length)
        row |= {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
        row |= {f"{layout.OURS}/seed": facts["seed"]}
        row |= {f"{layout.OURS}/{name}": value for name, value in facts["metrics"].items()}
        row |= {f"stats/{key}/{name}": value for key, found in stats.items() for name, value in plain(found).items()}
        self._rows.append(row)
        self._frames += length
        self._succeeded += facts["metrics"]["success"] >= 1.0

    def _append_data(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """One row group an episode."""
        schema = data_schema(self._all)
        columns = [to_column(arrays[key], self._all[key]) for key in schema.names]
        table = pa.table(columns, schema=schema)
        # Uncompressed: an upper bound of what the file will take.
        if self._data.add(table.nbytes) and self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._writer is None:
            name = layout.DATA.format(chunk_index=self._data.chunk, file_index=self._data.file)
            path = self._out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(path, schema, compression="snappy")
        self._writer.write_table(table)
        return {"data/chunk_index": self._data.chunk, "data/file_index": self._data.file}

    def _append_film(self, key: str, film: Path, length: int) -> dict[str, Any]:
        """Where an episode's film will lie."""
        place, films = self._video[key], self._films[key]
        if place.add(film.stat().st_size) or not films:
            name = layout.VIDEO.format(video_key=key, chunk_index=place.chunk, file_index=place.file)
            films.append(_Film(self._out / name))
        start = films[-1].frames
        films[-1].episodes.append((film, length))
        films[-1].frames += length
        prefix = f"videos/{key}"
        return {
            f"{prefix}/chunk_index": place.chunk,
            f"{prefix}/file_index": place.file,
            f"{prefix}/from_timestamp": float(start / self.rate),
            f"{prefix}/to_timestamp": float((start + length) / self.rate),
        }

    def _write_meta(self) -> None:
        """Everything under ``meta``."""
        episodes = self._out / layout.EPISODES.format(chunk_index=0, file_index=0)
        episodes.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(self._rows), episodes, compression="snappy")
        pq.write_table(tasks_table(list(self._tasks)), self._out / layout.TASKS)
        stats = {key: plain(found) for key, found in self._stats().items()}
        _write_json(self._out / layout.STATS, stats)
        _write_json(self._out / layout.INFO, self._info())

    def _stats(self) -> dict[str, Stats]:
        """Statistics over all frames; a column at a time, because a dataset may be large."""
        files = sorted((self._out / "data").rglob("*.parquet"))
        found: dict[str, Stats] = {}
        for key, feature in self._all.items():
            if feature.visual:
                found[key] = image_stats(self._levels[key], self._frames)
            else:
                columns = [pq.read_table(path, columns=[key])[key] for path in files]
                found[key] = feature_stats(np.concatenate([to_array(column, feature, key) for column in columns]))
        return found

    def _info(self) -> dict[str, Any]:
        fps = int(self.rate) if self.rate.denominator == 1 else float(self.rate)
        features: dict[str, Any] = {}
        for key, feature in self._all.items():
            named = None if key in BOOKKEEPING else names_of(key, feature)
            features[key] = {"dtype": feature.dtype, "shape": list(feature.shape), "names": named}
            if feature.visual:
                features[key]["info"] = video_facts(feature.shape[1], feature.shape[2], fps)
        return {
            "codebase_version": layout.VERSION,
            "robot_type": self.plan.task,
            "total_episodes": len(self._rows),
            "total_frames": self._frames,
            "total_tasks": len(self._tasks),
            **asdict(self.sizes),
            "fps": fps,
            "splits": {"train": f"0:{len(self._rows)}"},
            "data_path": layout.DATA,
            "video_path": layout.VIDEO if self._images else None,
            "features": features,
            layout.OURS: asdict(self.plan) | {"played": self._played, "succeeded": int(self._succeeded)},
        }

    def _publish(self) -> None:
        """Move everything into its place; ``meta`` last, because it says that the rest is there."""
        for item in (*self._out.rglob("*"), self._out):
            sync(item)
        for name in ("data", "videos", "meta"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            if (self._out / name).exists():
                os.rename(self._out / name, self.folder / name)
        sync(self.folder)


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=4, allow_nan=False) + "\n", encoding="utf-8")
