"""What a task senses and commands, as the dataset's features, and back."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.sims.datasets.layout import ACTION, IMAGES, OBSERVATION, Feature
from haltere.sims.task import TaskVectorEnv

Env = TaskVectorEnv[Any]


def observation_keys(env: Env) -> dict[str, str]:
    """Feature's key of each observation of a task, in the space's order."""
    assert isinstance(env.single_observation_space, spaces.Dict)
    return {name: _key(name, space) for name, space in env.single_observation_space.spaces.items()}


def env_features(env: Env) -> dict[str, Feature]:
    """Features of a task's datasets: each observation, then the action; a swarm's have the agents' axis in front.

    Raises:
        RequestError: agents of a swarm see images, for which the format has no place.
    """
    assert isinstance(env.single_observation_space, spaces.Dict)
    features: dict[str, Feature] = {}
    for name, space in env.single_observation_space.spaces.items():
        shape = tuple(space.shape or (1,))
        features[_key(name, space)] = Feature("video" if is_image(space) else "float32", shape)
        if len(shape) == 4 and shape[1] == 3:
            raise RequestError(
                f"task {env.spec_.id}: observation '{name}' is an image for each agent; only tasks with one agent can "
                "have films"
            )
    return features | {ACTION: Feature("float32", tuple(env.single_action_space.shape or (1,)))}


def is_image(space: spaces.Space[Any]) -> bool:
    """Whether an observation is an RGB image, (3, H, W) in [0, 1]."""
    shape = space.shape or ()
    if not isinstance(space, spaces.Box) or len(shape) != 3 or shape[0] != 3:
        return False
    return bool(space.low.min() >= 0.0 and space.high.max() <= 1.0)


def to_levels(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Images in [0, 1] as the nearest of 256 levels."""
    levels: NDArray[np.uint8] = np.rint(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)
    return levels


def frame_rate(env: Env) -> Fraction:
    """Frames a second: one a control step."""
    return Fraction(1.0 / env.spec_.ctrl_dt_s).limit_denominator(1000)


def names_of(key: str, feature: Feature) -> list[str] | None:
    """What the format calls the entries of a feature."""
    if feature.visual:
        return ["channels", "height", "width"]
    if len(feature.shape) != 1:
        return None
    last = key.rsplit(".", 1)[-1]
    return [f"{last}_{number}" for number in range(feature.shape[0])]


def mismatches(recorded: Mapping[str, Feature], env: Env) -> list[tuple[str, str]]:
    """Where a dataset's features aren't what a task senses and commands: (column, sentence) of each."""
    found = []
    for key, wanted in env_features(env).items():
        got = recorded.get(key)
        if got is None:
            found.append((key, f"column '{key}' is missing; task {env.spec_.id} has it, of shape {list(wanted.shape)}"))
        elif got.shape != wanted.shape or got.visual != wanted.visual:
            message = f"column '{key}' has shape {list(got.shape)}, task {env.spec_.id} has {list(wanted.shape)}"
            found.append((key, message))
    return found


def _key(name: str, space: spaces.Space[Any]) -> str:
    return f"{IMAGES if is_image(space) else OBSERVATION}{name}"
