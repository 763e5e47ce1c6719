"""Whatever is called with whatever: the server answers, finds no bug of its own, and goes on."""

import asyncio
import random
import socket
from collections.abc import Callable, Mapping
from typing import Any

import msgpack
import pytest

from haltere.sims.carla.server.embedded import EmbeddedServer
from haltere.sims.carla.server.serving import Server, ServerOptions

pytest.importorskip("carla", reason="CARLA's client has no wheel for this machine")

MESSAGES, TIMEOUT_S = 10_000, 20.0
SETTINGS = [True, False, [True, 0.05], True, 0.01, 10, 0.0, False, 3000.0, 2000.0, True]
NAMES = ("vehicle.tesla.model3", "walker.pedestrian.0001", "static.prop.box01", "sensor.other.collision")
Make = Callable[[random.Random], list[Any]]


def arity() -> dict[str, int]:
    """Of every call."""

    async def begun() -> dict[str, int]:
        server = Server(ServerOptions(port=0))
        await server.begin()
        await server.end()
        return {name: len(method.readers) for name, method in server.methods.items()}

    return asyncio.run(begun())


def anything(chance: random.Random, depth: int = 0) -> Any:  # noqa: ANN401 -- any
    """A value of any type."""
    simple: list[Any] = [
        *(0, 1, -1, 25, 60, 61, 2**31, 2**32 - 1, 0.0, 1e38, -1e38, 1e-30, None, b"abc", True, False),
        *("", "grid", NAMES[0], "x" * 300, [False], [True, 1.0]),
    ]
    kind = chance.randrange(8)
    if kind < 5 or depth > 2:
        return chance.choice(simple)
    if kind == 5:
        return vector(chance)
    return [anything(chance, depth + 1) for _ in range(chance.randrange(6))]


def vector(chance: random.Random) -> list[float]:
    """Three numbers, some as large as four bytes hold."""
    return [chance.choice([chance.uniform(-300.0, 300.0), 0.0, 1e38, -3e38]) for _ in range(3)]


def number(chance: random.Random) -> int:
    """Of an actor that may be there."""
    return chance.randrange(56, 76)


def spawn(chance: random.Random) -> list[Any]:
    """Somewhere in the town."""
    where = [chance.uniform(-200, 200), chance.uniform(-200, 200), chance.uniform(-5, 5)]
    return [[1, chance.choice(NAMES), []], [where, vector(chance)]]


def physics(chance: random.Random) -> list[Any]:
    """Mostly too much, or too little."""
    pick = chance.choice
    wheel = [pick([2.0, 1e38]), 0.25, 70.0, 31.0, 1500.0, 3000.0, 2.0, 17.0, 1000.0, vector(chance)]
    engine = [[[0.0, pick([500.0, 1e38])], [5000.0, 1.0]], 5000.0, 1.0, 0.1, 2.0, 0.3, True, 0.5, 10.0, 4.0]
    body = [[[1.0, 0.5, 0.65]], pick([1000.0, 1e-30, 1e38]), pick([0.3, 1e38]), vector(chance), [[0.0, 1.0]], [wheel]]
    return [number(chance), [*engine, *body, False]]


def control(chance: random.Random) -> list[Any]:
    """Of a vehicle."""
    return [number(chance), [*vector(chance), *(chance.random() < 0.5 for _ in range(3)), chance.randrange(-9, 9)]]


WELL_MADE: Mapping[str, Make] = {
    "spawn_actor": spawn,
    "apply_control_to_vehicle": control,
    "apply_physics_control": physics,
    "apply_control_to_walker": lambda chance: [number(chance), [vector(chance), chance.choice([1e38, 2.0]), True]],
    "apply_ackermann_control_to_vehicle": lambda chance: [number(chance), [*vector(chance), *vector(chance)[:2]]],
    "set_actor_transform": lambda chance: [number(chance), [vector(chance), vector(chance)]],
    "destroy_actor": lambda chance: [number(chance)],
    **{
        name: lambda chance: [number(chance), vector(chance)]
        for name in (
            *("set_actor_location", "set_actor_target_velocity", "set_actor_target_angular_velocity"),
            *("enable_actor_constant_velocity", "add_actor_impulse", "add_actor_force"),
            *("add_actor_angular_impulse", "add_actor_torque"),
        )
    },
    "tick_cue": lambda chance: [],
}


def test_whatever_is_called_the_server_answers() -> None:
    """Every call is made hundreds of times; none of them finds a bug, and the world still ticks."""
    calls, chance, faults = arity(), random.Random(1), set[str]()
    assert set(WELL_MADE) <= set(calls)
    with EmbeddedServer.of("grid") as server, socket.create_connection((server.host, server.port)) as connection:
        connection.settimeout(TIMEOUT_S)
        unpacker = msgpack.Unpacker(strict_map_key=False)

        def call(name: str, arguments: list[Any]) -> Any:  # noqa: ANN401 -- any result
            connection.sendall(msgpack.packb([0, 1, name, [[False], *arguments]]))
            while True:
                for message in unpacker:
                    return message[3]
                received = connection.recv(1 << 20)
                assert received, f"the server has hung up after {name} {arguments}"
                unpacker.feed(received)

        call("set_episode_settings", [SETTINGS])
        spawned = 0
        for _ in range(MESSAGES):
            name = chance.choice([*calls, *WELL_MADE, *("tick_cue", "spawn_actor") * 3])
            if name in ("set_episode_settings", "load_new_episode") and chance.random() < 0.95:
                continue
            well_made = name in WELL_MADE and chance.random() < 0.9
            arguments = WELL_MADE[name](chance) if well_made else [anything(chance) for _ in range(calls[name])]
            answer = call(name, arguments)
            spawned += name == "spawn_actor" and answer[0][0] == 1
            if "failed in the server" in str(answer):
                faults.add(f"{name} {str(answer)[:200]}")
        assert not faults and spawned > 100
        call("set_episode_settings", [SETTINGS])
        first = call("tick_cue", [])[0][1]
        assert call("tick_cue", [])[0][1] == first + 1
