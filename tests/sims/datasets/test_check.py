"""The checker: a good dataset is clean, and each way to spoil one is found."""

import json
import shutil
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from haltere.configs.errors import RequestError
from haltere.sims.datasets.check import CheckReport, check_dataset
from haltere.sims.datasets.inspection import dull_actions, statistics
from haltere.sims.datasets.layout import DatasetFault
from haltere.sims.datasets.reader import Dataset, open_dataset
from haltere.sims.datasets.record import plan_recording, record
from haltere.sims.mujoco.fork.config import ForkConfig

from .test_reader import others
from .toys import DATA, MODULE, POINT, Point, PointConfig, edit_data, edit_episodes, edit_json, recorded

IMAGE, SEED = "observation.images.image", "haltere/seed"
Columns = dict[str, list[Any]]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording."""
    return recorded(tmp_path_factory.mktemp("check") / "clean", episodes=24)


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording with images."""
    return recorded(tmp_path_factory.mktemp("check") / "filmed", episodes=10, camera=True)


@pytest.fixture
def folder(clean: Path, tmp_path: Path) -> Path:
    """A copy of the first."""
    return Path(shutil.copytree(clean, tmp_path / "copy"))


def check(folder: Path, env: PointConfig | None = None) -> CheckReport:
    """Against the toy."""
    return check_dataset(folder, module=MODULE, task_id=POINT, env=env or PointConfig())


def kinds(report: CheckReport) -> set[str]:
    """What kinds of fault were found."""
    return {fault.kind for fault in report.faults}


def slices(columns: Columns) -> list[tuple[int, int]]:
    """First and last row of each episode."""
    numbers = np.array(columns["episode_index"])
    return [(int(rows[0]), int(rows[-1]) + 1) for rows in (np.flatnonzero(numbers == n) for n in np.unique(numbers))]


def restate(folder: Path) -> None:
    """Statistics of the data as it is now, everywhere: only a replay can find what was done to it."""
    import pyarrow.parquet as pq

    from haltere.sims.datasets.stats import feature_stats, plain

    table = pq.read_table(folder / DATA)
    columns = {key: np.array(table[key].to_pylist(), np.float64) for key in table.column_names}
    edit_json(
        folder, "meta/stats.json", lambda stats: stats.update({k: plain(feature_stats(v)) for k, v in columns.items()})
    )

    def rows(found: list[dict[str, Any]]) -> None:
        for row in found:
            for key, values in columns.items():
                inside = values[row["dataset_from_index"] : row["dataset_to_index"]]
                row.update({f"stats/{key}/{name}": value for name, value in plain(feature_stats(inside)).items()})

    edit_episodes(folder, rows)


def test_a_recording_is_clean(clean: Path) -> None:
    """Nothing drifts by a single bit, and everybody succeeds again."""
    report = check(clean)
    assert report.faults == [] and report.warnings == []
    assert report.replayed == report.episodes == 20
    assert report.recorded_success == report.replayed_success == 1.0
    assert {key: (drift.max, drift.episode) for key, drift in report.drift.items()} == {
        "observation.state": (0.0, None),
        "observation.goal": (0.0, None),
    }
    assert json.loads(json.dumps(report.as_dict(), allow_nan=False))["clean"] is True


def test_images_are_compared_within_what_coding_does(filmed: Path, tmp_path: Path) -> None:
    """Clean as recorded; films of other episodes aren't."""
    report = check(filmed)
    assert report.faults == []
    assert 0.0 < report.drift["observation.images.image"].max < 4.0
    copy = Path(shutil.copytree(filmed, tmp_path / "copy"))
    key = "videos/observation.images.image/from_timestamp"
    edit_episodes(copy, lambda rows: rows[2].update({key: rows[0][key]}))
    strayed = check(copy).drift["observation.images.image"]
    assert strayed.episode == 2 and strayed.max > 5.0


def test_failures_that_were_kept_fail_again(tmp_path: Path) -> None:
    """Success as recorded, not success, is what is wanted."""
    report = check(recorded(tmp_path / "d", episodes=14, keep=True))
    assert report.faults == [] and report.replayed_success == pytest.approx(12 / 14)


def shuffle(columns: Columns) -> None:
    """Actions of each episode in another order."""
    draw = np.random.default_rng(0)
    for start, stop in slices(columns):
        block = columns["action"][start:stop]
        columns["action"][start:stop] = [block[row] for row in draw.permutation(len(block))]


def late(columns: Columns) -> None:
    """Each action one frame after its own."""
    for start, stop in slices(columns):
        columns["action"][start:stop] = [columns["action"][start], *columns["action"][start : stop - 1]]


def early(columns: Columns) -> None:
    """Each action one frame before its own."""
    for start, stop in slices(columns):
        columns["action"][start:stop] = [*columns["action"][start + 1 : stop], columns["action"][stop - 1]]


def scale(columns: Columns) -> None:
    """Actions in another unit."""
    columns["action"][:] = [[0.5 * value for value in row] for row in columns["action"]]


@pytest.mark.parametrize("spoil", [shuffle, late, early, scale])
def test_actions_of_other_observations_drift(folder: Path, spoil: Callable[[Columns], None]) -> None:
    """Found in every episode by replay alone: form and statistics are in order, as after a faulty conversion."""
    edit_data(folder, spoil)
    restate(folder)
    open_dataset(folder)
    report = check(folder)
    assert kinds(report) == {"drift"}
    assert {fault.episode for fault in report.faults if fault.episode is not None} == set(range(20))
    drift = report.drift["observation.state"]
    assert drift.episode == 0 and drift.frame is not None and drift.frame >= 1 and drift.max > 0.01
    assert report.drift["observation.goal"].max == 0.0


def test_actions_that_are_late_by_a_frame_are_called_so(folder: Path, clean: Path, tmp_path: Path) -> None:
    """Moved back they fit; shuffled ones fit nowhere."""
    edit_data(folder, late)
    assert any("off by one: the actions look one frame late" in str(fault) for fault in check(folder).faults)
    other = Path(shutil.copytree(clean, tmp_path / "other"))
    edit_data(other, shuffle)
    assert not any("off by one" in str(fault) for fault in check(other).faults)


def test_actions_of_a_true_task_that_are_early_by_a_frame_are_called_so(tmp_path: Path) -> None:
    """An episode's first action is lost then; the fork's servos soon forget it, the toy never would."""
    module, task, folder = "haltere.sims.mujoco.fork.task", "haltere/ManipFork-v0", tmp_path / "fork"
    record(plan_recording(module, task, ForkConfig(), seed=0, episodes=3), folder)
    edit_data(folder, early)
    report = check_dataset(folder, module=module, task_id=task, env=ForkConfig())
    assert any("off by one: the actions look one frame early" in str(fault) for fault in report.faults)


def test_dropped_frames_are_found_even_where_the_rest_was_numbered_anew(folder: Path) -> None:
    """As they are, the counts are wrong; renumbered, the replay drifts from there and ends elsewhere."""
    lost = 5

    def drop(columns: Columns) -> None:
        for values in columns.values():
            del values[lost : lost + 2]

    edit_data(folder, drop)
    assert kinds(check(folder)) == {"counts"}

    def renumber(columns: Columns) -> None:
        columns["index"][:] = range(len(columns["index"]))
        for start, stop in slices(columns):
            columns["frame_index"][start:stop] = range(stop - start)
            columns["timestamp"][start:stop] = [frame / 20 for frame in range(stop - start)]

    def shorten(rows: list[dict[str, Any]]) -> None:
        rows[0]["length"] -= 2
        for number, row in enumerate(rows):
            row["dataset_to_index"] -= 2
            row["dataset_from_index"] -= 2 if number else 0

    edit_data(folder, renumber)
    edit_episodes(folder, shorten)
    edit_json(folder, "meta/info.json", lambda info: info.update(total_frames=info["total_frames"] - 2))
    restate(folder)
    open_dataset(folder)
    report = check(folder)
    assert kinds(report) == {"drift"} and {fault.episode for fault in report.faults} == {0}
    assert report.drift["observation.state"].frame == lost
    assert any("11 actions are recorded, and the world hasn't ended" in str(fault) for fault in report.faults)


@pytest.mark.parametrize("name", ["min", "max", "mean", "std", "count", "q01", "q50", "q99"])
def test_a_wrong_normaliser_is_found(folder: Path, name: str) -> None:
    """One statistic of one feature that isn't of this data."""

    def spoil(stats: dict[str, Any]) -> None:
        stats["action"][name] = [7] if name == "count" else [value + 0.01 for value in stats["action"][name]]

    edit_json(folder, "meta/stats.json", spoil)
    report = check(folder)
    assert kinds(report) == {"stats"} and len(report.faults) == 1
    assert report.faults[0].column == "action" and f", {name}" in str(report.faults[0])


def test_a_normaliser_of_another_dataset_is_found(folder: Path, tmp_path: Path) -> None:
    """The usual accident: statistics copied from a dataset of other episodes."""
    other = recorded(tmp_path / "other", episodes=24, seed=500)
    shutil.copy(other / "meta/stats.json", folder / "meta/stats.json")
    report = check(folder)
    assert {fault.column for fault in report.faults} == {"action", "observation.state", "observation.goal"}
    assert kinds(report) == {"stats"}


def test_wrong_statistics_of_one_episode_are_found(folder: Path) -> None:
    """In the episode table."""
    edit_episodes(folder, lambda rows: rows[4].update({"stats/action/mean": [0.3, 0.3]}))
    report = check(folder)
    assert [(fault.kind, fault.column, fault.episode) for fault in report.faults] == [("stats", "action", 4)]


def test_wrong_statistics_of_images_are_found(filmed: Path, tmp_path: Path) -> None:
    """Of a brighter camera."""
    copy = Path(shutil.copytree(filmed, tmp_path / "copy"))
    key = "observation.images.image"

    def brighter(stats: dict[str, Any]) -> None:
        stats[key]["mean"] = (np.array(stats[key]["mean"]) + 0.1).tolist()

    edit_json(copy, "meta/stats.json", brighter)
    assert [(fault.kind, fault.column) for fault in check(copy).faults] == [("stats", key)]


@pytest.mark.parametrize("bare", [False, True], ids=["ours", "without seeds and statistics"])
def test_a_film_that_is_damaged_inside_is_a_fault(bare: bool, filmed: Path, tmp_path: Path) -> None:
    """Its header is whole, so that nothing but decoding shows it; what takes no picture is still looked at."""
    copy = Path(shutil.copytree(filmed, tmp_path / "copy"))
    if bare:
        (copy / "meta/stats.json").unlink()
        edit_episodes(copy, lambda rows: [row.update({SEED: None}) for row in rows])
    edit_episodes(copy, lambda rows: rows[4].update({"stats/action/mean": [0.3, 0.3]}))
    film = next(copy.rglob("*.mp4"))
    data = bytearray(film.read_bytes())
    middle = len(data) // 2
    data[middle - 300 : middle + 300] = bytes(600)
    film.write_bytes(data)
    shown = open_dataset(copy)
    dark = [number for number in range(shown.frames) if not can_be_shown(shown, number)]
    episodes = {bisect_right([episode.start for episode in shown.episodes], number) - 1 for number in dark}
    first = shown.episodes[min(episodes)]

    report = check(copy)
    found = [(fault.kind, fault.column, fault.episode, fault.frame) for fault in report.faults]
    assert found == [("video", IMAGE, first.index, dark[0] - first.start), ("stats", "action", 4, None)]
    of = [episode.films[IMAGE].path for episode in shown.episodes].count(first.films[IMAGE].path)
    assert f"; {len(episodes)} of the film's {of} episodes can't be shown whole" in str(report.faults[0])
    assert any(warning.startswith("what takes pictures was left out") for warning in report.warnings)
    assert report.replayed == 0


def can_be_shown(dataset: Dataset, number: int) -> bool:
    """One frame."""
    try:
        dataset.images(IMAGE, [number])
    except DatasetFault:
        return False
    return True


def test_missing_statistics_are_a_warning(folder: Path) -> None:
    """LeRobot's reader does without; whoever normalises by them can't."""
    (folder / "meta/stats.json").unlink()
    report = check(folder)
    assert report.faults == [] and any("meta/stats.json is missing" in warning for warning in report.warnings)


def test_missing_sentences_are_called_so(folder: Path) -> None:
    """A whole file that isn't there."""
    (folder / "meta/tasks.parquet").unlink()
    assert [str(fault) for fault in check(folder).faults] == ["meta/tasks.parquet is missing"]


def test_what_the_reader_refuses_is_listed_whole(folder: Path) -> None:
    """NaN actions of three episodes, a missing column and a mixed frame rate in one report; nothing is played."""

    def spoil(columns: Columns) -> None:
        for row in (3, 20, 30):
            columns["action"][row] = [float("nan"), 0.0]
        columns["timestamp"][20] = 9.0
        del columns["observation.goal"]

    edit_data(folder, spoil)
    report = check(folder)
    found = [(fault.kind, fault.column, fault.episode, fault.frame) for fault in report.faults]
    assert sorted(found) == sorted(
        [
            ("columns", "observation.goal", 0, 0),
            ("values", "action", 0, 3),
            ("values", "action", 1, 7),
            ("frame_rate", "timestamp", 1, 7),
            ("values", "action", 2, 3),
        ]
    )
    assert report.replayed == 0 and "left out" in report.warnings[0]


def test_other_dimensions_than_the_tasks_are_named(clean: Path, tmp_path: Path) -> None:
    """An observation that the dataset lacks, and a dataset of another task."""
    copy = Path(shutil.copytree(clean, tmp_path / "copy"))
    edit_json(copy, "meta/info.json", lambda info: info["haltere"]["env"].update(camera=True))
    report = check(copy)
    assert [(fault.kind, fault.column) for fault in report.faults] == [("shape", "observation.images.image")]
    edit_json(copy, "meta/info.json", lambda info: info["haltere"].update(task="toy/Other-v0"))
    report = check(copy)
    assert [fault.kind for fault in report.faults] == ["task"]
    assert "was recorded in toy/Other-v0" in str(report.faults[0])


def test_a_dataset_of_others_is_held_against_the_task(tmp_path: Path) -> None:
    """Its action fits, its state doesn't, and the goal is missing."""
    others(tmp_path / "d")
    report = check(tmp_path / "d")
    assert [(fault.column, fault.kind) for fault in report.faults] == [
        ("observation.goal", "shape"),
        ("observation.state", "shape"),
    ]
    assert "has shape [3], task toy/Point-v0 has [4]" in str(report.faults[1])


def test_quantiles_of_others_may_be_bounds(tmp_path: Path) -> None:
    """The published recorder keeps estimates: only what lies outside the data is wrong."""
    dataset = others(tmp_path / "d")
    edit_json(tmp_path / "d", "meta/stats.json", lambda stats: stats["action"].update(q10=stats["action"]["min"]))
    assert list(statistics(open_dataset(tmp_path / "d"))) == []
    low = (dataset.stats["action"]["min"] - 1.0).tolist()
    edit_json(tmp_path / "d", "meta/stats.json", lambda stats: stats["action"].update(q10=low))
    assert ["q10 lies outside" in str(fault) for fault in statistics(open_dataset(tmp_path / "d"))] == [True]


def test_episodes_that_come_twice_are_found(folder: Path) -> None:
    """Number for number; and by their seed alone."""

    def twice(columns: Columns) -> None:
        (first, stop), *rest = slices(columns)
        again = next(start for start, end in rest if end - start == stop - first)
        for key in ("action", "observation.state", "observation.goal", "task_index"):
            columns[key][again : again + stop - first] = columns[key][first:stop]

    edit_data(folder, twice)
    restate(folder)
    report = check(folder)
    assert [fault.episode for fault in report.faults if fault.kind == "duplicate"] == [5]
    assert kinds(report) == {"duplicate", "drift"}


def test_a_success_that_was_none_is_found(folder: Path) -> None:
    """Recorded as one, on replay it isn't."""
    edit_json(folder, "meta/info.json", lambda info: info["haltere"]["env"].update(failing=1))
    report = check(folder)
    assert kinds(report) == {"success"} and len(report.faults) == 20
    assert (report.recorded_success, report.replayed_success) == (1.0, 0.0)


def test_dull_actions_are_warned_of(folder: Path) -> None:
    """One that never changes, one that mostly lies at its bound; a warning, because both may be meant."""

    def dull(columns: Columns) -> None:
        rows = len(columns["action"])
        columns["action"][:] = [[0.25, 1.0 if row % 3 else 0.0] for row in range(rows)]

    edit_data(folder, dull)
    restate(folder)
    assert dull_actions(open_dataset(folder), Point(PointConfig(), 1)) == [
        "action[0] is 0.25 in every frame",
        "action[1] is at a bound in 67% of the frames",
    ]


def test_no_dataset_at_all_is_a_wrong_request(tmp_path: Path) -> None:
    """Not a fault of it."""
    with pytest.raises(RequestError, match="isn't a LeRobot dataset"):
        check(tmp_path)
