"""How things move and meet, beside closed forms and equations integrated by another library."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from haltere.sims.carla.drive.bodies import Kind
from haltere.sims.carla.drive.drive import Drive
from haltere.sims.carla.drive.vehicles import VEHICLES, Setup, VehicleKind, params_of, setup_of
from haltere.sims.carla.geometry import BoundingBox, Rotation, Transform, Vector
from haltere.sims.carla.scene import Ground, Label, Thing

FLAT = Ground(-500.0, -500.0, 500.0, np.zeros((3, 3), np.float32))
GRAVITY, STEP_S = 9.81, 0.05
MODEL3 = next(kind for kind in VEHICLES if kind.name == "vehicle.tesla.model3")
NAMES = [kind.name for kind in VEHICLES]


def at(x: float = 0.0, y: float = 0.0, z: float = 0.0, yaw: float = 0.0) -> Transform:
    """A place."""
    return Transform(Vector(x, y, z), Rotation(yaw=yaw))


def with_car(
    kind: VehicleKind = MODEL3,
    *,
    ground: Ground = FLAT,
    things: tuple[Thing, ...] = (),
    change: Callable[[Setup], Setup] = lambda setup: setup,
    yaw: float = 0.0,
) -> tuple[Drive, int]:
    """One vehicle, standing on its wheels."""
    drive = Drive(ground, things)
    row = drive.add(Kind.VEHICLE, at(yaw=yaw), kind.extent, kind.mass_kg)
    params = params_of(kind, change(setup_of(kind)))
    drive.params[row] = params
    drive.bodies["inertia"][row] = params["inertia"]
    drive.step(0.01)
    return drive, row


def speed(drive: Drive, row: int) -> float:
    """In the plane [m/s]."""
    return float(np.hypot(*drive.bodies["velocity"][row][:2]))


def rolling(drive: Drive, row: int, speed_mps: float) -> None:
    """At a speed, straight ahead."""
    yaw = drive.bodies["turn"][row][0]
    drive.bodies["velocity"][row][:2] = speed_mps * math.cos(yaw), speed_mps * math.sin(yaw)


def cruise(drive: Drive, row: int, speed_mps: float, seconds: float) -> None:
    """Hold a speed with the pedal alone."""
    for _ in range(round(seconds / STEP_S)):
        lacking = speed_mps - speed(drive, row)
        drive.bodies["throttle"][row] = np.clip(0.08 + 0.5 * lacking, 0.0, 1.0)
        drive.step(STEP_S)


@pytest.mark.parametrize("steer", [-1.0, 0.3, 1.0])
def test_the_turning_circle_is_that_of_its_axles(steer: float) -> None:
    """At walking pace the rear axle goes round at L / tan(steer)."""
    drive, row = with_car()
    drive.bodies["steering"][row] = steer
    rolling(drive, row, 1.2)
    cruise(drive, row, 1.2, 5.0)
    body = drive.bodies[row]
    share = np.interp(speed(drive, row) * 3.6, *zip(*setup_of(MODEL3).steering, strict=True))
    angle = math.radians(MODEL3.most_steer_deg) * steer * share
    expected = MODEL3.wheel_base_m / math.tan(angle)
    yaw, rate = body["turn"][0], body["spin"][2]
    rear = body["velocity"][:2] - rate * MODEL3.wheel_base_m / 2 * np.array([math.sin(yaw), -math.cos(yaw)])
    along = float(rear @ np.array([math.cos(yaw), math.sin(yaw)]))
    assert along / rate == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("v", [8.0, 15.0, 25.0])
def test_a_small_step_of_the_wheel_is_the_linear_single_track(v: float) -> None:
    """Yaw rate and slip over two seconds are those of the textbook's two equations, integrated by scipy."""
    drive, row = with_car(change=lambda setup: replace(setup, drag=0.0, steering=()))
    params, angle = drive.params[row], math.radians(0.5)
    rolling(drive, row, v)
    drive.bodies["steering"][row] = angle / float(params["most_steer"])
    weight = MODEL3.mass_kg * GRAVITY
    lost = float(params["rolling"]) * weight / MODEL3.mass_kg

    def slips(t: float, state: NDArray[np.float64]) -> list[float]:
        side, rate = state
        now = v - lost * t
        steer = min(angle, float(params["steer_rate"]) * t)
        front = -float(params["front_stiffness"]) * ((side + params["front"] * rate) / now - steer)
        rear = -float(params["rear_stiffness"]) * (side - params["rear"] * rate) / now
        turned = (params["front"] * front - params["rear"] * rear) / params["inertia"]
        return [(front + rear) / MODEL3.mass_kg - rate * now, float(turned)]

    times = np.arange(1, 41) * STEP_S
    expected = solve_ivp(slips, (0.0, times[-1]), [0.0, 0.0], t_eval=times, rtol=1e-8).y[1]
    found = []
    for _ in times:
        drive.step(STEP_S)
        found.append(float(drive.bodies["spin"][row][2]))
    # A hundredth of a second is long for tyres at 8 m/s: that is what the first ticks show.
    assert np.abs(np.array(found) - expected).max() < 0.06 * np.abs(expected).max()
    assert np.abs(np.array(found) - expected)[5:].max() < 0.01 * np.abs(expected).max()


@pytest.mark.parametrize("v", [10.0, 20.0, 30.0])
def test_the_braking_distance_is_that_of_friction(v: float) -> None:
    """v^2 / (2 mu g), and then it stands, to the bit."""
    drive, row = with_car(change=lambda setup: replace(setup, drag=0.0))
    rolling(drive, row, v)
    drive.bodies["brake"][row] = 1.0
    start = float(drive.bodies["location"][row][0])
    for _ in range(200):
        drive.step(STEP_S)
    assert drive.bodies["location"][row][0] - start == pytest.approx(v**2 / (2 * GRAVITY), rel=0.05)
    before = drive.digest()
    assert speed(drive, row) == 0.0
    drive.step(STEP_S)
    assert drive.digest() == before


def test_it_rolls_to_rest_as_its_resistances_say() -> None:
    """Drag and rolling resistance alone, beside scipy."""
    drive, row = with_car()
    params = drive.params[row]
    rolling(drive, row, 30.0)

    def slows(t: float, state: NDArray[np.float64]) -> list[float]:
        return [-float(params["drag"] * state[0] ** 2 + params["rolling"] * MODEL3.mass_kg * GRAVITY) / MODEL3.mass_kg]

    expected = solve_ivp(slows, (0.0, 40.0), [30.0], t_eval=[40.0]).y[0, -1]
    for _ in range(800):
        drive.step(STEP_S)
    assert speed(drive, row) == pytest.approx(float(expected), rel=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_every_vehicle_has_a_top_speed(name: str) -> None:
    """Where its pull in some gear is what holds it back, or its engine turns no faster."""
    kind = next(kind for kind in VEHICLES if kind.name == name)
    drive, row = with_car(kind, ground=Ground(-1e6, -1e6, 1e6, np.zeros((3, 3), np.float32)))
    params, setup = drive.params[row], setup_of(kind)

    def lacking(v: float, ratio: float) -> float:
        rpm = v / params["radius"] * 60 / (2 * math.pi) * ratio * setup.engine.final_ratio
        if rpm >= setup.engine.most_rpm:
            return -1.0
        torque = np.interp(max(rpm, params["idle_rpm"]), *zip(*setup.engine.torque, strict=True))
        pull = torque * ratio * setup.engine.final_ratio * params["efficiency"] / params["radius"]
        return float(pull - params["drag"] * v**2 - params["rolling"] * kind.mass_kg * GRAVITY)

    fastest = max(
        v for v in np.arange(0.5, 120.0, 0.02) if any(lacking(float(v), gear[0]) > 0.0 for gear in setup.engine.gears)
    )
    drive.bodies["throttle"][row] = 1.0
    most = 0.0
    for _ in range(3000):
        drive.step(STEP_S)
        most = max(most, speed(drive, row))
    assert 3.0 < most <= fastest * 1.01
    assert speed(drive, row) > 0.8 * fastest


def test_reverse_and_gears() -> None:
    """Backwards in reverse; a gear that is asked for is in; neutral pulls nothing."""
    drive, row = with_car(next(kind for kind in VEHICLES if len(kind.gears) > 1))
    body = drive.bodies[row]
    body["throttle"], body["reverse"] = 0.5, 1
    for _ in range(40):
        drive.step(STEP_S)
    assert drive.bodies["velocity"][row][0] < -1.0 and drive.bodies["gear"][row] == -1
    body["reverse"], body["manual"], body["wished_gear"] = 0, 1, 0
    before = abs(drive.bodies["velocity"][row][0])
    for _ in range(20):
        drive.step(STEP_S)
    assert drive.bodies["gear"][row] == 0 and abs(drive.bodies["velocity"][row][0]) < before
    body["wished_gear"] = 2
    drive.step(STEP_S)
    assert drive.bodies["gear"][row] == 2


def test_the_hand_brake_lets_the_tail_out() -> None:
    """In a bend it turns in further than without."""
    turned = []
    for pulled in (0, 1):
        drive, row = with_car()
        rolling(drive, row, 14.0)
        drive.bodies["steering"][row], drive.bodies["hand_brake"][row] = 0.3, pulled
        for _ in range(20):
            drive.step(STEP_S)
        body = drive.bodies[row]
        way = math.atan2(body["velocity"][1], body["velocity"][0])
        turned.append(abs(math.remainder(float(body["turn"][0]) - way, 2 * math.pi)))
    assert turned[1] > 2 * turned[0]


def test_it_falls_as_things_do() -> None:
    """sqrt(2 h / g), then it stays on the ground."""
    drive, row = with_car()
    drive.put(row, at(z=5.0))
    drive.bodies["velocity"][row] = 0.0
    ticks = 0
    while drive.bodies["location"][row][2] > 0.0:
        drive.step(0.01)
        ticks += 1
    assert ticks * 0.01 == pytest.approx(math.sqrt(2 * 5.0 / GRAVITY), abs=0.02)
    drive.step(STEP_S)
    assert drive.bodies["location"][row][2] == 0.0 and drive.bodies["grounded"][row]


def test_on_a_slope_it_leans_and_brakes_hold_it() -> None:
    """A plane that rises by a tenth; without brakes it rolls back as gravity says."""
    x = np.arange(-200.0, 201.0, 50.0)
    ground = Ground(-200.0, -200.0, 50.0, np.tile(0.1 * x, (9, 1)).astype(np.float32))
    drive, row = with_car(ground=ground)
    drive.bodies["brake"][row] = 1.0
    for _ in range(40):
        drive.step(STEP_S)
    assert speed(drive, row) == 0.0 and drive.bodies["turn"][row][1] == pytest.approx(math.atan(0.1), abs=1e-3)
    drive.bodies["brake"][row] = 0.0
    for _ in range(20):
        drive.step(STEP_S)
    pulled = GRAVITY * (math.sin(math.atan(0.1)) - float(drive.params["rolling"][row]))
    assert drive.bodies["velocity"][row][0] == pytest.approx(-pulled, rel=0.05)


def boxes(*sizes: tuple[float, float, float]) -> tuple[Drive, list[int]]:
    """Props with physics, far from each other."""
    drive = Drive(FLAT, ())
    rows = [
        drive.add(Kind.PROP, at(x=50.0 * number), Vector(length / 2, width / 2, 0.5), mass)
        for number, (length, width, mass) in enumerate(sizes)
    ]
    drive.step(0.001)
    return drive, rows


@settings(deadline=None)
@given(
    st.floats(50.0, 3000.0),
    st.floats(50.0, 3000.0),
    st.floats(0.5, 12.0),
    st.floats(-0.9, 0.9),
    st.floats(-180.0, 180.0),
)
def test_a_collision_keeps_momentum_and_gives_no_energy(
    first: float, second: float, v: float, beside: float, yaw: float
) -> None:
    """Of two boxes on the same ground, less what friction with it takes in one short step."""
    drive, (one, other) = boxes((2.0, 1.0, first), (2.0, 1.0, second))
    drive.put(other, at(x=0.0, yaw=yaw))
    drive.put(one, at(x=-2.3, y=beside))
    bodies, step_s = drive.bodies, 0.005
    bodies["velocity"][one][0] = v
    mass, inertia = bodies["mass"][:2], bodies["inertia"][:2]

    def energy() -> float:
        flat = (bodies["velocity"][:2, :2] ** 2).sum(-1)
        return float((0.5 * mass * flat + 0.5 * inertia * bodies["spin"][:2, 2] ** 2).sum())

    for _ in range(300):
        momentum, before = (mass[:, None] * bodies["velocity"][:2, :2]).sum(0), energy()
        met = drive.step(step_s)
        after = (mass[:, None] * bodies["velocity"][:2, :2]).sum(0)
        rubbed = 0.6 * GRAVITY * float(mass.sum()) * step_s
        assert np.linalg.norm(after - momentum) <= rubbed * 1.01 + 1e-9
        assert energy() <= before + 1e-9
        if len(met):
            assert met["second"][0] == other and met["first"][0] == one


def wall(x: float) -> Thing:
    """Across the road."""
    return Thing("wall", Label.WALLS, BoundingBox(Vector(x, 0.0, 1.0), Vector(0.2, 10.0, 1.0)))


def test_a_hidden_thing_is_met_no_more_and_met_again() -> None:
    """Among others that are met all the while; who isn't solid is nobody's number."""
    things = (replace(wall(10.0), solid=False), wall(20.0), wall(40.0))
    drive = Drive(FLAT, things)
    box = [Transform(Vector(x, 0.0, 0.0)) for x in (10.0, 20.0, 40.0)]
    extent = Vector(1.0, 1.0, 1.0)
    for hidden, wanted in (((), [0, 1, 1]), ((1,), [0, 0, 1]), ((0, 2), [0, 1, 0]), ((), [0, 1, 1])):
        drive.hide(hidden)
        assert [drive.is_taken(place, extent) for place in box] == wanted
    drive, row = with_car(things=(wall(30.0),))
    drive.hide({0})
    drive.bodies["throttle"][row] = 1.0
    for _ in range(160):
        assert not len(drive.step(0.05, 5))
    assert drive.bodies["location"][row, 0] > 40.0


def test_a_wall_stops_a_car() -> None:
    """Which pushes for ten seconds; the impulse on the way is about what it had."""
    drive, row = with_car(things=(wall(-30.0), wall(30.0)))
    drive.bodies["throttle"][row] = 1.0
    met = []
    for _ in range(200):
        met.append(drive.step(STEP_S))
    front = drive.bodies["location"][row][0] + MODEL3.extent.x
    assert 29.5 < front < 29.9 and speed(drive, row) < 0.2
    hits = np.concatenate(met)
    assert set(hits["thing"]) == {1} and set(hits["second"]) == {-1} and (hits["impulse"][:, 0] <= 0.0).all()


def test_what_is_not_solid_is_passed() -> None:
    """A thing, and a body."""
    drive, row = with_car(things=(replace(wall(15.0), solid=False),))
    other = drive.add(Kind.PROP, at(x=25.0), Vector(0.5, 3.0, 1.0), 100.0)
    drive.bodies["solid"][other] = 0
    rolling(drive, row, 20.0)
    for _ in range(60):
        assert len(drive.step(STEP_S)) == 0
    assert drive.bodies["location"][row][0] > 40.0


def test_somebody_walks_and_is_stopped() -> None:
    """At his speed for as long as nothing is in his way."""
    drive = Drive(FLAT, (wall(5.0),))
    row = drive.add(Kind.WALKER, at(), Vector(0.2, 0.25, 0.9), 75.0)
    drive.bodies["walk"][row] = (1.5, 0.0, 0.0)
    for _ in range(40):
        drive.step(STEP_S)
    assert drive.bodies["location"][row][0] == pytest.approx(3.0)
    for _ in range(100):
        drive.step(STEP_S)
    assert drive.bodies["location"][row][0] == pytest.approx(4.6, abs=0.05)


def test_a_place_is_taken() -> None:
    """By a body, by a thing, and by nothing above or beside them."""
    drive, _ = with_car(things=(wall(30.0),), yaw=90.0)
    half = Vector(1.0, 1.0, 0.5)
    assert drive.is_taken(at(y=3.0), half) and drive.is_taken(at(x=29.0), half)
    assert not drive.is_taken(at(x=3.0), half) and not drive.is_taken(at(z=1.5), half)


commands = st.tuples(
    *[st.floats(-2.0, 2.0)] * 3,
    *[st.booleans()] * 3,
    st.integers(-5, 20),
    st.floats(0.001, 0.1),
    st.floats(-1e4, 1e4),
)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(VEHICLES), st.lists(commands, min_size=1, max_size=60))
def test_whatever_is_commanded_it_stays_a_number(kind: VehicleKind, given: list[tuple[float, ...]]) -> None:
    """And slower than any car is."""
    drive, row = with_car(kind, things=(wall(20.0),))
    for throttle, steer, brake, hand, back, manual, gear, dt_s, shove in given:
        body = drive.bodies[row]
        body["throttle"], body["brake"] = np.clip([throttle, brake], 0.0, 1.0)
        body["steering"] = np.clip(steer, -1.0, 1.0)
        body["hand_brake"], body["reverse"], body["manual"], body["wished_gear"] = hand, back, manual, gear
        body["force"] = (shove, -shove, shove / 3)
        drive.step(dt_s)
        assert all(np.isfinite(body[name]).all() for name in ("location", "turn", "velocity", "spin", "rpm", "steer"))
        assert speed(drive, row) < 150.0 and -1.0 <= body["gear"] <= len(kind.gears)


def test_equal_calls_give_equal_bits() -> None:
    """Twenty cars that meet, twice; rows of who has gone are used again."""

    def run() -> str:
        drive = Drive(FLAT, (wall(60.0),))
        chance = np.random.default_rng(5)
        rows = []
        for number in range(20):
            kind = VEHICLES[number]
            place = at(*chance.uniform(-20, 20, 2), yaw=chance.uniform(0, 360))
            row = drive.add(Kind.VEHICLE, place, kind.extent, 1500.0)
            drive.params[row] = params_of(kind, setup_of(kind))
            rows.append(row)
        drive.remove(rows[3])
        assert drive.add(Kind.PROP, at(x=40.0), Vector(1.0, 1.0, 1.0), 50.0) == rows[3]
        for _ in range(100):
            drive.bodies["throttle"][:20] = chance.uniform(0, 1, 20)
            drive.bodies["steering"][:20] = chance.uniform(-1, 1, 20)
            drive.step(STEP_S, 5)
        return drive.digest()

    assert run() == run()


def test_there_is_room_for_many() -> None:
    """More than the first rows; whoever was there stays where he is."""
    drive = Drive(FLAT, ())
    rows = [drive.add(Kind.PROP, at(x=10.0 * number), Vector(0.5, 0.5, 0.5), 10.0) for number in range(300)]
    drive.step(STEP_S)
    assert rows == list(range(300))
    assert drive.bodies["location"][:300, 0].tolist() == [10.0 * number for number in range(300)]
