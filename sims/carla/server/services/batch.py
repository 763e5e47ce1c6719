"""Many commands in one call: each is one of the other calls, in CARLA's own numbering."""

from collections.abc import Mapping
from typing import Any

from haltere.configs.errors import HaltereError, RequestError
from haltere.sims.carla.geometry import Transform
from haltere.sims.carla.server.wire.codec import Raw, WireError, unpack
from haltere.sims.carla.server.wire.rpc import Method, remote
from haltere.sims.carla.server.wire.structs import Description
from haltere.sims.carla.server.world.world import World

_SPAWN = 0
COMMANDS = {
    1: "destroy_actor",
    2: "apply_control_to_vehicle",
    3: "apply_ackermann_control_to_vehicle",
    4: "apply_control_to_walker",
    5: "apply_physics_control",
    6: "set_actor_transform",
    8: "set_actor_target_velocity",
    9: "set_actor_target_angular_velocity",
    10: "add_actor_impulse",
    11: "add_actor_force",
    12: "add_actor_angular_impulse",
    13: "add_actor_torque",
    14: "set_actor_simulate_physics",
    15: "set_actor_enable_gravity",
    16: "set_actor_autopilot",
    17: "show_vehicle_debug_telemetry",
    18: "set_vehicle_light_state",
    19: "set_actor_location",
    21: "set_traffic_light_state",
}
"""Number -> call with the same arguments; 7 moves a walker, and 20 types into Unreal's console. Source: the order of
``Command::CommandType`` in CARLA 0.9.16's client."""
_WALKER_STATE = 7
_BARE_LIGHTS = 18


class Batch:
    """Commands in one call."""

    def __init__(self, world: World, methods: Mapping[str, Method]) -> None:
        """Of one world; ``methods`` are what answers single calls."""
        self._world = world
        self._methods = methods

    @remote("apply_batch", bare=True)
    def apply(self, commands: tuple[Raw, ...], tick: bool) -> list[Any]:
        """Carry out one after the other; one that fails doesn't keep the next from being carried out."""
        answers = [self._answer(_parts(command)) for command in commands]
        if tick and self._world.settings.synchronous_mode:
            self._world.tick()
        return answers

    def _answer(self, parts: tuple[int, list[Any]]) -> list[Any]:
        try:
            return [[1, self._carry_out(*parts)]]
        except HaltereError as error:
            return [[0, [str(error)]]]

    def _carry_out(self, kind: int, arguments: list[Any]) -> int:
        """One command; returns the number of the actor that it is about.

        Raises:
            HaltereError: it failed.
        """
        if kind == _SPAWN:
            return self._spawn(arguments)
        if kind == _WALKER_STATE:
            return self._lead(*_three(arguments))
        name = COMMANDS.get(kind)
        if name is None:
            raise RequestError(f"command {kind} isn't carried out by this server")
        if kind == _BARE_LIGHTS:
            arguments = [arguments[0], [arguments[1]]]
        self._methods[name].answer(arguments)
        return int(arguments[0])

    def _lead(self, number: Any, place: Any, speed: Any) -> int:  # noqa: ANN401 -- whatever came
        """Put a walker where its controller, which is the client's, has him."""
        self._methods["set_actor_transform"].answer([number, place])
        self._world.lead(self._world.actor(number), unpack(float, speed, "speed"))
        return int(number)

    def _spawn(self, arguments: list[Any]) -> int:
        """Spawn, then carry out what is to follow; 0 stands for the new actor there."""
        if len(arguments) != 6 or not isinstance(arguments[5], list):
            raise WireError(f"a spawn command must have 6 arguments, got {len(arguments)}")
        description = unpack(Description, arguments[0], "description")
        place = unpack(Transform, arguments[1], "transform")
        parent = unpack(int | None, arguments[2], "parent")
        number = self._world.spawn(description, place, parent or 0).number
        for command in arguments[5]:
            kind, following = _parts(command)
            self._carry_out(kind, [number, *following[1:]])
        return number


def _parts(command: Any) -> tuple[int, list[Any]]:  # noqa: ANN401 -- whatever came
    """Number and arguments of a command, which CARLA wraps once more."""
    match command:
        case [[int(kind), [_, *_] as arguments]] if not isinstance(kind, bool):
            return kind, arguments
    raise WireError("a command must be [[number, [argument, ...]]]")


def _three(arguments: list[Any]) -> tuple[Any, Any, Any]:
    if len(arguments) != 3:
        raise WireError(f"a walker's state must have 3 arguments, got {len(arguments)}")
    first, second, third = arguments
    return first, second, third
