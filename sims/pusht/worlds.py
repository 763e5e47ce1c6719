"""W episodes of Push-T, each in an environment of the package."""

from typing import Any

import numpy as np

from haltere.configs.errors import HaltereError
from haltere.sims.pusht.constants import BOARD_PX, FloatArray
from haltere.sims.pusht.engine import PushTEnv
from haltere.sims.replayed import ReplayedWorlds


class Worlds(ReplayedWorlds):
    """W boards; what a physics engine remembers of its contacts can't be taken out of it.

    Attributes:
        shown: (W, 5) as the package observes it: agent x, y; block x, y [px]; its angle [rad].
        coverage: (W,) share of the goal that was covered after the last step; 0 before the first.
        best: (W,) the most that it was.
        reward: (W,) of the last step, the package's.
        solved: (W,) whether the last step brought success; it ends an episode, which is for the caller to see to.
        trail: (W, L + 1, 2) where the agent was after each step [px], for a film.
    """

    def __init__(self, num_envs: int, limit_steps: int) -> None:
        """Make room for episodes of at most L steps; ``begin`` fills it. Commands are where agents are to go [px]."""
        super().__init__(num_envs, limit_steps, 0.0, BOARD_PX)
        self._envs: list[Any] = [PushTEnv(obs_type="state") for _ in range(num_envs)]
        self.shown = np.zeros((num_envs, 5))
        self.coverage, self.best, self.reward = np.zeros((3, num_envs))
        self.solved = np.zeros(num_envs, np.bool_)
        self.trail = np.zeros((num_envs, limit_steps + 1, 2))

    def _restart(self, world: int, seed: int) -> None:
        """The package's episode of that seed."""
        self.shown[world], _ = self._envs[world].reset(seed=seed)
        self.solved[world] = False
        self.coverage[world] = self.best[world] = self.reward[world] = 0.0
        self.trail[world, 0] = self.shown[world, :2]

    def _play(self, world: int, command: FloatArray) -> None:
        """One step of the package.

        Raises:
            HaltereError: the engine couldn't integrate a world's state.
        """
        shown, reward, solved, _, info = self._envs[world].step(command)
        if not np.isfinite(shown).all():
            raise HaltereError("pymunk could not integrate a world's state; its trajectory is lost, reset it")
        self.shown[world], self.reward[world], self.solved[world] = shown, reward, solved
        self.coverage[world] = info["coverage"]
        self.best[world] = max(self.best[world], self.coverage[world])
        self.trail[world, self.clock[world]] = shown[:2]
