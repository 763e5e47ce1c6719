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
"""Of a list, such as the commands of a batch: room is made for them as soon as their number is read."""
_REQUEST, _ANSWER = 0, 1
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
        """A client that doesn't read its answers isn't listened to until it does."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """It does."""
        self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Answer what has come whole."""
        try:
            self._unpacker.feed(data)
            for message in self._unpacker:
                self.transport.write(self._answer(message))
        except (ValueError, msgpack.exceptions.UnpackException, WireError) as error:
            _log.warning("a client's message can't be read, so its connection is closed: %s", error or "damaged")
            self.transport.close()

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
        answer = [_ANSWER, number, None, self._result(name, arguments)]
        packed: bytes = msgpack.packb(answer, use_bin_type=True, unicode_errors="surrogateescape")
        return packed

    def _result(self, name: str, arguments: list[Any]) -> Any:  # noqa: ANN401 -- any result
        method = self._methods.get(name)
        if method is None:
            named = name[:LONGEST]
            _log.warning("call %s isn't answered by this server: %s", named, short(arguments))
            return [[0, [f"{named}: this server doesn't have it; it speaks CARLA's protocol and isn't CARLA"]]]
        try:
            return method.answer(arguments[1:])
        except HaltereError as error:
            return [[0, [f"{name}: {error}"]]]
        except Exception as error:
            # A bug of ours must end neither the server nor the wait of the client that met it.
            _log.exception("call %s failed", name)
            return [[0, [f"{name}: failed in the server: {type(error).__name__}: {error}"]]]
