"""What can be set about the diffusion policy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le, MaxLen, MinLen, MultipleOf
from pydantic import ConfigDict

Channels = Annotated[int, Ge(16), Le(2048), MultipleOf(8)]
"""Of a level; in eight groups, each of which is normed by itself, so that one of a single number would say nothing."""


@dataclass(frozen=True)
class DiffusionConfig:
    """Diffusion Policy: a network that tells noise from commands, and a sampler that takes the noise out.

    Attributes:
        type: discriminator in a task's YAML.
        observed: steps that are seen, the present one among them.
        horizon: commands of a chunk, the first one for now.
        executed: of those, how many are carried out before a new chunk is planned; at most ``horizon``.
        sampler: ``ddim`` without noise but the first, or ``ddpm`` with new noise in each refinement.
        refinements: calls of the network for a chunk; at most ``levels``. The same weights do with any number.
        unrolled: whether one call of the policy makes all of them, and a chunk is planned in that call. What is sensed
            is then looked at once for all of them, and an exported graph holds each block once for each of them.
        levels: noise levels of the training.
        target: what the network estimates: the ``velocity`` (Salimans and Ho 2022, arXiv:2202.00512, section 4), or the
            ``chunk`` itself. The published one, the noise, isn't offered: where a chunk is all noise, its error would
            be divided by some 1e-4, and float32 couldn't tell an exported file from the network.
        network: ``transformer``, over the commands of a chunk, or ``unet``, convolutions over time, the published one
            for most tasks.
        width: of the transformer, units of each layer; even, and a multiple of ``heads``.
        layers: of the transformer.
        heads: of its attention.
        channels: of the U-Net, at each level of detail, the finest first; each level has half of the time steps of the
            one before it, so ``horizon`` must be a multiple of 2^(levels - 1). Published: 256, 512, 1024 on vectors.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    type: Literal["diffusion"] = "diffusion"
    observed: Annotated[int, Ge(1), Le(16)] = 2
    horizon: Annotated[int, Ge(1), Le(256)] = 16
    executed: Annotated[int, Ge(1), Le(256)] = 8
    sampler: Literal["ddim", "ddpm"] = "ddim"
    refinements: Annotated[int, Ge(1), Le(1000)] = 10
    unrolled: bool = False
    levels: Annotated[int, Ge(1), Le(1000)] = 100
    target: Literal["velocity", "chunk"] = "velocity"
    network: Literal["transformer", "unet"] = "transformer"
    width: Annotated[int, Ge(4), Le(1024)] = 128
    layers: Annotated[int, Ge(1), Le(16)] = 4
    heads: Annotated[int, Ge(1), Le(64)] = 4
    channels: Annotated[tuple[Channels, ...], MinLen(1), MaxLen(8)] = (64, 128, 256)

    def without_effect(self, training: bool) -> Mapping[str, str]:
        """Setting -> why it does nothing beside the others; see ``haltere.policies.registry``."""
        if self.network == "transformer":
            return {"channels": "is for --policy.network unet, and this one is a transformer"}
        reason = "is for --policy.network transformer, and this one is a U-Net"
        return dict.fromkeys(("width", "layers", "heads"), reason)
