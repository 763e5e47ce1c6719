"""What can be set about the tasks that are to be seen."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le, MinLen
from pydantic import ConfigDict

from haltere.sims.mujoco.mt10.config import MT10Config
from haltere.sims.mujoco.mt10.constants import SubTaskName

SEEN: tuple[SubTaskName, ...] = (
    "reach",
    "push",
    "pick-place",
    "door-open",
    "drawer-open",
)


@dataclass(frozen=True)
class PixelsConfig(MT10Config):
    """Which sub-tasks and cameras there are, how long an episode may take, and how the experts act.

    Attributes:
        tasks: the sub-tasks, any of the ten; episode seed s is of number s modulo how many there are.
        paraphrase: as in ``MT10Config``.
        limit_steps: an episode without success is cut off after so many control steps.
        expert_noise: as in ``MT10Config``.
        shove_m: as in ``MT10Config``.
        cameras: ``both``, the one at the ``side``, the one at the ``hand``, or ``none``, for a policy that goes blind.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    tasks: Annotated[tuple[SubTaskName, ...], MinLen(1)] = SEEN
    limit_steps: Annotated[int, Ge(1), Le(10_000)] = 50
    cameras: Literal["both", "side", "hand", "none"] = "both"
