"""A U-Net over the commands of a chunk, steered by one vector: convolutions over time, at several levels of detail.

Janner et al. 2022, arXiv:2205.09991, appendix C; steered by scale and shift after Chi et al. 2023, arXiv:2303.04137,
section III-A. Their published code scales by what it is steered by, here it is by one more than that; and what steers
is there the embedded level and what is sensed end to end, here the sum of what two perceptrons make of them.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

GROUPS = 8
"""Of channels that are normed together; as published."""
KERNEL = 5
"""Commands that a convolution sees; as published."""


class Convolution(nn.Sequential):
    """A convolution over time, a norm over time and a group of channels, and Mish."""

    def __init__(self, before: int, after: int) -> None:
        """From (B, before, T) to (B, after, T); ``GROUPS`` must divide ``after``."""
        super().__init__(
            nn.Conv1d(before, after, KERNEL, padding=KERNEL // 2), nn.GroupNorm(GROUPS, after), nn.Mish()
        )


class ResidualBlock(nn.Module):
    """Two convolutions, and a scale and a shift of each channel between them (Perez et al. 2017, arXiv:1709.07871)."""

    def __init__(self, before: int, after: int, steering: int) -> None:
        """From ``before`` channels to ``after``."""
        super().__init__()
        self.convolutions = nn.ModuleList([Convolution(before, after), Convolution(after, after)])
        self.steer = nn.Sequential(nn.Mish(), nn.Linear(steering, 2 * after))
        self.past: nn.Module = nn.Identity() if before == after else nn.Conv1d(before, after, 1)

    def forward(self, x: Tensor, steering: Tensor) -> Tensor:
        """(B, before, T) and (B, steering) -> (B, after, T)."""
        shift, scale = self.steer(steering)[:, :, None].chunk(2, dim=1)
        steered = self.convolutions[0](x) * (1.0 + scale) + shift
        passed: Tensor = self.convolutions[1](steered) + self.past(x)
        return passed


class Level(nn.Module):
    """Two blocks."""

    def __init__(self, before: int, after: int, steering: int) -> None:
        """From ``before`` channels to ``after``."""
        super().__init__()
        self.blocks = nn.ModuleList([ResidualBlock(before, after, steering), ResidualBlock(after, after, steering)])

    def forward(self, x: Tensor, steering: Tensor) -> Tensor:
        """(B, before, T) and (B, steering) -> (B, after, T)."""
        for block in self.blocks:
            x = block(x, steering)
        return x


class ChunkUnet(nn.Module):
    """From a chunk as it stands, and what it is to depend on, to one number for each of its commands' components.

    Down the levels time is halved and channels become more, up again the other way; on its way up a level is given what
    it was on its way down. As published, that isn't so for the finest one.
    """

    def __init__(self, action: int, channels: Sequence[int], steering: int) -> None:
        """Build.

        Args:
            action: components of a command.
            channels: of each level, the finest first; multiples of ``GROUPS``.
            steering: numbers of the vector that steers.
        """
        super().__init__()
        self.down = nn.ModuleList(Level(*pair, steering) for pair in pairwise([action, *channels]))
        self.coarser = nn.ModuleList(nn.Conv1d(size, size, 3, stride=2, padding=1) for size in channels[:-1])
        self.middle = Level(channels[-1], channels[-1], steering)
        coarse_first = list(pairwise(reversed(channels)))
        self.up = nn.ModuleList(Level(2 * coarse, fine, steering) for coarse, fine in coarse_first)
        self.finer = nn.ModuleList(nn.ConvTranspose1d(fine, fine, 4, stride=2, padding=1) for _, fine in coarse_first)
        self.out = nn.Sequential(Convolution(channels[0], channels[0]), nn.Conv1d(channels[0], action, 1))

    def forward(self, chunk: Tensor, steering: Tensor) -> Tensor:
        """(B, horizon, action) and (B, steering) -> (B, horizon, action).

        ``horizon`` must be a multiple of 2^(levels - 1).
        """
        x, passed = chunk.transpose(1, 2), []
        for level, down in enumerate(self.down):
            x = down(x if level == 0 else self.coarser[level - 1](x), steering)
            passed.append(x)
        x = self.middle(x, steering)
        for up, finer in zip(self.up, self.finer, strict=True):
            x = finer(up(torch.cat([x, passed.pop()], dim=1), steering))
        out: Tensor = self.out(x).transpose(1, 2)
        return out

    def steers(self, steering: Tensor) -> list[tuple[Tensor, ...]]:
        """As ``ChunkTransformer.steers``: the N vectors of (B, N, steering), one by one."""
        return [(each,) for each in steering.unbind(1)]

    def steered(self, chunk: Tensor, steers: tuple[Tensor, ...]) -> Tensor:
        """``forward``, given one entry of ``steers``."""
        steered: Tensor = self(chunk, steers[0])
        return steered
