"""Policies small enough to export in a second: one that remembers, one that exports as something else."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from haltere.deploy.export import TaskFacts
from haltere.policies.base import Obs, Output, Policy, Signature, State
from haltere.policies.registry import build_policy
from haltere.policies.swarm.config import SwarmConfig

FACTS = TaskFacts("toy/Toy-v0", 0.01, {"self": "m, world frame", "action": "thrust fraction"})
SWARM = Signature({"self": (19,), "neighbour": (2, 6), "obstacle": (9,)}, 4)
CONFIG = """
name: toy
task: toy/Toy-v0
module: toy
env: {}
policy: {type: swarm, width: 10, attention: softmax}
trainer: {type: ppo}
"""


def swarm_policy(seed: int = 0) -> Policy[Any]:
    """The smallest registered network."""
    return build_policy(SwarmConfig(width=10), SWARM, seed)


def stirred(module: nn.Module, seed: int = 0) -> None:
    """Give it weights that let something through: those that begin as zero would hide every difference."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5 * parameter.shape[-1] ** -0.5, generator=generator)


@dataclass(frozen=True)
class ToyConfig:
    """A toy's configuration."""

    type: str = "toy"
    start: float = 0.0


class Remembering(Policy[ToyConfig]):
    """A recurrent cell and a counter: state of two types, and an observation that nobody uses."""

    def __init__(self, config: ToyConfig) -> None:
        """Draw weights of its own, seeded."""
        super().__init__(config, Signature({"x": (3,), "unused": (2,)}, 2))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(5)
            self.cell = nn.GRUCell(3, 8)
            self.head = nn.Linear(8, 2)

    def initial_state(self, batch: int) -> State:
        """A memory and a step counter."""
        memory = torch.full((batch, 8), self.config.start)
        return {"memory": memory, "count": torch.zeros(batch, dtype=torch.int64)}

    def forward(self, obs: Obs, state: State) -> tuple[Output, State]:
        """Action from the memory; how often it was asked as a second output."""
        memory = self.cell(obs["x"], state["memory"])
        count = state["count"] + 1
        return {"action": self.head(memory).tanh(), "asked": count.float()[:, None]}, {"memory": memory, "count": count}


class TwoFaced(Remembering):
    """Computes one thing in torch and another once exported."""

    def forward(self, obs: Obs, state: State) -> tuple[Output, State]:
        """As its parent, but for an error that only the export has."""
        out, state = super().forward(obs, state)
        if torch.compiler.is_exporting():
            out["action"] = out["action"] * 1.001
        return out, state


class Drifting(Remembering):
    """A single step is right to 1e-5; the error that the export adds grows with every step."""

    def forward(self, obs: Obs, state: State) -> tuple[Output, State]:
        """The state integrates without forgetting."""
        gain = 1.03 if torch.compiler.is_exporting() else 1.0
        memory = state["memory"] + 1e-5 * obs["x"].mean(dim=1, keepdim=True).abs() * gain
        return {"action": (1000.0 * memory[:, :2]).sin() * 1e-2}, {"memory": memory, "count": state["count"] + 1}


class LooksAtData(Remembering):
    """Branches on a value, which no graph can hold."""

    def forward(self, obs: Obs, state: State) -> tuple[Output, State]:
        """Two networks in one."""
        if float(obs["x"].sum()) > 0.0:
            return super().forward(obs, state)
        return {"action": obs["x"][:, :2]}, state


def arrays(policy: Policy[Any], batch: int, seed: int) -> dict[str, Any]:
    """Random observations as an actor gets them."""
    obs = policy.random_obs(batch, torch.Generator().manual_seed(seed))
    return {name: tensor.numpy() for name, tensor in obs.items()}


def leftovers(folder: Path) -> list[str]:
    """Names of everything in a folder, hidden files included."""
    return sorted(path.name for path in folder.iterdir())
