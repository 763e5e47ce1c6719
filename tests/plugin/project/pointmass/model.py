"""One learned matrix from the vector to the goal to a velocity."""

import torch
from torch import nn

from haltere.policies.base import Obs, Output, Policy, Signature, State
from pointmass.config import StraightConfig


class StraightPolicy(Policy[StraightConfig]):
    """Velocity towards the goal. Stateless.

    Observations (B = points): goal (B, 2), from the point to its goal [m].
    Output: action (B, 2), fraction of the top speed along x and y.
    """

    def __init__(self, config: StraightConfig, signature: Signature) -> None:
        """Start at the configured gain, slightly perturbed."""
        super().__init__(config, signature)
        self.linear = nn.Linear(signature.obs["goal"][0], signature.action)
        with torch.no_grad():
            self.linear.weight.mul_(0.01).add_(config.gain * torch.eye(signature.action))

    def forward(self, obs: Obs, state: State) -> tuple[Output, State]:
        """One control step."""
        return {"action": torch.tanh(self.linear(obs["goal"]))}, state
