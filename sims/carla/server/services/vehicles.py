"""Calls about vehicles and walkers: control, physics, lights and doors."""

from haltere.configs.errors import RequestError
from haltere.sims.carla.server.wire import structs
from haltere.sims.carla.server.wire.rpc import remote
from haltere.sims.carla.server.world.ackermann import Driver
from haltere.sims.carla.server.world.actors import Actor
from haltere.sims.carla.server.world.kinds import Category
from haltere.sims.carla.server.world.world import World

DOORS = 4
_ALL_DOORS = 6


class Vehicles:
    """Vehicles and walkers of a world."""

    def __init__(self, world: World) -> None:
        """Of one world."""
        self._world = world

    def _actor(self, number: int, category: Category = Category.VEHICLE) -> tuple[Actor, int]:
        """One of a category, and its place among those that move.

        Raises:
            RequestError: there is none, or it is of another category.
        """
        actor = self._world.actor(number)
        if actor.category is not category or actor.body is None:
            raise RequestError(f"actor {number} ({actor.description.name}) is no {category.value}")
        return actor, actor.body

    @remote("apply_control_to_vehicle")
    def control(self, number: int, control: structs.VehicleControl) -> None:
        """From the next tick on, until another one is given."""
        actor, body = self._actor(number)
        actor.control, actor.target, actor.driver = control, None, None
        self._world.motion.control(body, control)

    @remote("apply_ackermann_control_to_vehicle")
    def ackermann(self, number: int, control: structs.AckermannControl) -> None:
        """A speed and a steering angle to be held, by the server's two controllers."""
        actor, _ = self._actor(number)
        actor.target, actor.driver = control, actor.driver or Driver()

    @remote("get_ackermann_controller_settings")
    def ackermann_settings(self, number: int) -> structs.AckermannSettings:
        """Gains of those."""
        return self._actor(number)[0].ackermann

    @remote("apply_ackermann_controller_settings")
    def set_ackermann_settings(self, number: int, settings: structs.AckermannSettings) -> None:
        """Of one vehicle."""
        self._actor(number)[0].ackermann = settings

    @remote("apply_control_to_walker")
    def walk(self, number: int, control: structs.WalkerControl) -> None:
        """From the next tick on."""
        actor, body = self._actor(number, Category.WALKER)
        actor.walk = control
        self._world.motion.walk(body, control)

    @remote("get_physics_control")
    def physics(self, number: int) -> structs.PhysicsControl:
        """As it is."""
        actor, _ = self._actor(number)
        assert actor.physics is not None
        return actor.physics

    @remote("apply_physics_control")
    def set_physics(self, number: int, physics: structs.PhysicsControl) -> None:
        """From the next tick on."""
        actor, body = self._actor(number)
        self._world.motion.set_physics(body, physics)
        actor.physics = physics

    @remote("get_vehicle_light_state")
    def lights(self, number: int) -> structs.LightBits:
        """Which are on, a bit each."""
        return structs.LightBits(self._actor(number)[0].lights)

    @remote("set_vehicle_light_state")
    def set_lights(self, number: int, lights: structs.LightBits) -> None:
        """Likewise."""
        self._actor(number)[0].lights = lights.bits

    @remote("get_vehicle_light_states")
    def all_lights(self) -> list[structs.VehicleLights]:
        """Of every vehicle."""
        vehicles = (actor for actor in self._world.actors.values() if actor.category is Category.VEHICLE)
        return [structs.VehicleLights(actor.number, actor.lights) for actor in vehicles]

    @remote("open_vehicle_door")
    def open_door(self, number: int, door: int) -> None:
        """One, or all; a door isn't seen to be open."""
        self._actor(number)[0].doors |= self._doors(door)

    @remote("close_vehicle_door")
    def close_door(self, number: int, door: int) -> None:
        """Likewise."""
        self._actor(number)[0].doors -= self._doors(door)

    @remote("show_vehicle_debug_telemetry")
    def show_telemetry(self, number: int, enabled: bool) -> None:
        """There is no window to show it in."""
        self._actor(number)

    @remote("set_actor_autopilot")
    def autopilot(self, number: int, enabled: bool) -> None:
        """The Traffic Manager drives in the client; this call is left over."""
        self._actor(number)

    @staticmethod
    def _doors(door: int) -> set[int]:
        if door == _ALL_DOORS:
            return set(range(DOORS))
        if door < DOORS:
            return {door}
        raise RequestError(f"a door must be 0 to {DOORS - 1}, or {_ALL_DOORS} for all, got {door}")
