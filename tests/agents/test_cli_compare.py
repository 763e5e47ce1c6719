"""haltere compare reads two reports, and says what is wrong with one."""

import json
from pathlib import Path
from typing import Any

import pytest

from haltere.agents.cli.main import main


@pytest.fixture
def reports(tmp_path: Path) -> tuple[Path, Path]:
    """Of an expert and of random commands, on the same seeds."""
    paths = tmp_path / "expert.json", tmp_path / "random.json"
    for path, actor in zip(paths, ("expert", "random"), strict=True):
        assert main(["eval", "manip-fork", "--actor", actor, "--episodes", "12", "--json", str(path)]) == 0
    return paths


def test_two_evaluations_are_compared(reports: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Every metric, success first, as a table and as JSON."""
    words = ["compare", *map(str, reports)]
    capsys.readouterr()
    assert main(words) == 0
    table = capsys.readouterr().out
    assert "the same 12 seeds, paired" in table
    assert "A: expert" in table
    assert main([*words, "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    first, *rest = found["metrics"].items()
    assert first[0] == "success"
    assert first[1]["difference"]["mean"] == pytest.approx(first[1]["b"] - first[1]["a"])
    assert first[1]["probability"] < 0.001
    assert {name for name, _ in rest} >= {"broke", "steps"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda report: report.pop("seeds"), "'seeds' is missing"),
        (lambda report: report.update(seeds=[1] * 12), "different whole numbers"),
        (lambda report: report["per_episode"]["steps"].pop(), "'per_episode.steps' must be"),
        (lambda report: report["per_episode"].update(success=[True] * 12), "'per_episode.success' must be"),
        (lambda report: report.update(task="ballet"), "manip-fork and ballet"),
    ],
)
def test_a_wrong_report_gets_a_sentence(
    change: Any,  # noqa: ANN401 -- a function that changes a report
    said: str,
    reports: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It names what is wrong, and the exit code is that of a wrong request."""
    broken = json.loads(reports[1].read_text())
    change(broken)
    reports[1].write_text(json.dumps(broken))
    assert main(["compare", *map(str, reports)]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name two reports"),
        (["a.json"], "name two reports"),
        (["a.json", "b.json"], "no such file"),
        (["a.json", "b.json", "--jsn"], "--json"),
    ],
)
def test_a_wrong_request_gets_a_sentence(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Two files, and nothing else."""
    assert main(["compare", *words]) == 2
    assert said in capsys.readouterr().err


def test_what_isnt_json_is_said(reports: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Text, a number, and JSON with NaN, which no report has."""
    report = json.loads(reports[0].read_text())
    steps = report["per_episode"]["steps"]
    endless, huge = (
        json.dumps({**report, "per_episode": {"steps": [0.0, *steps[1:]]}}).replace("[0.0", f"[{value}")
        for value in ("NaN", "1e999")
    )
    deep = "[" * 200_000
    finite = "'per_episode.steps' must be a finite number"
    wrong = [("x", "not JSON"), (deep, "not JSON"), ("3", "isn't an object"), (endless, finite), (huge, finite)]
    for text, said in wrong:
        reports[0].write_text(text)
        assert main(["compare", *map(str, reports)]) == 2
        assert said in capsys.readouterr().err
