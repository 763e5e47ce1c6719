"""What was sensed in an iteration's episodes, each different observation kept, and encoded, only once.

A show of eight dancers has some seventy different pictures in five hundred steps.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from haltere.policies.base import Obs

IntArray = NDArray[np.int64]
_FIRST_ROOM = 1024


class Sights:
    """Different observations, by number in the order in which they were first sensed."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], seeds: IntArray) -> None:
        """Make room.

        Args:
            shapes: of each observation.
            seeds: (lanes,) equal for lanes whose episodes have the same seed.
        """
        self._vectors = [name for name, shape in shapes.items() if len(shape) == 1]
        self._rows = {name: np.empty((_FIRST_ROOM, *shape), np.float32) for name, shape in shapes.items()}
        self._seeds: list[int] = seeds.tolist()
        self.forget()

    def forget(self) -> None:
        """Begin the next iteration; the room is kept."""
        self.count = 0
        self._known: dict[tuple[int | bytes, ...], int] = {}

    def see(
        self, obs: Mapping[str, NDArray[np.float32]], frame: IntArray | None, lanes: IntArray
    ) -> IntArray:
        """Take note of one step.

        Args:
            obs: (lanes, ...) each.
            frame: (lanes,) as ``TaskVectorEnv.frame_id``, or None.
            lanes: (k,) which of them look.

        Returns:
            (lanes,) the number of what each senses; 0 for lanes that don't look.
        """
        number = np.zeros(len(self._seeds), np.int64)
        if frame is None:
            number[lanes] = self._keep(obs, lanes)
            return number
        new: list[int] = []
        for lane in lanes.tolist():
            vectors = (obs[name][lane].tobytes() for name in self._vectors)
            key = (self._seeds[lane], int(frame[lane]), *vectors)
            number[lane] = self._known.setdefault(key, self.count + len(new))
            if number[lane] == self.count + len(new):
                new.append(lane)
        self._keep(obs, np.array(new, np.int64))
        return number

    def _keep(self, obs: Mapping[str, NDArray[np.float32]], lanes: IntArray) -> IntArray:
        """Store what these lanes sense; returns the new numbers."""
        end = self.count + len(lanes)
        for name, rows in self._rows.items():
            if end > len(rows):
                grown = np.empty((max(end, 2 * len(rows)), *rows.shape[1:]), np.float32)
                grown[: self.count] = rows[: self.count]
                self._rows[name] = rows = grown
            rows[self.count : end] = obs[name][lanes]
        numbers = np.arange(self.count, end)
        self.count = end
        return numbers

    def of(self, numbers: IntArray | slice) -> Obs:
        """The observations (n, ...) of these numbers."""
        return {name: torch.from_numpy(rows[numbers]) for name, rows in self._rows.items()}

    def finite(self) -> bool:
        """Whether all that was sensed is."""
        return all(math.isfinite(float(rows[: self.count].sum(dtype=np.float64))) for rows in self._rows.values())


class Embedded:
    """Embeddings of all sights so far, for a rollout, in which the network doesn't change."""

    def __init__(self, sights: Sights, encode: Callable[[Obs], Tensor]) -> None:
        """Embed nothing yet.

        Args:
            sights: whose.
            encode: observations (n, ...) to embeddings (n, D).
        """
        self._sights = sights
        self._encode = encode
        self._all: Tensor | None = None
        self._count = 0

    def of(self, numbers: IntArray) -> Tensor:
        """The embeddings (..., D) of these numbers (...)."""
        if self._count < self._sights.count:
            new = self._encode(self._sights.of(slice(self._count, self._sights.count)))
            self._all = new if self._all is None else torch.cat([self._all, new])
            self._count = self._sights.count
        assert self._all is not None
        return self._all[torch.from_numpy(numbers)]
