"""Calls about parts of actors: bones, components, sockets, and wheels as they are shown."""

import math

from haltere.configs.errors import RequestError, unknown_name
from haltere.sims.carla.geometry import Rotation, Transform, Vector, placed
from haltere.sims.carla.server.wire.rpc import remote
from haltere.sims.carla.server.world.actors import Actor
from haltere.sims.carla.server.world.kinds import Category
from haltere.sims.carla.server.world.world import World

BASE, COMPONENT = "Vehicle_Base", "mesh"
_WHEELS = ("Wheel_Front_Left", "Wheel_Front_Right", "Wheel_Rear_Left", "Wheel_Rear_Right")
_TWO_WHEELS = ("Wheel_Front", "Wheel_Rear")
_CM = 0.01


class Parts:
    """Of the actors of a world. A vehicle's bones are its base and its wheels; whatever else moves has its base."""

    def __init__(self, world: World) -> None:
        """Of one world."""
        self._world = world

    def _bones(self, number: int) -> dict[str, Transform]:
        """By name, in the actor's frame."""
        actor = self._world.actor(number)
        bones = {BASE: Transform()}
        if actor.physics is None:
            return bones
        wheels = actor.physics.wheels
        for index, (name, wheel) in enumerate(zip(_WHEELS if len(wheels) > 2 else _TWO_WHEELS, wheels, strict=False)):
            at = wheel.position
            yaw, pitch = self._steer_deg(actor, index), actor.wheel_pitch.get(index, 0.0)
            bones[name] = Transform(Vector(at.x * _CM, at.y * _CM, at.z * _CM), Rotation(pitch=pitch, yaw=yaw))
        return bones

    def _steer_deg(self, actor: Actor, wheel: int) -> float:
        if wheel in actor.wheel_steer:
            return actor.wheel_steer[wheel]
        return 0.0 if actor.body is None else self._world.motion.steer_deg(actor.body, wheel)

    def _in_world(self, number: int, parts: dict[str, Transform]) -> list[Transform]:
        base = self._world.place_of(self._world.actor(number))
        return [placed(base, part) for part in parts.values()]

    @remote("get_actor_bone_names")
    def bone_names(self, number: int) -> list[str]:
        """Of all."""
        return list(self._bones(number))

    @remote("get_actor_bone_relative_transforms")
    def bones(self, number: int) -> list[Transform]:
        """In the actor's frame."""
        return list(self._bones(number).values())

    @remote("get_actor_bone_world_transforms")
    def bones_in_world(self, number: int) -> list[Transform]:
        """Likewise, in the world."""
        return self._in_world(number, self._bones(number))

    @remote("get_vehicle_bone_world_transforms")
    def vehicle_bones(self, number: int) -> list[Transform]:
        """Of a vehicle."""
        self._vehicle(number)
        return self._in_world(number, self._bones(number))

    @remote("get_actor_component_names")
    def component_names(self, number: int) -> list[str]:
        """Each actor is one."""
        self._world.actor(number)
        return [COMPONENT]

    @remote("get_actor_component_relative_transform")
    def component(self, number: int, name: str) -> Transform:
        """In the actor's frame."""
        self._world.actor(number)
        if name != COMPONENT:
            raise unknown_name("component", name, [COMPONENT])
        return Transform()

    @remote("get_actor_component_world_transform")
    def component_in_world(self, number: int, name: str) -> Transform:
        """In the world."""
        return placed(self._world.place_of(self._world.actor(number)), self.component(number, name))

    @remote("get_actor_socket_names")
    def socket_names(self, number: int) -> list[str]:
        """There are none."""
        self._world.actor(number)
        return []

    @remote("get_actor_socket_relative_transforms")
    def sockets(self, number: int) -> list[Transform]:
        """There are none."""
        self._world.actor(number)
        return []

    @remote("get_actor_socket_world_transforms")
    def sockets_in_world(self, number: int) -> list[Transform]:
        """There are none."""
        self._world.actor(number)
        return []

    def _vehicle(self, number: int) -> Actor:
        actor = self._world.actor(number)
        if actor.category is not Category.VEHICLE:
            raise RequestError(f"actor {number} ({actor.description.name}) is no vehicle")
        return actor

    def _wheel(self, number: int, wheel: int, angle_deg: float = 0.0) -> Actor:
        """The vehicle that has it.

        Raises:
            RequestError: there is no such vehicle or wheel, or the angle is no number.
        """
        actor = self._vehicle(number)
        count = len(actor.physics.wheels) if actor.physics is not None else 0
        if not 0 <= wheel < count:
            raise RequestError(f"{actor.description.name} has wheels 0 to {count - 1}, got {wheel}")
        if not math.isfinite(angle_deg):
            raise RequestError(f"a wheel's angle must be a number, got {angle_deg}")
        return actor

    @remote("get_wheel_steer_angle")
    def steer_angle(self, number: int, wheel: int) -> float:
        """As it is now, to the right [degrees]; as it is shown, where that was set."""
        return self._steer_deg(self._wheel(number, wheel), wheel)

    @remote("set_wheel_steer_direction")
    def set_steer(self, number: int, wheel: int, angle_deg: float) -> None:
        """Show it so; how the vehicle drives stays as it is."""
        self._wheel(number, wheel, angle_deg).wheel_steer[wheel] = angle_deg

    @remote("get_wheel_pitch_angle")
    def pitch_angle(self, number: int, wheel: int) -> float:
        """As it was set [degrees]."""
        return self._wheel(number, wheel).wheel_pitch.get(wheel, 0.0)

    @remote("set_wheel_pitch_angle")
    def set_pitch(self, number: int, wheel: int, angle_deg: float) -> None:
        """Likewise."""
        self._wheel(number, wheel, angle_deg).wheel_pitch[wheel] = angle_deg

    @remote("restore_physx_physics")
    def restore(self, number: int) -> None:
        """There is one kind of physics only."""
        self._vehicle(number)
