"""Calls about actors of any kind: what there is, spawning, attaching, destroying, moving."""

from haltere.configs.errors import RequestError
from haltere.sims.carla.geometry import BoundingBox, Transform, Vector
from haltere.sims.carla.server.wire import structs
from haltere.sims.carla.server.wire.rpc import remote
from haltere.sims.carla.server.world.kinds import kinds
from haltere.sims.carla.server.world.world import World


class Actors:
    """All actors of a world."""

    def __init__(self, world: World) -> None:
        """Of one world."""
        self._world = world

    def _body(self, number: int) -> int:
        """Where an actor is among those that move.

        Raises:
            RequestError: there is none, or it doesn't move.
        """
        actor = self._world.actor(number)
        if actor.body is None:
            raise RequestError(f"actor {number} ({actor.description.name}) has no physics")
        return actor.body

    @remote("get_actor_definitions")
    def definitions(self) -> list[structs.Blueprint]:
        """Every blueprint."""
        return [kind.blueprint for kind in kinds().values()]

    @remote("get_spectator")
    def spectator(self) -> structs.Actor:
        """Who looks on."""
        return self._world.told(self._world.actor(self._world.spectator))

    @remote("get_actors_by_id")
    def by_number(self, numbers: tuple[int, ...]) -> list[structs.Actor]:
        """Of those that there are."""
        actors = self._world.actors
        return [self._world.told(actors[number]) for number in numbers if number in actors]

    @remote("spawn_actor")
    def spawn(self, description: structs.Description, place: Transform) -> structs.Actor:
        """Put one into the world."""
        return self._world.told(self._world.spawn(description, place))

    @remote("spawn_actor_with_parent")
    def spawn_attached(
        self,
        description: structs.Description,
        place: Transform,
        parent: int,
        attachment: int,
        socket: str = "",
    ) -> structs.Actor:
        """Put one onto another, rigidly whatever the attachment; ``place`` is in the parent's frame."""
        return self._world.told(self._world.spawn(description, place, parent))

    @remote("destroy_actor")
    def destroy(self, number: int) -> bool:
        """Whether there was one."""
        return self._world.destroy(number)

    @remote("get_actor_bounding_box")
    def bounding_box(self, number: int) -> BoundingBox:
        """About its own origin; an empty one of who has gone: CARLA's Traffic Manager asks, and ends on an error."""
        actor = self._world.actors.get(number)
        return BoundingBox() if actor is None else actor.box

    @remote("set_actor_location")
    def set_location(self, number: int, location: Vector) -> None:
        """Turned as it is."""
        actor = self._world.actor(number)
        self._world.put(actor, Transform(location, self._world.place_of(actor).rotation))

    @remote("set_actor_transform")
    def set_transform(self, number: int, place: Transform) -> None:
        """Its velocity stays; of what is attached, in its parent's frame."""
        self._world.put(self._world.actor(number), place)

    @remote("set_actor_target_velocity")
    def set_velocity(self, number: int, velocity: Vector) -> None:
        """At once [m/s]."""
        self._world.motion.set_velocity(self._body(number), velocity)

    @remote("set_actor_target_angular_velocity")
    def set_angular_velocity(self, number: int, velocity: Vector) -> None:
        """At once [degrees/s]."""
        self._world.motion.set_angular_velocity(self._body(number), velocity)

    @remote("enable_actor_constant_velocity")
    def hold_velocity(self, number: int, velocity: Vector) -> None:
        """In its own frame, whatever else acts on it [m/s]."""
        self._world.motion.hold_velocity(self._body(number), velocity)

    @remote("disable_actor_constant_velocity")
    def release_velocity(self, number: int) -> None:
        """As it was before."""
        self._world.motion.hold_velocity(self._body(number), None)

    @remote("add_actor_impulse")
    def add_impulse(self, number: int, impulse: Vector) -> None:
        """At its centre of mass [N s]."""
        self._world.motion.push(self._body(number), impulse=impulse)

    @remote("add_actor_force")
    def add_force(self, number: int, force: Vector) -> None:
        """For the next tick [N]."""
        self._world.motion.push(self._body(number), force=force)

    @remote("add_actor_angular_impulse")
    def add_angular_impulse(self, number: int, impulse: Vector) -> None:
        """About its axes [N m s]."""
        self._world.motion.push(self._body(number), angular_impulse=impulse)

    @remote("add_actor_torque")
    def add_torque(self, number: int, torque: Vector) -> None:
        """For the next tick [N m]."""
        self._world.motion.push(self._body(number), torque=torque)

    @remote("set_actor_simulate_physics")
    def simulate_physics(self, number: int, enabled: bool) -> None:
        """Whether it moves by itself."""
        actor = self._world.actor(number)
        if actor.body is not None:
            self._world.motion.simulate(actor.body, enabled=enabled)

    @remote("set_actor_enable_gravity")
    def enable_gravity(self, number: int, enabled: bool) -> None:
        """Whether it falls."""
        self._world.motion.gravity(self._body(number), enabled=enabled)

    @remote("set_actor_collisions")
    def set_collisions(self, number: int, enabled: bool) -> None:
        """Whether others meet it."""
        self._world.motion.solid(self._body(number), enabled=enabled)
