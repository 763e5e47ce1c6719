"""What the server sends by itself: the world's state after each tick, and what sensors see.

A client connects, names the stream in four bytes, and gets each message behind its length. What a stream is called by
is a token of 24 bytes, which says where to connect to.
"""

import asyncio
import logging
import struct
from collections import defaultdict
from collections.abc import Callable

from haltere.sims.carla.server.wire.connection import Connection

MOST_WAITING = 512 * 2**20
"""Bytes that a client may leave unread before it is given up."""
SETTLED_S = 0.1
"""After which a client that has joined is taken to wait; it makes one call in between."""
_LENGTH = struct.Struct("<I")
_TOKEN = struct.Struct("<IHBB16s")
_TCP, _NO_ADDRESS = 1, 0
_log = logging.getLogger(__name__)


def token(stream: int, port: int) -> bytes:
    """What a client needs to know of a stream. Without an address it connects to where it makes its calls.

    Args:
        stream: its number, below 2**32.
        port: of the server of streams.
    """
    return _TOKEN.pack(stream, port, _TCP, _NO_ADDRESS, bytes(16))


class Streams:
    """Who listens to what.

    Attributes:
        on_joined: gives what somebody who has begun to listen to a stream of that number is sent at once, if anything.
            It goes out a moment later: CARLA's client begins to listen first and to wait afterwards, and what comes in
            between doesn't end its wait.
    """

    def __init__(self) -> None:
        """Nobody yet."""
        self._listeners: dict[int, list[asyncio.Transport]] = defaultdict(list)
        self.on_joined: Callable[[int], bytes | None] = lambda stream: None

    def listened(self) -> list[int]:
        """Numbers of the streams that anybody listens to, in their order."""
        return sorted(self._listeners)

    def send(self, stream: int, payload: bytes) -> None:
        """Send a message to all who listen to a stream; a client that doesn't read is given up in the end."""
        for transport in list(self._listeners.get(stream, ())):
            if transport.is_closing():
                self.leave(stream, transport)
            elif transport.get_write_buffer_size() > MOST_WAITING:
                _log.warning("a client has left %d MiB of stream %d unread and is given up", MOST_WAITING >> 20, stream)
                self.leave(stream, transport)
                transport.abort()
            else:
                transport.writelines((_LENGTH.pack(len(payload)), payload))

    def join(self, stream: int, transport: asyncio.Transport) -> None:
        """Somebody listens."""
        self._listeners[stream].append(transport)
        asyncio.get_running_loop().call_later(SETTLED_S, self._welcome, stream, transport)

    def _welcome(self, stream: int, transport: asyncio.Transport) -> None:
        payload = None if transport.is_closing() else self.on_joined(stream)
        if payload is not None:
            transport.writelines((_LENGTH.pack(len(payload)), payload))

    def leave(self, stream: int, transport: asyncio.Transport) -> None:
        """And doesn't any more."""
        listeners = self._listeners.get(stream, [])
        if transport in listeners:
            listeners.remove(transport)
        if not listeners:
            self._listeners.pop(stream, None)


class StreamConnection(Connection):
    """One listener of one stream."""

    def __init__(self, alive: set[asyncio.Transport], streams: Streams) -> None:
        """Of these."""
        super().__init__(alive)
        self._streams = streams
        self._named = b""
        self._stream: int | None = None

    def data_received(self, data: bytes) -> None:
        """The number of the stream; whatever else a client sends is thrown away."""
        if self._stream is None:
            self._named = (self._named + data)[:4]
            if len(self._named) == 4:
                (self._stream,) = _LENGTH.unpack(self._named)
                self._streams.join(self._stream, self.transport)

    def connection_lost(self, error: Exception | None) -> None:
        """See ``asyncio.Protocol``."""
        super().connection_lost(error)
        if self._stream is not None:
            self._streams.leave(self._stream, self.transport)
