"""The controllers that hold a speed, on a vehicle that does what its pedals say."""

import math

import pytest

from haltere.sims.carla.server.wire.structs import AckermannControl
from haltere.sims.carla.server.world.ackermann import DEFAULT_GAINS, Driver

STEP_S, MOST_RAD = 0.05, math.radians(70.0)


def driven(target: AckermannControl, seconds: float) -> tuple[list[float], list[float]]:
    """Speeds, and shares of the steering, of a point that a full throttle accelerates by 4 m/s2 and a brake by -9."""
    driver, speed, acceleration = Driver(), 0.0, 0.0
    speeds, steers = [], []
    for _ in range(round(seconds / STEP_S)):
        control = driver.drive(
            target,
            DEFAULT_GAINS,
            speed_mps=speed,
            acceleration=acceleration,
            most_steer_rad=MOST_RAD,
            delta_s=STEP_S,
        )
        assert 0.0 <= control.throttle <= 1.0 and 0.0 <= control.brake <= 1.0
        assert control.throttle == 0.0 or control.brake == 0.0
        sign = -1.0 if control.reverse else 1.0
        pushed = speed + (sign * 4.0 * control.throttle - 0.05 * speed) * STEP_S
        braked = math.copysign(max(abs(pushed) - 9.0 * control.brake * STEP_S, 0.0), pushed)
        speed, acceleration = braked, (braked - speed) / STEP_S
        speeds.append(speed)
        steers.append(control.steer)
    return speeds, steers


@pytest.mark.parametrize("speed", [2.0, 8.0, 20.0, -3.0])
def test_a_speed_is_reached_and_held(speed: float) -> None:
    """Within a tenth, forwards and backwards, after half a minute."""
    speeds, _ = driven(AckermannControl(speed=speed), 60.0)
    assert all(abs(reached - speed) < 0.1 * abs(speed) + 0.1 for reached in speeds[-200:])


def test_no_speed_is_standing() -> None:
    """With the brake, at once."""
    speeds, _ = driven(AckermannControl(), 2.0)
    assert max(map(abs, speeds)) < 0.5


def test_the_wheel_turns_no_faster_than_asked() -> None:
    """A tenth of a radian a second, as far as it goes."""
    _, steers = driven(AckermannControl(steer=0.35, steer_speed=0.1, speed=1.0), 10.0)
    turned = [share * MOST_RAD for share in steers]
    assert turned[19] == pytest.approx(0.1) and turned[-1] == pytest.approx(0.35)
    assert driven(AckermannControl(steer=3.0, speed=1.0), 1.0)[1][-1] == pytest.approx(1.0)
