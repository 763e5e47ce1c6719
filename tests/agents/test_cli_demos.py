"""``haltere demos``: record, check, and say in a sentence what can't be done."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from haltere.agents.cli import main as entry
from haltere.sims.datasets.reader import open_dataset
from tests.sims.datasets.toys import edit_data, edit_json

SHORT = ("--env.delay", "8", "--env.boxes", "3", "--env.distractors", "0")


class Outcome(NamedTuple):
    """Exit code and what was printed."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def demos(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``haltere demos`` in this process."""

    def call(*words: str) -> Outcome:
        code = entry.main(("demos", *words))
        return Outcome(code, *capsys.readouterr())

    return call


def test_recorded_where_training_looks_for_it(demos: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no folder is given."""
    monkeypatch.chdir(tmp_path)
    assert demos("memory-rooms", "--episodes", "1", *SHORT).code == 0
    assert open_dataset(tmp_path / "demos" / "memory-rooms").episodes[0].seed == 0


def test_recorded_then_checked(demos: Run, tmp_path: Path) -> None:
    """Memory-rooms, with settings of its own, which the check takes from the dataset; then its actions are shuffled."""
    folder = tmp_path / "rooms"
    done = demos("memory-rooms", "--out", str(folder), "--episodes", "18", "--seed", "5", *SHORT, "--json", "-")
    facts = json.loads(done.out)
    assert done.code == 0 and "recording 18 episodes" in done.err
    assert (facts["task"], facts["episodes"], facts["played"]) == ("memory-rooms", 18, 18)
    dataset = open_dataset(folder)
    assert facts["frames"] == dataset.frames == facts["steps"]
    assert [episode.seed for episode in dataset.episodes] == list(range(5, 23))
    assert dataset.ours is not None and dataset.ours["env"]["boxes"] == 3 and dataset.info.fps == 5.0
    assert dataset.tasks == ("haltere/MemoryRooms-v0",)

    again = demos("memory-rooms", "--out", str(folder), "--episodes", "18", "--seed", "5", *SHORT)
    assert again.code == 0 and "18 of 18 episodes" in again.out and "steps in" not in again.out

    clean = demos("memory-rooms", "--check", str(folder))
    assert clean.code == 0 and clean.out.endswith("clean\n") and "success 1.000, recorded 1.000" in clean.out

    def reverse(columns: dict[str, list[Any]]) -> None:
        columns["action"].reverse()

    edit_data(folder, reverse)
    spoilt = demos("memory-rooms", "--check", str(folder), "--json", str(tmp_path / "report.json"))
    report = json.loads((tmp_path / "report.json").read_text())
    assert spoilt.code == 1 and "fault: episode" in spoilt.out
    assert report["clean"] is False and {"drift", "stats"} <= {fault["kind"] for fault in report["faults"]}
    assert report["drift"]["observation.self"]["episode"] == 0


def test_a_recording_that_is_stopped_says_how_it_goes_on(
    demos: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leaves as whatever is interrupted does."""

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("haltere.sims.datasets.record.record", stopped)
    done = demos("memory-rooms", "--out", str(tmp_path / "rooms"), "--episodes", "2", *SHORT)
    assert done.code == 130 and done.err.endswith("the same command goes on\ninterrupted\n")


def test_a_fault_of_the_form_leaves_with_one(demos: Run, tmp_path: Path) -> None:
    """And with its place; a folder without a dataset was a wrong request."""
    folder = tmp_path / "rooms"
    assert demos("memory-rooms", "--out", str(folder), "--episodes", "2", *SHORT).code == 0

    def spoil(columns: dict[str, list[Any]]) -> None:
        columns["action"][3] = [float("nan")] * 8

    edit_data(folder, spoil)
    checked = demos("memory-rooms", "--check", str(folder), "--json", "-")
    fault = json.loads(checked.out)["faults"][0]
    assert checked.code == 1
    assert {key: fault[key] for key in ("kind", "column", "episode", "frame")} == {
        "kind": "values",
        "column": "action",
        "episode": 0,
        "frame": 3,
    }
    edit_json(folder, "meta/info.json", lambda info: info.update(codebase_version="v2.1"))
    old = demos("memory-rooms", "--check", str(folder))
    assert old.code == 1 and "fault: meta/info.json: codebase_version must be v3.0, got v2.1" in old.out
    assert demos("memory-rooms", "--check", str(tmp_path)).code == 2
    assert demos("ballet", "--check", str(folder)).code == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--out", "{}/a", "--seed", "799999", "--episodes", "2"), "reach into those that policies are tried"),
        (("--out", "{}/a", "--seed", "-1"), "--seed"),
        (("--out", "{}/a", "--workers", "0"), "--workers"),
        (("--out", "{}/a", "--worker", "2"), "did you mean --workers"),
        (("--out", "{}/a", "--policy.width", "2"), "belongs to haltere train"),
        (("--out", "{}/file"), "must be a folder"),
        (("--out", "{}"), "holds other files"),
        (("--out", "{}/a", "--check", "{}/a"), "--out: records, and --check looks at what was recorded; drop one"),
        (("--check", "{}/a", "--episodes", "3"), "--episodes: has no meaning beside --check"),
        (("--check", "{}/a", "--keep-failures"), "--keep-failures: has no meaning beside --check"),
        (("--check", "{}/a"), "isn't a LeRobot dataset"),
        (("--check", "{}/a", "--tolerance", "0"), "--tolerance"),
    ],
)
def test_a_wrong_request_is_one_sentence(demos: Run, tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    """Exit code 2, one line, nothing written."""
    (tmp_path / "file").write_text("mine")
    done = demos("memory-rooms", *(word.format(tmp_path) for word in words))
    assert done.code == 2 and sentence in done.err and done.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_task_without_an_expert_says_so(demos: Run, tmp_path: Path) -> None:
    """The swarm's experts are trained."""
    done = demos("swarm", "--out", str(tmp_path / "swarm"), "--episodes", "1")
    assert done.code == 2 and "has no expert" in done.err


def test_help_lists_options_and_the_tasks_settings(demos: Run) -> None:
    """The verb's own, and ``--env.*``."""
    shown = demos("memory-rooms", "--help")
    assert shown.code == 0
    assert all(option in shown.out for option in ("--out", "--workers", "--keep-failures", "--check", "--env.delay"))
    assert "--policy." not in shown.out
