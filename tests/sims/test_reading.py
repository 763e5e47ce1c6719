"""What a memory's places hold, and whether the right ones were read: against a memory that is written step by step."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError
from haltere.sims.actor import RandomActor
from haltere.sims.ballet.config import BalletConfig
from haltere.sims.ballet.task import Ballet
from haltere.sims.evaluate import EvalReport, evaluate
from haltere.sims.reading import METRICS, Places
from haltere.sims.rollout import rollout
from tests.sims.toys import Drift, DriftConfig, Still

SEEDS = range(900_000, 900_012)
CONFIG = BalletConfig(dancers=4, delay=16, pixels=33)
PERIOD, QUESTION = 31, 124
"""Steps from one dance to the next, and the step of the question."""


def written(count: int, steps: int, after: int, now: int) -> list[list[int]]:
    """Each place's steps at step ``now``, from a memory that keeps them as they come."""
    places: list[list[int]] = [[] for _ in range(count)]
    for step in range(now + 1):
        full = step + 1 - after  # steps whose group may be stored by this step
        if full > 0 and full % steps == 0:
            group = full // steps - 1
            places[group % count] = list(range(group * steps, full))
    return places


def overwritten(places: list[list[int]], steps: int, now: int) -> set[int]:
    """Steps that lay in a place once, and lie in none now."""
    stored = set(range((now // steps) * steps))
    return stored - {step for held in places for step in held}


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 2), st.integers(0, 60))
def test_places_hold_what_was_written_last(count: int, steps: int, after: int, now: int) -> None:
    """Rings and chunks, empty, half full and overwritten many times; shares go to the steps that lie there."""
    places, truth = Places(steps, after), written(count, steps, after, now)
    assert places.held(count, now).tolist() == [held[0] if held else -1 for held in truth]
    read = np.array([place + 1.0 if held else 0.0 for place, held in enumerate(truth)])
    by_step = places.by_step(np.stack([read, 2.0 * read]), now)
    wanted = np.zeros(now + 1)
    for share, held in zip(read, truth, strict=True):
        wanted[held] = share / steps
    np.testing.assert_allclose(by_step, [wanted, 2.0 * wanted], rtol=1e-12)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 40), st.data())
def test_retrieval_is_counted_by_hand(count: int, steps: int, now: int, data: Any) -> None:  # noqa: ANN401
    """Which places hold what is asked about, and chance by trying every draw of as many places."""
    first = data.draw(st.integers(0, now))
    last = data.draw(st.integers(first, now))
    read = np.array(data.draw(st.lists(st.sampled_from([0.0, 0.25, 0.5]), min_size=count, max_size=count)))
    truth = written(count, steps, 1, now)
    full = [place for place in range(count) if truth[place]]
    read[[place for place in range(count) if place not in full]] = 0.0
    right = {place for place in full if set(truth[place]) & set(range(first, last + 1))}
    taken = {place for place in full if read[place] > 0}
    got = Places(steps, 1).retrieval(read[None], np.array([[first, last]]), now)
    draws = list(combinations(full, len(taken)))
    wanted = {
        "retrieved": float(bool(right & taken)),
        "retrieved_chance": np.mean([bool(right & set(draw)) for draw in draws]),
        "read_share": sum(read[place] for place in right),
        "read_share_chance": len(right) / max(1, len(full)),
        "forgotten": np.mean([asked in overwritten(truth, steps, now) for asked in range(first, last + 1)]),
    }
    assert {name: values.tolist() for name, values in got.items()} == {
        name: [pytest.approx(value)] for name, value in wanted.items()
    }


class Reader:
    """Goes nowhere in particular, and says that it reads the chunk in which dance ``dance`` (0 first) ends."""

    def __init__(self, dance: int, slots: int = 8, share: float = 0.75) -> None:
        """The rest of the attention lies on the newest chunk."""
        self.read_steps, self.read_after = 16, 1
        self.dance, self.slots, self.share, self.clock = dance, slots, share, 0

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """A new batch begins; lanes by themselves don't matter, because all are read at the same step."""
        if mask is None:
            self.clock = 0

    def act(self, obs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """All alike."""
        lanes = len(obs["instruction"])
        read = np.zeros((lanes, self.slots), np.float32)
        if self.clock == QUESTION:
            read[:, (self.dance * PERIOD + 15) // 16 % self.slots] += self.share
            read[:, (QUESTION // 16 - 1) % self.slots] += 1.0 - self.share
        self.clock += 1
        action = np.zeros((lanes, 8), np.float32)
        action[:, self.clock % 8] = 1.0
        return {"action": action, "read": read}


def report(actor: Any, worlds: int = 4) -> EvalReport:  # noqa: ANN401 -- an actor
    """Evaluate in Ballet."""
    return evaluate(
        actor,
        lambda num_envs: Ballet(CONFIG, num_envs),
        SEEDS,
        task="ballet",
        actor_name="scripted",
        runtime="numpy",
        worlds=worlds,
    )


def targets() -> NDArray[np.int64]:
    """Which dance each seed asks for."""
    env = Ballet(CONFIG, len(SEEDS))
    env.reset(seed=list(SEEDS))
    return env.layout.target


@pytest.mark.parametrize("worlds", [1, 4, 64])
def test_an_actor_retrieves_where_it_reads_the_dance_asked_for(worlds: int) -> None:
    """Always the second dance, and the newest chunk, in which the fourth ends: right where one of them is asked for."""
    got, target = report(Reader(1), worlds), targets()
    assert set(target) == {0, 1, 2, 3}
    right = np.isin(target, (1, 3))
    assert got.per_episode["retrieved"] == right.tolist()
    assert got.per_episode["read_share"] == np.array([0.0, 0.75, 0.0, 0.25])[target].tolist()
    # Seven chunks are full, two are read, and a dance lies in two of them; but the first one, which lies in one.
    chunks = np.where(target == 0, 1, 2)
    assert got.per_episode["read_share_chance"] == pytest.approx(chunks / 7)
    assert got.per_episode["retrieved_chance"] == pytest.approx(np.where(chunks == 1, 2 / 7, 1 - 5 * 4 / (7 * 6)))
    assert got.metrics["retrieved"].mean == pytest.approx(right.mean())
    assert list(got.metrics)[-5:] == list(METRICS)
    assert got.metrics["forgotten"].mean == 0.0


def test_what_was_forgotten_is_not_retrieved() -> None:
    """Three slots hold the newest three chunks: whatever is read, the first two dances aren't among it."""
    got, gone = report(Reader(0, slots=3)).per_episode, targets() < 2
    assert gone.any()
    for name in METRICS[:4]:
        assert (np.array(got[name])[gone] == 0.0).all()
    # The three are steps 64 to 111; the third dance is made in steps 62 to 77.
    assert got["forgotten"] == pytest.approx(np.array([1.0, 1.0, 2 / 16, 0.0])[targets()])
    assert (np.array(got["read_share_chance"])[~gone] > 0).all()


def test_nothing_is_said_of_actors_that_show_no_reading() -> None:
    """The metrics are absent, not zero: for an actor without places, and in a task that asks for nothing past."""
    assert not set(METRICS) & set(report(RandomActor(8, 0)).metrics)
    silent = Reader(1)
    silent.read_steps = 0
    assert not set(METRICS) & set(report(silent).metrics)

    class StillReader(Still):
        """Reads, but nobody asks."""

        read_steps, read_after = 1, 0

        def act(self, obs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            """As the actor that stands still."""
            return {**super().act(obs), "read": np.ones((len(obs["place"]), 3))}

    assert set(rollout(StillReader(), lambda n: Drift(DriftConfig(), n), SEEDS).metrics) == {"success", "travel_m"}


class AskingDrift(Drift):
    """Asks at step ``at`` of each episode about its first two steps."""

    at = 3

    @property
    def asked_about(self) -> NDArray[np.int64]:
        """See the base class."""
        return np.where((self.clock == self.at)[:, None], np.array([0, 1]), -1)


class DriftReader(Still):
    """Every lane with an even number reads all steps alike, the others the newest alone."""

    read_steps, read_after = 1, 0

    def act(self, obs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Four steps, of which the present one is the last."""
        read = np.tile([[0.25] * 4, [0.0, 0.0, 0.0, 1.0]], (len(obs["place"]) // 2, 1))
        return {**super().act(obs), "read": read}


def test_agents_of_a_world_read_for_themselves() -> None:
    """One number an agent, two agents a world."""
    got = rollout(DriftReader(), lambda n: AskingDrift(DriftConfig(agents=2), n), SEEDS).metrics
    assert got["retrieved"].tolist() == [[1.0, 0.0]] * len(SEEDS)
    assert got["read_share"].tolist() == [[0.5, 0.0]] * len(SEEDS)
    assert got["retrieved_chance"].tolist() == [[1.0, 0.5]] * len(SEEDS)


def test_an_episode_that_never_asks_is_an_error() -> None:
    """The longest episodes here take eight steps."""

    class Never(AskingDrift):
        """Asks too late."""

        at = 99

    with pytest.raises(HaltereError, match="an episode ended without a step with 'asked_about'"):
        rollout(DriftReader(), lambda n: Never(DriftConfig(agents=2), n), SEEDS)


@pytest.mark.parametrize("read", [np.ones(3), np.ones((2, 3)), np.full((24, 3), np.nan), np.full((24, 3), -0.1)])
def test_reading_that_is_no_shares_is_refused(read: NDArray[Any]) -> None:
    """Of another shape, not finite, or negative."""

    class Wrong(Still):
        """Reads nonsense."""

        read_steps, read_after = 1, 0

        def act(self, obs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            """As it was told."""
            return {**super().act(obs), "read": read}

    with pytest.raises(HaltereError, match="an actor's 'read' must be"):
        rollout(Wrong(), lambda n: AskingDrift(DriftConfig(agents=2), n), SEEDS)


class Kept:
    """A film that stays in memory."""

    fps = 10.0

    def __init__(self) -> None:
        """Nothing so far."""
        self.frames: list[NDArray[np.uint8]] = []

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Keep it."""
        self.frames.append(frame)


def test_a_film_shows_what_is_read_in_its_place_in_time() -> None:
    """Slots become steps: the bar stands over the dance whose chunk is read, and not over the number of the slot."""
    film = Kept()
    rollout(Reader(2, slots=5, share=1.0), lambda n: Ballet(CONFIG, n), SEEDS[:1], video=film)
    bars = (film.frames[QUESTION][452:494, 20:940] == (255, 196, 61)).all(axis=-1).sum(axis=0)
    where = np.flatnonzero(bars > 30) * (QUESTION + 16) / 920
    assert 64 - 1 < where.min() < 64 + 1 and 80 - 1 < where.max() < 80 + 1
    assert not (film.frames[QUESTION - 1][452:494, 20:940] == (255, 196, 61)).all(axis=-1).any()
