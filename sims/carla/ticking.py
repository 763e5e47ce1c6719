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

    Attributes:
        woken: how often it was.
    """

    def __init__(self, world: Any, manager: Any) -> None:  # noqa: ANN401 -- carla.World, carla.TrafficManager
        """Both in synchronous mode, and the Traffic Manager one of this process."""
        self._world, self._port = world, int(manager.get_port())
        self._since_s: float | None = None
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
        self._since_s = time.monotonic()
        try:
            return int(self._world.tick(timeout_s))
        finally:
            self._since_s = None

    def close(self) -> None:
        """Look no more."""
        self._ended.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._ended.wait(_LOOKS_S):
            since_s = self._since_s
            if since_s is not None and time.monotonic() - since_s > STUCK_S:
                _log.warning("CARLA's Traffic Manager hasn't begun its step for %g s and is woken", STUCK_S)
                self._since_s = time.monotonic()
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
