"""Rows of a world's state as native code writes them, beside numpy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from haltere.sims.carla.drive.bodies import BODY, Kind
from haltere.sims.carla.drive.road import Road
from haltere.sims.carla.server.wire.payloads import ACTOR, VEHICLE, Light

LIMITS = np.arange(12, dtype=np.float32).reshape(3, 4)
"""Cells of 5 m from (-10, 20)."""


def line(x: float, y: float, yaw_deg: float, half_x: float, half_y: float) -> tuple[float, ...]:
    """A box before a light."""
    return x, y, np.cos(np.radians(yaw_deg)), np.sin(np.radians(yaw_deg)), half_x, half_y


def filled(bodies: NDArray[np.void], lines: list[tuple[float, ...]], shows: list[int]) -> NDArray[np.void]:
    """Rows of bodies, in reverse order behind a row of somebody without one."""
    road = Road(LIMITS, (-10.0, 20.0), 5.0, np.array(lines).reshape(-1, 6), 50)
    road.show(shows)
    rows = np.zeros(len(bodies) + 1, ACTOR)
    pairs = np.array([(len(bodies) - body, body) for body in range(len(bodies))], np.int64)
    road.fill(bodies, pairs, rows)
    assert rows[0].tobytes() == bytes(ACTOR.itemsize)
    return np.ascontiguousarray(rows[:0:-1]).view(VEHICLE)


@pytest.mark.parametrize("kind", [Kind.VEHICLE, Kind.WALKER, Kind.PROP])
def test_bodies_are_written_as_they_are(kind: Kind) -> None:
    """Every field from a different number; pitch before yaw; radians as degrees; who isn't a vehicle has no pedals."""
    generator = np.random.default_rng(7)
    bodies = np.zeros(5, BODY)
    for name in ("location", "turn", "velocity", "spin", "acceleration"):
        bodies[name] = generator.normal(size=(5, 3))
    for name in ("throttle", "steering", "brake"):
        bodies[name] = generator.uniform(size=5)
    bodies["kind"], bodies["gear"] = kind, [-1, 0, 1, 2, 5]
    for name in ("hand_brake", "reverse", "manual"):
        bodies[name] = generator.integers(2, size=5)
    rows = filled(bodies, [], [])
    for name, wanted in (
        ("location", bodies["location"]),
        ("rotation", np.degrees(bodies["turn"][:, [1, 0, 2]])),
        ("velocity", bodies["velocity"]),
        ("angular_velocity", np.degrees(bodies["spin"])),
        ("acceleration", bodies["acceleration"]),
    ):
        np.testing.assert_array_equal(rows[name], wanted.astype(np.float32))
    for name, own in (("steer", "steering"), ("manual_gear_shift", "manual"), *((n, n) for n in ("throttle", "brake"))):
        np.testing.assert_array_equal(rows[name], bodies[own].astype(np.float32) * (kind is Kind.VEHICLE))
    for name in ("gear", "hand_brake", "reverse"):
        np.testing.assert_array_equal(rows[name], bodies[name] * (kind is Kind.VEHICLE))


@given(st.lists(st.tuples(st.floats(-40.0, 40.0), st.floats(-40.0, 60.0)), min_size=1, max_size=8))
def test_a_vehicle_is_told_the_limit_of_the_nearest_cell(places: list[tuple[float, float]]) -> None:
    """Beyond the grid, of its edge."""
    bodies = np.zeros(len(places), BODY)
    bodies["kind"], bodies["location"][:, :2] = Kind.VEHICLE, places
    rows = filled(bodies, [], [])
    columns_rows = np.round((rows["location"][:, :2] - np.array([-10.0, 20.0])) / 5.0).astype(int)
    column, row = columns_rows.clip(0, (3, 2)).T
    np.testing.assert_array_equal(rows["speed_limit"], LIMITS[row, column])
    assert not rows["at_light"].any()
    assert (rows["light"] == Light.GREEN).all()


def test_who_is_at_a_light_is_told_which() -> None:
    """Inside its turned box, and what it shows; nobody else."""
    lines = [line(0.0, 0.0, 90.0, 4.0, 1.5), line(10.0, 0.0, 90.0, 4.0, 1.5)]
    places = np.array([[0.0, 3.9, 0.5], [1.4, 0.0, 0.0], [0.0, 4.1, 0.0], [1.6, 0.0, 0.0], [10.0, -2.0, 0.0]])
    bodies = np.zeros(len(places), BODY)
    bodies["kind"], bodies["location"] = Kind.VEHICLE, places
    rows = filled(bodies, lines, [Light.RED, Light.YELLOW])
    assert rows["at_light"].tolist() == [True, True, False, False, True]
    assert rows["light_actor"].tolist() == [50, 50, 0, 0, 51]
    assert rows["light"].tolist() == [Light.RED, Light.RED, Light.GREEN, Light.GREEN, Light.YELLOW]


@given(st.tuples(*[st.floats(-8.0, 8.0)] * 2), st.floats(-180.0, 180.0), *[st.floats(0.5, 5.0)] * 2)
def test_a_turned_box_holds_what_its_own_frame_says(
    place: tuple[float, float], yaw_deg: float, half_x: float, half_y: float
) -> None:
    """By complex numbers: turning a place back by the box's yaw."""
    bodies = np.zeros(1, BODY)
    bodies["kind"], bodies["location"][0, :2] = Kind.VEHICLE, place
    rows = filled(bodies, [line(1.0, -2.0, yaw_deg, half_x, half_y)], [Light.RED])
    x, y = rows["location"][0, :2].tolist()
    own = complex(x - 1.0, y + 2.0) * np.exp(-1j * np.radians(yaw_deg))
    if min(abs(abs(own.real) - half_x), abs(abs(own.imag) - half_y)) > 1e-9:
        assert rows["at_light"][0] == (abs(own.real) < half_x and abs(own.imag) < half_y)
