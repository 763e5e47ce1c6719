"""What the README says about the trained policy is what the policy's own card says, rounded as it is shown."""

from pathlib import Path

import pytest

from haltere.deploy.zoo import zoo_entry

ROOT = Path(__file__).parents[1]


@pytest.fixture
def readme() -> str:
    """Its text, on one line."""
    return " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())


def test_the_readme_shows_the_cards_figures_and_their_runtime(readme: str) -> None:
    """Success and collision with their intervals, in the row of the task; deadlock; and what ran the policy."""
    report = zoo_entry("swarm").card.evaluation
    shown = []
    for name, value in (("success", report["success"]), ("collision", report["metrics"]["collision"])):
        shown.append(f"{name} {value['mean']:.3f} ({value['low']:.3f} to {value['high']:.3f})")
    assert f"| {', '.join(shown)} |" in readme
    assert f"`haltere eval swarm --actor zoo --episodes {report['episodes']}` prints that row" in readme
    assert f"in {report['runtime']}, the runtime of the policy's card and of `haltere list`" in readme
    assert f"(`deadlock` {report['metrics']['deadlock']['mean']:.3f})" in readme
    assert report["seed"] == 900_000 and "(900,000 and up)" in readme


def test_the_readme_says_what_the_training_was(readme: str) -> None:
    """Parameters, seed, steps and minutes."""
    card = zoo_entry("swarm").card
    assert f"{card.parameters:,} parameters |" in readme
    command = f"haltere train swarm --seed {card.seed}"
    assert card.command.startswith(command)
    trained = f"`{command}`: {card.steps / 1e6:.0f} million drone steps in {card.wall_s / 60:.0f} minutes"
    assert trained in readme
