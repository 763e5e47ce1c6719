"""Cornering beside CommonRoad's single-track model, which another group wrote, and beside closed forms."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from haltere.sims.carla.drive.bodies import Kind
from haltere.sims.carla.drive.drive import Drive
from haltere.sims.carla.drive.vehicles import VEHICLES, params_of, setup_of
from haltere.sims.carla.geometry import Transform
from haltere.sims.carla.scene import Ground

FLAT = Ground(-500.0, -500.0, 500.0, np.zeros((3, 3), np.float32))
GRAVITY, STEP_S = 9.81, 0.05
CAR = VEHICLES[0]


def rolling(speed_mps: float, **changed: float) -> Drive:
    """One car in row 0 at a speed, that nothing holds back."""
    drive = Drive(FLAT, ())
    drive.add(Kind.VEHICLE, Transform(), CAR.extent, CAR.mass_kg)
    params = params_of(CAR, setup_of(CAR))
    for name, value in {"drag": 0.0, "rolling": 0.0, "steer_points": 0.0, **changed}.items():
        params[name] = value
    drive.params[0] = params
    drive.bodies["mass"][0], drive.bodies["inertia"][0] = params["mass"], params["inertia"]
    drive.step(0.01)
    drive.bodies["velocity"][0][0] = speed_mps
    return drive


@pytest.mark.parametrize("v", [5.0, 10.0, 20.0])
def test_a_step_of_the_wheel_is_commonroads(v: float) -> None:
    """Yaw rate and path of its second vehicle, a BMW 320i, over four seconds."""
    model = pytest.importorskip("vehiclemodels.vehicle_dynamics_st").vehicle_dynamics_st
    car = pytest.importorskip("vehiclemodels.parameters_vehicle2").parameters_vehicle2()
    weight, base = car.m * GRAVITY, car.a + car.b
    angle = 0.1 * GRAVITY * base / v**2
    drive = rolling(
        v,
        mass=car.m,
        inertia=car.I_z,
        front=car.a,
        rear=car.b,
        friction=car.tire.p_dy1,
        front_stiffness=-car.tire.p_ky1 * weight * car.b / base,
        rear_stiffness=-car.tire.p_ky1 * weight * car.a / base,
        most_steer=angle,
    )
    start = drive.bodies["location"][0][:2].copy()
    times = np.arange(1, 81) * STEP_S
    turned = solve_ivp(
        lambda t, x: model(x.tolist(), [0.0, 0.0], car),
        (0.0, times[-1]),
        [*start, angle, v, 0.0, 0.0, 0.0],
        t_eval=times,
        rtol=1e-6,
    ).y
    drive.bodies["steering"][0], drive.bodies["steer"][0] = 1.0, angle
    rates, places = [], []
    for _ in times:
        drive.step(STEP_S)
        rates.append(float(drive.bodies["spin"][0][2]))
        places.append(drive.bodies["location"][0][:2].copy())
    # A hundredth of a second is long for tyres at 5 m/s: that is what the first tick shows.
    apart = np.abs(np.array(rates) - turned[5]) / turned[5].max()
    assert apart[0] < 0.1 and apart[1:].max() < 0.03
    travelled = v * times[-1]
    assert np.linalg.norm(np.array(places) - turned[:2].T, axis=1).max() < 0.01 * travelled


@pytest.mark.parametrize("v", [8.0, 15.0, 25.0])
@pytest.mark.parametrize("share", [0.7, 0.9, 1.0])
def test_it_understeers_as_its_axles_say(v: float, share: float) -> None:
    """Yaw rate is v d / (L + K v^2), K from what each axle carries and how stiff it is (Rajamani, 3.3)."""
    stiffness = 17.0 * CAR.mass_kg * GRAVITY / 2
    angle, base = math.radians(0.5), CAR.wheel_base_m
    drive = rolling(v, front_stiffness=share * stiffness, rear_stiffness=stiffness, most_steer=angle)
    drive.bodies["steering"][0] = 1.0
    for _ in range(80):
        drive.step(STEP_S)
    gradient = CAR.mass_kg / 2 * (1 / (share * stiffness) - 1 / stiffness)
    assert drive.bodies["spin"][0][2] == pytest.approx(v * angle / (base + gradient * v**2), rel=0.02)


@pytest.mark.parametrize("friction", [0.3, 0.6, 1.0])
def test_a_bend_takes_all_the_grip_there_is_and_no_more(friction: float) -> None:
    """Steered hard at 20 m/s it is turned by nearly mu g."""
    drive = rolling(20.0, friction=friction)
    drive.bodies["steering"][0] = 0.4
    felt = []
    for _ in range(20):
        drive.step(STEP_S)
        felt.append(float(np.hypot(*drive.bodies["acceleration"][0][:2])))
    assert 0.9 * friction * GRAVITY < max(felt) < 1.1 * friction * GRAVITY


@pytest.mark.parametrize("friction", [1.0, 3.5])
@pytest.mark.parametrize("stiffness", [60.0, 200.0, 1000.0])
def test_tyres_as_stiff_as_a_client_may_ask_for_hold_still(stiffness: float, friction: float) -> None:
    """The yaw rate of a bend at 4 m/s is that of rolling round it, without a flutter."""
    stiff = stiffness * CAR.mass_kg * GRAVITY / 2
    angle = 0.03
    drive = rolling(4.0, front_stiffness=stiff, rear_stiffness=stiff, friction=friction, most_steer=angle)
    drive.bodies["steering"][0] = 1.0
    rates = []
    for _ in range(60):
        drive.step(STEP_S)
        rates.append(float(drive.bodies["spin"][0][2]))
    assert rates[20:] == pytest.approx([4.0 * math.tan(angle) / CAR.wheel_base_m] * 40, rel=0.03)
