"""A plugin adds a policy and a task without a fork: installed, listed, trained, resumed, exported and flown."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def haltere(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The command line of an environment in which the plugin is installed, run in a folder of its own."""
    folder = tmp_path_factory.mktemp("plugin")
    # A copy, because setuptools builds inside the source tree.
    project = shutil.copytree(Path(__file__).parent / "project", folder / "project")
    target = folder / "site"
    options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check")
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", target, project], check=True)
    path = os.pathsep.join([str(target), *filter(None, [os.environ.get("PYTHONPATH")])])

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "haltere.agents.cli.main", *words]
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    return run


def test_a_plugin_is_listed(haltere: Run) -> None:
    """Its task with simulator and period, and its policy, beside ours."""
    listing = json.loads(haltere("list", "--json", "-").stdout)
    entry = next(task for task in listing["tasks"] if task["name"] == "pointmass")
    assert (entry["id"], entry["sim"], entry["ctrl_dt_s"]) == ("pointmass/Reach-v0", "numpy", 0.1)
    assert {"straight", "swarm"} <= set(listing["policies"])


def test_a_plugins_settings_are_typed(haltere: Run) -> None:
    """Its YAML and its dataclasses get the same sentences as ours."""
    done = haltere("train", "pointmass", "--policy.gain", "-1")
    assert (done.returncode, done.stderr) == (2, "--policy.gain: must be more than 0, got -1\n")
    done = haltere("train", "pointmas")
    assert (done.returncode, done.stderr.startswith("no task named 'pointmas'; did you mean 'pointmass'?")) == (2, True)


def test_a_plugin_is_trained_exported_and_flown(haltere: Run) -> None:
    """``train``, ``eval`` in torch, ``export`` and ``eval`` in ONNX need nothing but the two entry points."""
    trained = haltere("train", "pointmass", "--out", "run", "--seed", "5")
    assert trained.returncode == 0, trained.stderr
    reports = {}
    exported = haltere("export", "pointmass", "--actor", "run", "--out", "exported")
    assert exported.returncode == 0, exported.stderr
    for runtime, actor in (("torch", "run"), ("onnx", "exported")):
        done = haltere(
            *("eval", "pointmass", "--actor", actor, "--runtime", runtime, "--episodes", "20", "--json", "-")
        )
        assert done.returncode == 0, done.stderr
        reports[runtime] = json.loads(done.stdout)
    assert reports["torch"]["metrics"]["distance_m"]["mean"] == pytest.approx(
        reports["onnx"]["metrics"]["distance_m"]["mean"], abs=1e-5
    )
    assert reports["torch"]["success"] == reports["onnx"]["success"]
    again = haltere("train", "pointmass", "--resume", "run", "--trainer.total-steps", "640")
    assert again.returncode == 0, again.stderr
