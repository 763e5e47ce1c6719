"""Ticks that end."""

import socket
import threading
import time
from typing import Any

import msgpack
import pytest

from haltere.sims.carla import ticking
from haltere.sims.carla.ticking import Ticker


class Stuck:
    """A world whose tick waits for its Traffic Manager, and that: it is told once that its mode is off."""

    def __init__(self) -> None:
        """Listen where a Traffic Manager would."""
        self.told: list[Any] = []
        self.frame = 3
        self._woken = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    def get_snapshot(self) -> "Stuck":
        """As far as the frame goes, itself."""
        return self

    def get_port(self) -> int:
        """Of the Traffic Manager."""
        return int(self._listener.getsockname()[1])

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            with connection:
                kind, number, name, arguments = msgpack.unpackb(connection.recv(4096))
                assert kind == 0
                self.told.append((name, arguments))
                if arguments == [False]:
                    self._woken.set()
                connection.sendall(msgpack.packb([1, number, None, None]))

    def close(self) -> None:
        """Listen no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def tick(self, timeout_s: float) -> int:
        """Its frame comes, and it waits, as CARLA's client does, whatever the time."""
        self.frame += 1
        assert self._woken.wait(20.0)
        return 7


class Quick(Stuck):
    """One that ticks at once."""

    def tick(self, timeout_s: float) -> int:
        """Without waiting."""
        self.frame += 1
        return 8


class Slow(Stuck):
    """One whose server takes long, and whose Traffic Manager has nothing to do until then."""

    def tick(self, timeout_s: float) -> int:
        """The frame comes at the end."""
        time.sleep(1.5)
        self.frame += 1
        return 9


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticking, "STUCK_S", 0.3)


def test_a_stuck_tick_is_woken() -> None:
    """By switching the mode off and on again, once."""
    world = Stuck()
    with Ticker(world, world) as ticker:
        assert ticker.tick() == 7
        until = time.monotonic() + 5.0
        while len(world.told) < 2 and time.monotonic() < until:
            time.sleep(0.01)
    world.close()
    assert ticker.woken == 1
    assert world.told == [("set_synchronous_mode", [False]), ("set_synchronous_mode", [True])]


def test_nobody_is_woken_without_need() -> None:
    """However long nobody ticks."""
    world = Quick()
    with Ticker(world, world) as ticker:
        assert [ticker.tick() for _ in range(3)] == [8, 8, 8]
        time.sleep(0.8)
    world.close()
    assert ticker.woken == 0 and not world.told


def test_a_server_may_take_its_time() -> None:
    """As long as the frame hasn't come, nobody sleeps through it."""
    world = Slow()
    with Ticker(world, world) as ticker:
        assert ticker.tick() == 9
    world.close()
    assert ticker.woken == 0 and not world.told


def test_a_traffic_manager_that_is_gone_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """It is said, and the tick's own wait goes on."""

    class Gone(Stuck):
        def get_port(self) -> int:
            with socket.create_server(("127.0.0.1", 0)) as free:
                return int(free.getsockname()[1])

        def tick(self, timeout_s: float) -> int:
            self.frame += 1
            time.sleep(1.5)
            return 9

    world = Gone()
    with Ticker(world, world) as ticker:
        assert ticker.tick() == 9
    world.close()
    assert ticker.woken >= 1 and "can't be woken" in caplog.text
