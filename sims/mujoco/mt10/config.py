"""What can be set about the ten."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le, MinLen
from pydantic import ConfigDict

from haltere.sims.mujoco.mt10.constants import NAMES, SubTaskName


@dataclass(frozen=True)
class MT10Config:
    """Which sub-tasks there are, how long an episode may take, how the experts act, and what comes in between.

    Attributes:
        tasks: the sub-tasks; episode seed s is of number s modulo how many there are.
        paraphrase: which words a policy is told: 0 for each sub-task's sentence, 1 or 2 for one of its paraphrases.
        limit_steps: an episode without success is cut off after so many control steps.
        expert_noise: for demonstrations: root mean square of the smooth noise in each of the three components of the
            expert's motion, where 1 is full speed.
        shove_m: how far the hand is shoved once in each episode, level and in any direction, at a step that the seed
            draws; 0 for never. It shows how a policy takes what no demonstration contains.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    tasks: Annotated[tuple[SubTaskName, ...], MinLen(1)] = NAMES
    paraphrase: Annotated[int, Ge(0), Le(2)] = 0
    limit_steps: Annotated[int, Ge(1), Le(10_000)] = 200
    expert_noise: Annotated[float, Ge(0.0), Le(1.0)] = 0.05
    shove_m: Annotated[float, Ge(0.0), Le(0.2)] = 0.0
