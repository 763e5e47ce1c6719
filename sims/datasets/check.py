"""Is a dataset what it says? Its form, its statistics, and its actions played again in the simulator.

Meant for "the loss is low and the success is zero": a policy can fit actions that belong to other observations, and
nothing but playing them shows it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from haltere.configs.errors import ConfigError
from haltere.sims.datasets import inspection
from haltere.sims.datasets.columns import Env, mismatches
from haltere.sims.datasets.contents import Contents, Episode, read_contents
from haltere.sims.datasets.faults import find_faults
from haltere.sims.datasets.layout import STATS, DatasetFault
from haltere.sims.datasets.reader import Dataset
from haltere.sims.datasets.replay import LEVELS_APART, EpisodeReplay, Progress, Scales, replay, scales_of
from haltere.sims.registration import task_class, task_config

MOST_FAULTS = 100
"""How many are listed; a dataset with so many needs no longer list."""
TOLERANCE = 1e-3
"""Default difference on replay that is none, in standard deviations of the entry: the same build has exactly 0."""
_TRIED = 8
_BETTER = 5.0


@dataclass(frozen=True)
class Drift:
    """How far a feature came from what was recorded.

    Attributes:
        max: largest difference, in the feature's own unit; of images the mean over one, in levels of 256.
        max_scaled: largest difference in standard deviations of its entry; of images the same as ``max``.
        episode: where it was first more than the tolerance; None where it never was.
        frame: of that episode.
    """

    max: float
    max_scaled: float
    episode: int | None = None
    frame: int | None = None


@dataclass
class CheckReport:
    """What a check found; the fields are the keys of its JSON.

    Attributes:
        task: Gymnasium id.
        folder: of the dataset.
        episodes: how many it says it has.
        frames: of all of them.
        replayed: episodes that were played again.
        recorded_success: mean success of those as recorded; None where none were.
        replayed_success: the same as replayed.
        drift: of each observation.
        faults: what is wrong; none means that the dataset is clean.
        warnings: what may be on purpose.
    """

    task: str
    folder: str
    episodes: int = 0
    frames: int = 0
    replayed: int = 0
    recorded_success: float | None = None
    replayed_success: float | None = None
    drift: dict[str, Drift] = field(default_factory=dict)
    faults: list[DatasetFault] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return vars(self) | {
            "clean": not self.faults,
            "drift": {key: vars(drift) for key, drift in self.drift.items()},
            "faults": [fault.as_dict() for fault in self.faults],
        }


def check_dataset(
    path: Path,
    *,
    module: str,
    task_id: str,
    env: Any,  # noqa: ANN401 -- the task's configuration
    tolerance: float = TOLERANCE,
    progress: Progress | None = None,
) -> CheckReport:
    """Check a dataset against a task.

    Args:
        path: of the dataset.
        module: whose import registers the task.
        task_id: Gymnasium id.
        env: the task's configuration, for datasets that don't say with which they were recorded.
        tolerance: difference on replay that is none, in standard deviations of the entry.
        progress: told of the replay.

    Raises:
        RequestError: there is no dataset at all.
    """
    report = CheckReport(task_id, str(path))
    try:
        contents = read_contents(path)
    except DatasetFault as fault:
        report.faults.append(fault)
        return report
    report.episodes, report.frames = contents.info.total_episodes, contents.info.total_frames
    report.faults += islice(find_faults(contents), MOST_FAULTS)
    ours = contents.info.ours or {}
    if ours.get("task", task_id) != task_id:
        report.faults.append(DatasetFault("task", f"{path}: was recorded in {ours['task']}, not in {task_id}"))
        return report
    cls = task_class(module, task_id)
    config = env
    if isinstance(ours.get("env"), dict):
        try:
            config = task_config(cls, ours["env"], f"{path}: the settings that it was recorded with")
        except ConfigError as error:
            report.faults.append(DatasetFault("task", str(error)))
            return report

    def make_env(worlds: int) -> Env:
        return cls(config, worlds)

    _against_task(report, contents, make_env)
    if report.faults:
        report.warnings.append("statistics and replay were left out, because the dataset can't be read as it is")
        return report
    if contents.stats is None:
        report.warnings.append(f"{STATS} is missing: others who normalise by it can't")
    _frames(report, Dataset(contents), make_env, tolerance, progress)
    return report


def _against_task(report: CheckReport, contents: Contents, make_env: Callable[[int], Env]) -> None:
    env = make_env(1)
    try:
        wrong = mismatches(contents.info.features, env)
    finally:
        env.close()
    report.faults += [DatasetFault("shape", message, column) for column, message in wrong]


def _frames(
    report: CheckReport, dataset: Dataset, make_env: Callable[[int], Env], tolerance: float, progress: Progress | None
) -> None:
    """All that takes the frames themselves."""
    damaged = list(islice(inspection.damaged_films(dataset), MOST_FAULTS))
    report.faults += damaged
    report.faults += islice(inspection.statistics(dataset, films=not damaged), MOST_FAULTS)
    _actions(report, dataset, make_env)
    if damaged:
        report.warnings.append("what takes pictures was left out, because films are damaged: replay among others")
        return
    report.faults += islice(inspection.duplicates(dataset), MOST_FAULTS)
    _replay(report, dataset, make_env, tolerance, progress)


def _actions(report: CheckReport, dataset: Dataset, make_env: Callable[[int], Env]) -> None:
    env = make_env(1)
    try:
        report.warnings += inspection.dull_actions(dataset, env)
    finally:
        env.close()


def _replay(
    report: CheckReport, dataset: Dataset, make_env: Callable[[int], Env], tolerance: float, progress: Progress | None
) -> None:
    """Play everything that has a seed, and put down what came of it."""
    episodes = [episode for episode in dataset.episodes if episode.seed is not None]
    if len(episodes) < len(dataset.episodes):
        without = len(dataset.episodes) - len(episodes)
        report.warnings.append(f"{without} episodes have no seed of haltere's and can't be played again")
    if not episodes:
        return
    numeric = [key for key in dataset.info.keys(visual=False) if key.startswith("observation.")]
    scales = scales_of(dataset, numeric)
    found = replay(dataset, make_env, episodes, scales, progress=progress)
    report.replayed = len(found)
    report.recorded_success = float(np.mean([result.episode.success or 0.0 for result in found]))
    report.replayed_success = float(np.mean([result.success or 0.0 for result in found]))
    limits = {key: LEVELS_APART if dataset.info.features[key].visual else tolerance for key in found[0].drift}
    report.drift = {key: _drift(key, found, limit) for key, limit in limits.items()}
    faults = [fault for result in found for fault in _faults(result, limits)]
    report.faults += faults[:MOST_FAULTS]
    strayed = [result for result in found if _first(result, limits) is not None]
    hint = _shifted(dataset, make_env, strayed, scales) if strayed else None
    if hint is not None:
        report.faults.append(hint)


def _first(result: EpisodeReplay, limits: dict[str, float]) -> tuple[int, str] | None:
    """The frame at which an episode first left what was recorded, and the feature that did."""
    found = [(frame, key) for key, limit in limits.items() if (frame := _over(result.drift[key], limit)) is not None]
    return min(found, default=None)


def _over(values: Sequence[float], limit: float) -> int | None:
    # Not "greater": a NaN is over the limit too.
    return next((frame for frame, value in enumerate(values) if not value <= limit), None)


def _drift(key: str, found: Sequence[EpisodeReplay], limit: float) -> Drift:
    largest = max(result.apart[key] for result in found)
    scaled = max(max(result.drift[key]) for result in found)
    for result in found:
        frame = _over(result.drift[key], limit)
        if frame is not None:
            return Drift(largest, scaled, result.episode.index, frame)
    return Drift(largest, scaled)


def _faults(result: EpisodeReplay, limits: dict[str, float]) -> list[DatasetFault]:
    """What is wrong with one episode: where it strayed, where it ended, and whether it succeeded."""
    episode, faults = result.episode, []
    first = _first(result, limits)
    if first is not None:
        frame, key = first
        message = (
            f"{key} on replay isn't the recorded one: {result.drift[key][frame]:.3g} apart here, at most "
            f"{max(result.drift[key]):.3g}, the limit is {limits[key]:g}"
        )
        faults.append(DatasetFault("drift", message, key, episode.index, frame))
    if result.ended != episode.length:
        when = "hasn't ended after them" if result.ended is None else f"has ended after {result.ended}"
        message = f"{episode.length} actions are recorded, and the world {when}"
        faults.append(DatasetFault("drift", message, "action", episode.index))
    if episode.success is not None and result.success is not None and abs(result.success - episode.success) > 1e-6:
        message = f"recorded with success {episode.success:g}, on replay {result.success:g}"
        faults.append(DatasetFault("success", message, None, episode.index))
    return faults


def _shifted(
    dataset: Dataset, make_env: Callable[[int], Env], strayed: Sequence[EpisodeReplay], scales: Scales
) -> DatasetFault | None:
    """Whether the actions fit far better one frame earlier or later."""
    episodes: list[Episode] = [result.episode for result in strayed[:_TRIED]]

    def stray(found: Sequence[EpisodeReplay]) -> float:
        return float(
            np.mean([min(value, 10.0) for result in found for key in result.drift for value in result.drift[key]])
        )

    as_recorded = stray(strayed[:_TRIED])
    for shift, words in ((1, "late: each lies one frame after the one that it was made in"), (-1, "early")):
        moved = stray(replay(dataset, make_env, episodes, scales, shift=shift))
        if moved * _BETTER < as_recorded:
            message = f"the actions look one frame {words}; moved, they drift {moved:.3g} rather than {as_recorded:.3g}"
            return DatasetFault("drift", f"off by one: {message}", "action")
    return None
