"""W episodes, each in an environment of the package, and how they are saved: by what was commanded."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError
from haltere.sims.chance import IntArray, begun_seeds
from haltere.sims.pusht.constants import BOARD_PX, FloatArray
from haltere.sims.pusht.engine import PushTEnv

NUMBERS = 4
"""Whole numbers of a world: its first seed, the number of its episode since, that one's seed, and its clock."""


class Worlds:
    """W boards.

    What a physics engine remembers of its contacts can't be taken out of it. So a world is saved as its seed and its
    commands, and brought back by playing them again.

    Attributes:
        seed: (W,) of the episode.
        clock: (W,) control steps since its reset.
        shown: (W, 5) as the package observes it: agent x, y; block x, y [px]; its angle [rad].
        coverage: (W,) share of the goal that was covered after the last step; 0 before the first.
        best: (W,) the most that it was.
        reward: (W,) of the last step, the package's.
        solved: (W,) whether the last step brought success; it ends an episode, which is for the caller to see to.
        trail: (W, L + 1, 2) where the agent was after each step [px], for a film.
    """

    def __init__(self, num_envs: int, limit_steps: int) -> None:
        """Make room for episodes of at most L steps; ``begin`` fills it."""
        self._envs: list[Any] = [PushTEnv(obs_type="state") for _ in range(num_envs)]
        self._first_seed, self._number, self.seed, self.clock = np.zeros((NUMBERS, num_envs), np.int64)
        self.shown = np.zeros((num_envs, 5))
        self.coverage, self.best, self.reward = np.zeros((3, num_envs))
        self.solved = np.zeros(num_envs, np.bool_)
        self._commands = np.zeros((num_envs, limit_steps, 2))
        self.trail = np.zeros((num_envs, limit_steps + 1, 2))

    def begin(self, worlds: IntArray, seeds: IntArray | None) -> None:
        """Start an episode in some worlds: the package's of that seed.

        Args:
            worlds: (k,) which.
            seeds: (k,) of the episodes, or None to go on in the stream of each world's last given seed.
        """
        self.seed[worlds] = begun_seeds(worlds, seeds, self._first_seed, self._number)
        for world in worlds.tolist():
            self._begin_one(world)

    def _begin_one(self, world: int) -> None:
        self.shown[world], _ = self._envs[world].reset(seed=int(self.seed[world]))
        self.clock[world], self.solved[world] = 0, False
        self.coverage[world] = self.best[world] = self.reward[world] = 0.0
        self._commands[world] = 0.0
        self.trail[world, 0] = self.shown[world, :2]

    def step(self, targets: FloatArray) -> None:
        """Advance every world by one step; ``targets`` (W, 2) are where the agents are to go [px].

        Raises:
            HaltereError: the engine couldn't integrate a world's state.
        """
        for world, target in enumerate(targets):
            self._step_one(world, target)

    def _step_one(self, world: int, target: FloatArray) -> None:
        self._commands[world, self.clock[world]] = target
        shown, reward, solved, _, info = self._envs[world].step(target)
        if not np.isfinite(shown).all():
            raise HaltereError("pymunk could not integrate a world's state; its trajectory is lost, reset it")
        self.clock[world] += 1
        self.shown[world], self.reward[world], self.solved[world] = shown, reward, solved
        self.coverage[world] = info["coverage"]
        self.best[world] = max(self.best[world], self.coverage[world])
        self.trail[world, self.clock[world]] = shown[:2]

    def state(self) -> tuple[IntArray, FloatArray]:
        """All that the worlds' future depends on: (W, 4), and every command so far, (W, L, 2) [px]."""
        return np.stack([self._first_seed, self._number, self.seed, self.clock], axis=1), self._commands.copy()

    def load_state(self, numbers: IntArray, body: FloatArray) -> bool:
        """Undo ``state``; False, and nothing is changed, where so many worlds can't have it."""
        if not _possible(numbers, body, self._commands.shape):
            return False
        self._first_seed, self._number, self.seed, clock = numbers.T.copy()
        for world, steps in enumerate(clock.tolist()):
            self._begin_one(world)
            for target in body[world, :steps]:
                self._step_one(world, target)
        return True


def _possible(numbers: NDArray[Any], body: NDArray[Any], shape: tuple[int, ...]) -> bool:
    """Whether it is the state of episodes that began and haven't ended, of commands that can be given."""
    if numbers.shape != (shape[0], NUMBERS) or numbers.dtype != np.int64 or (numbers < 0).any():
        return False
    if (numbers[:, 3] >= shape[1]).any() or body.shape != shape or body.dtype != np.float64:
        return False
    return bool((np.isfinite(body) & (body >= 0.0) & (body <= BOARD_PX)).all())
