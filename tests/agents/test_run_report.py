"""A finished training leaves a page that says what was trained, and how to go on."""

from pathlib import Path

import pytest

from haltere.agents.cli.main import main


def test_a_finished_run_has_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``train`` names the page; it holds the command, the steps, the curve, and refers to nothing outside itself."""
    run = tmp_path / "run"
    small = "--env.drones 2 --env.episode-s 1 --trainer.worlds 4 --trainer.rollout-steps 8 --trainer.batch-size 32"
    words = ["train", "swarm", "--out", str(run), "--seed", "3", "--trainer.total-steps", "2000", *small.split()]
    assert main(words) == 0
    assert f"report: {run / 'report.html'}" in capsys.readouterr().out
    page = (run / "report.html").read_text(encoding="utf-8")
    for shown in ("haltere train swarm --out", "--seed 3", "2,048 agent steps", "haltere eval swarm --actor", "<svg"):
        assert shown in page
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page
