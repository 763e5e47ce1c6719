"""A client of a server whose time goes by tick by tick."""

from typing import Any

import carla

from haltere.sims.carla.server.embedded import EmbeddedServer

STEP_S = 0.05


def connected(server: EmbeddedServer) -> tuple[Any, Any]:
    """A ``carla.Client`` and its ``carla.World``, in synchronous mode."""
    client = carla.Client(server.host, server.port)
    client.set_timeout(20.0)
    world = client.get_world()
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, STEP_S
    world.apply_settings(settings)
    return client, world
