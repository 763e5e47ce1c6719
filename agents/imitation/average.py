"""A moving average of weights, which acts better than the weights of any one update."""

import copy
from typing import Any

import torch

from haltere.policies.chunking.base import ChunkPolicy


class Average:
    """The moving average of a policy's weights, as a policy.

    Attributes:
        policy: the average, in evaluation mode.
        updates: that it has seen.
    """

    def __init__(self, policy: ChunkPolicy[Any], power: float, most: float) -> None:
        """Begin with a policy's weights.

        Args:
            policy: what is trained; left as it is.
            power: after n updates the average keeps 1 - (1 + n)^-power of itself.
            most: and this at most.
        """
        self.policy = copy.deepcopy(policy).eval().requires_grad_(False)
        self.updates = 0
        self._power, self._most = power, most

    def update(self, policy: ChunkPolicy[Any]) -> None:
        """Take up the weights after an update."""
        self.updates += 1
        kept = min(self._most, 1.0 - (1.0 + self.updates) ** -self._power)
        with torch.no_grad():
            for mine, new in zip(self.policy.parameters(), policy.parameters(), strict=True):
                mine.lerp_(new, 1.0 - kept)
