"""The zoo's policies for hands: from the demonstrations that the documents name, and still what their cards say."""

import json
from pathlib import Path

import pytest

from haltere.agents.cli import main as entry
from haltere.agents.imitation.demonstrations import load
from haltere.deploy.zoo import zoo_entry, zoo_names
from haltere.sims.registration import make_vector

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("manip-fork", ("--episodes", "2000", "--env.experts", "both")),
        ("manip-mt10", ("--episodes", "2000")),
        ("push-t", ("--episodes", "500")),
    ],
)
def test_the_cards_name_the_demonstrations_that_the_pages_record(
    task: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    """Recorded anew, they have the digest on all cards of the task; pictures depend on who draws them, so no others."""
    folder = tmp_path / "demos"
    assert entry.main(["demos", task, *words, "--out", str(folder)]) == 0
    digest = load(folder, make_vector(task, 1), None).digest
    cards = [zoo_entry(name).card for name in zoo_names() if name.startswith(task)]
    assert len(cards) >= 3 and {card.demonstrations for card in cards} == {digest}


@pytest.mark.parametrize(
    ("actor", "least", "most"),
    [("zoo:diffusion", 0.9, 1.0), ("zoo:mode", 0.9, 1.0), ("zoo:ebt", 0.9, 1.0), ("zoo:mlp", 0.0, 0.05)],
)
def test_the_fork_is_passed_both_ways_or_not_at_all(
    actor: str, least: float, most: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """On seeds that neither their demonstrations nor their cards have."""
    words = ["--runtime", "onnx", "--episodes", "200", "--seed", "960000", "--json", "-"]
    assert entry.main(["eval", "manip-fork", "--actor", actor, *words]) == 0
    report = json.loads(capsys.readouterr().out)
    assert least <= report["success"]["mean"] <= most
    if least:
        assert min(report["metrics"][way]["mean"] for way in ("left", "right")) >= 0.25


@pytest.mark.parametrize("name", [name for name in zoo_names() if name.startswith(("manip-", "push-"))])
def test_a_policy_for_hands_does_what_its_card_says(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """On seeds that its card doesn't have; where two intervals of 95 % are apart, something has changed."""
    card = zoo_entry(name).card
    words = ["--runtime", "onnx", "--episodes", "100", "--seed", "960000", "--json", "-"]
    assert entry.main(["eval", name.rsplit("-", 1)[0], "--actor", f"zoo:{name}", *words]) == 0
    report = json.loads(capsys.readouterr().out)
    found, said = report["success"], card.evaluation["success"]
    assert found["low"] <= said["high"] and said["low"] <= found["high"]


@pytest.mark.parametrize("chunk", [("--policy.horizon", "1", "--policy.executed", "1"), ()], ids=["single", "chunks"])
@pytest.mark.parametrize(("experts", "least", "most"), [("both", 0.0, 0.05), ("left", 0.9, 1.0)])
def test_regression_learns_one_way_and_fails_on_two(
    experts: str, least: float, most: float, chunk: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same perceptron, as many demonstrations; that they disagree is what it fails on, with or without chunks."""
    demos, run = str(tmp_path / "demos"), str(tmp_path / "run")
    assert entry.main(["demos", "manip-fork", "--episodes", "1500", "--env.experts", experts, "--out", demos]) == 0
    policy = ["--policy.type", "regression", "--policy.observed", "1", *chunk]
    training = ["--trainer.demos", demos, "--trainer.total-steps", "8000", "--trainer.rollout-every", "0"]
    assert entry.main(["train", "manip-fork", "--out", run, *policy, *training]) == 0
    capsys.readouterr()
    assert entry.main(["eval", "manip-fork", "--actor", run, "--episodes", "200", "--json", "-"]) == 0
    assert least <= json.loads(capsys.readouterr().out)["success"]["mean"] <= most
