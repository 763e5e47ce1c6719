"""Images as vectors, for every policy that plans chunks: convolutions, and where in the picture each feature is found.

Of each channel of the last convolution a softmax over the picture makes a distribution, and its mean is what goes on:
a point for each feature (Finn et al. 2016, arXiv:1509.06113, section IV-A; Levine et al. 2016, arXiv:1504.00702,
section 5.1). An arm that is to go somewhere needs to know where things are, and points say it to less than a cell of
the last convolution's grid. Norms are those of groups of channels (Wu and He 2018, arXiv:1803.08494), as in Diffusion
Policy (Chi et al. 2023, arXiv:2303.04137, section III-B): batch norms and a moving average of weights don't go
together. Sizes are ours, for one core of a CPU.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from haltere.policies.base import Obs

COLOURS = 3
LEAST_SIDE_PX = 8
"""Smaller images would leave the last grid with a single cell, of which no place can be told."""
CHANNELS = (16, 32, 32)
"""Of the convolutions; the first two halve the sides."""
GROUPS = 4
"""Of channels that are normed together."""
POINTS = 32
"""Places that are looked for in an image."""
FEATURES = 64
"""Numbers that an image becomes."""
SHARPNESS = 8.0
"""Of the softmax at first, after which it is learned: with 1, a fresh network's points all lie in the middle."""


class Eye(nn.Module):
    """From an image to ``FEATURES`` numbers."""

    def __init__(self) -> None:
        """Build for images of any size; colours in [0, 1]."""
        super().__init__()
        first, second, third = CHANNELS
        self.layers = nn.Sequential(
            *_convolution(COLOURS, first, kernel=5, stride=2),
            *_convolution(first, second, kernel=3, stride=2),
            *_convolution(second, third, kernel=3, stride=1),
            nn.Conv2d(third, POINTS, 1),
        )
        self.sharpness = nn.Parameter(torch.full((POINTS, 1, 1), SHARPNESS))
        self.out = nn.Linear(2 * POINTS, FEATURES)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, FEATURES)."""
        features: Tensor = self.out(spatial_softmax(self.sharpness * self.layers(2.0 * image - 1.0)))
        return features


class Eyes(nn.ModuleDict):
    """All images of an observation, each by an eye of its own; where there are none it does nothing."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """For observations of these shapes, by name, vectors among them.

        Raises:
            ValueError: one is neither a vector nor an image.
        """
        images = {name: shape for name, shape in shapes.items() if len(shape) != 1}
        for name, shape in images.items():
            if len(shape) != 3 or shape[0] != COLOURS or min(shape[1:]) < LEAST_SIDE_PX:
                wanted = f"vectors and images ({COLOURS}, H, W) of at least {LEAST_SIDE_PX} pixels a side"
                raise ValueError(f"takes {wanted}, and '{name}' has the shape {shape}")
        super().__init__({name: Eye() for name in images})

    def forward(self, obs: Obs) -> Obs:
        """Images (B, observed, 3, H, W) become (B, observed, FEATURES); vectors (B, observed, n) stay as they are."""
        return {name: self._looked(name, array) if name in self else array for name, array in obs.items()}

    def _looked(self, name: str, image: Tensor) -> Tensor:
        seen: Tensor = self[name](image.flatten(0, 1)).unflatten(0, (-1, image.shape[1]))
        return seen


def spatial_softmax(maps: Tensor) -> Tensor:
    """Where each map is expected to be largest: (N, C, H, W) -> (N, 2 C), all columns and then all rows.

    Both are in [-1, 1], from the left to the right edge's and from the upper to the lower edge's cells.
    """
    height, width = maps.shape[-2:]
    share = torch.softmax(maps.flatten(2), dim=-1).unflatten(2, (height, width))
    column = share.sum(2) @ torch.linspace(-1.0, 1.0, width, dtype=maps.dtype)
    row = share.sum(3) @ torch.linspace(-1.0, 1.0, height, dtype=maps.dtype)
    return torch.cat([column, row], dim=1)


def _convolution(before: int, after: int, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(before, after, kernel, stride, padding=kernel // 2),
        nn.GroupNorm(GROUPS, after),
        nn.ReLU(),
    )
