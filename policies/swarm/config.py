"""What can be set about the swarm policy."""

from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict


@dataclass(frozen=True)
class SwarmConfig:
    """Attention over neighbours and obstacles.

    Attributes:
        type: discriminator in a task's YAML.
        width: units of every layer. 10 is the paper's onboard network, 16 its exporter's, 256 its training network's.
        attention: ``softmax`` as published, or ``mean``: equal weights, the ablation.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    type: Literal["swarm"] = "swarm"
    width: Literal[10, 16, 32, 256] = 16
    attention: Literal["softmax", "mean"] = "softmax"
