"""What a task tells those who train memories or look for its expert."""

import numpy as np
import pytest

from haltere.agents.episodes import EpisodeWindow
from haltere.configs.errors import RequestError
from haltere.sims.actor import EnteringActor, ExpertActor
from haltere.sims.ballet.config import BalletConfig
from haltere.sims.ballet.task import Ballet
from haltere.sims.lanes import choice_to_scores
from haltere.sims.rollout import rollout
from tests.sims.toys import Drift, DriftConfig

CONFIG = BalletConfig(dancers="mix", delay=4, pixels=33, choice_steps=8, training_choice_steps=3)


def test_an_action_without_effect_has_none() -> None:
    """Worlds of equal seeds see the same until they act, whatever is chosen; the first action that counts moves."""
    one, other = Ballet(CONFIG, 12), Ballet(CONFIG, 12)
    seeds, draws = list(range(12)), np.random.default_rng(0)
    mine, theirs = one.reset(seed=seeds)[0], other.reset(seed=seeds)[0]
    running, moved, differ = np.ones(12, bool), np.zeros(12, bool), np.zeros(12, bool)
    for step in range(1, 160):
        assert (mine["image"][running] == theirs["image"][running]).all()
        acts = one.acts
        assert (acts[running] == (step >= one.choice_opens)[running]).all()
        choices = draws.integers(8, size=12)
        moved |= running & acts
        running &= ~acts
        mine = one.step(choice_to_scores(choices, 8))[0]
        theirs = other.step(choice_to_scores((choices + 4) % 8, 8))[0]
        differ |= (mine["image"] != theirs["image"]).any(axis=(1, 2, 3)) & moved
        if not running.any():
            break
    assert moved.all() and differ.sum() > 10


def test_equal_frame_numbers_are_equal_pictures_for_equal_seeds() -> None:
    """Between worlds of one seed whose agents go different ways."""
    env = Ballet(CONFIG, 16)
    obs, _ = env.reset(seed=[5] * 16)
    seen: dict[int, bytes] = {}
    draws = np.random.default_rng(1)
    running = np.ones(16, bool)
    while running.any():
        for world in np.flatnonzero(running):
            picture = obs["image"][world].tobytes()
            assert seen.setdefault(int(env.frame_id[world]), picture) == picture
        obs, _, terminated, truncated, _ = env.step(draws.uniform(-1, 1, (16, 8)).astype(np.float32))
        running &= ~(terminated | truncated)
    assert len(set(seen.values())) == len(seen) > 20


def test_training_has_its_own_patience() -> None:
    """A shorter walk in training, the configured one elsewhere."""
    for training, patience in ((False, 8), (True, 3)):
        env = Ballet(CONFIG, 4, training=training)
        env.reset(seed=[0, 1, 2, 3])
        had: list[float] = []
        while len(had) < 4:
            # There and back again: nobody is met.
            back = 4 * (env._worlds.clock % 2)
            _, _, _, truncated, infos = env.step(choice_to_scores(back, 8))
            had += infos["episode"]["choice_steps"][truncated].tolist() if infos else []
        assert set(had[:4]) == {patience}


def test_an_expert_enters_the_worlds_that_it_acts_in() -> None:
    """It is always right; it refuses to act elsewhere, and a task without one says so."""
    expert = ExpertActor()
    assert isinstance(expert, EnteringActor)
    with pytest.raises(RequestError, match="call enter"):
        expert.act({})
    episodes = rollout(expert, lambda worlds: Ballet(CONFIG, worlds), range(900_000, 900_009), worlds=4)
    assert episodes.metrics["success"].all()
    assert (episodes.metrics["choice_steps"] == 3).all()
    with pytest.raises(RequestError, match=f"task {Drift.spec_.id} has no expert"):
        rollout(expert, lambda worlds: Drift(DriftConfig(), worlds), [1])


def test_defaults_promise_nothing() -> None:
    """Every action counts and every picture may be new, unless a task says otherwise."""
    env = Drift(DriftConfig(), 3)
    assert env.acts.tolist() == [True] * 3
    assert env.frame_id is None and env.levels == ()


def test_success_of_each_level() -> None:
    """Means over the window's episodes, level by level; episodes that don't count aren't counted."""
    window = EpisodeWindow(4, ("success", "dancers", "delay"), 50)
    assert window.levels(("dancers",)) == {}
    for _ in range(2):
        metrics = {"success": np.array([1, 0, 1, np.nan]), "dancers": np.array([2, 2, 8, 8]), "delay": np.full(4, 16)}
        window.whole(np.arange(4), np.ones(4), metrics)
    assert window.levels(("dancers", "delay")) == {"dancers-2-delay-16": 0.5, "dancers-8-delay-16": 1.0}
    assert window.levels(()) == {}
    assert window.means()["success"] == pytest.approx(4 / 6)
    assert window.finished == 8
