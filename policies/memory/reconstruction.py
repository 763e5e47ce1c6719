"""Heads that say what was sensed: an auxiliary loss that teaches a memory to keep it. They aren't part of the policy.

Source: Lampinen et al. 2021, arXiv:2105.14039, section 3: image and text are reconstructed from the memory's output.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from haltere.policies.base import Obs, Signature
from haltere.policies.memory.encoders import COLOURS, ImageShape
from haltere.policies.memory.module import projection


class ImageDecoder(nn.Module):
    """The image encoder's layers in reverse."""

    def __init__(self, shape: tuple[int, ...], channels: int, width: int) -> None:
        """Build for images of a shape."""
        super().__init__()
        self.shape = ImageShape(shape)
        self.coarse = [(side + 1) // 2 for side in self.shape.grid]
        self.whole = projection(width, channels * self.coarse[0] * self.coarse[1], bias=True)
        self.around = nn.ConvTranspose2d(channels, channels, 3, stride=2, padding=1, output_padding=1)
        self.patches = nn.ConvTranspose2d(channels, COLOURS, self.shape.patch, stride=self.shape.patch)

    def forward(self, features: Tensor) -> Tensor:
        """(N, width) -> logits of the image (N, *shape)."""
        cells = torch.relu(self.around(torch.relu(self.whole(features)).unflatten(1, (-1, *self.coarse))))
        rows, columns = self.shape.grid
        planes: Tensor = self.patches(cells[:, :, :rows, :columns])[:, :, : self.shape.height, : self.shape.width]
        return planes.permute(0, 2, 3, 1) if self.shape.colours_last else planes


class Reconstruction(nn.Module):
    """A head for each observation: an image's colours, or which entry of a one-hot vector is set."""

    def __init__(self, signature: Signature, channels: int, width: int) -> None:
        """Build for a policy's signature, its image channels and its width.

        Raises:
            ValueError: an observation is neither a vector nor an image.
        """
        super().__init__()
        parts: dict[str, nn.Module] = {}
        for name, shape in signature.obs.items():
            if len(shape) == 1:
                parts[name] = projection(width, shape[0], bias=True)
            else:
                parts[name] = ImageDecoder(shape, channels, width)
        self.parts = nn.ModuleDict(parts)

    def forward(self, features: Tensor) -> Obs:
        """Logits of every observation, (N, ...), from features (N, width)."""
        return {name: part(features) for name, part in self.parts.items()}

    def losses(self, features: Tensor, obs: Obs) -> dict[str, Tensor]:
        """Cross-entropy [nat] of each observation, by name: of a pixel's colour in [0, 1], or of a one-hot vector.

        Args:
            features: (N, width).
            obs: what was sensed, (N, ...).
        """
        losses: dict[str, Tensor] = {}
        for name, logits in self(features).items():
            image = logits.dim() > 2
            losses[name] = (binary_cross_entropy_with_logits if image else cross_entropy)(logits, obs[name])
        return losses
