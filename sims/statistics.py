"""Intervals around what was measured: rates, means, and how well a number tells two kinds of episodes apart.

95 % unless told otherwise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError, RequestError

CONFIDENCE = 0.95
RESAMPLES = 5_000
_CHUNK = 4_000_000
"""Largest number of draws held at once [indices]; 32 MB."""
_HALVINGS = 60


@dataclass(frozen=True)
class Interval:
    """A mean and the interval that holds the true one with the confidence asked for."""

    mean: float
    low: float
    high: float


def wilson(values: Sequence[float] | NDArray[np.floating], confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval of a rate from n independent episodes, each with a value in [0, 1].

    Source: E. B. Wilson 1927, "Probable inference, the law of succession, and statistical inference", eq. 7. For
    zeros and ones it is the classical interval. An episode of a swarm has a fraction (mean over its agents), and its
    agents share one world, so that the episode, not the agent, is the independent unit: n is the number of episodes.
    A variable in [0, 1] with mean p has variance E[x^2] - p^2 <= p (1 - p), with equality only for zeros and ones:
    the interval is valid for fractions and errs on the wide side.

    Args:
        values: one value an episode, (n,).
        confidence: coverage wanted, in (0, 1).

    Raises:
        HaltereError: no value, or one outside [0, 1].
        RequestError: the confidence isn't between 0 and 1.
    """
    sample = _sample(values)
    if (sample < 0.0).any() or (sample > 1.0).any():
        raise HaltereError(f"a rate lies in [0, 1], got values from {sample.min():g} to {sample.max():g}")
    n, p = sample.size, float(sample.mean())
    z = NormalDist().inv_cdf(0.5 + 0.5 * _checked(confidence))
    scale = 1.0 / (1.0 + z * z / n)
    centre = scale * (p + z * z / (2 * n))
    half = scale * z * math.sqrt(p * (1.0 - p) / n + z * z / (4 * n * n))
    # The exact interval touches p at p = 0 and p = 1; rounding mustn't leave the mean outside.
    return Interval(p, max(0.0, min(centre - half, p)), min(1.0, max(centre + half, p)))


def bootstrap_mean(
    values: Sequence[float] | NDArray[np.floating],
    seed: int = 0,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Interval:
    """Percentile bootstrap interval of a mean from n independent episodes.

    Source: B. Efron 1979, "Bootstrap methods: another look at the jackknife"; percentile method. It covers less than
    it says for fewer than about 20 episodes of a skewed quantity.

    Args:
        values: one value an episode, (n,).
        seed: of the resampling, so that equal values give an equal interval.
        confidence: coverage wanted, in (0, 1).
        resamples: number of bootstrap samples, at least 2,000.

    Raises:
        HaltereError: no value, or one that isn't finite.
        RequestError: too few resamples, or the confidence isn't between 0 and 1.
    """
    sample = _sample(values)
    if resamples < 2_000:
        raise RequestError(f"a bootstrap needs at least 2000 resamples, got {resamples}")
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    rows = max(1, _CHUNK // sample.size)
    for start in range(0, resamples, rows):
        stop = min(start + rows, resamples)
        means[start:stop] = sample[generator.integers(0, sample.size, (stop - start, sample.size))].mean(axis=1)
    tail = 0.5 * (1.0 - _checked(confidence))
    low, high = np.quantile(means, (tail, 1.0 - tail))
    mean = float(sample.mean())
    # Equal values: the resampled means may differ from the mean by a rounding.
    return Interval(mean, min(float(low), mean), max(float(high), mean))


def frequency(
    counts: Sequence[float] | NDArray[np.floating],
    exposure: Sequence[float] | NDArray[np.floating],
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """How often something happens by exposure to it, such as collisions by kilometres: all counts by all exposure.

    Source of the interval: F. Garwood 1936, "Fiducial limits for the Poisson distribution", Biometrika 28:437. It is
    exact where events come independently and says what not one event in so much exposure tells, which a bootstrap
    can't. The mean of episodes' own quotients would be another number: short episodes would weigh as much as long ones.

    Args:
        counts: events of each episode, (n,); they sum to a whole number.
        exposure: (n,), not negative.
        confidence: coverage wanted, in (0, 1).

    Returns:
        The quotient and its interval; None where there was no exposure at all.

    Raises:
        HaltereError: no value, one that isn't finite, a negative one, or events that don't sum to a whole number.
        RequestError: the confidence isn't between 0 and 1.
    """
    events, among = float(_sample(counts).sum()), float(_sample(exposure).sum())
    if min(np.min(counts), np.min(exposure)) < 0.0 or events != round(events):
        raise HaltereError(f"a frequency needs whole events and exposure, neither below 0, got {events:g} in {among:g}")
    if among == 0.0:
        return None
    tail, number = 0.5 * (1.0 - _checked(confidence)), round(events)

    def mean_at(least: int, share: float) -> float:
        """The mean at which a Poisson number is ``least`` or more with that probability."""
        low, high = 0.0, 4.0 * least + 60.0
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            fewer = sum(math.exp(k * math.log(middle) - middle - math.lgamma(k + 1)) for k in range(least))
            low, high = (middle, high) if 1.0 - fewer < share else (low, middle)
        return low

    low = mean_at(number, tail) if number else 0.0
    return Interval(events / among, low / among, mean_at(number + 1, 1.0 - tail) / among)


def auroc(
    ones: Sequence[float] | NDArray[np.floating],
    others: Sequence[float] | NDArray[np.floating],
    confidence: float = CONFIDENCE,
) -> Interval:
    """How likely a value of the ones is above a value of the others, ties counting half: the area under the ROC curve.

    0.5 where the values say nothing, 1 where all of the ones are above all of the others, 0 where all are below.

    Source of the interval: R. G. Newcombe 2006, "Confidence intervals for an effect size measure based on the
    Mann-Whitney statistic, part 2", Statistics in Medicine 25:559, method 5: like Wilson's, it holds at 0 and 1 too.
    It assumes that both samples are spread alike, and covers too little where the smaller one is spread further. So its
    variance is taken as many times larger as the sample's own is (E. R. DeLong et al. 1988, Biometrics 44:837), where
    that is larger; that one alone covers too little near 0 and 1.

    Args:
        ones: (m,) values, one an episode.
        others: (n,) likewise.
        confidence: coverage wanted, in (0, 1).

    Raises:
        HaltereError: a sample has no value, or one that isn't finite.
        RequestError: the confidence isn't between 0 and 1.
    """
    first, second = _sample(ones), _sample(others)
    m, n = first.size, second.size
    over, under = _share_below(first, second), 1.0 - _share_below(second, first)
    area = float(over.mean())

    def variance(at: float) -> float:
        like = 0.5 * (m + n) - 1.0
        return at * (1.0 - at) * (1.0 + like * ((1.0 - at) / (2.0 - at) + at / (1.0 + at))) / (m * n)

    spread = 1.0
    if min(m, n) > 1 and 0.0 < area < 1.0:
        spread = max(1.0, float(over.var(ddof=1) / m + under.var(ddof=1) / n) / variance(area))
    z = NormalDist().inv_cdf(0.5 + 0.5 * _checked(confidence))

    def bound(far: float) -> float:
        near = area
        for _ in range(_HALVINGS):
            middle = 0.5 * (near + far)
            inside = abs(middle - area) <= z * math.sqrt(spread * variance(middle))
            near, far = (middle, far) if inside else (near, middle)
        return near

    return Interval(area, bound(0.0), bound(1.0))


def _share_below(values: NDArray[np.float64], of: NDArray[np.float64]) -> NDArray[np.float64]:
    """Which share of a sample is below each value, ties counting half."""
    ordered = np.sort(of)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / (2.0 * of.size)


def _checked(confidence: float) -> float:
    if not 0.0 < confidence < 1.0:
        raise RequestError(f"confidence must lie between 0 and 1, got {confidence}")
    return confidence


def _sample(values: Sequence[float] | NDArray[np.floating]) -> NDArray[np.float64]:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size == 0 or not np.isfinite(sample).all():
        raise HaltereError(f"an interval needs one finite value an episode, got shape {sample.shape}: {sample}")
    return sample
