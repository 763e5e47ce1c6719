"""W roads, each in a CARLA of its own, and what their episodes have come to."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.sims.carla.route.config import RouteConfig
from haltere.sims.carla.route.world import STEP_S, RouteWorld
from haltere.sims.replayed import ReplayedWorlds

FloatArray = NDArray[np.float64]
MOST = 16
"""A server of our own takes 0.1 GB and a thread of its own."""


def most_worlds(config: RouteConfig) -> int:
    """One in a CARLA that runs already, which has one time for all."""
    return 1 if config.carla.host else MOST


class Worlds(ReplayedWorlds):
    """W roads; what CARLA remembers can't be taken out of it.

    Attributes:
        roads: one a world.
    """

    def __init__(self, config: RouteConfig, num_envs: int, threads: int) -> None:
        """Begin W servers, or connect to the one that runs.

        Raises:
            RequestError: more worlds are asked for than can be had.
        """
        most = most_worlds(config)
        if num_envs > most:
            where = "in a CARLA that runs already" if config.carla.host else "at a time, each with a server of its own"
            raise RequestError(f"haltere/CarlaRoute-v0 has at most {most} worlds {where}, got {num_envs}")
        super().__init__(num_envs, round(config.limit_s / STEP_S), -1.0, 1.0)
        self.roads: list[RouteWorld] = []
        try:
            for _ in range(num_envs):
                self.roads.append(RouteWorld(config))
        except BaseException:
            self.close()
            raise
        # Waiting for a server leaves Python's lock to others.
        self._pool = ThreadPoolExecutor(min(threads, num_envs)) if min(threads, num_envs) > 1 else None

    def _each(self, act: Callable[[int], None], worlds: Iterable[int]) -> None:
        if self._pool is None:
            super()._each(act, worlds)
        else:
            list(self._pool.map(act, worlds))

    def _restart(self, world: int, seed: int) -> None:
        self.roads[world].begin(seed)

    def _play(self, world: int, command: FloatArray) -> None:
        self.roads[world].step(command)

    def close(self) -> None:
        """End the servers that are ours; a second time does nothing."""
        for road in self.roads:
            road.close()
