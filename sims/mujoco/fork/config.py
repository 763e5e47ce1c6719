"""What can be set about the fork."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import ConfigDict


@dataclass(frozen=True)
class ForkConfig:
    """How long an episode may take, who demonstrates, and what comes in between.

    Attributes:
        limit_steps: an episode without an end is cut off after so many control steps.
        experts: for demonstrations: which way the expert goes round the pane. ``mixed``: a coin of each episode's seed
            decides. ``both``: each scene is demonstrated twice, once each way, and nobody can learn by heart which way
            belongs to it; an even seed goes left, and the next one is its scene again, to the right.
        expert_noise: for demonstrations: root mean square of the smooth noise in each of the expert's commands, where
            1 is full speed.
        shove_m: how far the paddle is set aside once in each episode, to the left or the right, at a step that the seed
            draws; 0 for never. It shows how a policy takes what no demonstration contains.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    limit_steps: Annotated[int, Ge(1), Le(10_000)] = 40
    experts: Literal["mixed", "both", "left", "right"] = "mixed"
    expert_noise: Annotated[float, Ge(0.0), Le(1.0)] = 0.06
    shove_m: Annotated[float, Ge(0.0), Le(0.2)] = 0.0
