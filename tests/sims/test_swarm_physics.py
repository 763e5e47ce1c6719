"""One drone's flight against equations that were written here, apart from the simulator."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.spatial.transform import Rotation

from haltere.sims.mujoco.swarm.config import SwarmForestConfig
from haltere.sims.mujoco.swarm.constants import FOREST, GRAVITY_MPS2, QUADROTOR
from haltere.sims.mujoco.swarm.task import HOVER, SwarmForest

Array = NDArray[np.float64]
CALM = SwarmForestConfig(drones=1, density=0.0, noise=0.0, downwash=False, scenario="random")
ARM = QUADROTOR.motor_offset_m
# Seen from above with x forward: front right, back right, back left, front left; y points left.
MOTORS = np.array([[ARM, -ARM], [-ARM, -ARM], [-ARM, ARM], [ARM, ARM]])
SPIN = np.array([-1.0, 1.0, -1.0, 1.0])
INERTIA = np.array(QUADROTOR.inertia_kgm2)
FULL_N = 1.9 * 0.028 * 9.81 / 4


def level_pose(height_m: float = 5.0) -> Array:
    """At rest in mid-air: position, quaternion w x y z, velocity, body rate."""
    return np.array([[0.0, 0.0, height_m, 1.0, 0.0, 0.0, 0.0, *np.zeros(6)]])


def fly(pose: Array, thrust: Array, command: Callable[[int], Array], steps: int) -> Array:
    """The simulator's poses (steps + 1, 13) under the actions that ``command`` gives for each control step."""
    env = SwarmForest(CALM, 1)
    env.reset(seed=[0])
    env.place(0, pose, thrust.astype(np.float32))
    poses = [pose[0]]
    for k in range(steps):
        env.step(command(k).reshape(1, 1, 4).astype(np.float32))
        poses.append(env._native.snapshot(0)[2][0])
    env.close()
    return np.array(poses)


def wrench(fractions: Array) -> tuple[float, Array]:
    """Force along the body's z [N] and body torque [N m] of four thrust fractions: r x F, and drag."""
    forces = FULL_N * fractions
    torque = sum((np.cross([*at, 0.0], [0.0, 0.0, f]) for at, f in zip(MOTORS, forces, strict=True)), np.zeros(3))
    torque[2] += QUADROTOR.torque_per_thrust_m * float(SPIN @ forces)
    return float(forces.sum()), torque


def integrate_semi_implicit(thrust: Array, command: Callable[[int], Array], steps: int) -> Array:
    """Newton and Euler at the simulator's own 5 ms, velocities first: the same equations in other words."""
    position, velocity, rate = np.array([0.0, 0.0, 5.0]), np.zeros(3), np.zeros(3)
    attitude, motor, dt = Rotation.identity(), np.sqrt(thrust), FOREST.sim_dt_s
    for k in range(steps):
        wanted = np.sqrt(0.5 * (command(k) + 1.0))
        for _ in range(2):
            motor = motor + 4.0 * dt / 0.15 * (wanted - motor)
            force, torque = wrench(motor**2)
            velocity = velocity + dt * (attitude.apply([0.0, 0.0, force / 0.028]) - [0.0, 0.0, 9.81])
            rate = rate + dt * (torque - np.cross(rate, INERTIA * rate)) / INERTIA
            position = position + dt * velocity
            attitude = attitude * Rotation.from_rotvec(dt * rate)
    x, y, z, w = attitude.as_quat()
    return np.array([*position, w, x, y, z, *velocity, *rate])


def integrate_exactly(thrust: Array, command: Callable[[int], Array], steps: int) -> Array:
    """The continuous equations by Dormand and Prince's method to 1e-9; tau = 0.15 s / 4. Position and velocity."""

    def derivative(t: float, state: Array) -> Array:
        wanted = np.sqrt(0.5 * (command(min(int(t / 0.01), steps - 1)) + 1.0))
        velocity, quaternion, rate, motor = state[3:6], state[6:10], state[10:13], state[13:]
        force, torque = wrench(motor**2)
        rotation = Rotation.from_quat(quaternion)
        acceleration = rotation.apply([0.0, 0.0, force / 0.028]) - [0.0, 0.0, 9.81]
        vector, scalar = quaternion[:3], quaternion[3]
        turning = 0.5 * np.array([*(scalar * rate + np.cross(vector, rate)), -vector @ rate])
        spinning = (torque - np.cross(rate, INERTIA * rate)) / INERTIA
        return np.concatenate([velocity, acceleration, turning, spinning, 4.0 / 0.15 * (wanted - motor)])

    state = np.concatenate([[0.0, 0.0, 5.0], np.zeros(3), [0.0, 0.0, 0.0, 1.0], np.zeros(3), np.sqrt(thrust)])
    for k in range(steps):  # one control step at a time: the command jumps between them
        state = solve_ivp(derivative, (k * 0.01, (k + 1) * 0.01 - 1e-12), state, rtol=1e-9, atol=1e-11).y[:, -1]
    return np.asarray(state[:6])


def tumbling(seed: int) -> Callable[[int], Array]:
    """Smooth commands around hover, other for each motor, strong enough to roll, pitch and yaw at once."""
    phase = np.random.default_rng(seed).uniform(0.0, 2.0 * np.pi, 4)
    return lambda k: HOVER + 0.1 * np.sin(0.05 * k + phase)


@pytest.mark.parametrize("seed", range(4))
def test_free_flight_is_newton_and_euler(seed: int) -> None:
    """One second of rolling, pitching and yawing agrees with another integrator of the same equations."""
    command, thrust = tumbling(seed), np.full(4, 0.5)
    flown = fly(level_pose(), thrust[None], command, 100)[-1]
    expected = integrate_semi_implicit(thrust, command, 100)
    assert abs(flown[3]) < 0.95, "the manoeuvre must turn the drone, or it proves nothing"
    np.testing.assert_allclose(flown, expected, atol=2e-4)


@pytest.mark.parametrize("seed", range(2))
def test_time_step_is_fine_enough(seed: int) -> None:
    """A quarter second at 5 ms steps ends within 1 cm and 7 cm/s of the continuous equations' exact solution."""
    command, thrust = tumbling(seed), np.full(4, 0.5)
    flown = fly(level_pose(), thrust[None], command, 25)[-1]
    exact = integrate_exactly(thrust, command, 25)
    np.testing.assert_allclose(flown[:3], exact[:3], atol=0.01)
    np.testing.assert_allclose(flown[7:10], exact[3:], atol=0.07)


def test_hover_command_carries_the_weight() -> None:
    """At thrust/weight 1.9, a fraction of 1/1.9 from each motor holds the drone still."""
    flown = fly(level_pose(), np.full((1, 4), 1 / 1.9), lambda k: np.full(4, 2 / 1.9 - 1), 200)
    np.testing.assert_allclose(flown[-1], level_pose()[0], atol=1e-4)


def test_free_fall() -> None:
    """With the motors off, n substeps from rest give v = -g n dt and, velocity first, z = -g dt^2 n (n + 1) / 2."""
    flown = fly(level_pose(), np.zeros((1, 4)), lambda k: np.full(4, -1.0), 50)[-1]
    n, dt = 100, FOREST.sim_dt_s
    assert flown[9] == pytest.approx(-GRAVITY_MPS2 * n * dt, rel=1e-9)
    assert flown[2] - 5.0 == pytest.approx(-GRAVITY_MPS2 * dt**2 * n * (n + 1) / 2, rel=1e-9)


def test_motor_lag_is_first_order_in_the_root_of_thrust() -> None:
    """A step to full thrust: sqrt(thrust) after n substeps is 1 - (1 - g)^n with g = 4 dt / 0.15, read as acceleration.

    Two substeps make one control step, so the velocity gained in it is dt times the sum of two accelerations.
    """
    flown = fly(level_pose(), np.zeros((1, 4)), lambda k: np.ones(4), 30)
    gained = np.diff(flown[:, 9])
    n = np.arange(1, 61)
    acceleration = 1.9 * 9.81 * (1.0 - (1.0 - 4.0 * 0.005 / 0.15) ** n) ** 2 - 9.81
    np.testing.assert_allclose(gained, 0.005 * acceleration.reshape(30, 2).sum(axis=1), atol=1e-6)
    settled = 1.0 - (1.0 - 4.0 * 0.005 / 0.15) ** 30
    assert settled > 0.98, "0.15 s settle 98 % of the step, as the constant says"


def test_yaw_step_follows_its_closed_form() -> None:
    """Opposite pairs up and down by d: torque = 4 d k F, so the yaw rate grows by 4 d k F / Izz each second."""
    d = 0.1
    fractions = 1 / 1.9 + d * SPIN
    flown = fly(level_pose(), fractions[None], lambda k: 2.0 * fractions - 1.0, 100)[-1]
    rate = 4 * d * QUADROTOR.torque_per_thrust_m * FULL_N / INERTIA[2] * 1.0
    np.testing.assert_allclose(flown[10:], [0.0, 0.0, rate], atol=1e-3)
    np.testing.assert_allclose(flown[7:9], 0.0, atol=1e-6)


@pytest.mark.parametrize(("lift", "axis", "sign"), [((1, 2), 1, 1.0), ((2, 3), 0, 1.0), ((0, 3), 1, -1.0)])
def test_motors_turn_the_drone_the_right_way(lift: tuple[int, int], axis: int, sign: float) -> None:
    """Back motors up pitch the nose down (+y by the right hand), left motors up roll to the right (+x)."""
    fractions = np.full(4, 1 / 1.9)
    fractions[list(lift)] += 0.05
    flown = fly(level_pose(), fractions[None], lambda k: 2.0 * fractions - 1.0, 3)[-1]
    assert sign * flown[10 + axis] > 0.1
