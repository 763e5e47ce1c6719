"""Numbers that an actor shows of itself, such as its energy: do they tell which episodes will fail?

Each is looked at in three ways in each episode. ``first``: at its first step, before anything can have gone wrong.
``mean``: over its control steps. ``greatest``: of them all; of two episodes that are otherwise alike, the longer one
has more chances to be great. What a plan shows is held until the next plan, so that it counts in every step in which
that plan is carried out, and no plan counts for more than was done of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError
from haltere.sims.lanes import array_from_lanes
from haltere.sims.statistics import Interval, auroc, bootstrap_mean

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

LOOKS = ("first", "mean", "greatest")
"""Ways to look at a signal of an episode; a swarm's is the mean over its agents, but for ``greatest``."""
_OTHERS = ("action", "read")
"""Outputs that mean something else, whatever their shape."""


@dataclass(frozen=True)
class SignalReport:
    """What one of the actor's numbers came to.

    Attributes:
        mean: over episodes, of each one's mean, and its interval.
        auroc: way to look at it -> how likely it is greater in an episode that failed than in one that succeeded, ties
            counting half, and its interval: 0.5 where it says nothing, below where it is smaller before a failure. A
            swarm's episode has failed where any of its agents has. Empty where all episodes failed, or none, and
            where the signal is the same in all of them.
        levels: name of each level of the task with episodes of both kinds -> the same of its own; a signal of another
            level may have another zero.
        per_episode: way to look at it -> one value an episode, in the order of the report's ``seeds``.
    """

    mean: Interval
    auroc: dict[str, Interval] = field(default_factory=dict)
    levels: dict[str, dict[str, Interval]] = field(default_factory=dict)
    per_episode: dict[str, list[float]] = field(default_factory=dict)


class Signals:
    """Takes in what an actor shows, a control step at a time: each output (lanes, 1) but the action."""

    def __init__(self, episodes: int, agents: int | None) -> None:
        """Make room for E episodes, in worlds of so many agents."""
        self._episodes, self._agents = episodes, agents
        self._kept: dict[str, FloatArray] | None = None
        self._steps = np.zeros(episodes)

    def add(self, output: Mapping[str, NDArray[Any]], worlds: NDArray[np.int64], first: int) -> None:
        """Take in a step.

        Args:
            output: of the actor; each of its arrays begins with an axis of lanes.
            worlds: (k,) those whose episodes aren't over.
            first: number of world 0's episode.

        Raises:
            HaltereError: a signal that was there in the first step is gone, or one isn't finite.
        """
        if self._kept is None:
            lanes = len(output["action"])
            names = [name for name, values in output.items() if _is_signal(name, values, lanes)]
            self._kept = {name: np.zeros((len(LOOKS), self._episodes)) for name in names}
        if not self._kept:
            return
        episodes = first + worlds
        new = self._steps[episodes] == 0
        self._steps[episodes] += 1
        for name, (at_first, total, greatest) in self._kept.items():
            if name not in output or not _is_signal(name, output[name], len(output["action"])):
                raise HaltereError(f"the actor's '{name}' was a number a lane in the first step, and no longer is")
            values = array_from_lanes(output[name].astype(np.float64), self._agents)[worlds].reshape(len(worlds), -1)
            if not np.isfinite(values).all():
                raise HaltereError(f"the actor's '{name}' must be finite, got {values[~np.isfinite(values)][0]}")
            mean = values.mean(axis=1)
            at_first[episodes] = np.where(new, mean, at_first[episodes])
            total[episodes] += mean
            greatest[episodes] = np.where(new, values.max(axis=1), np.maximum(greatest[episodes], values.max(axis=1)))

    def results(self) -> dict[str, dict[str, FloatArray]]:
        """Each signal in each of ``LOOKS``, (E,)."""
        steps = np.stack([np.ones(self._episodes), self._steps, np.ones(self._episodes)])
        return {name: dict(zip(LOOKS, kept / steps, strict=True)) for name, kept in (self._kept or {}).items()}


def _is_signal(name: str, values: NDArray[Any], lanes: int) -> bool:
    return name not in _OTHERS and values.shape == (lanes, 1) and values.dtype.kind in "biuf"


def report(
    signals: Mapping[str, Mapping[str, FloatArray]], success: FloatArray, levels: Mapping[str, BoolArray]
) -> dict[str, SignalReport]:
    """Set each signal beside what its episodes came to.

    Args:
        signals: from ``Signals.results``.
        success: (E,) of each episode; a swarm's is a share.
        levels: name of each level -> whether each episode was of it, (E,).
    """
    failed, every = success < 1.0, np.ones(len(success), np.bool_)
    return {
        name: SignalReport(
            mean=bootstrap_mean(looks["mean"]),
            auroc=_areas(looks, failed, every),
            levels={level: areas for level, of in levels.items() if (areas := _areas(looks, failed, of))},
            per_episode={look: values.tolist() for look, values in looks.items()},
        )
        for name, looks in signals.items()
    }


def _areas(looks: Mapping[str, FloatArray], failed: BoolArray, of: BoolArray) -> dict[str, Interval]:
    """Of some episodes; none where they all came to the same, or showed the same."""
    ill, well = failed & of, ~failed & of
    if not (ill.any() and well.any()) or all(np.ptp(values[of]) == 0.0 for values in looks.values()):
        return {}
    return {look: auroc(values[ill], values[well]) for look, values in looks.items()}
