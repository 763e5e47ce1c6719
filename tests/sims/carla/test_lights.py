"""The plan of a junction's lights."""

from hypothesis import given
from hypothesis import strategies as st

from haltere.sims.carla.geometry import BoundingBox, Rotation, Transform, Vector
from haltere.sims.carla.server.wire.payloads import Light
from haltere.sims.carla.server.world.lights import Lights
from haltere.sims.carla.towns.town import TrafficLight


def light(number: int, phase: int, junction: int = 0, **times: float) -> TrafficLight:
    """At (10 number, 0), with a box of 8 m x 3 m before it that is turned by 90 degrees."""
    stops = BoundingBox(Vector(10.0 * number, 0.0, 0.0), Vector(4.0, 1.5, 2.0), Rotation(yaw=90.0))
    return TrafficLight(str(number), Transform(), stops, junction, phase, **times)


def shown(lights: Lights) -> list[Light]:
    """All of them."""
    return [head.shows for head in lights.heads.values()]


def test_a_plan_is_green_yellow_red_phase_after_phase() -> None:
    """Each for its time, second by second, and from the beginning once all phases have been."""
    lights = Lights([light(0, 0), light(1, 1), light(2, 0)], 50)
    seen = []
    for _ in range(31):
        seen.append(shown(lights))
        lights.tick(1.0)
    green, yellow, red = Light.GREEN, Light.YELLOW, Light.RED
    assert seen[:10] == [[green, red, green]] * 10 and seen[10:13] == [[yellow, red, yellow]] * 3
    assert seen[13:15] == [[red, red, red]] * 2 and seen[15:25] == [[red, green, red]] * 10
    assert seen[25:28] == [[red, yellow, red]] * 3 and seen[28:30] == [[red] * 3] * 2
    assert seen[30] == seen[0] and lights.group(51) == [50, 51, 52]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=12),
    st.lists(st.floats(0.0, 40.0), max_size=40),
    st.floats(0.0, 5.0),
)
def test_two_phases_are_never_green_at_once(where: list[tuple[int, int]], steps_s: list[float], green_s: float) -> None:
    """Whatever the junctions, the times and the steps."""
    town = [light(n, phase, junction, green_s=green_s) for n, (junction, phase) in enumerate(where)]
    lights = Lights(town, 7)
    for step_s in steps_s:
        lights.tick(step_s)
        for junction in lights.junctions.values():
            free = {head.light.phase for head in junction.heads if head.shows in (Light.GREEN, Light.YELLOW)}
            assert len(free) <= 1


def test_a_frozen_light_stops_its_junction_alone() -> None:
    """Until it is let go."""
    lights = Lights([light(0, 0), light(1, 1), light(2, 0, junction=1)], 50)
    lights.freeze(51, frozen=True)
    lights.tick(12.0)
    assert shown(lights) == [Light.GREEN, Light.RED, Light.YELLOW]
    lights.freeze(51, frozen=False)
    lights.tick(12.0)
    assert shown(lights)[0] == Light.YELLOW


def test_times_are_those_of_all_lights_that_change_together() -> None:
    """Whichever of them is told; another phase keeps its own."""
    for told in (50, 52):
        lights = Lights([light(0, 0), light(1, 1), light(2, 0)], 50)
        lights.time(told, green_s=30.0)
        assert [head.green_s for head in lights.heads.values()] == [30.0, 10.0, 30.0]
        lights.tick(29.9)
        assert shown(lights) == [Light.GREEN, Light.RED, Light.GREEN]
        lights.tick(0.2)
        assert shown(lights) == [Light.YELLOW, Light.RED, Light.YELLOW]
