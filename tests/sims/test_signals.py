"""What an actor shows of itself is kept step by step, and set beside success by outside measures."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from haltere.agents.cli.compare import read_report
from haltere.agents.cli.eval import as_text
from haltere.configs.errors import HaltereError
from haltere.sims.actor import RandomActor
from haltere.sims.comparison import compare
from haltere.sims.evaluate import EvalReport, evaluate
from haltere.sims.signals import LOOKS
from haltere.sims.statistics import auroc, bootstrap_mean
from tests.sims.toys import Drift, DriftConfig

SEEDS = range(900_000, 900_060)


class Telling:
    """Shows, a lane each: what the place and the clock come to, and a plan's number that it holds for two steps."""

    def __init__(self, wrong: Mapping[str, NDArray[Any]] | None = None, after: int = 3) -> None:
        """Show something wrong after some steps."""
        self.wrong, self.after, self.steps = wrong, after, 0
        self.plan = np.zeros(0)

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Nothing is remembered."""

    def act(self, obs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The same for each lane, by what it senses."""
        place, clock = obs["place"], obs["clock"]
        held = np.where(clock % 2 == 0, clock, clock - 1)
        output: dict[str, NDArray[Any]] = {
            "action": np.zeros((len(place), 2), np.float32),
            "energy": place * (1.0 + clock),
            "calls": held.astype(np.int64),
            "attention": np.zeros((len(place), 2), np.float32),
            "read": np.ones((len(place), 1), np.float32),
        }
        self.steps += 1
        if self.wrong is not None and self.steps > self.after:
            output |= self.wrong
            output = {name: value for name, value in output.items() if value.size}
        return output


def report(actor: Any, agents: int | None, worlds: int = 16, task: type[Drift] = Drift) -> EvalReport:  # noqa: ANN401
    """Evaluate on the toy."""
    kind = {"task": "drift", "actor_name": "telling", "runtime": "numpy"}
    return evaluate(actor, lambda n: task(DriftConfig(agents=agents), n), SEEDS, worlds=worlds, **kind)


def by_hand(agents: int | None) -> dict[str, dict[str, list[float]]]:
    """The same episodes one by one: each look at each signal."""
    found: dict[str, dict[str, list[float]]] = {name: {look: [] for look in LOOKS} for name in ("energy", "calls")}
    for seed in SEEDS:
        env, told = Drift(DriftConfig(agents=agents), 1), []
        obs, _ = env.reset(seed=[seed])
        ended = False
        while not ended:
            lanes = {name: array.reshape(-1, 1) for name, array in obs.items()}
            told.append(Telling().act(lanes))
            obs, _, _, truncated, _ = env.step(np.zeros((1, *([agents] if agents else []), 2), np.float32))
            ended = bool(truncated[0])
        for name, looks in found.items():
            values = np.array([step[name].astype(float)[:, 0] for step in told])
            looks["first"].append(values[0].mean())
            looks["mean"].append(values.mean())
            looks["greatest"].append(values.max())
    return found


@pytest.mark.parametrize("agents", [None, 3])
@pytest.mark.parametrize("worlds", [7, 64])
def test_signals_are_those_of_the_episodes(agents: int | None, worlds: int) -> None:
    """Of each whole episode and no step after it, whatever the batch; only outputs of one number a lane are signals."""
    got, wanted = report(Telling(), agents, worlds).signals, by_hand(agents)
    assert list(got) == ["energy", "calls"]
    for name, looks in wanted.items():
        for look, values in looks.items():
            np.testing.assert_allclose(got[name].per_episode[look], values, rtol=1e-6, err_msg=f"{name} {look}")
        assert got[name].mean == bootstrap_mean(got[name].per_episode["mean"])


@pytest.mark.parametrize("agents", [None, 3])
def test_areas_are_scikit_learns(agents: int | None) -> None:
    """Against failure, ties and all; a swarm has failed where any of its agents has."""
    got = report(Telling(), agents)
    failed = np.array(got.per_episode["success"]) < 1.0
    if agents == 3:  # one of three neighbours always succeeds, and never all
        assert all(signal.auroc == {} for signal in got.signals.values())
        return
    for signal in got.signals.values():
        assert set(signal.auroc) == set(LOOKS)
        for look, area in signal.auroc.items():
            assert area.mean == pytest.approx(roc_auc_score(failed, signal.per_episode[look]))
            assert area.low < area.mean < area.high


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=20), st.lists(st.integers(-3, 3), min_size=1, max_size=20))
def test_an_area_counts_pairs(ones: list[int], others: list[int]) -> None:
    """Any numbers, ties among them; the interval holds it, is within [0, 1], and mirrors."""
    area, back = auroc(ones, others), auroc(others, ones)
    labels = [1] * len(ones) + [0] * len(others)
    assert area.mean == pytest.approx(roc_auc_score(labels, ones + others))
    assert 0.0 <= area.low <= area.mean <= area.high <= 1.0
    assert (back.low, back.mean, back.high) == pytest.approx((1 - area.high, 1 - area.mean, 1 - area.low), abs=1e-9)


@pytest.mark.parametrize(
    ("ones", "others", "apart", "spread"),
    [(40, 60, 0.0, 1.0), (10, 190, 1.5, 1.0), (20, 180, 0.0, 3.0), (20, 180, 1.5, 3.0), (8, 92, 3.0, 1.0)],
)
def test_an_areas_interval_covers_what_it_says(ones: int, others: int, apart: float, spread: float) -> None:
    """Over 500 samples of normal values, spread alike or not, few or many: 92 % at least."""
    generator = np.random.default_rng(7)
    # The area of two normal distributions, in closed form; from 400,000 pairs, to 0.001.
    truth = float((generator.normal(apart, spread, 400_000) > generator.normal(0.0, 1.0, 400_000)).mean())
    found = [auroc(generator.normal(apart, spread, ones), generator.normal(0.0, 1.0, others)) for _ in range(500)]
    assert np.mean([area.low <= truth <= area.high for area in found]) >= 0.92


def test_nothing_is_sure_of_a_few() -> None:
    """Three failures that are told apart without an error leave a wide interval; 300 a narrow one."""
    few, many = auroc([2.0] * 3, [1.0] * 30), auroc([2.0] * 300, [1.0] * 3000)
    assert (few.mean, few.high, many.high) == (1.0, 1.0, 1.0)
    assert few.low < 0.8 < 0.99 < many.low
    for empty in (([], [1.0]), ([1.0], [])):
        with pytest.raises(HaltereError, match="one finite value an episode"):
            auroc(*empty)


class Levelled(Drift):
    """The toy with two levels, of which one succeeds always."""

    levels = ("level",)
    spec_ = Drift.spec_.__class__(**{**vars(Drift.spec_), "metrics": ("success", "level")})

    def step(self, actions: NDArray[np.float32]) -> Any:  # noqa: ANN401 -- as the toy's
        """An odd seed is of level 1."""
        odd = (self.seed % 2).astype(np.float32)
        *rest, infos = super().step(actions)
        if infos:
            success = np.maximum(infos["episode"]["success"], odd)
            infos["episode"] = {"success": success, "level": odd}
        return (*rest, infos)


def test_levels_are_told_apart() -> None:
    """By the level's own episodes; a level without failures has no area."""
    got = report(Telling(), None, task=Levelled)
    failed, odd = np.array(got.per_episode["success"]) < 1.0, np.array(got.per_episode["level"]) == 1.0
    energy = got.signals["energy"]
    assert set(energy.levels) == {"level-0"}
    mean = np.array(energy.per_episode["mean"])
    assert energy.levels["level-0"]["mean"].mean == pytest.approx(roc_auc_score(failed[~odd], mean[~odd]))
    assert energy.auroc["mean"].mean == pytest.approx(roc_auc_score(failed, mean))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"energy": np.full((16, 1), np.nan)}, "'energy' must be finite, got nan"),
        ({"energy": np.zeros((16, 2))}, "'energy' was a number a lane in the first step"),
        ({"energy": np.zeros(0)}, "'energy' was a number a lane in the first step"),
    ],
)
def test_a_bad_signal_is_refused(wrong: dict[str, NDArray[Any]], words: str) -> None:
    """Not finite, of another shape, or gone."""
    with pytest.raises(HaltereError, match=words):
        report(Telling(wrong), None)


def test_json_holds_them_and_older_reports_compare(tmp_path: Any) -> None:  # noqa: ANN401 -- a path
    """A report with signals is valid JSON, and is compared with one that has none."""
    got = report(Telling(), None)
    new, old = tmp_path / "new.json", tmp_path / "old.json"
    new.write_text(got.to_json())
    plain = json.loads(got.to_json())
    signal = plain.pop("signals")["energy"]
    assert set(signal) == {"mean", "auroc", "levels", "per_episode"}
    assert {len(values) for values in signal["per_episode"].values()} == {60}
    old.write_text(json.dumps(plain))
    for pair in ((old, new), (new, old)):
        found = compare(*map(read_report, pair))
        assert set(found.metrics) == {"success", "travel_m"}
    assert "signals" not in report(RandomActor(2, seed=0), None).as_dict()


def test_the_table_says_what_is_told() -> None:
    """Areas with intervals; or that there is nothing to tell apart; or nothing of an actor that shows nothing."""
    text = as_text(report(Telling(), None))
    area = report(Telling(), None).signals["energy"].auroc["mean"]
    row = next(line for line in text.splitlines() if line.startswith("energy"))
    assert f"{area.mean:.3f}   {area.low:.3f} to {area.high:.3f}" in row
    assert "AUROC of first" in text and any(line.startswith("calls") for line in text.splitlines())
    assert "is the same in all episodes, and tells nothing" in as_text(report(Telling(), 3))
    assert "AUROC" not in as_text(report(RandomActor(2, seed=0), None))
