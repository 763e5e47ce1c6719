"""A plugin adds a policy and a task without a fork: installed, listed, trained, resumed, exported and flown."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

SEVERAL = (
    "import json, sys; from haltere.agents.cli.main import main;"
    "sys.exit(next((code for code in map(main, json.loads(sys.argv[1])) if code), 0))"
)
"""Runs commands one after the other in one process, which imports torch once, up to the first that fails."""


class Plugged(NamedTuple):
    """An environment in which the plugin is installed, and a folder to work in."""

    folder: Path
    site: Path

    def haltere(self, *commands: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        """Run commands in a fresh process."""
        path = os.pathsep.join([str(self.site), *filter(None, [os.environ.get("PYTHONPATH")])])
        return subprocess.run(
            [sys.executable, "-c", SEVERAL, json.dumps(commands)],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def plugged(tmp_path_factory: pytest.TempPathFactory) -> Plugged:
    """The plugin, installed by pip beside the packages of this environment, which it leaves alone."""
    folder = tmp_path_factory.mktemp("plugin")
    # A copy, because setuptools builds inside the source tree.
    project = shutil.copytree(Path(__file__).parent / "project", folder / "project")
    options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check")
    site = folder / "site"
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", site, project], check=True)
    return Plugged(folder, site)


def test_a_plugin_is_listed(plugged: Plugged) -> None:
    """Its task with simulator and period, and its policy, beside ours."""
    listing = json.loads(plugged.haltere(["list", "--json", "-"]).stdout)
    entry = next(task for task in listing["tasks"] if task["name"] == "pointmass")
    assert (entry["id"], entry["sim"], entry["ctrl_dt_s"]) == ("pointmass/Reach-v0", "numpy", 0.1)
    assert {"straight", "swarm"} <= set(listing["policies"])


def test_a_plugins_settings_are_typed(plugged: Plugged) -> None:
    """Its YAML and its dataclasses get the same sentences as ours."""
    done = plugged.haltere(["train", "pointmass", "--policy.gain", "-1"])
    assert (done.returncode, done.stderr) == (2, "--policy.gain: must be more than 0, got -1\n")


def test_a_plugin_is_trained_resumed_exported_and_flown(plugged: Plugged) -> None:
    """``train``, ``--resume``, ``export`` and ``eval`` in torch and ONNX need nothing but the two entry points."""
    fly = ("eval", "pointmass", "--episodes", "20")
    done = plugged.haltere(
        ["train", "pointmass", "--out", "run", "--seed", "5", "--threads", "1"],
        ["train", "pointmass", "--resume", "run", "--trainer.total-steps", "640"],
        ["export", "pointmass", "--actor", "run", "--out", "exported"],
        [*fly, "--actor", "run", "--json", "torch.json"],
        [*fly, "--actor", "exported", "--runtime", "onnx", "--json", "onnx.json"],
    )
    assert done.returncode == 0, done.stderr
    torch, onnx = (json.loads((plugged.folder / f"{name}.json").read_text()) for name in ("torch", "onnx"))
    assert torch["success"] == onnx["success"]
    distance, again = torch["metrics"]["distance_m"]["mean"], onnx["metrics"]["distance_m"]["mean"]
    assert distance == pytest.approx(again, abs=1e-5)
    card = json.loads((plugged.folder / "exported" / "card.json").read_text())
    assert (card["policy"], card["seed"], card["steps"]) == ("straight", 5, 640)
