"""Numbers of the swarm's world, each with its unit and its source.

Where no other source is named: Huang et al. 2023, arXiv:2309.13285, and the constants of its published code.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Quadrotor:
    """A Crazyflie 2.1, as the swarm paper models it."""

    mass_kg: float = 0.028
    inertia_kgm2: tuple[float, float, float] = (1.367e-5, 1.436e-5, 2.656e-5)
    motor_offset_m: float = 0.0325  # motor to centre of mass along x and along y; 46 mm diagonally
    arm_m: float = 0.046  # motor to centre of mass; also the radius of the collision sphere
    thrust_to_weight: float = 1.9
    torque_per_thrust_m: float = 0.006
    motor_settling_s: float = 0.15  # to 98 % of a step in sqrt(thrust): four time constants
    max_rate_rps: float = 40.0  # limit of each body rate [rad/s]

    @property
    def motor_thrust_n(self) -> float:
        """Full thrust of one motor [N]."""
        return self.thrust_to_weight * self.mass_kg * GRAVITY_MPS2 / 4.0


@dataclass(frozen=True)
class Forest:
    """The room, its cells and the clocks."""

    room_m: float = 10.0
    forest_m: float = 8.0  # side of the central square in which cylinders, starts and goals lie
    cell_m: float = 1.0
    grid_pitch_m: float = 0.1  # of the 3 x 3 distance grid
    sim_dt_s: float = 0.005
    ctrl_dt_s: float = 0.01
    grace_s: float = 1.5  # contacts before this don't count against success
    reached_m: float = 0.5  # mean distance over five steps that counts as arrived
    reached_shared_m: float = 1.0  # the same where several drones want one place or the goal moves
    proximity_m: float = 0.184  # four arms: nearer than this a drone pays for crowding
    clearance_m: float = 0.25  # ours: less free air than this beside a cylinder costs, where that cost has a weight
    reward_clip: float = 10.0
    replay_capacity: int = 20
    friction: float = 0.6  # floor
    # Rebound of about half the speed, the mean of the published U(0.2, 0.8): exp(-pi z / sqrt(1 - z^2)) at z = 0.22.
    contact_time_constant_s: float = 0.02
    contact_damping_ratio: float = 0.22


@dataclass(frozen=True)
class Noise:
    """Standard deviations of what the drones sense and do."""

    position_std_m: float = 0.005
    velocity_std_mps: float = 0.01
    gyro_std_rps: float = 1.75e-4
    gust_decay: float = 0.15  # Ornstein-Uhlenbeck, per control step
    gust_std: float = 0.01  # of the commanded thrust fraction, per control step


GRAVITY_MPS2 = 9.81
QUADROTOR = Quadrotor()
FOREST = Forest()
NOISE = Noise()
