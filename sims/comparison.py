"""Are two evaluations different? Paired where they played the same seeds, with an interval and a probability."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.sims.statistics import CONFIDENCE, Interval, bootstrap_mean, wilson

DRAWS = 20_000
"""Random reassignments behind a probability, and resamples behind an interval of two samples."""
_SEED = 0
FEW = 20
"""Episodes, below which a bootstrap's intervals are too narrow; see ``statistics.bootstrap_mean``."""

Sample = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """One metric in both evaluations.

    Attributes:
        a: mean of the first.
        b: mean of the second.
        difference: b - a with its interval of 95 %.
        probability: of a difference at least as large, either way, if both were equally good.
    """

    a: float
    b: float
    difference: Interval
    probability: float


@dataclass(frozen=True)
class Comparison:
    """What ``haltere compare`` prints; the fields are the keys of its JSON.

    Attributes:
        task: of both.
        a: actor and runtime of the first.
        b: of the second.
        paired: whether both played the same seeds, and each was compared with itself.
        episodes: of each that were compared.
        notes: what a reader should know.
        metrics: success first.
    """

    task: str
    a: str
    b: str
    paired: bool
    episodes: tuple[int, int]
    notes: tuple[str, ...]
    metrics: dict[str, Difference]

    def as_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers."""
        return asdict(self)


def compare(a: Mapping[str, Any], b: Mapping[str, Any]) -> Comparison:
    """Compare what ``eval --json`` wrote for two actors; see ``EvalReport`` for the keys.

    Rates of zeros and ones have Newcombe's intervals and exact probabilities (McNemar's, Fisher's); anything else the
    percentile bootstrap and a randomisation test, whose random numbers are the same every time.

    Raises:
        RequestError: they are of different tasks, have no metric in common, or share a few of their seeds alone.
    """
    if a["task"] != b["task"]:
        raise RequestError(f"can't compare evaluations of {a['task']} and {b['task']}")
    names = [name for name in ("success", *a["metrics"]) if name in a["per_episode"] and name in b["per_episode"]]
    if not names:
        raise RequestError("the two evaluations have no metric in common")
    shared = sorted(set(a["seeds"]) & set(b["seeds"]))
    fewest = min(len(a["seeds"]), len(b["seeds"]))
    if 0 < len(shared) < 0.5 * fewest:
        raise RequestError(
            f"they share {len(shared):,} seeds of {len(a['seeds']):,} and {len(b['seeds']):,}, too few to pair "
            "episodes and too many to take them for independent: evaluate both with the same --seed and --episodes"
        )
    rows = [[report["seeds"].index(seed) for seed in shared] or list(range(len(report["seeds"]))) for report in (a, b)]
    samples = {
        name: [
            np.array(report["per_episode"][name], np.float64)[chosen]
            for report, chosen in zip((a, b), rows, strict=True)
        ]
        for name in names
    }
    return Comparison(
        task=a["task"],
        a=f"{a['actor']} ({a['runtime']})",
        b=f"{b['actor']} ({b['runtime']})",
        paired=bool(shared),
        episodes=(len(rows[0]), len(rows[1])),
        notes=tuple(_notes(a, b, shared, all(_is_rate(*pair) for pair in samples.values()))),
        metrics={name: difference(*pair, paired=bool(shared)) for name, pair in samples.items()},
    )


def _notes(a: Mapping[str, Any], b: Mapping[str, Any], shared: Sequence[int], rates: bool) -> list[str]:
    notes = []
    if a["config_digest"] != b["config_digest"]:
        notes.append("the environments were set otherwise: a difference may come from that")
    left = len(a["seeds"]) + len(b["seeds"]) - 2 * len(shared)
    if shared and left:
        notes.append(f"seeds that only one of them played, and so left out: {left:,}")
    if not shared:
        notes.append("they have no seed in common: episodes aren't paired, and only large differences show")
    if not rates and min(len(shared) or len(report["seeds"]) for report in (a, b)) < FEW:
        notes.append(f"with fewer than {FEW} episodes, intervals of what isn't a rate are too narrow")
    return notes


def difference(a: Sample, b: Sample, *, paired: bool) -> Difference:
    """One metric.

    Args:
        a: (n,) one value an episode.
        b: (m,) the same; n of them where ``paired``, in the same order of seeds.
        paired: whether each value of ``b`` belongs to that of ``a`` with its number.
    """
    if _is_rate(a, b):
        interval, probability = newcombe(a, b, paired=paired), mcnemar(a, b) if paired else fisher(a, b)
    else:
        interval = bootstrap_mean(b - a) if paired else _bootstrap(a, b)
        probability = _randomised(a, b, paired=paired)
    return Difference(float(a.mean()), float(b.mean()), interval, probability)


def _is_rate(a: Sample, b: Sample) -> bool:
    return bool(np.isin(a, (0.0, 1.0)).all() and np.isin(b, (0.0, 1.0)).all())


def newcombe(a: Sample, b: Sample, *, paired: bool) -> Interval:
    """Interval of the difference of two rates, b - a, from zeros and ones.

    Source: R. G. Newcombe 1998: for independent episodes "Interval estimation for the difference between independent
    proportions", Statistics in Medicine 17:873, method 10; for pairs "Improved confidence intervals for the difference
    between binomial proportions based on paired data", 17:2635, method 10. Both put Wilson's intervals together.
    """
    one, two = wilson(a), wilson(b)
    correlation = _correlation(a, b) if paired else 0.0
    low = _together(two.mean - two.low, one.high - one.mean, correlation)
    high = _together(two.high - two.mean, one.mean - one.low, correlation)
    between = two.mean - one.mean
    return Interval(between, max(-1.0, between - low), min(1.0, between + high))


def _together(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(0.0, one**2 - 2.0 * correlation * one * other + other**2))


def _correlation(a: Sample, b: Sample) -> float:
    """Of pairs of zeros and ones, with Newcombe's correction towards 0 where it is positive."""
    both, neither = float((a * b).sum()), float(((1.0 - a) * (1.0 - b)).sum())
    only_a, only_b = float((a * (1.0 - b)).sum()), float((b * (1.0 - a)).sum())
    product = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    if product == 0.0:
        return 0.0
    excess = both * neither - only_a * only_b
    return (max(excess - len(a) / 2.0, 0.0) if excess > 0.0 else excess) / math.sqrt(product)


def mcnemar(a: Sample, b: Sample) -> float:
    """Exact probability that equally good actors differ in so many pairs one way more than the other.

    Source: Q. McNemar 1947, Psychometrika 12:153; of the pairs that differ, each is as likely to be either way.
    """
    up, down = int((b > a).sum()), int((a > b).sum())
    ways = sum(math.comb(up + down, count) for count in range(min(up, down) + 1))
    return min(1.0, 2 * ways / (1 << (up + down)))  # of whole numbers, which have no largest


def fisher(a: Sample, b: Sample) -> float:
    """Exact probability of zeros and ones that are spread over two groups as unevenly, if it were by chance.

    Source: R. A. Fisher 1934, Statistical methods for research workers, section 21.02; two-sided: all spreads that
    are no more likely than the one that was found.
    """
    n, m, hits = len(a), len(b), int(a.sum() + b.sum())
    counts = range(max(0, hits - m), min(n, hits) + 1)
    ways = {count: math.comb(n, count) * math.comb(m, hits - count) for count in counts}
    found = ways[int(a.sum())]
    return min(1.0, sum(way for way in ways.values() if way <= found) / math.comb(n + m, hits))


def _bootstrap(a: Sample, b: Sample) -> Interval:
    """Percentile bootstrap of the mean of b less that of a; see ``statistics.bootstrap_mean`` for one sample."""
    generator = np.random.default_rng(_SEED)
    first = _drawn(lambda rows: a[generator.integers(0, len(a), (rows, len(a)))].mean(axis=1), len(a))
    means = _drawn(lambda rows: b[generator.integers(0, len(b), (rows, len(b)))].mean(axis=1), len(b)) - first
    tail = 0.5 * (1.0 - CONFIDENCE)
    low, high = (float(bound) for bound in np.quantile(means, (tail, 1.0 - tail)))
    between = float(b.mean() - a.mean())
    return Interval(between, min(low, between), max(high, between))


def _randomised(a: Sample, b: Sample, *, paired: bool) -> float:
    """Share of random reassignments of values to actors with a difference at least as large, the real one included.

    Source: R. A. Fisher 1935, The design of experiments, section 21; E. J. G. Pitman 1937.
    """
    generator = np.random.default_rng(_SEED)
    between = abs(float(b.mean() - a.mean()))
    if paired:
        apart = b - a
        means = _drawn(lambda rows: (generator.choice((-1.0, 1.0), (rows, len(a))) * apart).mean(axis=1), len(a))
    else:
        pooled = np.concatenate([a, b])

        def spread(rows: int) -> Sample:
            mixed = generator.permuted(np.broadcast_to(pooled, (rows, len(pooled))), axis=1)
            shuffled: Sample = mixed[:, len(a) :].mean(axis=1) - mixed[:, : len(a)].mean(axis=1)
            return shuffled

        means = _drawn(spread, len(pooled))
    # Sums in another order differ by a rounding, which mustn't tell equal differences apart.
    least = between - 1e-12 * max(1.0, float(np.abs(a).max()), float(np.abs(b).max()))
    return float((np.abs(means) >= least).sum() + 1) / (DRAWS + 1)


def _drawn(draw: Callable[[int], Sample], size: int) -> Sample:
    """``DRAWS`` values, drawn in parts that fit into memory."""
    rows = max(1, 4_000_000 // size)
    return np.concatenate([draw(min(rows, DRAWS - start)) for start in range(0, DRAWS, rows)])
