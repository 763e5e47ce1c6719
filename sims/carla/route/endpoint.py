"""One CARLA to drive in: somebody's that runs, or a server of our own."""

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import carla

from haltere.configs.errors import HaltereError, unknown_name
from haltere.sims.carla.route.config import EndpointConfig
from haltere.sims.carla.server.embedded import EmbeddedServer
from haltere.sims.carla.server.serving import ServerOptions

SUBSTEP_S = 0.01


class Endpoint:
    """A world in synchronous mode, and the calls that a route needs. What it spawned is destroyed with it.

    Attributes:
        client: of CARLA.
        world: its world.
        map: its map.
    """

    def __init__(self, config: EndpointConfig, town: str, step_s: float) -> None:
        """Connect, and load the town unless it is there.

        Args:
            config: which server.
            town: name of its map.
            step_s: what a tick is to take.

        Raises:
            RequestError: there is no such town.
            HaltereError: nobody answers.
        """
        self._timeout_s = config.timeout_s
        self._end_server: weakref.finalize[..., Any] | None = None
        if config.host:
            self.name = f"CARLA at {config.host}:{config.port}"
            address = config.host, config.port
        else:
            server = EmbeddedServer(ServerOptions(map=town, port=0))
            # Whoever drops a world without closing it leaves no process behind.
            self._end_server = weakref.finalize(self, server.close)
            self.name = f"the server of the town '{town}'"
            address = server.host, server.port
        self._spawned: list[int] = []
        self._open = False
        with self._answers("connect"):
            self.client = carla.Client(*address)
            self.client.set_timeout(config.timeout_s)
            self.world = self._with(town)
            self.map = self.world.get_map()
            self._former = self.world.get_settings()
            settings = self.world.get_settings()
            settings.synchronous_mode, settings.fixed_delta_seconds = True, step_s
            settings.substepping, settings.max_substep_delta_time = True, SUBSTEP_S
            settings.max_substeps = round(step_s / SUBSTEP_S) + 1
            self.world.apply_settings(settings)
        self._open = True

    def _with(self, town: str) -> Any:  # noqa: ANN401 -- carla.World
        world = self.client.get_world()
        if world.get_map().name.split("/")[-1] == town.split("/")[-1]:
            return world
        names = [name.split("/")[-1] for name in self.client.get_available_maps()]
        if town.split("/")[-1] not in names:
            raise unknown_name("town", town, names)
        return self.client.load_world(town)

    def spawn(self, things: Sequence[tuple[Any, Any]]) -> list[int]:
        """Spawn what (blueprint, transform) say; an actor's number each, 0 where there is no room for it."""
        commands = [carla.command.SpawnActor(blueprint, where) for blueprint, where in things]
        with self._answers("spawn vehicles"):
            answers = self.client.apply_batch_sync(commands, False)
        numbers = [0 if answer.error else int(answer.actor_id) for answer in answers]
        self._spawned += [number for number in numbers if number]
        return numbers

    def control(self, controls: Sequence[tuple[int, Any]]) -> Any:  # noqa: ANN401 -- carla.WorldSnapshot
        """Give vehicles their (number, control), and tick once; what the world is then."""
        commands = [carla.command.ApplyVehicleControl(number, control) for number, control in controls]
        with self._answers("tick"):
            self.client.apply_batch_sync(commands, False)
            frame = self.world.tick(self._timeout_s)
            snapshot = self.world.get_snapshot()
        if snapshot.frame != frame:
            raise HaltereError(f"{self.name}: somebody else ticks it too, so that its time isn't ours")
        return snapshot

    def clear(self) -> None:
        """Destroy what was spawned, and begin the lights' plans anew."""
        with self._answers("clear the road"):
            self.client.apply_batch_sync([carla.command.DestroyActor(number) for number in self._spawned], False)
            self._spawned.clear()
            self.world.reset_all_traffic_lights()

    def close(self) -> None:
        """Leave the server as it was, or end it if it is ours; a second time does nothing."""
        if not self._open:
            return
        self._open = False
        if self._end_server is not None:
            self._end_server()
            return
        # Whoever closes because the server is gone mustn't be told so again.
        with suppress(HaltereError):
            self.clear()
            with self._answers("restore its settings"):
                self.world.apply_settings(self._former)

    @contextmanager
    def _answers(self, what: str) -> Iterator[None]:
        """CARLA's errors as ours.

        Raises:
            HaltereError: it didn't answer in time, or not as it should.
        """
        try:
            yield
        except RuntimeError as error:
            raise HaltereError(f"{self.name} didn't {what}: {error}") from error
