"""Every size, mass and range of the fork. All of them are ours; nothing here is published elsewhere.

The table's frame: x ahead, from where the paddle starts to the goal; y to the left; the line y = 0 is the middle.
"""

import math
from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class Table:
    """The table and what is on it. Lengths in metres.

    Attributes:
        ctrl_dt_s: control period.
        sim_dt_s: of MuJoCo's steps.
        bar_half_m: half of the straight part of the paddle, a bar across with round ends.
        bar_radius_m: of the bar.
        paddle_kg: its mass.
        paddle_mps: its speed along each axis at a command of 1.
        servo_s: time constant of its motors.
        reach_x_m: how far back and ahead the paddle gets.
        reach_y_m: how far to either side.
        pane_thick_m: half of the pane's thickness.
        block_half_m: half of the block's side; it is square.
        block_kg: its mass.
        grip: coefficient of friction between paddle and block.
        goal_m: the block is in the goal where its centre is as near as that to the goal's.
        start_x_m: where the paddle starts, drawn evenly, as are all ranges.
        start_y_m: the same, to the side.
        ahead_mps: its velocity as it starts. Places and velocities are those that somebody who goes straight ahead
            comes through, and more: until shortly before the pane, demonstrations go both ways from there.
        aside_mps: the same, to the side: which way it drifts says nothing of where it will go.
        pane_x_m: the pane's middle.
        pane_half_m: half of its width.
        block_ahead_m: the block's centre, from the pane's middle on.
        block_y_m: the same, to the side.
        block_yaw_rad: its yaw; 0 where it faces ahead.
        goal_ahead_m: the goal, from the block's centre on.
        goal_y_m: the same, to the side.
        friction: coefficient of friction between block and table. No observation shows it.
    """

    ctrl_dt_s: float = 0.1
    sim_dt_s: float = 0.02
    bar_half_m: float = 0.03
    bar_radius_m: float = 0.015
    paddle_kg: float = 2.0
    paddle_mps: float = 0.7
    servo_s: float = 0.05
    reach_x_m: Range = (-0.2, 0.9)
    reach_y_m: float = 0.5
    pane_thick_m: float = 0.005
    block_half_m: float = 0.04
    block_kg: float = 0.5
    grip: float = 1.2
    goal_m: float = 0.025
    start_x_m: Range = (-0.06, 0.02)
    start_y_m: Range = (-0.02, 0.02)
    ahead_mps: Range = (-0.3, 0.45)
    aside_mps: Range = (-0.3, 0.3)
    pane_x_m: Range = (0.12, 0.16)
    pane_half_m: Range = (0.05, 0.065)
    block_ahead_m: Range = (0.19, 0.23)
    block_y_m: Range = (-0.03, 0.03)
    block_yaw_rad: Range = (-0.3, 0.3)
    goal_ahead_m: Range = (0.18, 0.26)
    goal_y_m: Range = (-0.015, 0.015)
    friction: Range = (0.2, 0.5)

    @property
    def substeps(self) -> int:
        """MuJoCo's steps in a control period."""
        return round(self.ctrl_dt_s / self.sim_dt_s)

    @property
    def paddle_half_m(self) -> float:
        """Half of the paddle's width."""
        return self.bar_half_m + self.bar_radius_m

    @property
    def turning_m(self) -> float:
        """Mean distance of the block's points from its centre: what its friction turns against."""
        return self.block_half_m * (math.sqrt(2.0) + math.log(1.0 + math.sqrt(2.0))) / 3.0


TABLE = Table()
GRAVITY_MPS2 = 9.81
SHOVE_STEPS = (8, 13)
"""First and last control step before which a shove comes: experts are behind the pane, and few are done."""
SHOVE_BEHIND_M = 0.03
"""How far its middle is behind the pane's, at least, or the shove waits: nobody is set down in the pane."""
