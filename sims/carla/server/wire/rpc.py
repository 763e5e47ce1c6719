"""The calls of CARLA's client: msgpack-rpc over TCP, as rpclib speaks it.

A request is ``[0, number, name, arguments]`` and its answer ``[1, number, nil, result]``. The first argument is always
CARLA's own: whether the caller goes on without waiting. Results are wrapped: ``[[1, value]]``, ``[[0, [sentence]]]``
where the call failed, which the client raises as ``RuntimeError``, and ``[[false]]`` where there is nothing to say.
"""

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from reprlib import repr as short
from typing import Any, get_type_hints

import msgpack

from haltere.configs.errors import LONGEST, HaltereError
from haltere.sims.carla.server.wire.codec import Reader, WireError, pack, reader
from haltere.sims.carla.server.wire.connection import Connection

LARGEST_MESSAGE = 64 * 2**20
"""Bytes; a town's OpenDRIVE has some two millions."""
MOST_ITEMS = 2**20
"""Of a list, such as the commands of a batch."""
_REQUEST, _ANSWER = 0, 1
_GOES_ON = True
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Method:
    """One call that is answered.

    Attributes:
        call: takes the arguments, read; what it returns is the result.
        readers: of each argument, with its name.
        least: how many arguments must be there.
        bare: whether the result goes out as it is.
    """

    call: Callable[..., Any]
    readers: tuple[tuple[str, Reader], ...]
    least: int
    bare: bool

    def answer(self, arguments: list[Any]) -> Any:  # noqa: ANN401 -- any result
        """Call it.

        Raises:
            HaltereError: an argument doesn't fit, or the call failed.
        """
        if not self.least <= len(arguments) <= len(self.readers):
            wanted = ", ".join(name for name, _ in self.readers) or "none"
            raise WireError(f"takes {len(self.readers)} arguments ({wanted}), got {len(arguments)}")
        read = [each(data, name) for (name, each), data in zip(self.readers, arguments, strict=False)]
        result = pack(self.call(*read))
        if self.bare:
            return result
        return [[False]] if result is None else [[1, result]]


def remote(name: str, *, bare: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark a method as what answers a call; its annotations say what the arguments are."""

    def mark(call: Callable[..., Any]) -> Callable[..., Any]:
        call.remote_name, call.remote_bare = name, bare  # type: ignore[attr-defined] # read by methods_of
        return call

    return mark


def methods_of(*services: object) -> dict[str, Method]:
    """Every marked method of some objects, by the name of its call.

    Raises:
        TypeError: two answer the same call, or an argument's type can't be read.
    """
    found: dict[str, Method] = {}
    for service in services:
        for _, call in inspect.getmembers(service, inspect.ismethod):
            name = getattr(call, "remote_name", None)
            if name is None:
                continue
            if name in found:
                raise TypeError(f"two methods answer {name}")
            hints, parameters = get_type_hints(call), inspect.signature(call).parameters.values()
            readers = tuple((each.name, reader(hints[each.name])) for each in parameters)
            least = sum(each.default is inspect.Parameter.empty for each in parameters)
            found[name] = Method(call, readers, least, bool(getattr(call, "remote_bare", False)))
    return found


class RpcConnection(Connection):
    """One client's calls, answered one after the other. What it sends can end this connection and nothing else."""

    def __init__(self, alive: set[asyncio.Transport], methods: Mapping[str, Method]) -> None:
        """Answer these calls."""
        super().__init__(alive)
        self._methods = methods
        self._paused = False
        self._unread = 0
        # Maps as pairs: nothing of CARLA's is one, and their keys need not be hashable.
        self._unpacker = msgpack.Unpacker(
            raw=False,
            strict_map_key=False,
            unicode_errors="surrogateescape",
            object_pairs_hook=list,
            max_buffer_size=LARGEST_MESSAGE,
            max_array_len=MOST_ITEMS,
            max_map_len=MOST_ITEMS,
        )

    def pause_writing(self) -> None:
        """A client that doesn't read its answers gets no more of them until it does."""
        self._paused = True
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """It does."""
        self._paused = False
        self.transport.resume_reading()
        self._go_on()

    def data_received(self, data: bytes) -> None:
        """Answer what has come whole."""
        self._unread += len(data)
        try:
            self._unpacker.feed(data)
        except msgpack.exceptions.BufferFull as error:
            self._give_up(error)
        else:
            self._go_on()

    def _go_on(self) -> None:
        """Answer calls that have come whole, as long as their answers are read."""
        try:
            while not self._paused and not self.transport.is_closing():
                try:
                    message = self._unpacker.unpack()
                except msgpack.exceptions.OutOfData:
                    break
                self._unread = 0
                self.transport.write(self._answer(message))
            if self._unread > LARGEST_MESSAGE:
                raise WireError(f"is more than {LARGEST_MESSAGE:,} bytes long")
        except (ValueError, msgpack.exceptions.UnpackException, WireError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """End the connection, whatever of it is unread."""
        _log.warning("a client's message can't be read, so its connection is ended: %s", str(error) or "damaged")
        self.transport.abort()

    def _answer(self, message: Any) -> bytes:  # noqa: ANN401 -- whatever came
        """The answer to a request.

        Raises:
            WireError: it is none.
        """
        if not isinstance(message, list) or len(message) != 4 or message[0] != _REQUEST:
            raise WireError(f"must be [0, number, name, arguments], got {short(message)}")
        _, number, name, arguments = message
        if not isinstance(number, int) or not isinstance(name, str) or not isinstance(arguments, list):
            raise WireError(f"must be [0, number, name, arguments], got {short(message)}")
        # A list of four, of which the last one is packed already.
        return b"\x94" + b"".join(map(_bytes, (_ANSWER, number, None))) + self._result(name, arguments)

    def _result(self, name: str, arguments: list[Any]) -> bytes:
        """What a call gave, packed.

        A bug of ours must end neither the server nor the wait of the client that met it, and be it a result that can't
        be packed.
        """
        method = self._methods.get(name)
        if method is None:
            named = name[:LONGEST]
            _log.warning("call %s isn't answered by this server: %s", named, short(arguments))
            return _bytes([[0, [f"{named}: this server doesn't have it; it speaks CARLA's protocol and isn't CARLA"]]])
        try:
            return _bytes(method.answer(arguments[1:]))
        except HaltereError as error:
            if arguments[:1] == [[_GOES_ON]]:
                _log.warning("call %s failed, and its client doesn't wait to be told: %s", name, error)
            return _bytes([[0, [f"{name}: {error}"]]])
        except Exception as error:
            _log.exception("call %s failed", name)
            return _bytes([[0, [f"{name}: failed in the server: {type(error).__name__}: {error}"]]])


def _bytes(data: Any) -> bytes:  # noqa: ANN401 -- plain data
    packed: bytes = msgpack.packb(data, use_bin_type=True, unicode_errors="surrogateescape")
    return packed
