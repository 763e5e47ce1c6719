"""From what is sensed in one step to one vector, whatever step it is: frames that recur need encoding only once."""

from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from haltere.policies.base import Obs
from haltere.policies.memory.module import projection

CELLS = 11
"""Patches across an image, nearly: one for each cell of an 11 x 11 room, whether drawn with 3 or with 9 pixels."""
COLOURS = 3


class ImageShape:
    """How the sides of an image are laid out.

    Attributes:
        height: [px].
        width: [px].
        colours_last: (H, W, 3) rather than (3, H, W).
        patch: pixels along a patch's side.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        """Read the shape of an observation.

        Raises:
            ValueError: it isn't an image of three colours.
        """
        self.colours_last = shape[-1] == COLOURS
        if len(shape) != 3 or not (self.colours_last or shape[0] == COLOURS):
            raise ValueError(f"an image is (H, W, 3) or (3, H, W), got {shape}")
        self.height, self.width = shape[:2] if self.colours_last else shape[1:]
        self.patch = max(1, round(min(self.height, self.width) / CELLS))

    @property
    def grid(self) -> tuple[int, int]:
        """Patches down and across; the last ones may reach beyond the image."""
        return -(-self.height // self.patch), -(-self.width // self.patch)

    def planes(self, image: Tensor) -> Tensor:
        """An image (N, ...) as (N, 3, rows * patch, columns * patch), black beyond its edge."""
        planes = image.permute(0, 3, 1, 2) if self.colours_last else image
        rows, columns = self.grid
        spare = (0, columns * self.patch - self.width, 0, rows * self.patch - self.height)
        return pad(planes, spare) if any(spare) else planes


class ImageEncoder(nn.Module):
    """One layer for each patch by itself, one for each 3 x 3 of them, one for all."""

    def __init__(self, shape: tuple[int, ...], channels: int, width: int) -> None:
        """Build for images of a shape, colours in [0, 1]."""
        super().__init__()
        self.shape = ImageShape(shape)
        patch = self.shape.patch
        self.patches = nn.Conv2d(COLOURS, channels, patch, stride=patch)
        self.around = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        rows, columns = ((side + 1) // 2 for side in self.shape.grid)
        self.whole = projection(channels * rows * columns, width, bias=True)

    def forward(self, image: Tensor) -> Tensor:
        """(N, *shape) -> (N, width)."""
        patches = torch.relu(self.patches(self.shape.planes(image)))
        embedding: Tensor = self.whole(torch.relu(self.around(patches)).flatten(1))
        return embedding


class Encoder(nn.Module):
    """All observations of a step: images by convolutions, everything else by a matrix, and their sum."""

    def __init__(self, shapes: dict[str, tuple[int, ...]], channels: int, width: int) -> None:
        """Build for observations of these shapes.

        Raises:
            ValueError: one is neither a vector nor an image.
        """
        super().__init__()
        parts: dict[str, nn.Module] = {}
        for name, shape in shapes.items():
            if len(shape) == 1:
                parts[name] = projection(shape[0], width, bias=True)
            else:
                parts[name] = ImageEncoder(shape, channels, width)
        self.parts = nn.ModuleDict(parts)

    def forward(self, obs: Obs) -> Tensor:
        """Observations (N, ...) each -> (N, width)."""
        embeddings: list[Tensor] = [part(obs[name]) for name, part in self.parts.items()]
        return reduce(torch.Tensor.add, embeddings)
