"""``haltere carla``: the server that CARLA's own client drives."""

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le
from pydantic import ConfigDict

from haltere.agents.cli.common import read_options
from haltere.agents.cli.progress import starting
from haltere.configs.errors import RequestError

if TYPE_CHECKING:
    from haltere.sims.carla.server.serving import Server

_REPORT_S = 1.0


@dataclass(frozen=True)
class CarlaOptions:
    """Serve a world that the unmodified carla 0.9.16 client drives. It speaks CARLA's protocol and isn't CARLA.

    Attributes:
        map: a town of ours, or the path of an OpenDRIVE file that ends with .xodr.
        port: of the calls; streams are on the next one.
        host: address to listen at. Whoever reaches it can do with the world what he likes, so that any address but
            this machine's own has to be asked for by name.
        seed: of what grows in the town: buildings, trees, lamps.
        headless_log: a line for each thing that happens instead of one that changes; so too where there is no terminal.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    map: str = "grid"
    port: Annotated[int, Ge(0), Le(65534)] = 2000
    host: str = "127.0.0.1"
    seed: Annotated[int, Ge(0)] = 0
    headless_log: bool = False


def run(argv: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    options = read_options("carla", argv, CarlaOptions)
    if options is None:
        return 0
    starting("loading the town")
    from haltere.sims.carla.server.serving import ServerOptions, serve

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    live = sys.stderr.isatty() and not options.headless_log

    def until(server: "Server") -> "asyncio.Future[None]":
        return asyncio.ensure_future(_report(server, options.map, live=live))

    told = ServerOptions(options.map, options.port, options.host, options.seed)
    # Not asyncio.run: whoever keeps Ctrl-C has a handler of his own, with which it wouldn't cancel what is under way.
    with asyncio.Runner() as runner:
        runner.run(_until_interrupted(serve(told, until)))
    return 0


async def _until_interrupted(serving: Coroutine[None, None, None]) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(serving)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        print("stopped", file=sys.stderr)


async def _report(server: "Server", town: str, *, live: bool) -> None:
    """Say where it listens, then what goes on."""
    where = server.endpoint
    if where is None:
        raise RequestError("the server doesn't listen")
    spots = len(server.world.town.spawn_points)
    print(f"{town}: {spots} spawn points; carla.Client('{where.host}', {where.port}); Ctrl-C stops", file=sys.stderr)
    while True:
        frame = server.world.frame
        await asyncio.sleep(_REPORT_S)
        if live:
            world = server.world
            line = f"{len(world.actors)} actors, {(world.frame - frame) / _REPORT_S:.0f} ticks/s, {world.time_s:.1f} s"
            print(f"\r\x1b[K{world.town.name}: {line}", end="", file=sys.stderr, flush=True)
