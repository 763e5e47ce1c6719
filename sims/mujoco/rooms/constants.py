"""Every size, time and word of the room. All of them are ours; nothing here is published elsewhere."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haltere.sims.things import COLOURS, SHAPES

BOXES = 8
"""Most boxes in a room, and the number of places for them in an observation."""
SCREENS = 4
"""Most screens: one in the middle of each wall, ahead of the room's x axis first, then counter-clockwise."""
OBJECTS = len(SHAPES) * len(COLOURS)
"""Objects that there are, 285: every shape in every colour. Object ``o`` is shape ``o // 19`` in colour ``o % 19``."""
CALM = "watch"
WORDS = (CALM, *SHAPES, *COLOURS)
"""The vocabulary, in the order of the ``instruction`` observation."""
DIRECTIONS = (
    *("ahead", "ahead left", "left", "back left"),
    *("back", "back right", "right", "ahead right"),
)
"""What each choice of the agent means: a direction of its own body, counter-clockwise from ahead."""

OPEN_STEPS = 4
"""Steps for which a box, or a screen, is open."""
PERIOD_STEPS = 6
"""Steps from one opening to the next."""
WALK_STEPS = 15
"""Steps for which the agent is led to one point before the next one is drawn."""
MIX_BOXES = (4, 6, 8)
MIX_DELAY = (32, 128, 500)
"""What ``mix`` draws from."""


@dataclass(frozen=True)
class Room:
    """The room and what stands in it. Lengths in metres; the room's middle is the origin.

    Attributes:
        ctrl_dt_s: control period.
        sim_dt_s: of MuJoCo's steps.
        side_m: of the square room.
        box_half_m: half of a box's width and depth; boxes stand parallel to the walls.
        box_height_m: of a closed box.
        nearest_m: least distance of a box from the middle.
        farthest_m: largest one; a box there still leaves the wall free.
        gap_rad: least angle between two boxes, seen from the middle. With it the straight way to a box, from wherever
            the agent is when it is asked, passes the others with room to spare.
        led_m: the agent is led from point to point within this distance of the middle.
        led_mps: at most so fast.
        led_rps: and is turned at most so fast.
        lead_gain_ps: speed a metre of distance, and rate a radian of angle, while it is led.
        agent_radius_m: of the agent, a sphere.
        agent_kg: its mass.
        agent_mps: speed that it walks at.
        servo_s: time constant of its motors, walking and turning.
    """

    ctrl_dt_s: float = 0.2
    sim_dt_s: float = 0.05
    side_m: float = 6.0
    box_half_m: float = 0.2
    box_height_m: float = 0.5
    nearest_m: float = 2.0
    farthest_m: float = 2.6
    gap_rad: float = 0.56
    led_m: float = 0.5
    led_mps: float = 0.8
    led_rps: float = 1.5
    lead_gain_ps: float = 1.5
    agent_radius_m: float = 0.2
    agent_kg: float = 10.0
    agent_mps: float = 1.5
    servo_s: float = 0.1

    @property
    def substeps(self) -> int:
        """MuJoCo's steps in a control period."""
        return round(self.ctrl_dt_s / self.sim_dt_s)


ROOM = Room()
SCREEN_PLACE: NDArray[np.float64] = ROOM.side_m / 2 * np.array([(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)])
"""Where the screens are, (4, 2): x and y in the room [m]."""
