"""Calls about traffic lights."""

from haltere.configs.errors import RequestError
from haltere.sims.carla.geometry import BoundingBox
from haltere.sims.carla.server.wire import structs
from haltere.sims.carla.server.wire.payloads import Light
from haltere.sims.carla.server.wire.rpc import remote
from haltere.sims.carla.server.world.lights import Head
from haltere.sims.carla.server.world.world import World


class TrafficLights:
    """Lights of a world."""

    def __init__(self, world: World) -> None:
        """Of one world."""
        self._world = world

    def _head(self, number: int) -> Head:
        """One light.

        Raises:
            RequestError: there is none of that number.
        """
        head = self._world.lights.heads.get(number)
        if head is None:
            raise RequestError(f"actor {number} is no traffic light")
        return head

    @remote("set_traffic_light_state")
    def show(self, number: int, state: int) -> None:
        """Until its plan goes on."""
        if state not in set(Light):
            raise RequestError(f"a traffic light's state must be 0 to {max(Light)}, got {state}")
        self._world.lights.show(self._head(number).actor, Light(state))

    @remote("set_traffic_light_green_time")
    def green(self, number: int, seconds: float) -> None:
        """From now on."""
        self._world.lights.time(self._head(number).actor, green_s=_time(seconds))

    @remote("set_traffic_light_yellow_time")
    def yellow(self, number: int, seconds: float) -> None:
        """From now on."""
        self._world.lights.time(self._head(number).actor, yellow_s=_time(seconds))

    @remote("set_traffic_light_red_time")
    def red(self, number: int, seconds: float) -> None:
        """From now on."""
        self._world.lights.time(self._head(number).actor, red_s=_time(seconds))

    @remote("freeze_traffic_light")
    def freeze(self, number: int, frozen: bool) -> None:
        """Stop its time, and so its junction's."""
        self._world.lights.freeze(self._head(number).actor, frozen=frozen)

    @remote("freeze_all_traffic_lights")
    def freeze_all(self, frozen: bool) -> None:
        """Likewise."""
        self._world.lights.freeze_all(frozen=frozen)

    @remote("reset_traffic_light_group")
    def reset_group(self, number: int) -> None:
        """Its junction's plan from the beginning."""
        self._world.lights.begin(self._head(number).light.junction)

    @remote("reset_all_traffic_lights")
    def reset_all(self) -> None:
        """Every junction's."""
        self._world.lights.reset()

    @remote("get_group_traffic_lights")
    def group(self, number: int) -> list[int]:
        """Actors of its junction's lights."""
        self._head(number)
        return self._world.lights.group(number)

    @remote("get_light_boxes")
    def boxes(self, number: int) -> list[BoundingBox]:
        """Around what shines."""
        return [self._world.actor(self._head(number).actor).box]

    @remote("query_lights_state")
    def street_lamps(self, client: str) -> tuple[structs.VehicleLights, ...]:
        """Lamps can't be switched here, so that there are none to tell of."""
        return ()


def _time(seconds: float) -> float:
    if seconds < 0.0:
        raise RequestError(f"a light's time must be at least 0 s, got {seconds:g}")
    return seconds
