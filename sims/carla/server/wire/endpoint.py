"""The two sockets of a server: calls on its port, streams on the next one, or both on any that are free."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from haltere.configs.errors import RequestError
from haltere.sims.carla.server.wire.rpc import Method, RpcConnection
from haltere.sims.carla.server.wire.streams import StreamConnection, Streams

LOOPBACK = "127.0.0.1"
LAST_PORT = 65_534


@dataclass(frozen=True)
class Endpoint:
    """Where a server listens.

    Attributes:
        host: IPv4 address.
        port: of the calls.
        stream_port: of the streams.
    """

    host: str
    port: int
    stream_port: int
    _servers: tuple[asyncio.Server, ...]
    _alive: set[asyncio.Transport]

    async def close(self) -> None:
        """Stop listening, and drop who is connected."""
        for server in self._servers:
            server.close()
        for transport in list(self._alive):
            transport.abort()
        for server in self._servers:
            await server.wait_closed()


async def listen(methods: Mapping[str, Method], streams: Streams, *, host: str = LOOPBACK, port: int = 0) -> Endpoint:
    """Begin to listen.

    Args:
        methods: what calls are answered by, from ``methods_of``.
        streams: what can be listened to.
        host: IPv4 address; anybody who reaches it can do with the world what they like.
        port: of the calls, with streams on the next one; 0 for any two that are free.

    Raises:
        RequestError: a port is in use or is none, or the address isn't this machine's.
    """
    if not 0 <= port <= LAST_PORT:
        raise RequestError(f"a port must be 0 to {LAST_PORT}, with room for the next one, got {port}")
    loop, servers, alive = asyncio.get_running_loop(), list[asyncio.Server](), set[asyncio.Transport]()
    try:
        servers.append(await loop.create_server(lambda: RpcConnection(alive, methods), host, port))
        servers.append(
            await loop.create_server(lambda: StreamConnection(alive, streams), host, port + 1 if port else 0)
        )
    except OSError as error:
        for server in servers:
            server.close()
        which = port + len(servers) if port else "any free port"
        raise RequestError(f"{host}, port {which}: {error.strerror or error}") from error
    ports = [int(server.sockets[0].getsockname()[1]) for server in servers]
    return Endpoint(host, ports[0], ports[1], tuple(servers), alive)
