"""The driver of the others, who drives for the agent too: the ceiling."""

from collections.abc import Sequence

import numpy as np

from haltere.configs.errors import RequestError
from haltere.sims.actor import ArrayTree, BoolArray
from haltere.sims.carla.route.world import RouteWorld


class Experts:
    """One a world; they look into their worlds, and remember nothing."""

    def __init__(self, roads: Sequence[RouteWorld]) -> None:
        """Drive in these worlds."""
        self._roads = roads

    def reset(self, mask: BoolArray | None = None) -> None:
        """Nothing is remembered."""

    def act(self, obs: ArrayTree) -> ArrayTree:
        """Commands (W, 2).

        Raises:
            RequestError: the observations are those of another number of worlds.
        """
        lanes = len(next(iter(obs.values())))
        if lanes != len(self._roads):
            raise RequestError(f"these experts drive in {len(self._roads)} worlds, got observations of {lanes}")
        return {"action": np.array([road.expert_command() for road in self._roads], np.float32)}
