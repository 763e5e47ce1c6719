"""A server: a world, what answers calls about it, and its two sockets."""

import asyncio
import logging
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from haltere.sims.carla.server.senses.senses import Senses
from haltere.sims.carla.server.services.actors import Actors
from haltere.sims.carla.server.services.batch import Batch
from haltere.sims.carla.server.services.lights import TrafficLights
from haltere.sims.carla.server.services.parts import Parts
from haltere.sims.carla.server.services.recordings import Recordings
from haltere.sims.carla.server.services.session import WORLD_STREAM, Session
from haltere.sims.carla.server.services.surroundings import Surroundings
from haltere.sims.carla.server.services.traffic import Traffic
from haltere.sims.carla.server.services.vehicles import Vehicles
from haltere.sims.carla.server.wire.endpoint import LOOPBACK, Endpoint, listen
from haltere.sims.carla.server.wire.rpc import Method, methods_of
from haltere.sims.carla.server.wire.streams import Streams, token
from haltere.sims.carla.server.world.looks import Looks
from haltere.sims.carla.server.world.world import ASYNCHRONOUS_S, World

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServerOptions:
    """What a server is told.

    Attributes:
        map: name of a town, or path of an OpenDRIVE file.
        port: of the calls, with streams on the next one; 0 for any two that are free.
        host: IPv4 address to listen at; whoever reaches it can do with the world what he likes.
        seed: of what grows in the town.
        recordings: folder of the recorder's files.
    """

    map: str = "grid"
    port: int = 2000
    host: str = LOOPBACK
    seed: int = 0
    recordings: str = str(Path(tempfile.gettempdir()) / "haltere-carla")


class Server:
    """One world and who talks to it. Made and used within one asyncio loop."""

    def __init__(self, options: ServerOptions) -> None:
        """Load the town.

        Raises:
            RequestError: there is no such town, or it can't be read.
        """
        self._options = options
        self.streams = Streams()
        self.world = World(options.map, seed=options.seed, publish=self._publish)
        self.endpoint: Endpoint | None = None
        self.methods: Mapping[str, Method] = {}
        self._ticking: asyncio.Task[None] | None = None
        self._at_end: Callable[[], None] = lambda: None

    def _publish(self, state: bytes) -> None:
        self.streams.send(WORLD_STREAM, state)

    def _token(self, stream: int) -> bytes:
        assert self.endpoint is not None
        return token(stream, self.endpoint.stream_port)

    def _joined(self, stream: int) -> bytes | None:
        """Who begins to listen to the world gets its state at once: without ticks he would wait for ever."""
        return self.world.state() if stream == WORLD_STREAM else None

    async def begin(self) -> Endpoint:
        """Listen, and let time go by where no client says when.

        Raises:
            RequestError: a port is in use, or the address isn't this machine's.
        """
        traffic, looks = Traffic(), Looks(self.world)
        surroundings = Surroundings(self.world, looks)
        recordings = Recordings(self.world, Path(self._options.recordings))
        self._at_end = recordings.forget
        single = methods_of(
            Session(self.world, self._token),
            Actors(self.world),
            Vehicles(self.world),
            TrafficLights(self.world),
            surroundings,
            recordings,
            Parts(self.world),
            traffic,
        )
        self.methods = single | methods_of(Batch(self.world, single))

        def forget() -> None:
            traffic.forget()
            looks.forget()
            surroundings.forget()
            recordings.forget()

        self.world.token, self.world.on_loaded = self._token, forget
        Senses(self.world, looks, self.streams)
        self.streams.on_joined = self._joined
        self.endpoint = await listen(self.methods, self.streams, host=self._options.host, port=self._options.port)
        self._ticking = asyncio.create_task(self._tick_by_the_clock())
        return self.endpoint

    async def _tick_by_the_clock(self) -> None:
        """Without synchronous mode: simulated time as fast as that on the wall, unless ticks take longer."""
        due = time.monotonic()
        while True:
            settings = self.world.settings
            step_s = settings.fixed_delta_seconds or ASYNCHRONOUS_S
            due = max(due + step_s, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            if not self.world.settings.synchronous_mode:
                self._tick()

    def _tick(self) -> None:
        """A tick that fails mustn't be the last one: nobody waits for it who could be told."""
        try:
            self.world.tick()
        except Exception:
            _log.exception("a tick failed")

    async def end(self) -> None:
        """Stop, and drop who is connected."""
        if self._ticking is not None:
            self._ticking.cancel()
        if self.endpoint is not None:
            await self.endpoint.close()
        self._at_end()


async def serve(options: ServerOptions, until: Callable[[Server], asyncio.Future[None]]) -> None:
    """Serve until a future is done.

    Args:
        options: of the server.
        until: given the server once it listens, what is waited for.

    Raises:
        RequestError: see ``Server``.
    """
    server = Server(options)
    await server.begin()
    try:
        await until(server)
    finally:
        await server.end()
