"""What can be set about the diffusion policy."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import ConfigDict


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
        levels: noise levels of the training.
        target: what the network estimates: the ``velocity`` (Salimans and Ho 2022, arXiv:2202.00512, section 4), or the
            ``chunk`` itself. The published one, the noise, isn't offered: where a chunk is all noise, its error would
            be divided by some 1e-4, and float32 couldn't tell an exported file from the network.
        width: units of each layer; even, and a multiple of ``heads``.
        layers: of the transformer.
        heads: of its attention.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    type: Literal["diffusion"] = "diffusion"
    observed: Annotated[int, Ge(1), Le(16)] = 2
    horizon: Annotated[int, Ge(1), Le(256)] = 16
    executed: Annotated[int, Ge(1), Le(256)] = 8
    sampler: Literal["ddim", "ddpm"] = "ddim"
    refinements: Annotated[int, Ge(1), Le(1000)] = 10
    levels: Annotated[int, Ge(1), Le(1000)] = 100
    target: Literal["velocity", "chunk"] = "velocity"
    width: Annotated[int, Ge(4), Le(1024)] = 128
    layers: Annotated[int, Ge(1), Le(16)] = 4
    heads: Annotated[int, Ge(1), Le(64)] = 4
