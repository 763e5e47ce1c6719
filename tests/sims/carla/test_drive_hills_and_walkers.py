"""Hills that are driven up and down, and people in the way."""

import math

import numpy as np
import pytest

from haltere.sims.carla.drive.bodies import Kind
from haltere.sims.carla.drive.drive import Drive
from haltere.sims.carla.drive.vehicles import VEHICLES, params_of, setup_of
from haltere.sims.carla.geometry import Rotation, Transform, Vector
from haltere.sims.carla.scene import Ground

GRAVITY, STEP_S = 9.81, 0.05
CAR = VEHICLES[0]
HALF_OF_SOMEBODY, SOMEBODY_KG = Vector(0.2, 0.25, 0.9), 75.0


def ground(rises: float, until_m: float = 1000.0) -> Ground:
    """A plane that rises along x, and is level from somewhere on."""
    x = np.arange(-1000.0, 1001.0, 10.0)
    return Ground(-1000.0, -1000.0, 10.0, np.tile(rises * np.minimum(x, until_m), (201, 1)).astype(np.float32))


def car(rises: float = 0.0, until_m: float = 1000.0) -> Drive:
    """One vehicle in row 0 that stands on its wheels."""
    drive = Drive(ground(rises, until_m), ())
    drive.add(Kind.VEHICLE, Transform(), CAR.extent, CAR.mass_kg)
    drive.params[0] = params_of(CAR, setup_of(CAR))
    drive.bodies["inertia"][0] = drive.params["inertia"][0]
    for _ in range(20):
        drive.step(STEP_S)
    return drive


def add_walker(drive: Drive, x: float) -> int:
    """Who stands there."""
    return drive.add(Kind.WALKER, Transform(Vector(x)), HALF_OF_SOMEBODY, SOMEBODY_KG)


def test_whole_turns_of_pitch_are_none() -> None:
    """CARLA's maps have a pitch of 360 degrees; a vehicle that is put so stays level."""
    drive = Drive(ground(0.0), ())
    row = drive.add(Kind.VEHICLE, Transform(Vector(z=0.1), Rotation(pitch=360.0, roll=-360.0)), CAR.extent, 1000.0)
    drive.params[row] = params_of(CAR, setup_of(CAR))
    for _ in range(20):
        drive.step(0.01)
        assert np.abs(drive.bodies["turn"][row]).max() < 1e-9


@pytest.mark.parametrize("rises", [-0.15, -0.1, 0.0, 0.1])
@pytest.mark.parametrize("v", [5.0, 10.0, 20.0])
def test_brakes_hold_downhill_too(rises: float, v: float) -> None:
    """v^2 / (2 g (mu cos + sin)), and the wheels never leave the ground."""
    drive = car(rises)
    start = float(drive.bodies["location"][0][0])
    drive.bodies["velocity"][0] = v, 0.0, rises * v
    drive.bodies["brake"][0] = 1.0
    for _ in range(120):
        drive.step(STEP_S)
        assert drive.bodies["grounded"][0]
    angle = math.atan(rises)
    expected = v**2 / (2 * GRAVITY * (math.cos(angle) + math.sin(angle)))
    assert drive.bodies["location"][0][0] - start == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("rises", [-0.12, -0.05, 0.05, 0.12])
@pytest.mark.parametrize("substeps", [5, 6])
def test_it_goes_up_as_fast_as_the_hill_does(rises: float, substeps: int) -> None:
    """Rolling freely, whatever the number of steps: what an accelerometer feels is the slope and nothing else."""
    drive = car(rises)
    drive.bodies["velocity"][0] = 15.0, 0.0, 15.0 * rises
    for _ in range(40):
        drive.step(STEP_S, substeps)
        along, _, up = drive.bodies["velocity"][0]
        assert up == pytest.approx(rises * along, rel=0.01)
        assert abs(drive.bodies["acceleration"][0][2]) < 2 * abs(rises) * GRAVITY


def test_a_crest_is_jumped_as_gravity_says() -> None:
    """From a ramp of 1 in 5 at 20 m/s it comes no higher than a stone that is thrown so."""
    drive = car(0.2, until_m=30.0)
    drive.bodies["velocity"][0] = 20.0, 0.0, 4.0
    highest = 0.0
    for _ in range(60):
        drive.step(STEP_S)
        highest = max(highest, float(drive.bodies["location"][0][2]))
    thrown = (0.2 * 19.0) ** 2 / (2 * GRAVITY)
    assert 0.3 * thrown < highest - 6.0 < 1.1 * thrown
    assert drive.bodies["grounded"][0] and drive.bodies["location"][0][2] == pytest.approx(6.0, abs=1e-3)


@pytest.mark.parametrize("v", [5.0, 10.0, 20.0])
def test_who_is_run_down_is_taken_along(v: float) -> None:
    """The car keeps what momentum leaves it; he is thrown at no more than he may be, lies, and walks again."""
    drive = car()
    walker = add_walker(drive, 10.0)
    drive.bodies["velocity"][0][0] = v
    met = 0
    for _ in range(60):
        met = len(drive.step(STEP_S, 5))
        if met:
            break
    assert met == 1 and drive.bodies["falls"][walker] > 0.0
    left = CAR.mass_kg * v / (CAR.mass_kg + SOMEBODY_KG)
    assert drive.bodies["velocity"][0][0] == pytest.approx(left, rel=0.08)
    assert 0.0 < drive.bodies["velocity"][walker][0] < 1.1 * v
    drive.bodies["brake"][0] = 1.0
    for _ in range(200):
        drive.step(STEP_S)
    assert drive.bodies["velocity"][walker][0] == 0.0 == drive.bodies["velocity"][0][0]
    before = float(drive.bodies["location"][walker][0])
    drive.bodies["walk"][walker] = (1.5, 0.0, 0.0)
    for _ in range(20):
        drive.step(STEP_S)
    assert drive.bodies["location"][walker][0] == pytest.approx(before + 1.5)


def test_nobody_pushes_a_car_along() -> None:
    """Though it isn't braked: he stops at it. A box lighter than he he does."""
    drive = car()
    where = float(drive.bodies["location"][0][0])
    walker = add_walker(drive, -6.0)
    drive.bodies["walk"][walker] = (1.5, 0.0, 0.0)
    for _ in range(200):
        drive.step(STEP_S)
    assert drive.bodies["location"][0][0] == pytest.approx(where, abs=1e-9)
    assert drive.bodies["location"][walker][0] == pytest.approx(where - CAR.extent.x - HALF_OF_SOMEBODY.x, abs=0.05)
    box = drive.add(Kind.PROP, Transform(Vector(0.0, 20.0)), Vector(0.3, 0.3, 0.3), 10.0)
    drive.put(walker, Transform(Vector(-2.0, 20.0)))
    for _ in range(100):
        drive.step(STEP_S)
    assert drive.bodies["location"][box][0] > 3.0
