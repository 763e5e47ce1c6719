"""Intervals are those of an independent library, and hold the truth as often as they say."""

import numpy as np
import pytest
from scipy import stats

from haltere.configs.errors import HaltereError, RequestError
from haltere.sims.statistics import bootstrap_mean, frequency, wilson


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (7, 9), (191, 200), (1, 5000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_wilson_is_scipys(hits: int, n: int, confidence: float) -> None:
    """For zeros and ones, the interval is the textbook one (oracle: scipy's exact-count implementation)."""
    oracle = stats.binomtest(hits, n).proportion_ci(confidence, method="wilson")
    interval = wilson([1.0] * hits + [0.0] * (n - hits), confidence)
    assert interval.mean == pytest.approx(hits / n)
    assert (interval.low, interval.high) == pytest.approx((oracle.low, oracle.high), abs=1e-12)
    assert 0.0 <= interval.low <= interval.mean <= interval.high <= 1.0


def test_wilson_covers_what_it_says() -> None:
    """Over 4,000 experiments of 60 coin throws, 95 % intervals hold the coin's rate 95 % of the time, give or take."""
    generator = np.random.default_rng(1)
    for rate in (0.1, 0.5, 0.88, 0.95):
        throws = generator.random((4000, 60)) < rate
        held = [low.low <= rate <= low.high for low in map(wilson, throws.astype(float))]
        assert 0.925 <= np.mean(held) <= 0.985


def test_wilson_of_swarms_counts_episodes() -> None:
    """Eight drones that share a world's luck aren't eight experiments: by episodes it covers, by drones it wouldn't."""
    generator = np.random.default_rng(2)
    luck = generator.beta(1.8, 0.2, (1500, 60, 1))  # a world's own rate, 0.9 on average, far from constant
    drones = (generator.random((1500, 60, 8)) < luck).astype(float)
    by_episode = [wilson(episodes) for episodes in drones.mean(axis=2)]
    by_drone = [wilson(flat) for flat in drones.reshape(1500, -1)]
    assert np.mean([i.low <= 0.9 <= i.high for i in by_episode]) >= 0.95
    assert np.mean([i.low <= 0.9 <= i.high for i in by_drone]) < 0.85


def test_bootstrap_is_scipys() -> None:
    """The percentile interval of a skewed sample agrees with scipy's, up to resampling noise."""
    sample = np.random.default_rng(3).gamma(2.0, 1.5, 120)
    oracle = stats.bootstrap((sample,), np.mean, n_resamples=20_000, method="percentile", rng=4).confidence_interval
    interval = bootstrap_mean(sample, resamples=20_000)
    width = oracle.high - oracle.low
    assert interval.mean == pytest.approx(sample.mean())
    assert (interval.low, interval.high) == pytest.approx((oracle.low, oracle.high), abs=0.03 * width)


def test_bootstrap_covers_what_it_says() -> None:
    """Over 600 samples of 80 exponential times, 95 % intervals hold the mean at least 91 % and at most 98 %."""
    samples = np.random.default_rng(5).exponential(2.0, (600, 80))
    held = [i.low <= 2.0 <= i.high for i in (bootstrap_mean(s, resamples=2000) for s in samples)]
    assert 0.91 <= np.mean(held) <= 0.98


def test_bootstrap_repeats_and_survives_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal values and seed give an equal interval, another seed another one; a constant gives no width."""
    sample = np.random.default_rng(6).normal(size=50)
    assert bootstrap_mean(sample, seed=1) == bootstrap_mean(sample, seed=1) != bootstrap_mean(sample, seed=2)
    constant = bootstrap_mean([0.1] * 7)
    assert constant.low <= constant.mean <= constant.high
    assert constant.high - constant.low < 1e-12
    whole = bootstrap_mean(sample)
    monkeypatch.setattr("haltere.sims.statistics._CHUNK", 1_000)
    chunked = bootstrap_mean(sample)
    assert chunked.low == pytest.approx(whole.low, abs=0.03)


@pytest.mark.parametrize("events", [0, 1, 3, 40, 2000])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_frequency_is_scipys(events: int, confidence: float) -> None:
    """Garwood's interval by the chi-squared distribution; all events by all exposure, whichever episodes had them."""
    counts, exposure = [float(events), 0.0, 0.0], [0.5, 4.0, 8.0]
    got = frequency(counts, exposure, confidence)
    tail = 0.5 * (1.0 - confidence)
    low = 0.5 * stats.chi2.ppf(tail, 2 * events) if events else 0.0
    high = 0.5 * stats.chi2.ppf(1.0 - tail, 2 * events + 2)
    assert got is not None
    assert (got.mean, got.low, got.high) == pytest.approx((events / 12.5, low / 12.5, high / 12.5), rel=1e-9)


def test_no_frequency_without_exposure() -> None:
    """None where nothing could have happened; half an event, or a negative one, is an error."""
    assert frequency([0.0, 0.0], [0.0, 0.0]) is None
    for counts, exposure in ([0.5], [1.0]), ([-1.0], [1.0]), ([1.0], [-1.0]):
        with pytest.raises(HaltereError, match="whole events"):
            frequency(counts, exposure)


@pytest.mark.parametrize("values", [[], [float("nan")], [0.5, float("inf")], [[0.1, 0.2]]])
def test_no_interval_around_nothing(values: list[float]) -> None:
    """An empty, infinite or misshapen sample is an error, not a number."""
    with pytest.raises(HaltereError, match="one finite value an episode"):
        wilson(values)
    with pytest.raises(HaltereError, match="one finite value an episode"):
        bootstrap_mean(values)


def test_wrong_requests_are_refused() -> None:
    """A rate outside [0, 1], a confidence outside (0, 1) and a token bootstrap are refused."""
    with pytest.raises(HaltereError, match=r"lies in \[0, 1\], got values from -0.5 to 1"):
        wilson([1.0, -0.5])
    with pytest.raises(RequestError, match="confidence"):
        wilson([1.0], 1.0)
    with pytest.raises(RequestError, match="at least 2000 resamples, got 10"):
        bootstrap_mean([1.0, 2.0], resamples=10)
