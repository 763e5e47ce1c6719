"""What can be set about Push-T."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le
from pydantic import ConfigDict


@dataclass(frozen=True)
class PushTConfig:
    """How long an episode may take, and how much the demonstrators tremble.

    Attributes:
        limit_steps: an episode without success is cut off after so many control steps; the package's own limit is 300.
        expert_noise: for demonstrations: root mean square of the smooth noise in each of the expert's commands, where
            1 is half of the board.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    limit_steps: Annotated[int, Ge(1), Le(10_000)] = 300
    expert_noise: Annotated[float, Ge(0.0), Le(1.0)] = 0.01
