"""What can be set about the rooms."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le, MinLen
from pydantic import ConfigDict

from haltere.sims.mujoco.rooms.constants import BOXES, SCREENS

MOST_DELAY = 20_000
MOST_SHOWS = 20
Boxes = Annotated[int, Ge(1), Le(BOXES)]
Delay = Annotated[int, Ge(1), Le(MOST_DELAY)]
AskedAfter = Annotated[int, Ge(0), Le(MOST_SHOWS - 1)]


@dataclass(frozen=True)
class Stage:
    """A part of the training with levels of its own.

    Attributes:
        until: training's agent steps at which the stage is over.
        boxes: an episode of the stage draws one of these numbers of boxes.
        delay: one of these delays.
        asked_after: and one of these numbers of further shows.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    until: Annotated[int, Ge(1)]
    boxes: Annotated[tuple[Boxes, ...], MinLen(1)] = (2,)
    delay: Annotated[tuple[Delay, ...], MinLen(1)] = (16,)
    asked_after: Annotated[tuple[AskedAfter, ...], MinLen(1)] = (0,)


@dataclass(frozen=True)
class RoomsConfig:
    """What is shown, for how long it must be remembered, and what happens meanwhile.

    Attributes:
        boxes: boxes in the room, each with another object; ``mix`` draws 4, 6 or 8 for each episode.
        delay: steps from a show's end, 6 for each box, to the next show, or to the question; ``mix`` draws 32, 128 or
            500.
        distractors: screens on the walls that open during the delay and show objects that nobody will ask for; 0 for
            a delay in which nothing happens.
        asked_after: further shows between the one that is asked about and the question, each with other objects in
            the same boxes and with a delay of its own: learn now, be asked several shows later.
        order: how boxes come in the observation. ``number``: each has a number that stays with it, and says nothing of
            where it stands. ``bearing``: counter-clockwise from ahead, as the agent stands now: a box is then known
            again by its place in the room alone.
        turns: whether the agent is turned as well while it is led. Otherwise it always faces along the room's x axis:
            body and room then have the same directions, and a place is known again by a sum instead of a rotation.
        choice_steps: steps that the agent has to walk to a box.
        training_choice_steps: the same in training, where long walks are time lost; None: no other than above.
        progress: reward for each metre that it comes nearer to the right box, in training alone.
        curriculum: stages of the training, in the order of their ends; after the last one, and outside training,
            levels are those above.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    boxes: Boxes | Literal["mix"] = BOXES
    delay: Delay | Literal["mix"] = 500
    distractors: Annotated[int, Ge(0), Le(SCREENS)] = SCREENS
    asked_after: AskedAfter = 0
    order: Literal["number", "bearing"] = "number"
    turns: bool = False
    choice_steps: Annotated[int, Ge(8), Le(10_000)] = 60
    training_choice_steps: Annotated[int, Ge(8), Le(10_000)] | None = None
    progress: Annotated[float, Ge(0.0), Le(100.0)] = 0.0
    curriculum: tuple[Stage, ...] = ()
