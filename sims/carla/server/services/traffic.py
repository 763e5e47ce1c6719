"""Where Traffic Managers are: they run in clients, and others find them by the server."""

from haltere.configs.errors import RequestError
from haltere.sims.carla.server.wire import structs
from haltere.sims.carla.server.wire.rpc import remote


class Traffic:
    """Who manages traffic, by port."""

    def __init__(self) -> None:
        """Nobody yet."""
        self._running: dict[int, structs.Address] = {}

    def forget(self) -> None:
        """Whoever was there."""
        self._running.clear()

    @remote("is_traffic_manager_running")
    def is_running(self, port: int) -> bool:
        """Whether a client has one there."""
        return port in self._running

    @remote("get_traffic_manager_running")
    def running(self, port: int) -> structs.Address:
        """Where it is."""
        if port not in self._running:
            raise RequestError(f"no Traffic Manager is at port {port}")
        return self._running[port]

    @remote("add_traffic_manager_running")
    def add(self, address: structs.Address) -> bool:
        """Whether the port was free."""
        return self._running.setdefault(address.port, address) is address

    @remote("destroy_traffic_manager")
    def destroy(self, port: int) -> bool:
        """Whether there was one."""
        return self._running.pop(port, None) is not None
