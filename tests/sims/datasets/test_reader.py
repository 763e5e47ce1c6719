"""Reading: every damage is named before anything is read, and anybody's dataset can be."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from haltere.configs.errors import HaltereError, RequestError
from haltere.sims.datasets.check import check_dataset
from haltere.sims.datasets.columns import to_levels
from haltere.sims.datasets.layout import DatasetFault
from haltere.sims.datasets.reader import Dataset, open_dataset
from haltere.sims.datasets.stats import feature_stats, histogram, image_stats

from .toys import DATA, MODULE, POINT, Point, PointConfig, Pusher, edit_data, edit_episodes, edit_json, recorded

IMAGE = "observation.images.image"
FILM = f"videos/{IMAGE}/chunk-000/file-000.mp4"


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording with images."""
    return recorded(tmp_path_factory.mktemp("reader") / "clean", camera=True, episodes=20)


@pytest.fixture
def folder(clean: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(clean, tmp_path / "copy"))


def drop(column: str) -> Callable[[dict[str, list[Any]]], None]:
    """Without a column."""
    return lambda columns: columns.pop(column) and None


def put(column: str, row: int, value: object) -> Callable[[dict[str, list[Any]]], None]:
    """Another value in one row."""
    return lambda columns: columns[column].__setitem__(row, value)


def cut(first: int, last: int) -> Callable[[dict[str, list[Any]]], None]:
    """Without some rows."""

    def change(columns: dict[str, list[Any]]) -> None:
        for values in columns.values():
            del values[first:last]

    return change


# Episode 0 has 13 frames (seed 1), episode 1 14: row 20 is frame 7 of episode 1.
DATA_FAULTS = {
    "missing action": (drop("action"), "columns", "action", 0, 0, "column 'action' is missing"),
    "missing observation": (drop("observation.goal"), "columns", "observation.goal", 0, 0, "is missing"),
    "missing clock": (drop("timestamp"), "columns", "timestamp", 0, 0, "is missing"),
    "NaN action": (put("action", 20, [0.0, np.nan]), "values", "action", 1, 7, r"action\[1\] is nan"),
    "infinite": (put("observation.goal", 0, np.inf), "values", "observation.goal", 0, 0, "is inf"),
    "no value": (put("observation.goal", 20, None), "shape", "observation.goal", 1, 7, "has no value"),
    "no row": (put("action", 20, None), "shape", "action", 1, 7, "has no value"),
    "gap": (put("frame_index", 20, 8), "gap", "frame_index", 1, 7, "8 where 7 follows"),
    "index": (put("index", 20, 99), "gap", "index", 1, 7, "99 where 20 follows"),
    "rate": (put("timestamp", 20, 0.7), "frame_rate", "timestamp", 1, 7, "0.35 s at the dataset's 20 frames"),
    "clock": (put("timestamp", 20, np.nan), "frame_rate", "timestamp", 1, 7, "timestamp is nan s"),
    "task": (put("task_index", 20, 2), "tasks", "task_index", 1, 7, "isn't in meta/tasks.parquet"),
    "dropped": (cut(20, 22), "counts", "episode_index", 1, None, "has 12 frames, the episode table says 14"),
    "cut off": (cut(20, 10_000), "counts", "episode_index", 1, None, "has 7 frames"),
    "other episode": (put("episode_index", 20, 5), "counts", "episode_index", 1, None, "has 13 frames"),
}


@pytest.mark.parametrize("fault", DATA_FAULTS)
def test_damaged_data_is_named_before_it_is_read(folder: Path, fault: str) -> None:
    """Column, episode and frame, in the sentence and as attributes."""
    change, kind, column, episode, frame, words = DATA_FAULTS[fault]
    edit_data(folder, change)
    with pytest.raises(DatasetFault, match=words) as caught:
        open_dataset(folder)
    got = caught.value
    assert (got.kind, got.column, got.episode, got.frame) == (kind, column, episode, frame)
    assert got.exit_code == 2 and isinstance(got, RequestError)
    assert f"episode {episode}" in str(got) and (frame is None or f"frame {frame}" in str(got))


def info_put(*path: str, value: object) -> Callable[[Any], None]:
    """Another value in ``meta/info.json``."""

    def change(info: dict[str, Any]) -> None:
        for key in path[:-1]:
            info = info[key]
        info[path[-1]] = value

    return change


INFO_FAULTS = {
    "version": (info_put("codebase_version", value="v2.1"), "layout", "must be v3.0, got v2.1"),
    "rate": (info_put("fps", value=10), "frame_rate", "mixed frame rates"),
    "no rate": (info_put("fps", value=0), "frame_rate", "fps must be a number"),
    "feature's rate": (info_put("features", "action", "fps", value=50), "frame_rate", "action has 50 frames a second"),
    "shape": (info_put("features", "action", "shape", value=[3]), "shape", r"has shape \[2\], declared \[3\]"),
    "deeper shape": (info_put("features", "action", "shape", value=[2, 1]), "shape", r"has shape \[2\], declared"),
    "image's shape": (info_put("features", IMAGE, "shape", value=[3, 8, 8]), "shape", r"is \[12, 12\]"),
    "no shape": (info_put("features", "action", "shape", value="two"), "layout", "needs a dtype and a shape"),
    "unknown column": (
        info_put("features", "observation.force", value={"dtype": "float32", "shape": [6]}),
        "stats|columns",
        "observation.force",
    ),
    "episodes": (info_put("total_episodes", value=3), "counts", "total_episodes is 3, the episode table has 17"),
    "frames": (info_put("total_frames", value=3), "counts", "total_frames is 3"),
    "template": (info_put("data_path", value="../../etc/{chunk_index}"), "layout", "data_path must be a file name"),
    "trick": (info_put("data_path", value="{chunk_index.real}"), "layout", "data_path must be a file name"),
    "another file": (info_put("data_path", value="data/{file_index}.parquet"), "layout", "can't be read"),
    "films": (info_put("video_path", value="videos/{video_key}.mp4"), "video", "can't be read"),
    "features": (info_put("features", value=[]), "layout", "features must name"),
    "ours": (info_put("haltere", value=3), "layout", "haltere must be an object"),
}


@pytest.mark.parametrize("fault", INFO_FAULTS)
def test_a_wrong_description_is_named(folder: Path, fault: str) -> None:
    """``meta/info.json`` against itself and the data."""
    change, kind, words = INFO_FAULTS[fault]
    edit_json(folder, "meta/info.json", change)
    with pytest.raises(DatasetFault, match=words) as caught:
        open_dataset(folder)
    assert caught.value.kind in kind.split("|")


def test_other_damage_is_named(folder: Path, clean: Path, tmp_path: Path) -> None:
    """Tables and files that are cut, missing or of something else."""
    with pytest.raises(RequestError, match="isn't a LeRobot dataset"):
        open_dataset(tmp_path / "nowhere")

    def broken(change: Callable[[Path], Any], words: str) -> None:
        copy = Path(shutil.copytree(clean, tmp_path / "broken"))
        change(copy)
        with pytest.raises(DatasetFault, match=words):
            open_dataset(copy)
        shutil.rmtree(copy)

    broken(lambda path: (path / FILM).unlink(), "file-000.mp4: can't be read")
    broken(lambda path: (path / FILM).write_bytes(b"no film"), "file-000.mp4: can't be read")
    broken(lambda path: (path / DATA).write_bytes(b"no table"), "file-000.parquet: can't be read")
    broken(lambda path: (path / "meta/tasks.parquet").unlink(), "tasks.parquet is missing")
    broken(lambda path: (path / "meta/info.json").write_text("{"), "info.json: can't be read")
    broken(lambda path: shutil.rmtree(path / "meta/episodes"), "has no episode table")
    broken(lambda path: edit_episodes(path, lambda rows: rows[3].update(length=2)), "episode 3: .* don't follow")
    broken(lambda path: edit_episodes(path, lambda rows: rows.pop()), "total_episodes is 17, the episode table has 16")
    place = f"videos/{IMAGE}/from_timestamp"
    broken(lambda path: edit_episodes(path, lambda rows: rows[9].update({place: 400.0})), "the episode needs 8000")
    broken(lambda path: edit_json(path, "meta/stats.json", lambda stats: stats.pop("action")), "no statistics of col")
    broken(lambda path: edit_json(path, "meta/stats.json", lambda stats: stats["action"].pop("std")), "has no std")
    broken(
        lambda path: edit_json(path, "meta/stats.json", lambda stats: stats["action"].update(std=[1.0])),
        r"std of column 'action' has shape \[1\], not \[2\]",
    )
    broken(
        lambda path: edit_json(path, "meta/stats.json", lambda stats: stats["action"].update(mean=["a", "b"])),
        "mean of action must be numbers",
    )


def test_images_are_those_that_the_task_showed(clean: Path) -> None:
    """Every frame, as near as coding leaves it, in any order; none is one frame off."""
    dataset = open_dataset(clean)
    shown = []
    for episode in dataset.episodes:
        env = Point(PointConfig(camera=True), 1)
        obs, _ = env.reset(seed=[episode.seed or 0])
        expert = Pusher(env)
        expert.start([episode.seed or 0])
        for _ in range(episode.length):
            shown.append(to_levels(obs["image"][0]))
            obs = env.step(expert.act(obs)["action"])[0]
    order = np.random.default_rng(0).permutation(dataset.frames)
    got = dataset.images(IMAGE, order)
    assert got.dtype == np.uint8 and got.shape == (dataset.frames, 3, 12, 12)
    images = np.stack(shown).astype(np.int64)
    apart = np.abs(got - images[order]).mean(axis=(1, 2, 3))
    beside = np.abs(images[1:] - images[:-1]).mean(axis=(1, 2, 3))
    assert apart.max() < 4.0 and np.median(beside) > 6.0


def test_memory_for_images_is_bounded_and_used(clean: Path) -> None:
    """Half a MiB at most; what was decoded a moment ago isn't again."""
    dataset = open_dataset(clean, cache_mib=0.05)
    everything = dataset.images(IMAGE, range(dataset.frames))
    reader = dataset._films
    assert 0 < reader.kept_bytes <= 0.05 * (1 << 20) < everything.nbytes
    decoded = reader.decoded
    dataset.images(IMAGE, [dataset.frames - 1] * 50)
    assert reader.decoded == decoded
    assert np.array_equal(dataset.images(IMAGE, [0, 0, 5]), everything[[0, 0, 5]])
    assert reader.decoded > decoded


def test_a_stream_is_the_columns_an_episode_at_a_time(clean: Path) -> None:
    """All features, or some of some episodes in another order."""
    dataset = open_dataset(clean)
    whole = list(dataset.stream())
    assert [episode.index for episode, _ in whole] == list(range(17))
    for key in dataset.info.keys(visual=False):
        assert np.array_equal(np.concatenate([arrays[key] for _, arrays in whole]), dataset.column(key))
    assert np.array_equal(whole[3][1][IMAGE], dataset.images(IMAGE, range(whole[3][0].start, whole[3][0].stop)))
    some = list(dataset.stream(["action"], episodes=[5, 2]))
    assert [episode.index for episode, _ in some] == [5, 2] and list(some[0][1]) == ["action"]
    assert np.array_equal(some[0][1]["action"], whole[5][1]["action"])


def test_a_wrong_request_gets_the_nearest_name(clean: Path) -> None:
    """Of columns, images, frames and episodes; columns can't be written to."""
    dataset = open_dataset(clean)
    with pytest.raises(RequestError, match="did you mean 'action'"):
        dataset.column("actions")
    with pytest.raises(RequestError, match="no column of numbers"):
        dataset.column(IMAGE)
    with pytest.raises(RequestError, match="no image in"):
        dataset.images("action", [0])
    with pytest.raises(RequestError, match="has frames 0 to"):
        dataset.images(IMAGE, [dataset.frames])
    with pytest.raises(RequestError, match="has episodes 0 to 16"):
        list(dataset.stream(episodes=[17]))
    with pytest.raises(ValueError, match="read-only"):
        dataset.column("action")[0] = 0.0


def describe(root: Path) -> None:
    """``meta/info.json`` of what ``others`` records."""
    features = {
        "action": {"dtype": "float64", "shape": [2], "names": {"motors": ["a", "b"]}},
        "observation.state": {"dtype": "int32", "shape": [3], "names": None},
        "next.done": {"dtype": "bool", "shape": [1], "names": None},
        "observation.words": {"dtype": "string", "shape": [1], "names": None},
    }
    info = {
        "codebase_version": "v3.0",
        "fps": 12.5,
        "total_episodes": 4,
        "total_frames": 18,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": None,
        "features": features,
    }
    (root / "meta/info.json").write_text(json.dumps(info))


def others(root: Path, *, per_file: int = 2, stats: bool = True) -> Dataset:
    """A dataset as others record it: float64 and whole numbers, plain lists, several files, nothing of haltere's."""
    lengths, rows, start = [4, 6, 3, 5], [], 0
    draw = np.random.default_rng(0)
    action, state = draw.normal(size=(18, 2)), draw.integers(-5, 5, (18, 3))
    for number, length in enumerate(lengths):
        stop = start + length
        rows.append(
            {
                "episode_index": number,
                "tasks": ["stir"],
                "length": length,
                "data/chunk_index": number // per_file,
                "data/file_index": 0,
                "dataset_from_index": start,
                "dataset_to_index": stop,
            }
        )
        start = stop
    clock = np.concatenate([np.arange(length) for length in lengths])
    table = pa.table(
        {
            "action": pa.array(action.tolist(), pa.list_(pa.float64())),
            "observation.state": pa.array(state.tolist(), pa.large_list(pa.int32())),
            "next.done": pa.array([False] * 18),
            "timestamp": pa.array(clock / 12.5, pa.float64()),
            "frame_index": pa.array(clock, pa.int32()),
            "episode_index": np.repeat(range(4), lengths),
            "index": np.arange(18),
            "task_index": np.zeros(18, np.int64),
        }
    )
    first = 0
    for chunk in range(-(-4 // per_file)):
        count = sum(lengths[chunk * per_file : (chunk + 1) * per_file])
        (root / f"data/chunk-{chunk:03d}").mkdir(parents=True)
        pq.write_table(table.slice(first, count), root / f"data/chunk-{chunk:03d}/file-000.parquet", row_group_size=5)
        first += count
    for part in (0, 1):
        (root / f"meta/episodes/chunk-{part:03d}").mkdir(parents=True)
        here = pa.Table.from_pylist(rows[2 * part : 2 * part + 2])
        pq.write_table(here, root / f"meta/episodes/chunk-{part:03d}/file-000.parquet")
    pq.write_table(pa.table({"__index_level_0__": ["stir"], "task_index": [0]}), root / "meta/tasks.parquet")
    describe(root)
    if stats:
        found = {"action": feature_stats(action), "observation.state": feature_stats(state)}
        found["next.done"] = feature_stats(np.zeros((18, 1)))
        plain = {key: {name: value.tolist() for name, value in one.items()} for key, one in found.items()}
        (root / "meta/stats.json").write_text(json.dumps(plain))
    dataset = open_dataset(root)
    assert np.array_equal(dataset.column("action"), action.astype(np.float32))
    assert np.array_equal(dataset.column("observation.state"), state.astype(np.float32))
    return dataset


@pytest.mark.parametrize("per_file", [1, 2, 4])
def test_a_dataset_of_others_is_read(tmp_path: Path, per_file: int) -> None:
    """Whatever types and files it has; what only haltere's have is None."""
    dataset = others(tmp_path, per_file=per_file)
    assert dataset.ours is None and dataset.tasks == ("stir",)
    assert [(episode.start, episode.stop) for episode in dataset.episodes] == [(0, 4), (4, 10), (10, 13), (13, 18)]
    assert dataset.episodes[1].seed is None and dataset.episodes[1].tasks == ("stir",)
    for episode, arrays in dataset.stream(["action", "next.done"]):
        assert np.array_equal(arrays["action"], dataset.column("action")[episode.start : episode.stop])
        assert arrays["next.done"].shape == (episode.length, 1)


def test_statistics_that_are_missing_are_made(tmp_path: Path) -> None:
    """From the data, by numpy's definitions."""
    dataset = others(tmp_path, stats=False)
    assert np.allclose(dataset.stats["action"]["std"], dataset.column("action").std(axis=0, dtype=np.float64))


@settings(max_examples=50)
@given(st.integers(1, 40), st.integers(1, 3), st.integers(0, 1 << 30))
def test_statistics_are_numpys(frames: int, entries: int, seed: int) -> None:
    """Against float64 numpy; images' from their levels, against all their pixels."""
    numbers = np.random.default_rng(seed)
    values = numbers.normal(3.0, 2.0, (frames, entries)).astype(np.float32)
    found = feature_stats(values)
    assert np.allclose(found["q10"], np.quantile(values.astype(np.float64), 0.1, axis=0))
    assert np.allclose(found["std"], values.astype(np.float64).std(axis=0))
    images = numbers.integers(0, 256, (frames, 3, 4, 5), np.uint8)
    pixels = images.transpose(1, 0, 2, 3).reshape(3, -1) / 255.0
    stats = image_stats(histogram(images), frames)
    for name, wanted in (
        ("min", pixels.min(axis=1)),
        ("max", pixels.max(axis=1)),
        ("mean", pixels.mean(axis=1)),
        ("std", pixels.std(axis=1)),
        ("q50", np.quantile(pixels, 0.5, axis=1, method="inverted_cdf")),
        ("q99", np.quantile(pixels, 0.99, axis=1, method="inverted_cdf")),
    ):
        assert np.allclose(stats[name].ravel(), wanted), name
    assert stats["count"].tolist() == [frames]


def test_a_damaged_film_is_a_sentence(folder: Path) -> None:
    """The header is whole, the pictures aren't: found when they are asked for."""
    dataset = open_dataset(folder)
    size = (folder / FILM).stat().st_size
    with (folder / FILM).open("r+b") as file:
        file.truncate(size // 2)
    with pytest.raises(HaltereError, match=r"can't be decoded|has no frame"):
        dataset.images(IMAGE, range(dataset.frames))


WRONG = (None, "x", -1, 0, 1e9, [], {}, [1], True, float("nan"), "../x", [[1]])


def _paths(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where every value of some JSON is."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, inside in entries for found in _paths(inside, (*path, key)))]


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_the_descriptions_say_the_answer_is_a_dataset_or_a_sentence(folder: Path, data: st.DataObject) -> None:
    """Any value of ``meta`` by another, or cut off files: opened and checked, or refused; never a crash."""
    name = data.draw(st.sampled_from(["meta/info.json", "meta/stats.json", "meta/tasks.parquet", DATA, FILM]))
    before = (folder / name).read_bytes()
    if name.endswith(".json"):
        whole = json.loads(before)
        *path, last = data.draw(st.sampled_from([path for path in _paths(whole) if path]))
        inside = whole
        for key in path:
            inside = inside[key]
        inside[last] = data.draw(st.sampled_from(WRONG))
        (folder / name).write_text(json.dumps(whole))
    else:
        (folder / name).write_bytes(before[: data.draw(st.integers(0, len(before)))])
    try:
        for _ in open_dataset(folder).stream():
            pass
        check_dataset(folder, module=MODULE, task_id=POINT, env=PointConfig())
    except HaltereError as error:
        assert str(error)
    finally:
        (folder / name).write_bytes(before)
