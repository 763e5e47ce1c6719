"""Units of the data to units of a network and back; part of the weights, so that no runtime needs to know of it."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from haltere.policies.base import Obs

LEAST_STD = 1e-3
"""What hardly varies in the demonstrations isn't blown up: a sensor's last digit must not look like a signal."""
MOST = 10.0
"""Standard deviations from the mean at which an observation is cut off: further out nothing was learned. For what
hardly varies they are its own unit."""


class Normaliser(nn.Module):
    """Vectors by mean and standard deviation, commands by their least and greatest values to [-1, 1].

    Images are left as they are. Until ``fit`` it does nothing.
    """

    def __init__(self, vectors: Mapping[str, int], action: int) -> None:
        """For vectors of these sizes, by name, and so many components of a command."""
        super().__init__()
        self.names = tuple(vectors)
        for name, size in vectors.items():
            self.register_buffer(f"mean_{name}", torch.zeros(size))
            self.register_buffer(f"scale_{name}", torch.ones(size))
        self.register_buffer("low", -torch.ones(action))
        self.register_buffer("high", torch.ones(action))

    def fit(self, obs: Mapping[str, tuple[Tensor, Tensor]], low: Tensor, high: Tensor) -> None:
        """Take statistics of demonstrations.

        Args:
            obs: mean and standard deviation of each vector.
            low: least value of each component of a command.
            high: greatest.
        """
        for name, (mean, std) in obs.items():
            self.get_buffer(f"mean_{name}").copy_(mean)
            self.get_buffer(f"scale_{name}").copy_(torch.where(std > LEAST_STD, 1.0 / std.clamp(min=LEAST_STD), 1.0))
        flat = high - low < LEAST_STD
        self.get_buffer("low").copy_(torch.where(flat, low - 1.0, low))
        self.get_buffer("high").copy_(torch.where(flat, low + 1.0, high))

    def obs(self, obs: Obs) -> Obs:
        """Observations (..., n) in normalised units; images unchanged."""
        return {name: self._vector(name, array) if name in self.names else array for name, array in obs.items()}

    def _vector(self, name: str, array: Tensor) -> Tensor:
        centred = array - self.get_buffer(f"mean_{name}")
        return (centred * self.get_buffer(f"scale_{name}")).clamp(-MOST, MOST)

    def spread(self, obs: Obs) -> Obs:
        """Undo ``obs`` within the limits: vectors of standard normal numbers get the data's mean and deviation."""
        return {
            name: self.get_buffer(f"mean_{name}") + array / self.get_buffer(f"scale_{name}")
            if name in self.names
            else array
            for name, array in obs.items()
        }

    def chunk(self, command: Tensor) -> Tensor:
        """Commands (..., action) in normalised units."""
        low, high = self.get_buffer("low"), self.get_buffer("high")
        return 2.0 * (command - low) / (high - low) - 1.0

    def command(self, chunk: Tensor) -> Tensor:
        """Undo ``chunk``."""
        low, high = self.get_buffer("low"), self.get_buffer("high")
        return low + 0.5 * (chunk + 1.0) * (high - low)
