"""What can be set about the streets."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le, MinLen, MultipleOf
from pydantic import ConfigDict

from haltere.sims.streets.constants import MIX_SIZE, MOST_SIDE, PARTS

Size = Annotated[int, Ge(3), Le(MOST_SIDE)]


@dataclass(frozen=True)
class Stage:
    """A part of the training with levels of its own.

    Attributes:
        until: training's agent steps at which the stage is over.
        size: an episode of the stage draws one of these sizes.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    until: Annotated[int, Ge(1)]
    size: Annotated[tuple[Size, ...], MinLen(1)] = (3,)


@dataclass(frozen=True)
class StreetsConfig:
    """The neighbourhood, and what there is to find in it.

    Attributes:
        size: junctions along a side of the square neighbourhood; ``mix`` draws 3, 4, 5 or 6 for each episode.
        detours: share of the streets that are open beyond those without which a junction could not be reached: 0 is a
            maze without a circle, 1 a whole grid.
        goals: how many are given, one after the other; a multiple of 8.
        goal_steps: steps after which the next goal is given, reached or not.
        relocate: whether the agent is put somewhere else for each goal; otherwise it goes on from where it is.
        curriculum: stages of the training, in the order of their ends; after the last one, and outside training, the
            size is that above.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    size: Size | Literal["mix"] = 5
    detours: Annotated[float, Ge(0.0), Le(1.0)] = 0.3
    goals: Annotated[int, Ge(PARTS), Le(64), MultipleOf(PARTS)] = PARTS
    goal_steps: Annotated[int, Ge(8), Le(10_000)] = 60
    relocate: bool = True
    curriculum: tuple[Stage, ...] = ()

    @property
    def largest(self) -> int:
        """The largest size that an episode may have."""
        own = MIX_SIZE if self.size == "mix" else (self.size,)
        return max(*own, *(size for stage in self.curriculum for size in stage.size), 0)
