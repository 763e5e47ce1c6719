"""What can be set about Ballet."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le, MinLen
from pydantic import ConfigDict

Dancers = Annotated[int, Ge(1), Le(8)]
MOST_DELAY = 10_000
Delay = Annotated[int, Ge(1), Le(MOST_DELAY)]


@dataclass(frozen=True)
class Stage:
    """A part of the training with levels of its own.

    Attributes:
        until: training's agent steps at which the stage is over.
        dancers: an episode of the stage draws one of these numbers of dancers.
        delay: and one of these delays.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    until: Annotated[int, Ge(1)]
    dancers: Annotated[tuple[Dancers, ...], MinLen(1)] = (2,)
    delay: Annotated[tuple[Delay, ...], MinLen(1)] = (16,)


@dataclass(frozen=True)
class BalletConfig:
    """The show, and how it is seen. The published levels are 2, 4 or 8 dancers with a delay of 16 or 48.

    Attributes:
        dancers: how many dance; ``mix`` draws 2, 4 or 8 for each episode.
        delay: steps between one dance's last move and the next one's first, or the question; ``mix`` draws 16 or 48.
        pixels: side of the image: 99 as published, with cells of 9 pixels, or 33, the same image made smaller by the
            mean of every 3 x 3 pixels.
        choice_steps: steps that the agent has to choose; None is as published: what the limit of 320 steps (1024 with
            a longer delay than 16) leaves.
        training_choice_steps: the same in training, where long walks are time lost; None: no other than above.
        curriculum: stages of the training, in the order of their ends; after the last one, and outside training,
            levels are those above.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    dancers: Dancers | Literal["mix"] = 2
    delay: Delay | Literal["mix"] = 16
    pixels: Literal[33, 99] = 99
    choice_steps: Annotated[int, Ge(3), Le(10_000)] | None = None
    training_choice_steps: Annotated[int, Ge(3), Le(10_000)] | None = None
    curriculum: tuple[Stage, ...] = ()
