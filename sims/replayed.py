"""Worlds whose engine can't be looked into: they are saved as seeds and commands, and brought back by playing again."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haltere.sims.chance import IntArray, begun_seeds

FloatArray = NDArray[np.float64]
NUMBERS = 4
"""Whole numbers of a world: its first seed, the number of its episode since, that one's seed, and its clock."""


class ReplayedWorlds(ABC):
    """W worlds of which each episode follows from its seed and its commands.

    Attributes:
        seed: (W,) of the episode.
        clock: (W,) control steps since its reset.
    """

    def __init__(self, num_envs: int, limit_steps: int, low: float, high: float, size: int = 2) -> None:
        """Make room for episodes of at most L steps, of ``size`` commands from ``low`` to ``high``."""
        self._first_seed, self._number, self.seed, self.clock = np.zeros((NUMBERS, num_envs), np.int64)
        self._commands = np.zeros((num_envs, limit_steps, size))
        self._bounds = low, high

    def begin(self, worlds: IntArray, seeds: IntArray | None) -> None:
        """Start an episode in some worlds.

        Args:
            worlds: (k,) which.
            seeds: (k,) of the episodes, or None to go on in the stream of each world's last given seed.
        """
        self.seed[worlds] = begun_seeds(worlds, seeds, self._first_seed, self._number)
        self._each(self._begin_one, worlds.tolist())

    def step(self, commands: FloatArray) -> None:
        """Advance every world by one step; (W, size)."""
        self._each(lambda world: self._step_one(world, commands[world]), range(len(commands)))

    def state(self) -> tuple[IntArray, FloatArray]:
        """All that the worlds' future depends on: (W, 4), and every command so far, (W, L, size)."""
        return np.stack([self._first_seed, self._number, self.seed, self.clock], axis=1), self._commands.copy()

    def load_state(self, numbers: IntArray, body: FloatArray) -> bool:
        """Undo ``state``; False, and nothing is changed, where so many worlds can't have it."""
        if not self._possible(numbers, body):
            return False
        self._first_seed, self._number, self.seed, clock = numbers.T.copy()

        def play(world: int) -> None:
            self._begin_one(world)
            for command in body[world, : clock[world]]:
                self._step_one(world, command)

        self._each(play, range(len(clock)))
        return True

    def _begin_one(self, world: int) -> None:
        self.clock[world] = 0
        self._commands[world] = 0.0
        self._restart(world, int(self.seed[world]))

    def _step_one(self, world: int, command: FloatArray) -> None:
        self._commands[world, self.clock[world]] = command
        self.clock[world] += 1
        self._play(world, command)

    def _each(self, act: Callable[[int], None], worlds: Iterable[int]) -> None:
        """Do it in these worlds; a subclass whose engine waits may do it in several at a time."""
        for world in worlds:
            act(world)

    @abstractmethod
    def _restart(self, world: int, seed: int) -> None:
        """Begin the episode of that seed."""

    @abstractmethod
    def _play(self, world: int, command: FloatArray) -> None:
        """One step of one world; ``clock`` counts it already."""

    def _possible(self, numbers: NDArray[Any], body: NDArray[Any]) -> bool:
        """Whether it is the state of episodes that began and haven't ended, of commands that can be given."""
        worlds, limit, _ = self._commands.shape
        if numbers.shape != (worlds, NUMBERS) or numbers.dtype != np.int64 or (numbers < 0).any():
            return False
        if (numbers[:, 3] >= limit).any() or body.shape != self._commands.shape or body.dtype != np.float64:
            return False
        low, high = self._bounds
        return bool((np.isfinite(body) & (body >= low) & (body <= high)).all())
