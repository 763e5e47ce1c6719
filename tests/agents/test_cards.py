"""What cards say of how their policies were made."""

import dataclasses
import shlex

import pytest

from haltere.agents.cli.common import read_request
from haltere.agents.cli.train import TrainOptions
from haltere.agents.recipe import PARTS, from_yaml
from haltere.deploy.weights import CONFIG_NAME
from haltere.deploy.zoo import ZooEntry, zoo_entries


@pytest.mark.parametrize("entry", [pytest.param(each, id=each.name) for each in zoo_entries()])
def test_a_cards_command_makes_its_policy(entry: ZooEntry) -> None:
    """As typed it gives the settings beside it, with today's defaults, but for what the card says was changed since."""
    verb, words = shlex.split(entry.card.command)[1], shlex.split(entry.card.command)[2:]
    assert verb == "train"
    request = read_request("train", words, TrainOptions, PARTS)
    assert request is not None
    typed, made = request.recipe(), from_yaml(entry.path / CONFIG_NAME)
    assert (made.env, made.trainer) == (typed.env, typed.trainer)
    assert made.policy == dataclasses.replace(typed.policy, **entry.card.changes)
    assert all(getattr(typed.policy, name) != value for name, value in entry.card.changes.items())
    assert (request.options.seed or 0) == entry.card.seed
