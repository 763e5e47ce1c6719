"""The tour ends in one page of measured numbers, or in one sentence."""

import functools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from haltere.agents import demo
from haltere.agents.cli.main import main
from haltere.agents.demo import FILM_NAME, REPORT_NAME, Recorder, Tour, tour
from haltere.agents.recipe import Recipe, resolve, to_yaml
from haltere.deploy.bench import bench
from haltere.deploy.card import CARD_NAME, Card, write_card
from haltere.deploy.curve import CURVE_NAME
from haltere.deploy.runtime.actor import MODEL_NAME
from haltere.deploy.store import write_folder
from haltere.deploy.weights import CONFIG_NAME, WEIGHTS_NAME, save_weights, weights_digest
from haltere.policies.base import Signature
from haltere.policies.registry import build_policy
from haltere.sims.actor import ArrayTree, BoolArray
from haltere.sims.mujoco.swarm.backdrop import RENDERER_VARIABLE

SIGNATURE = Signature({"self": (19,), "neighbour": (2, 6), "obstacle": (9,)}, 4)


@pytest.fixture
def recipe() -> Recipe:
    """Two drones, one second."""
    return resolve("swarm", {"env.drones": 2, "env.density": 0.05, "env.episode_s": 1.0, "policy.width": 10})


@pytest.fixture
def trained(recipe: Recipe, tmp_path: Path) -> Path:
    """A policy folder; nobody trained it, which the tour doesn't mind."""
    policy = build_policy(recipe.policy, SIGNATURE, seed=0)
    card = Card(recipe.task_id, "swarm", 1204, weights_digest(policy), "haltere train swarm", 5, 1000, 61.0)

    def fill(folder: Path) -> None:
        save_weights(policy, folder / WEIGHTS_NAME)
        (folder / CONFIG_NAME).write_text(to_yaml(recipe))
        (folder / CURVE_NAME).write_text('{"steps": 1, "episode/success": 0.1}\n{"steps": 2, "episode/success": 0.5}\n')
        write_card(card, folder / CARD_NAME)

    write_folder(tmp_path / "trained", fill)
    return tmp_path / "trained"


def test_the_tour_ends_in_a_page(
    recipe: Recipe, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Export, proof, flights, film, timings and the page, each stage announced; the page shows what was measured."""
    monkeypatch.setenv(RENDERER_VARIABLE, "tiny")
    monkeypatch.setattr(demo, "bench", functools.partial(bench, names=("ort_io_binding", "torch_eager")))
    monkeypatch.setattr(demo, "BENCH_CALLS", 100)
    said: list[str] = []
    out = tmp_path / "new" / "demo"
    path = tour(Tour(recipe, str(trained), out, episodes=2, seed=900_000, threads=1, say=said.append))
    assert path == out / REPORT_NAME
    made = {entry.name for entry in out.iterdir()}
    assert made == {MODEL_NAME, FILM_NAME, REPORT_NAME, "eval-onnx.json", "eval-torch.json", "bench.json"}
    assert [line[:5] for line in said if line.startswith("[")] == [f"[{i}/5]" for i in range(1, 6)]
    flown = json.loads((out / "eval-onnx.json").read_text())
    page = path.read_text()
    assert flown["episodes"] == 2
    assert f"{flown['success']['mean']:.3f}" in page
    assert "haltere train swarm" in page
    headings = re.findall("<h2>(.*?)</h2>", page)
    assert headings == [
        "Measured",
        "What a drone attends to",
        "Training",
        "The exported file",
        "Latency",
        "Reproduce it",
    ]


def test_without_a_policy_one_sentence_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and nothing is made."""
    monkeypatch.setattr(demo, "zoo_names", list)
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert "haltere train swarm" in told.err
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--episodes", "0"], "episodes"),
        (["--episode", "3"], "did you mean --episodes"),
        (["--actor", "nowhere"], "no actor 'nowhere'"),
    ],
)
def test_a_wrong_request_is_told(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In one sentence, exit code 2."""
    assert main(["demo", *words]) == 2
    assert message in capsys.readouterr().err


class Attentive:
    """Attends more and more to neighbours, the second agent faster."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.steps = 0

    def reset(self, mask: BoolArray | None = None) -> None:
        """Nothing to forget."""

    def act(self, obs: ArrayTree) -> ArrayTree:
        """Two worlds of two agents."""
        self.steps += 1
        share = np.array([0.1, 0.2, 0.3, 0.4]) * self.steps
        return {"action": np.zeros((4, 4), np.float32), "attention": np.column_stack([share, 1 - share])}


def test_the_recorder_keeps_the_first_episode_of_the_first_world() -> None:
    """Two agents of four lanes, until they are told to forget; the one whose attention varied more is shown."""
    recorder = Recorder(Attentive(), agents=2)
    obs = {"self": np.zeros((4, 19)), "neighbour": np.ones((4, 2, 6)), "obstacle": np.full((4, 9), 7.0)}
    recorder.reset()
    for _ in range(3):
        recorder.act(obs)
    recorder.reset(np.array([False, False, True, True]))  # the other world's episode
    recorder.act(obs)
    recorder.reset(np.array([True, True, False, False]))
    recorder.act(obs)
    trace = recorder.trace(0.01)
    assert trace is not None
    assert trace.agent == "drone 2"
    np.testing.assert_allclose(trace.share, [0.2, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(trace.time_s, [0.0, 0.01, 0.02, 0.03])
    np.testing.assert_allclose(trace.context["nearest neighbour [m]"], np.sqrt(3))
    np.testing.assert_allclose(trace.context["nearest cylinder [m]"], 3.0)


def test_an_actor_without_attention_has_no_trace() -> None:
    """Nothing is made up."""

    class Plain(Attentive):
        def act(self, obs: ArrayTree) -> ArrayTree:
            return {"action": np.zeros((4, 4), np.float32)}

    recorder = Recorder(Plain(), agents=2)
    recorder.reset()
    recorder.act({"neighbour": np.ones((4, 2, 6)), "obstacle": np.ones((4, 9))})
    assert recorder.trace(0.01) is None
