"""From demonstrations to a file that flies, by the command line: and what is refused before anything is learned."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from safetensors.numpy import load_file

from haltere.agents.cli import main as entry
from haltere.deploy.runtime.actor import OnnxActor
from haltere.deploy.runtime.chunks import ChunkActor, in_its_loop
from tests.sims.datasets.toys import edit_data, edit_episodes, edit_json

TINY = {
    "diffusion": ("--policy.width", "16", "--policy.layers", "1", "--policy.refinements", "3"),
    "regression": ("--policy.type", "regression", "--policy.width", "16"),
}
SHORT = ("--trainer.total-steps", "30", "--trainer.iteration", "10", "--trainer.checkpoint-every", "10")


class Outcome(NamedTuple):
    """Exit code and what was printed."""

    code: int
    out: str
    err: str


Haltere = Callable[..., Outcome]


@pytest.fixture
def haltere(capsys: pytest.CaptureFixture[str]) -> Haltere:
    """Run a command in this process."""

    def call(*words: str | Path) -> Outcome:
        code = entry.main([str(word) for word in words])
        return Outcome(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve episodes of the fork; not to be changed."""
    folder = tmp_path_factory.mktemp("demos") / "fork"
    assert entry.main(["demos", "manip-fork", "--out", str(folder), "--episodes", "12"]) == 0
    return folder


@pytest.fixture
def own(tmp_path: Path, haltere: Haltere) -> Path:
    """Four episodes of them, to be damaged."""
    folder = tmp_path / "own"
    assert haltere("demos", "manip-fork", "--out", folder, "--episodes", "4").code == 0
    return folder


@pytest.mark.parametrize("kind", TINY)
def test_from_demonstrations_to_a_file_that_flies(kind: str, demos: Path, tmp_path: Path, haltere: Haltere) -> None:
    """Training shows success in the task, and torch and ONNX Runtime fly alike."""
    run = tmp_path / "run"
    options = ("--trainer.demos", demos, "--trainer.rollout-every", "20", "--trainer.rollout-episodes", "4")
    made = haltere("train", "manip-fork", "--out", run, "--threads", "1", *TINY[kind], *SHORT, *options)
    assert made.code == 0, made.err
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["steps"] for row in rows] == [10, 20, 30]
    assert ["episode/success" in row for row in rows] == [False, True, True]
    assert all({"train/loss", "held_out/loss", "train/grad_norm"} <= row.keys() for row in rows)
    # The last one was of what is kept, in episodes that neither demonstrations nor evaluations have.
    words = ("--actor", run, "--seed", "800000", "--episodes", "4", "--json", "-")
    tried = json.loads(haltere("eval", "manip-fork", *words).out)["metrics"]
    for name in ("steps", "block_error_m"):
        assert rows[-1][f"episode/{name}"] == pytest.approx(tried[name]["mean"], rel=1e-6)
    assert haltere("export", "manip-fork", "--actor", run, "--out", tmp_path / "file").code == 0
    reports = {}
    for runtime, actor in (("torch", run), ("onnx", tmp_path / "file")):
        done = haltere("eval", "manip-fork", "--actor", actor, "--runtime", runtime, "--episodes", "6", "--json", "-")
        assert done.code == 0, done.err
        reports[runtime] = json.loads(done.out)["per_episode"]
    np.testing.assert_allclose(reports["torch"]["block_error_m"], reports["onnx"]["block_error_m"], atol=1e-3)
    assert reports["torch"]["steps"] == reports["onnx"]["steps"]


def test_a_run_that_was_stopped_ends_with_the_same_bits(demos: Path, tmp_path: Path, haltere: Haltere) -> None:
    """Twenty of thirty updates, then the rest in a trainer of its own."""
    options = (*TINY["diffusion"], *SHORT, "--trainer.demos", demos, "--trainer.rollout-every", "0")
    assert haltere("train", "manip-fork", "--out", tmp_path / "whole", *options).code == 0
    assert haltere("train", "manip-fork", "--out", tmp_path / "part", *options).code == 0
    # As a kill after the second checkpoint leaves it.
    for name in ("policy.safetensors", "checkpoints/30/trainer.json"):
        (tmp_path / "part" / name).unlink()
    resumed = haltere("train", "--resume", tmp_path / "part")
    assert resumed.code == 0 and "from step 20" in resumed.err
    weights = [load_file(tmp_path / name / "policy" / "policy.safetensors") for name in ("whole", "part")]
    for name, array in weights[0].items():
        np.testing.assert_array_equal(array, weights[1][name])


def test_settings_are_those_of_the_actors_own_kind(demos: Path, tmp_path: Path, haltere: Haltere) -> None:
    """The task's file has a diffusion policy; a regression's settings are known where it is the actor."""
    run = tmp_path / "run"
    options = ("--trainer.demos", demos, "--trainer.rollout-every", "0")
    assert haltere("train", "manip-fork", "--out", run, *TINY["regression"], *SHORT, *options).code == 0
    done = haltere("eval", "manip-fork", "--actor", run, "--episodes", "2", "--policy.executed", "16")
    assert done.code == 0 and "with policy.executed=16" in done.out
    wrong = haltere("eval", "manip-fork", "--actor", run, "--episodes", "2", "--policy.refinements", "4")
    assert wrong.code == 2 and "no option --policy.refinements" in wrong.err
    help_text = haltere("eval", "manip-fork", "--actor", run, "--help").out
    assert "--policy.executed" in help_text and "--policy.refinements" not in help_text


def test_a_chunk_is_flown_by_the_control_loop(demos: Path, tmp_path: Path, haltere: Haltere) -> None:
    """``haltere run`` gives one step's observation, and the loop around the file does the rest."""
    run, file = tmp_path / "run", tmp_path / "file"
    options = ("--trainer.demos", demos, "--trainer.rollout-every", "0")
    assert haltere("train", "manip-fork", "--out", run, *TINY["diffusion"], *SHORT, *options).code == 0
    assert haltere("export", "manip-fork", "--actor", run, "--out", file).code == 0
    assert isinstance(in_its_loop(OnnxActor(file)), ChunkActor)
    shown = haltere("run", file, "--contract").out
    assert "obs.state (12,)" in shown and "obs.noise" not in shown
    flown = haltere("run", file, "--seconds", "2", "--json", tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert flown.code in (0, 1), flown.err  # a busy machine may miss a deadline, and the command then says so
    happened = {name for name, count in report["outcomes"].items() if count}
    assert "good" in happened and happened <= {"good", "late", "stopped"}
    header = haltere("run", file, "--cpp", tmp_path / "policy_contract.hpp")
    assert header.code == 2 and "a policy that plans chunks flies with the Python loop" in header.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--trainer.demos", "nowhere"), "nowhere: no such folder; haltere demos TASK records some"),
        (("--trainer.episodes", "13"), "has 12 episodes, and 13 are asked for"),
        (("--policy.executed", "17"), "policy.executed: must be at most policy.horizon 16, got 17"),
        (("--policy.type", "memory"), "imitation trains policies that plan a chunk of commands"),
        (("--trainer.type", "ppo"), "ppo learns from reward, command by command"),
    ],
)
def test_what_does_not_fit_is_refused(
    words: tuple[str, ...], says: str, demos: Path, tmp_path: Path, haltere: Haltere
) -> None:
    """In a sentence, and without leaving a run behind."""
    rest = () if "--trainer.demos" in words or "ppo" in words else ("--trainer.demos", demos)
    done = haltere("train", "manip-fork", "--out", tmp_path / "run", *words, *rest)
    assert done.code == 2 and says in done.err, done.err
    assert not (tmp_path / "run").exists()


def test_a_swarm_is_not_imitated(tmp_path: Path, haltere: Haltere) -> None:
    """Its demonstrations have an axis more."""
    words = ("--policy.type", "regression", "--trainer.type", "imitation")
    done = haltere("train", "swarm", "--out", tmp_path / "run", *words)
    assert done.code == 2 and "imitation trains one agent, and haltere/SwarmForest-v0 has a swarm" in done.err


def test_other_demonstrations_than_the_tasks_are_refused(tmp_path: Path, haltere: Haltere) -> None:
    """By the column that is missing."""
    folder = tmp_path / "rooms"
    short = ("--env.delay", "8", "--env.boxes", "3")
    assert haltere("demos", "memory-rooms", "--out", folder, "--episodes", "2", *short).code == 0
    done = haltere("train", "manip-fork", "--trainer.demos", folder, "--out", tmp_path / "run")
    assert done.code == 2 and "column 'observation.state' is missing" in done.err


def test_what_is_damaged_is_named(own: Path, tmp_path: Path, haltere: Haltere) -> None:
    """Column, episode and frame, before training starts: a NaN, a column that is gone, a rate of its own."""

    def refused() -> str:
        done = haltere("train", "manip-fork", "--trainer.demos", own, "--out", tmp_path / "run")
        assert done.code == 2
        assert not (tmp_path / "run").exists()
        return done.err

    def poison(columns: dict[str, list[Any]]) -> None:
        columns["action"][3] = [0.0, float("nan")]

    before = {path: path.read_bytes() for path in own.rglob("*") if path.is_file()}
    edit_data(own, poison)
    assert "episode 0, frame 3" in (said := refused()) and "action[1] is nan" in said
    for path, content in before.items():
        path.write_bytes(content)
    edit_data(own, lambda columns: columns.pop("action"))
    assert "action" in refused()
    for path, content in before.items():
        path.write_bytes(content)
    edit_json(own, "meta/info.json", lambda info: info["features"]["observation.state"].update(fps=30))
    assert "observation.state" in refused()


def test_a_policy_is_trained_by_what_can_judge_it(tmp_path: Path, haltere: Haltere) -> None:
    """A trainer by reward can't tell which command of a chunk was good."""
    words = ("--policy.type", "regression", "--trainer.type", "recurrent_ppo")
    done = haltere("train", "memory-rooms", "--out", tmp_path / "run", *words)
    assert done.code == 2 and "recurrent_ppo learns from reward, command by command" in done.err


def test_what_would_be_learned_wrongly_is_refused(own: Path, tmp_path: Path, haltere: Haltere) -> None:
    """Another task with the same shapes, a command out of bounds, an episode in which the policy will be tried."""

    def refused(folder: Path) -> str:
        done = haltere("train", "manip-fork", "--trainer.demos", folder, "--out", tmp_path / "run")
        assert done.code == 2
        return done.err

    def beyond(columns: dict[str, list[Any]]) -> None:
        columns["action"][3] = [0.0, 1.5]

    def elsewhere(info: dict[str, Any]) -> None:
        info["haltere"]["task"] = "haltere/Other-v0"

    edit_data(own, beyond)
    assert "episode 0, frame 3: action[1] is 1.5; commands of haltere/ManipFork-v0 lie in [-1, 1]" in refused(own)
    edit_json(own, "meta/info.json", elsewhere)
    assert "holds demonstrations of haltere/Other-v0, not of haltere/ManipFork-v0" in refused(own)
    tried = tmp_path / "tried"
    assert haltere("demos", "manip-fork", "--out", tried, "--episodes", "2").code == 0

    def later(episodes: list[dict[str, Any]]) -> None:
        episodes[1]["haltere/seed"] = 800_000

    edit_episodes(tried, later)
    assert "episode 1 is of seed 800000; from 800000 on, policies are tried" in refused(tried)
