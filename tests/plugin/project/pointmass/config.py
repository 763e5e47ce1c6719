"""What can be set about the policy."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Gt
from pydantic import ConfigDict


@dataclass(frozen=True)
class StraightConfig:
    """Head straight for the goal.

    Attributes:
        type: discriminator in a task's YAML.
        gain: speed for each metre of distance, before training [1/s].
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    type: Literal["straight"] = "straight"
    gain: Annotated[float, Gt(0)] = 1.0
