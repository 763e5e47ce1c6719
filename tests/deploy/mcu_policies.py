"""Swarm policies with weights that nobody trained, and flights for them to be tried on."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from haltere.deploy.export import TaskFacts
from haltere.policies.base import Policy, Signature
from haltere.policies.registry import build_policy
from haltere.policies.swarm.config import SwarmConfig
from haltere.sims.lanes import to_lanes
from haltere.sims.mujoco.swarm.config import SwarmForestConfig
from haltere.sims.mujoco.swarm.task import SwarmForest

FACTS = TaskFacts.of(SwarmForest.spec_)
WIDTHS = (10, 16, 32)
Arrays = dict[str, NDArray[np.float32]]


def mcu_policy(width: int, *, neighbours: int = 2, attention: Any = "softmax", seed: int = 3) -> Policy[Any]:  # noqa: ANN401
    """A network whose every weight matters: a new one's biases and norm are zeros and ones, and its commands small."""
    signature = Signature({"self": (19,), "neighbour": (neighbours, 6), "obstacle": (9,)}, 4)
    policy = build_policy(SwarmConfig(width=width, attention=attention), signature, seed).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) / width**0.5)
    return policy


def flight(neighbours: int = 2, steps: int = 16) -> Arrays:
    """What drones sense that fly through forests at random: (N, ...), more than a thousand."""
    env = SwarmForest(SwarmForestConfig(neighbours=neighbours), num_envs=8)
    generator = np.random.default_rng(5)
    obs, _ = env.reset(seed=900_000)
    seen = [to_lanes(obs, env.agents)]
    for _ in range(steps):
        # About hover, so that they tumble slowly enough to see more than the floor.
        for _ in range(10):
            obs, *_ = env.step(generator.normal(0.05, 0.1, (8, env.config.drones, 4)).clip(-1, 1).astype(np.float32))
        seen.append(to_lanes(obs, env.agents))
    env.close()
    return {key: np.concatenate([part[key] for part in seen]) for key in seen[0]}
