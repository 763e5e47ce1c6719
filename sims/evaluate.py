"""The one evaluator: every number of a README, a zoo card or a report comes from here."""

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.configs.installation import installed_version
from haltere.sims.actor import Actor
from haltere.sims.reading import RATES as READING_RATES
from haltere.sims.rollout import Episodes, Progress, VideoSink, rollout
from haltere.sims.signals import SignalReport
from haltere.sims.signals import report as signal_reports
from haltere.sims.statistics import Interval, bootstrap_mean, frequency, wilson
from haltere.sims.task import TaskSpec, TaskVectorEnv

WORLDS = 64
"""Side by side, unless more or fewer are asked for."""


@dataclass(frozen=True)
class LevelReport:
    """What the episodes of one level came to.

    Attributes:
        episodes: how many there were.
        success: their success rate and its interval.
    """

    episodes: int
    success: Interval


@dataclass(frozen=True)
class EvalReport:
    """What an evaluation measured; the fields are the keys of ``eval --json``.

    Attributes:
        task: short name or Gymnasium id, as asked for.
        actor: what was asked to fly, such as ``zoo`` or a path.
        runtime: ``torch``, ``onnx``, ...
        episodes: number of episodes, the n of every interval.
        seed: the first episode seed.
        success: success rate and its interval.
        metrics: every other declared metric; the task's frequencies, where there was exposure; and those of
            ``haltere.sims.reading``, where the actor shows what of its memory it reads and the task says what it asks
            about.
        wall_s: wall time of the rollout [s].
        steps: control steps of all agents in the counted episodes.
        config_digest: ``config_digest`` of the task and its environment's configuration.
        version: haltere's.
        seeds: seed of each episode.
        per_episode: metric -> one value an episode (a swarm's is the mean over its agents), in the order of ``seeds``;
            what a paired comparison needs.
        levels: name of each level of the task that there were episodes of -> what these came to; empty, and not a key
            of the JSON, where they were of one level.
        signals: name of each number that the actor shows of itself -> whether it tells failure; see
            ``haltere.sims.signals``. Empty, and not a key of the JSON, where it shows none.
    """

    task: str
    actor: str
    runtime: str
    episodes: int
    seed: int
    success: Interval
    metrics: dict[str, Interval]
    wall_s: float
    steps: int
    config_digest: str
    version: str
    seeds: list[int]
    per_episode: dict[str, list[float]]
    levels: dict[str, LevelReport] = field(default_factory=dict)
    signals: dict[str, SignalReport] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists, strings and numbers.

        A mean over a single episode has no interval: ``low`` and ``high`` are None then, Wilson's stay.
        """
        data = dataclasses.asdict(self)
        means = [*data["metrics"].values(), *(signal["mean"] for signal in data["signals"].values())]
        for metric in means if self.episodes == 1 else ():
            if metric["low"] == metric["high"]:
                metric["low"] = metric["high"] = None
        for name in ("levels", "signals"):
            if not data[name]:
                del data[name]
        return data

    def to_json(self) -> str:
        """One JSON object, indented; it holds no NaN and no infinity."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False)


def evaluate(
    actor: Actor,
    make_env: Callable[[int], TaskVectorEnv[Any]],
    seeds: Sequence[int],
    *,
    task: str,
    actor_name: str,
    runtime: str,
    worlds: int = WORLDS,
    progress: Progress | None = None,
    video: VideoSink | None = None,
) -> EvalReport:
    """Roll out one episode a seed and put an interval around every declared metric.

    A swarm's episode counts once, with the mean over its agents, which aren't independent. Rates get Wilson's interval
    at n = episodes (conservative for fractions, of variance below p (1 - p)), means a bootstrap, counts Garwood's.

    Args:
        actor: anything that acts.
        make_env: builds W worlds of the task; called once.
        seeds: one episode each. Held-out ones start at ``haltere.sims.task.FIRST_HELD_OUT_SEED``.
        task: as asked for; goes into the report, like the next two.
        actor_name: as asked for.
        runtime: that it runs in.
        worlds: most worlds at a time; changes speed and no world, but may change how a network's sums round.
        progress: ``progress(done_episodes, total_episodes, agent_steps)``.
        video: gets the film of the first episode.

    Raises:
        RequestError: no seeds, or a film of a task that has none.
        HaltereError: the actor's output is misshapen or not finite; a metric is missing, not finite or no rate.
    """
    built: list[TaskVectorEnv[Any]] = []

    def build(num_envs: int) -> TaskVectorEnv[Any]:
        built.append(make_env(num_envs))
        return built[0]

    start_s = time.perf_counter()
    episodes = rollout(actor, build, seeds, worlds=worlds, progress=progress, video=video)
    wall_s = time.perf_counter() - start_s
    per_episode = _per_episode(episodes)
    intervals, levels = _intervals(built[0].spec_, per_episode), _levels(built[0], per_episode)
    return EvalReport(
        task,
        actor=actor_name,
        runtime=runtime,
        episodes=len(seeds),
        seed=int(seeds[0]),
        success=intervals.pop("success"),
        metrics=intervals,
        wall_s=wall_s,
        steps=episodes.agent_steps,
        config_digest=config_digest(built[0].spec_.id, built[0].config),
        version=installed_version(),
        seeds=[int(seed) for seed in seeds],
        per_episode={name: values.tolist() for name, values in per_episode.items()},
        levels=_level_reports(levels, per_episode["success"]),
        signals=signal_reports(episodes.signals, per_episode["success"], levels),
    )


def config_digest(task_id: str, env_config: object) -> str:
    """SHA-256 of the canonical JSON of a task's id and its environment's configuration, in hexadecimal.

    Args:
        task_id: Gymnasium id.
        env_config: the configuration dataclass, or its fields as a mapping; both give the same digest.

    Raises:
        RequestError: a value isn't one that JSON can hold exactly.
    """
    if dataclasses.is_dataclass(env_config) and not isinstance(env_config, type):
        fields: object = dataclasses.asdict(env_config)
    elif isinstance(env_config, Mapping):
        fields = dict(env_config)
    else:
        raise RequestError(f"a configuration is a dataclass or a mapping, got {type(env_config).__name__}")
    try:
        text = json.dumps({"env": fields, "task": task_id}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RequestError(f"the configuration of {task_id} has no canonical JSON: {error}") from error
    return hashlib.sha256(text.encode()).hexdigest()


def _per_episode(episodes: Episodes) -> dict[str, NDArray[np.float64]]:
    return {name: v if episodes.agents is None else v.mean(axis=1) for name, v in episodes.metrics.items()}


def _intervals(spec: TaskSpec, per_episode: Mapping[str, NDArray[np.float64]]) -> dict[str, Interval]:
    rates = (*spec.rates, *READING_RATES)
    intervals = {name: wilson(v) if name in rates else bootstrap_mean(v) for name, v in per_episode.items()}
    often = {name: frequency(per_episode[of], per_episode[by]) for name, (of, by) in spec.frequencies.items()}
    return intervals | {name: interval for name, interval in often.items() if interval is not None}


def _level_reports(levels: Mapping[str, NDArray[np.bool_]], success: NDArray[np.float64]) -> dict[str, LevelReport]:
    return {name: LevelReport(int(of.sum()), wilson(success[of])) for name, of in levels.items()}


def _levels(env: TaskVectorEnv[Any], per_episode: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.bool_]]:
    """Which episodes were of each level, in the order of the levels' numbers; nothing where there is but one."""
    if not env.levels:
        return {}
    kinds, of = np.unique(np.stack([per_episode[name] for name in env.levels], axis=1), axis=0, return_inverse=True)
    masks = {}
    for number, kind in enumerate(kinds.tolist() if len(kinds) > 1 else []):
        name = "-".join(env.level_name(metric, value) for metric, value in zip(env.levels, kind, strict=True))
        masks[name] = of.reshape(-1) == number
    return masks
