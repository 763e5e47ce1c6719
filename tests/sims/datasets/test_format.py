"""A recording, read with pyarrow and json alone, key by key against the published description of the format.

Source: huggingface/lerobot, docs/source/lerobot-dataset-v3.mdx, and what its reader needs (DatasetInfo,
LeRobotDatasetMetadata, DEFAULT_FEATURES and get_hf_features_from_features in src/lerobot). None of the reader under
test is used here.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .toys import DATA, POINT, SENTENCES, SIZE, recorded

IMAGE = "observation.images.image"
EPISODES = 20
STEPS = 12
KEPT = [seed for seed in range(EPISODES) if seed % 7]
LENGTHS = [STEPS + seed % 5 for seed in KEPT]
FRAMES = sum(LENGTHS)

INFO: dict[str, Any] = {
    # key of meta/info.json             what it must be
    "codebase_version": "v3.0",
    "robot_type": POINT,
    "fps": 20,  # a whole number where the rate is one
    "total_episodes": len(KEPT),
    "total_frames": FRAMES,
    "total_tasks": 2,
    "chunks_size": 1000,
    "data_files_size_in_mb": 100,
    "video_files_size_in_mb": 200,
    "splits": {"train": f"0:{len(KEPT)}"},
    "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
    "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
}

FEATURES: dict[str, tuple[str, list[int], Any, pa.DataType | None]] = {
    # feature              dtype      shape            names                              column of the data files
    "observation.state": ("float32", [4], [f"state_{n}" for n in range(4)], pa.list_(pa.float32(), 4)),
    "observation.goal": ("float32", [1], ["goal_0"], pa.float32()),
    IMAGE: ("video", [3, SIZE, SIZE], ["channels", "height", "width"], None),
    "action": ("float32", [2], ["action_0", "action_1"], pa.list_(pa.float32(), 2)),
    "timestamp": ("float32", [1], None, pa.float32()),
    "frame_index": ("int64", [1], None, pa.int64()),
    "episode_index": ("int64", [1], None, pa.int64()),
    "index": ("int64", [1], None, pa.int64()),
    "task_index": ("int64", [1], None, pa.int64()),
}

VIDEO: dict[str, Any] = {
    # key of a video feature's info     what it must be
    "video.height": SIZE,
    "video.width": SIZE,
    "video.codec": "h264",
    "video.pix_fmt": "yuv444p",
    "video.fps": 20,
    "video.channels": 3,
    "is_depth_map": False,
    "has_audio": False,
}

STATS = ("min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99")

ENDS = np.cumsum(LENGTHS)
STARTS = ENDS - LENGTHS
ROW: dict[str, tuple[pa.DataType, Callable[[int], Any]]] = {
    # column of the episode table       type, and what it must be for episode n
    "episode_index": (pa.int64(), lambda n: n),
    "length": (pa.int64(), lambda n: LENGTHS[n]),
    "dataset_from_index": (pa.int64(), lambda n: STARTS[n]),
    "dataset_to_index": (pa.int64(), lambda n: ENDS[n]),
    "data/chunk_index": (pa.int64(), lambda n: 0),
    "data/file_index": (pa.int64(), lambda n: 0),
    "meta/episodes/chunk_index": (pa.int64(), lambda n: 0),
    "meta/episodes/file_index": (pa.int64(), lambda n: 0),
    f"videos/{IMAGE}/chunk_index": (pa.int64(), lambda n: 0),
    f"videos/{IMAGE}/file_index": (pa.int64(), lambda n: 0),
    f"videos/{IMAGE}/from_timestamp": (pa.float64(), lambda n: pytest.approx(STARTS[n] / 20)),
    f"videos/{IMAGE}/to_timestamp": (pa.float64(), lambda n: pytest.approx(ENDS[n] / 20)),
    "haltere/seed": (pa.int64(), lambda n: KEPT[n]),
    "haltere/success": (pa.float64(), lambda n: 1.0),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording with images."""
    return recorded(tmp_path_factory.mktemp("format") / "point", camera=True, steps=STEPS)


@pytest.fixture(scope="module")
def data(folder: Path) -> pa.Table:
    """The only data file."""
    return pq.read_table(folder / DATA)


def _stats_of(values: np.ndarray[Any, Any]) -> dict[str, Any]:
    exact = values.astype(np.float64)
    shares = {name: np.quantile(exact, int(name[1:]) / 100, axis=0) for name in STATS if name[0] == "q"}
    basic = {"min": exact.min(0), "max": exact.max(0), "mean": exact.mean(0), "std": exact.std(0)}
    return {name: np.atleast_1d(value) for name, value in (basic | shares).items()} | {"count": [len(values)]}


def _numbers(data: pa.Table, key: str) -> np.ndarray[Any, Any]:
    return np.array(data[key].to_pylist())


def test_the_folder_holds_what_the_format_names_and_nothing_else(folder: Path) -> None:
    """Every file in its place; nothing is left of the recording's own."""
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "meta/info.json",
        "meta/stats.json",
        "meta/tasks.parquet",
        "meta/episodes/chunk-000/file-000.parquet",
        "data/chunk-000/file-000.parquet",
        f"videos/{IMAGE}/chunk-000/file-000.mp4",
    }


def test_info_is_what_the_table_says(folder: Path) -> None:
    """Every key, and none but ours beside them."""
    info = json.loads((folder / "meta/info.json").read_text())
    features, ours = info.pop("features"), info.pop("haltere")
    assert info == INFO and type(info["fps"]) is int
    assert list(features) and set(features) == set(FEATURES)
    for key, (dtype, shape, names, _) in FEATURES.items():
        wanted = {"dtype": dtype, "shape": shape, "names": names}
        assert features[key] == (wanted | {"info": VIDEO} if dtype == "video" else wanted), key
    assert ours["task"] == POINT and ours["env"]["camera"] is True and ours["seed"] == 0
    assert len(ours["env_digest"]) == 64 and ours["version"] and ours["played"] == EPISODES


def test_data_has_the_declared_columns_and_counts(folder: Path, data: pa.Table) -> None:
    """Types, and the five columns that say which frame is which."""
    assert {field.name: field.type for field in data.schema} == {
        key: kind for key, (_, _, _, kind) in FEATURES.items() if kind is not None
    }
    inside = np.concatenate([np.arange(length) for length in LENGTHS])
    assert np.array_equal(_numbers(data, "frame_index"), inside)
    assert np.array_equal(_numbers(data, "episode_index"), np.repeat(np.arange(len(KEPT)), LENGTHS))
    assert np.array_equal(_numbers(data, "index"), np.arange(FRAMES))
    assert np.allclose(_numbers(data, "timestamp"), inside / 20, atol=1e-6)
    assert pq.ParquetFile(folder / DATA).num_row_groups == len(KEPT)


def test_tasks_are_sentences_with_numbers_as_pandas_reads_them(folder: Path, data: pa.Table) -> None:
    """The sentences are the frame's index, as the published reader needs it."""
    table = pq.read_table(folder / "meta/tasks.parquet")
    assert table.schema.field("task_index").type == pa.int64() and table.schema.field("task").type == pa.string()
    assert sorted(table["task"].to_pylist()) == list(SENTENCES)
    assert table["task_index"].to_pylist() == [0, 1]
    assert json.loads(table.schema.metadata[b"pandas"])["index_columns"] == ["task"]
    said = np.array(table["task"].to_pylist())[_numbers(data, "task_index")]
    assert np.array_equal(said == "go right", _numbers(data, "observation.goal") > 0.0)


def test_the_episode_table_is_what_the_table_says(folder: Path, data: pa.Table) -> None:
    """Every column of every row, statistics included, and no other column."""
    table = pq.read_table(folder / "meta/episodes/chunk-000/file-000.parquet")
    stats = [f"stats/{key}/{name}" for key in FEATURES for name in STATS]
    assert set(table.column_names) == {*ROW, "tasks", *stats}
    rows = table.to_pylist()
    assert len(rows) == len(KEPT)
    for key, (kind, wanted) in ROW.items():
        assert table.schema.field(key).type == kind, key
        assert [row[key] for row in rows] == [wanted(n) for n in range(len(KEPT))], key
    right = _numbers(data, "observation.goal")[STARTS] > 0.0
    assert [row["tasks"] for row in rows] == [["go right" if side else "go left"] for side in right]
    for key in FEATURES:
        for row, start, end in zip(rows, STARTS, ENDS, strict=True):
            if key != IMAGE:
                for name, value in _stats_of(_numbers(data, key)[start:end]).items():
                    assert np.allclose(row[f"stats/{key}/{name}"], value, rtol=1e-6, atol=1e-6), (key, name)


def test_stats_are_those_of_the_data(folder: Path, data: pa.Table) -> None:
    """Each of the ten, for each feature; images' are one a channel in [0, 1]."""
    stats = json.loads((folder / "meta/stats.json").read_text())
    assert set(stats) == set(FEATURES)
    for key, found in stats.items():
        assert tuple(found) == STATS
        if key == IMAGE:
            assert all(np.shape(found[name]) == (3, 1, 1) for name in STATS if name != "count")
            assert found["count"] == [FRAMES]
            continue
        for name, value in _stats_of(_numbers(data, key)).items():
            assert np.shape(found[name]) == ((1,) if name == "count" else tuple(FEATURES[key][1])), (key, name)
            assert np.allclose(found[name], value, rtol=1e-6, atol=1e-6), (key, name)


def test_films_show_every_frame_at_its_time(folder: Path) -> None:
    """H.264 of the declared size; the frame of index n is shown at n / fps; mean and deviation are the films'."""
    with av.open(str(folder / f"videos/{IMAGE}/chunk-000/file-000.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height, stream.average_rate) == ("h264", SIZE, SIZE, 20)
        pictures = list(container.decode(stream))
    times = [float(picture.pts * picture.time_base) for picture in pictures if picture.pts is not None]
    assert np.allclose(times, np.arange(FRAMES) / 20, atol=1e-4)  # the published reader's tolerance
    pixels = np.stack([picture.to_ndarray(format="rgb24") for picture in pictures]) / 255.0
    stats = json.loads((folder / "meta/stats.json").read_text())[IMAGE]
    assert np.allclose(np.ravel(stats["mean"]), pixels.mean(axis=(0, 1, 2)), atol=0.02)
    assert np.allclose(np.ravel(stats["std"]), pixels.std(axis=(0, 1, 2)), atol=0.02)
