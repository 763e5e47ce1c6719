"""What the README says about the trained policy is what the policy's own card says, rounded as it is shown."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from haltere.agents.recipe import from_yaml, resolve
from haltere.deploy.zoo import zoo_entry, zoo_folder

ROOT = Path(__file__).parents[1]


def interval(success: Mapping[str, float]) -> str:
    """Success as the README's tables have it."""
    return f"success {success['mean']:.3f} ({success['low']:.3f} to {success['high']:.3f})"


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


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("ballet", "`haltere train ballet --seed 0` made it"),
        ("memory-rooms", "`haltere train memory-rooms --seed 0` made the other"),
    ],
)
def test_the_readme_shows_the_figures_of_policies_that_remember(readme: str, name: str, made: str) -> None:
    """Success with its interval, parameters, and what the training was."""
    card = zoo_entry(name).card
    success = card.evaluation["success"]
    row = next(row for row in readme.split("| `") if row.startswith(f"{name}` |") and "HCAM" in row)
    assert f"success {success['mean']:.3f} ({success['low']:.3f} to {success['high']:.3f})" in row
    assert f"{card.parameters:,} parameters" in row
    assert (card.evaluation["episodes"], card.evaluation["seed"], card.seed) == (200, 900_000, 0)
    told = re.search(rf"{made}: (\d+) million steps in (\d+) minutes", readme)
    assert told
    steps, minutes = told.groups()
    assert (int(steps), int(minutes)) == (round(card.steps / 1e6), round(card.wall_s / 60))


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("ballet", "ballet"),
        ("memory-rooms", "memory-rooms"),
        ("manip-fork-diffusion", "manip-fork"),
        ("manip-mt10-diffusion", "manip-mt10"),
        ("manip-pixels-diffusion", "manip-pixels"),
        ("push-t-diffusion", "push-t"),
    ],
)
def test_a_policy_was_made_with_the_committed_settings(name: str, task: str) -> None:
    """No setting on its card's command line, and what it was resolved to is what stands in the task's YAML by now."""
    assert "--env" not in (command := zoo_entry(name).card.command) and "--policy" not in command
    made, committed = from_yaml(zoo_folder(name) / "config.yaml", {}), resolve(task, {})
    assert (made.env, made.policy, made.trainer) == (committed.env, committed.policy, committed.trainer)


def test_the_readme_shows_the_figures_of_hands(readme: str) -> None:
    """Success, parameters, both ways, and the perceptron's failure, as the cards have them."""
    card, mean = zoo_entry("manip-fork-diffusion").card, zoo_entry("manip-fork-mlp").card
    success = card.evaluation["success"]
    shown = interval(success)
    assert f"diffusion, {card.parameters:,} parameters | {shown} |" in readme
    ways = [round(card.evaluation["episodes"] * card.evaluation["metrics"][way]["mean"]) for way in ("left", "right")]
    assert f"goes left in {ways[0]} of 200 episodes and right in {ways[1]}" in readme
    assert min(ways) >= 50 and card.evaluation["episodes"] == mean.evaluation["episodes"] == 200
    assert mean.evaluation["success"]["mean"] == 0.0 and mean.evaluation["metrics"]["broke"]["mean"] == 1.0
    assert card.steps == mean.steps and card.evaluation["seed"] == mean.evaluation["seed"] == 900_000
    for made in (card, mean):
        assert "--trainer" not in made.command and "--env" not in made.command


@pytest.mark.parametrize(("name", "told"), [("mode", "MoDE"), ("ebt", "EBT")])
def test_the_readme_shows_the_figures_of_other_ways_to_plan(readme: str, name: str, told: str) -> None:
    """Success, parameters and both ways of the others that pass the fork, trained on the task's own settings."""
    card, first = zoo_entry(f"manip-fork-{name}").card, zoo_entry("manip-fork-diffusion").card
    success = card.evaluation["success"]
    shown = interval(success)
    assert f"`zoo:{name}` | the same | {told}, {card.parameters:,} parameters | {shown} |" in readme
    ways = [round(card.evaluation["episodes"] * card.evaluation["metrics"][way]["mean"]) for way in ("left", "right")]
    assert re.search(rf"{told} \(\w+ et al. \d+\) in {ways[0]} and {ways[1]}[;.]", readme)
    assert min(ways) >= 50 and success["mean"] >= 0.9
    assert (card.evaluation["episodes"], card.evaluation["seed"], card.steps) == (200, 900_000, first.steps)
    assert "--env" not in card.command and "total" not in card.command


def test_the_readme_shows_the_figures_of_ten_tasks(readme: str) -> None:
    """Success and parameters of diffusion, and the perceptron's success, over as many episodes of each sub-task."""
    card, mean = zoo_entry("manip-mt10-diffusion").card, zoo_entry("manip-mt10-mlp").card
    success = card.evaluation["success"]
    shown = interval(success)
    assert f"diffusion, {card.parameters:,} parameters | {shown} |" in readme
    assert f"(`zoo:mlp`, {mean.evaluation['success']['mean']:.3f})" in readme
    for made in (card, mean):
        assert {level["episodes"] for level in made.evaluation["levels"].values()} == {50}
        assert made.evaluation["seed"] == 900_000 and "--trainer" not in made.command and "--env" not in made.command
    assert card.steps == mean.steps


def test_the_readme_shows_the_figures_of_tasks_that_are_seen(readme: str) -> None:
    """Success and parameters of diffusion, and the perceptron's success, over as many episodes of each sub-task."""
    card, mean = zoo_entry("manip-pixels-diffusion").card, zoo_entry("manip-pixels-mlp").card
    success = card.evaluation["success"]
    shown = interval(success)
    assert f"20 Hz | diffusion, {card.parameters:,} parameters | {shown} |" in readme
    assert f"that sees is at {mean.evaluation['success']['mean']:.3f} (`zoo:mlp`)" in readme
    for made in (card, mean):
        assert {level["episodes"] for level in made.evaluation["levels"].values()} == {50}
        assert made.evaluation["seed"] == 900_000


def test_the_readme_shows_the_figures_of_push_t(readme: str) -> None:
    """Success and parameters."""
    card = zoo_entry("push-t-diffusion").card
    success = card.evaluation["success"]
    shown = interval(success)
    assert f"gym-pusht, 10 Hz | diffusion, {card.parameters:,} parameters | {shown} |" in readme
    assert (card.evaluation["episodes"], card.evaluation["seed"], card.steps) == (200, 900_000, 20_000)


@pytest.mark.parametrize(
    ("task", "name", "told", "episodes"),
    [("push-t", "mode", "MoDE", 200), ("manip-pixels", "mode", "MoDE", 250), ("manip-pixels", "ebt", "EBT", 250)],
)
def test_the_readme_shows_the_figures_beside_diffusion(
    readme: str, task: str, name: str, told: str, episodes: int
) -> None:
    """Success and parameters, after as many updates as diffusion."""
    card, first = zoo_entry(f"{task}-{name}").card, zoo_entry(f"{task}-diffusion").card
    shown = interval(card.evaluation["success"])
    assert f"`zoo:{name}` | the same | {told}, {card.parameters:,} parameters | {shown} |" in readme
    assert (card.evaluation["episodes"], card.evaluation["seed"], card.steps) == (episodes, 900_000, first.steps)


@pytest.mark.parametrize(("name", "told"), [("mode", "MoDE"), ("ebt", "EBT")])
def test_the_readme_shows_other_ways_to_plan_ten_tasks(readme: str, name: str, told: str) -> None:
    """Success and parameters, over as many episodes of each sub-task, and above what the task asks for."""
    card = zoo_entry(f"manip-mt10-{name}").card
    success = card.evaluation["success"]
    shown = interval(success)
    assert f"`zoo:{name}` | the same | {told}, {card.parameters:,} parameters | {shown} |" in readme
    assert {level["episodes"] for level in card.evaluation["levels"].values()} == {50}
    assert card.evaluation["seed"] == 900_000 and success["mean"] >= 0.9 and "--env" not in card.command
