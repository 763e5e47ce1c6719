"""The ten sub-tasks, in Meta-World's order, and what they are called in words.

Source of the ten: Yu et al. 2019, arXiv:1910.10897, "Meta-World", benchmark MT10; everything physical is taken from
the package ``metaworld``, version 3.1.1, as it stands. The sentences are ours.
"""

from dataclasses import dataclass
from typing import Literal

SubTaskName = Literal[
    "reach",
    "push",
    "pick-place",
    "door-open",
    "drawer-open",
    "drawer-close",
    "button-press-topdown",
    "peg-insert-side",
    "window-open",
    "window-close",
]
STATE_SIZE, ACTION_SIZE = 39, 4
CTRL_DT_S = 0.0125
"""Control period: five of MuJoCo's steps of 2.5 ms, as published (80 Hz)."""
PUBLISHED_LIMIT_STEPS = 500
SHOVE_STEPS = (10, 30)
"""First and last control step before which a shove comes: few experts are done by then, and only with reach."""


@dataclass(frozen=True)
class SubTask:
    """One of the ten.

    Attributes:
        name: short; Meta-World's is the same with ``-v3`` behind it.
        sentence: what a policy is told.
        paraphrases: other words for it that no training has heard.
        expert: class of the scripted policy in ``metaworld.policies``.
        turns: whether what is sensed of the object's orientation is computed from a rotation matrix.
        least_gap_m: object and goal are drawn again while they are nearer to each other than that, seen from above.
    """

    name: SubTaskName
    sentence: str
    paraphrases: tuple[str, str]
    expert: str
    turns: bool = False
    least_gap_m: float = 0.0


SUB_TASKS: tuple[SubTask, ...] = (
    SubTask(
        "reach",
        "move the gripper to the goal",
        ("reach the target with your hand", "bring the gripper to the target position"),
        "SawyerReachV3Policy",
        turns=True,
        least_gap_m=0.15,
    ),
    SubTask(
        "push",
        "push the puck to the goal",
        ("slide the puck onto the target", "shove the puck onto the target"),
        "SawyerPushV3Policy",
        turns=True,
        least_gap_m=0.15,
    ),
    SubTask(
        "pick-place",
        "pick up the puck and hold it at the goal",
        ("grasp the puck, lift it and bring it to the target", "take the puck and place it at the target"),
        "SawyerPickPlaceV3Policy",
        turns=True,
        least_gap_m=0.15,
    ),
    SubTask(
        "door-open",
        "open the door",
        ("pull the door open by its handle", "swing the door open"),
        "SawyerDoorOpenV3Policy",
        turns=True,
    ),
    SubTask(
        "drawer-open",
        "open the drawer",
        ("pull the drawer out", "slide the drawer open by its handle"),
        "SawyerDrawerOpenV3Policy",
    ),
    SubTask(
        "drawer-close",
        "close the drawer",
        ("slide the drawer shut", "shut the drawer"),
        "SawyerDrawerCloseV3Policy",
    ),
    SubTask(
        "button-press-topdown",
        "press the button from above",
        ("push down the button", "press down on top of the button"),
        "SawyerButtonPressTopdownV3Policy",
    ),
    SubTask(
        "peg-insert-side",
        "insert the peg into the hole from the side",
        ("put the peg sideways into the hole", "pick up the peg and plug it into the box"),
        "SawyerPegInsertionSideV3Policy",
        turns=True,
        least_gap_m=0.1,
    ),
    SubTask(
        "window-open",
        "open the window",
        ("slide the window open", "push the window's handle to open it"),
        "SawyerWindowOpenV3Policy",
    ),
    SubTask(
        "window-close",
        "close the window",
        ("slide the window shut", "push the window's handle to close it"),
        "SawyerWindowCloseV3Policy",
    ),
)
NAMES: tuple[SubTaskName, ...] = tuple(sub_task.name for sub_task in SUB_TASKS)
