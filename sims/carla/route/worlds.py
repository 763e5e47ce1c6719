"""W roads, each in a CARLA of its own."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from haltere.sims.carla.route.config import RouteConfig
from haltere.sims.carla.route.world import STEP_S, RouteWorld
from haltere.sims.replayed import ReplayedWorlds

FloatArray = NDArray[np.float64]


class Worlds(ReplayedWorlds):
    """W roads; what CARLA remembers can't be taken out of it.

    Attributes:
        roads: one a world.
    """

    def __init__(self, config: RouteConfig, num_envs: int, threads: int) -> None:
        """Begin W servers, or connect to the one that runs."""
        super().__init__(num_envs, round(config.limit_s / STEP_S), -1.0, 1.0)
        # Waiting for a server leaves Python's lock to others.
        self._pool = ThreadPoolExecutor(min(threads, num_envs)) if min(threads, num_envs) > 1 else None
        self.roads: list[RouteWorld] = []

        def begin(config: RouteConfig) -> None:
            self.roads.append(RouteWorld(config))

        try:
            # Servers begin side by side, whatever ``threads`` says: each is a process of its own.
            with ThreadPoolExecutor(num_envs) as beginning:
                list(beginning.map(begin, [config] * num_envs))
        except BaseException:
            self.close()
            raise

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
        if self._pool is not None:
            self._pool.shutdown()
