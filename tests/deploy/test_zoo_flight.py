"""Every policy of the zoo flies as its card says, and its exported file flies as torch does."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from haltere.agents.cli.eval import measure
from haltere.agents.recipe import from_yaml
from haltere.configs.catalogue import read_task_file, task_names
from haltere.deploy.loading import load_policy
from haltere.deploy.runtime import OnnxActor
from haltere.deploy.runtime.actor import MODEL_NAME
from haltere.deploy.weights import CONFIG_NAME, weights_digest
from haltere.deploy.zoo import ZooEntry, zoo_entries
from haltere.sims.task import FIRST_HELD_OUT_SEED

EPISODES = 12
LEAST_MEASURED = 200
MOST_CHANGED = 0.1
"""Share of all agents whose success may differ: rounding differs between the runtimes, and contact amplifies it."""
MOST_CHANGED_ELSEWHERE = 0.25
"""The same for a card of another machine, of other versions; a policy at 0.9 that has fallen to 0.6 would be seen."""


def entries() -> Iterator[Any]:
    """Each exported entry of a task that we have; one that is skipped where there is none, so that it is seen."""
    tasks = {read_task_file(name).task for name in task_names()}
    exported = [one for one in zoo_entries() if one.card.task in tasks and (one.path / MODEL_NAME).is_file()]
    if not exported:
        yield pytest.param(None, id="none", marks=pytest.mark.skip("the zoo has no exported policy of any task"))
    for entry in exported:
        yield pytest.param(entry, id=entry.name)


every_entry = pytest.mark.parametrize("entry", list(entries()))


@every_entry
def test_the_exported_file_flies_as_torch_does(entry: ZooEntry) -> None:
    """Held-out episodes: ONNX Runtime's success lies in torch's interval, and hardly an agent ends otherwise.

    Nor do they end otherwise than the card has it of the same episodes, which another machine may have flown.
    """
    recipe = from_yaml(entry.path / CONFIG_NAME)
    seeds = range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + EPISODES)
    torch, onnx = (
        measure(recipe, actor=str(entry.path), runtime=runtime, seeds=seeds, worlds=EPISODES, threads=1)
        for runtime in ("torch", "onnx")
    )
    assert torch.success.low <= onnx.success.mean <= torch.success.high
    changed = np.abs(np.subtract(torch.per_episode["success"], onnx.per_episode["success"]))
    assert changed.mean() <= MOST_CHANGED, changed
    said = entry.card.evaluation
    assert said["seeds"][:EPISODES] == list(seeds)
    since = np.abs(np.subtract(torch.per_episode["success"], said["per_episode"]["success"][:EPISODES]))
    assert since.mean() <= MOST_CHANGED_ELSEWHERE, since


@every_entry
def test_a_card_was_measured_on_what_training_never_saw(entry: ZooEntry) -> None:
    """Enough episodes, each on a held-out seed of its own."""
    report = entry.card.evaluation
    assert report["seed"] >= FIRST_HELD_OUT_SEED
    assert min(report["seeds"]) >= FIRST_HELD_OUT_SEED
    assert len(set(report["seeds"])) == report["episodes"] >= LEAST_MEASURED


@every_entry
def test_a_card_is_of_the_weights_beside_it(entry: ZooEntry) -> None:
    """The card, the weights and the exported file are of one policy."""
    policy = load_policy(entry.path)
    assert entry.card.weights == weights_digest(policy) == OnnxActor(entry.path).contract.weights
    assert entry.card.parameters == sum(parameter.numel() for parameter in policy.parameters())
