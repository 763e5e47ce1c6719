"""Ticks that end, where CARLA's Traffic Manager goes along in synchronous mode.

Its worker is told to begin by a condition variable that is notified without its lock
(``TrafficManagerLocal::SynchronousTick`` of CARLA 0.9.16): told in the moment in which it goes to sleep, it sleeps
on, and the client waits for it without an end. Switching its synchronous mode off tells it once more, after which it
carries out that same step; the call must come by its own port, as those of other clients do, since the client's own
calls wait too.
"""

import logging
import socket
import threading
import time
from typing import Any, Self

import msgpack

STUCK_S = 2.0
"""Much more than a step of the Traffic Manager takes."""
_LOOKS_S = 0.25
_log = logging.getLogger(__name__)


class Ticker:
    """Ticks a world, and wakes its Traffic Manager where a tick doesn't end; a context manager.

    A step of the Traffic Manager that takes longer than ``STUCK_S`` is taken for one that hasn't begun, and is carried
    out twice. A server may take as long as it likes.

    Attributes:
        woken: how often it was.
    """

    def __init__(self, world: Any, manager: Any) -> None:  # noqa: ANN401 -- carla.World, carla.TrafficManager
        """Both in synchronous mode, and the Traffic Manager one of this process."""
        self._world, self._port = world, int(manager.get_port())
        self._count = 0
        self._ticking: tuple[int, int] | None = None
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._look, name="ticker", daemon=True)
        self._watch.start()
        self.woken = 0

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """See ``close``."""
        self.close()

    def tick(self, timeout_s: float = 10.0) -> int:
        """One tick; returns the frame's number.

        Raises:
            RuntimeError: the server hasn't answered in time.
        """
        self._count += 1
        self._ticking = self._count, int(self._world.get_snapshot().frame)
        try:
            return int(self._world.tick(timeout_s))
        finally:
            self._ticking = None

    def close(self) -> None:
        """Look no more."""
        self._ended.set()
        self._watch.join()

    def _look(self) -> None:
        """A tick is stuck if its frame came long ago: the client has waited for its Traffic Manager since then."""
        came, came_s = 0, 0.0
        while not self._ended.wait(_LOOKS_S):
            ticking, now_s = self._ticking, time.monotonic()
            if ticking is None or self._world.get_snapshot().frame <= ticking[1]:
                continue
            if ticking[0] != came:
                came, came_s = ticking[0], now_s
            elif now_s - came_s > STUCK_S and self._ticking == ticking:
                came_s = now_s
                self._wake()

    def _wake(self) -> None:
        _log.warning("CARLA's Traffic Manager hasn't begun its step for %g s and is woken", STUCK_S)
        self.woken += 1
        try:
            for synchronous in (False, True):
                _switch(self._port, synchronous)
        except OSError as error:
            _log.warning("CARLA's Traffic Manager at port %d can't be woken: %s", self._port, error)


def _switch(port: int, synchronous: bool) -> None:
    """The mode of a Traffic Manager of this machine, by a call of msgpack-rpc: a request is 0, its answer 1."""
    with socket.create_connection(("127.0.0.1", port), timeout=STUCK_S) as connection:
        connection.sendall(msgpack.packb([0, 1, "set_synchronous_mode", [synchronous]]))
        connection.recv(4096)
