"""What both kinds of connection share: a server that stops knows who is still there."""

import asyncio


class Connection(asyncio.Protocol):
    """A client's socket, listed in ``alive`` from its first to its last moment."""

    def __init__(self, alive: set[asyncio.Transport]) -> None:
        """Not connected yet."""
        self._alive = alive
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See ``asyncio.Protocol``."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._alive.add(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """See ``asyncio.Protocol``."""
        self._alive.discard(self.transport)
