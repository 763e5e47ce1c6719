"""Two evaluations beside each other: probabilities are scipy's, intervals cover what they say."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from haltere.configs.errors import RequestError
from haltere.sims.comparison import compare, difference, fisher, mcnemar, newcombe

bits = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def columns(pairs: list[tuple[bool, bool]]) -> tuple[Any, Any]:
    """Two samples of zeros and ones."""
    a, b = np.array(pairs, np.float64).T
    return a, b


@given(bits)
def test_mcnemars_probability_is_the_binomial_test_of_the_pairs_that_differ(pairs: list[tuple[bool, bool]]) -> None:
    """Against scipy's exact binomial test."""
    a, b = columns(pairs)
    up, differ = int((b > a).sum()), int((a != b).sum())
    wanted = stats.binomtest(up, differ, 0.5).pvalue if differ else 1.0
    assert mcnemar(a, b) == pytest.approx(wanted, rel=1e-9)


def test_mcnemars_probability_of_more_pairs_than_float64_has_powers_of_two() -> None:
    """Against scipy as well, at the size of an evaluation of thousands of episodes."""
    a = np.repeat([1.0, 0.0], [650, 1350])
    assert mcnemar(a, np.roll(a, 600)) == pytest.approx(1.0)
    b = np.repeat([0.0, 1.0, 0.0], [650, 600, 750])
    assert mcnemar(a, b) == pytest.approx(stats.binomtest(600, 1250, 0.5).pvalue, rel=1e-9)


@given(bits, st.lists(st.booleans(), min_size=1, max_size=60))
def test_fishers_probability_is_scipys(pairs: list[tuple[bool, bool]], other: list[bool]) -> None:
    """Against scipy's exact test of a 2 x 2 table."""
    a, b = columns(pairs)[0], np.array(other, np.float64)
    table = [[a.sum(), len(a) - a.sum()], [b.sum(), len(b) - b.sum()]]
    assert fisher(a, b) == pytest.approx(stats.fisher_exact(table).pvalue, rel=1e-6)


def test_newcombe_of_pairs_is_the_published_example() -> None:
    """Newcombe 1998, 17:2635, method 10: 36 pairs of successes, 12 and 2 of one alone."""
    a, b = np.repeat([1.0, 1.0, 0.0], [36, 12, 2]), np.repeat([1.0, 0.0, 1.0], [36, 12, 2])
    found = newcombe(b, a, paired=True)
    assert (found.low, found.high) == pytest.approx((0.0569, 0.3404), abs=5e-5)


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(
    ("rate", "better", "alike"), [(0.5, 0.1, 0.0), (0.85, 0.1, 0.7), (0.9, 0.0, 0.5), (0.2, 0.4, 0.5)]
)
def test_newcombes_interval_covers_the_true_difference(rate: float, better: float, alike: float, paired: bool) -> None:
    """In about 95 of 100 repetitions of 50 episodes, whether or not actors fail in the same ones."""
    generator = np.random.default_rng(1)
    repeats, inside = 2000, 0
    for _ in range(repeats):
        luck = generator.random((2, 50))
        together = generator.random(50) < (alike if paired else 0.0)
        second = np.where(together, luck[0], luck[1])
        a, b = (luck[0] < rate).astype(float), (second < rate + better).astype(float)
        found = newcombe(a, b, paired=paired)
        assert found.low <= found.mean <= found.high
        inside += found.low <= better <= found.high
    assert 0.93 < inside / repeats < 0.995


def test_pairs_of_actors_that_fail_in_the_same_episodes_have_a_narrower_interval() -> None:
    """What pairing is for."""
    a = np.repeat([1.0, 0.0], [70, 30])
    b = a.copy()
    b[70:78] = 1.0
    paired, single = (newcombe(a, b, paired=paired) for paired in (True, False))
    assert paired.high - paired.low < 0.6 * (single.high - single.low)
    assert mcnemar(a, b) < 0.01 < 0.2 < fisher(a, b)


def test_newcombe_of_independent_rates_is_the_published_example() -> None:
    """Newcombe 1998, table II, method 10: 56 of 70 against 48 of 80 is 0.2000 (0.0524 to 0.3339)."""
    a, b = np.repeat([1.0, 0.0], [48, 32]), np.repeat([1.0, 0.0], [56, 14])
    found = newcombe(a, b, paired=False)
    assert (found.mean, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


@pytest.mark.parametrize("paired", [True, False])
def test_means_are_compared_as_scipy_does(paired: bool) -> None:
    """Bootstrap interval and randomisation test of numbers, against scipy's."""
    generator = np.random.default_rng(5)
    a = generator.gamma(2.0, 10.0, 40)
    b = a + generator.normal(2.0, 5.0, 40) if paired else generator.gamma(2.0, 14.0, 40)
    found = difference(a, b, paired=paired)
    kind = "samples" if paired else "independent"
    wanted = stats.permutation_test(
        (b, a), lambda x, y, axis: x.mean(axis) - y.mean(axis), permutation_type=kind, n_resamples=20_000, rng=2
    )
    assert found.probability == pytest.approx(wanted.pvalue, abs=0.01)
    spread = stats.bootstrap(
        (b, a),
        lambda x, y, axis: x.mean(axis) - y.mean(axis),
        paired=paired,
        method="percentile",
        n_resamples=20_000,
        rng=2,
    ).confidence_interval
    assert (found.difference.low, found.difference.high) == pytest.approx(tuple(spread), abs=0.3)
    assert difference(a, b, paired=paired) == found


def report(seeds: list[int], success: list[float], **other: Any) -> dict[str, Any]:  # noqa: ANN401 -- a report's values
    """As much of ``eval --json`` as is looked at."""
    whole = {"task": "t", "actor": "a", "runtime": "torch", "config_digest": "d", "seeds": seeds, "metrics": {}}
    return whole | {"per_episode": {"success": success}} | other


def test_episodes_are_paired_by_seed_and_not_by_place() -> None:
    """The same episodes in another order are the same."""
    a, b = report([1, 2, 3], [1.0, 0.0, 0.5]), report([3, 1, 2, 9], [0.5, 1.0, 0.0, 1.0])
    found = compare(a, b)
    assert (found.paired, found.episodes) == (True, (3, 3))
    assert found.metrics["success"].difference.mean == 0.0
    assert found.metrics["success"].probability == 1.0
    few = "with fewer than 20 episodes, intervals of what isn't a rate are too narrow"
    assert found.notes == ("seeds that only one of them played, and so left out: 1", few)
    assert compare(report([1, 2], [1.0, 0.0]), report([1, 2], [1.0, 1.0])).notes == ()
    with pytest.raises(RequestError, match="share 1 seeds of 3 and 3, too few to pair"):
        compare(a, report([3, 4, 5], [0.5, 1.0, 0.0]))


def test_what_isnt_alike_is_said() -> None:
    """Other settings and other seeds are noted, other tasks refused."""
    a = report([1, 2], [1.0, 0.0])
    assert any("set otherwise" in note for note in compare(a, report([1, 2], [1.0, 0.0], config_digest="e")).notes)
    apart = compare(a, report([3, 4, 5], [1.0, 1.0, 1.0]))
    assert (apart.paired, apart.episodes) == (False, (2, 3))
    assert any("no seed in common" in note for note in apart.notes)
    with pytest.raises(RequestError, match="evaluations of t and u"):
        compare(a, report([1], [1.0], task="u"))
    with pytest.raises(RequestError, match="no metric in common"):
        compare(a, report([1], [1.0], per_episode={}))
