"""An actor for memory-streets that draws a map of what it has sensed, and one that loses it with every goal."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Obs = Mapping[str, NDArray[Any]]
Map = dict[bytes, list[bytes | None]]
"""What lies in each direction of a junction: itself where the street is closed, None where nobody has been yet."""


class Mapper:
    """Goes a shortest way to the goal where the map has one, and else to the nearest street that it hasn't seen."""

    def __init__(self, forgetful: bool = False) -> None:
        """With a map that lasts for an episode, or for a goal."""
        self.forgetful = forgetful
        self.maps: list[Map] = []
        self.came: list[tuple[bytes, int] | None] = []

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Forget."""
        lanes = range(len(self.maps)) if mask is None else np.flatnonzero(mask)
        for lane in lanes:
            self.maps[lane], self.came[lane] = {}, None

    def act(self, obs: Obs) -> dict[str, NDArray[Any]]:
        """Scores of four directions."""
        lanes = len(obs["here"])
        if len(self.maps) != lanes:
            self.maps, self.came = [{} for _ in range(lanes)], [None] * lanes
        choice = [self._one(obs, lane) for lane in range(lanes)]
        return {"action": np.eye(4, dtype=np.float32)[choice]}

    def _one(self, obs: Obs, lane: int) -> int:
        here, goal = obs["here"][lane].tobytes(), obs["goal"][lane].tobytes()
        if self.forgetful and obs["fresh"][lane, 0]:
            self.maps[lane], self.came[lane] = {}, None
        known, came, gone = self.maps[lane], self.came[lane], obs["last"][lane]
        if here not in known:
            known[here] = [None if is_open else here for is_open in obs["streets"][lane]]
        if came is not None and gone.any():
            before, direction = came
            assert gone[direction] == 1.0
            known[before][direction], known[here][(direction + 2) % 4] = here, before
        choice = self._towards(known, here, goal)
        self.came[lane] = here, choice
        return choice

    def _towards(self, known: Map, here: bytes, goal: bytes) -> int:
        """First direction of the shortest known way to the goal, else to a street that leads nobody knows where."""
        unknown: int | None = None
        seen, queue = {here}, deque([(here, -1)])
        while queue:
            junction, first = queue.popleft()
            for direction, to in enumerate(known.get(junction, [])):
                step = direction if first < 0 else first
                if to is None:
                    unknown = step if unknown is None else unknown
                elif to == goal:
                    return step
                elif to not in seen:
                    seen.add(to)
                    queue.append((to, step))
        return 0 if unknown is None else unknown
