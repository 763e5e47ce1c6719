"""A round agent pushes a T onto its outline: ``haltere/PushT-v0``.

Source: Chi et al. 2023, arXiv:2303.04137, section 5.3, after Florence et al. 2021, arXiv:2109.00137. Physics, starts,
coverage and success are those of the package ``gym-pusht``.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from haltere.sims.actor import Actor
from haltere.sims.bodied import BodiedTask
from haltere.sims.chance import IntArray
from haltere.sims.pusht.config import PushTConfig
from haltere.sims.pusht.constants import BOARD_PX, CTRL_DT_S
from haltere.sims.pusht.expert import Demonstrators
from haltere.sims.pusht.worlds import Worlds
from haltere.sims.single import Float32Array, Outcome
from haltere.sims.task import ObsTree, task

METRICS = ("success", "coverage", "steps")
STATE_SIZE = 6
UNITS = {
    "state": "agent x, y; block x, y; cosine and sine of the block's angle: x right and y down on a board of "
    "512 x 512 [px]; the block's place is the middle of the T's top edge",
    "action": "where the agent is to go, x right and y down, -1 and 1 at the board's edges (256 px from its middle)",
}


@task(
    "haltere/PushT-v0",
    config=PushTConfig,
    metrics=METRICS,
    rates=METRICS[:1],
    ctrl_dt_s=CTRL_DT_S,
    sim="pymunk",
    units=UNITS,
)
class PushT(BodiedTask[PushTConfig, Worlds]):
    """W boards with one agent and one T each.

    The episode of seed s starts as the package's does after ``reset(seed=s)``, and goes on as it does. Its reward is
    the covered share of the goal by 0.95, at most 1; more than 0.95 covered is success, and the end.

    Metrics: success; coverage, the most that was covered in the episode; and steps.
    """

    def __init__(self, config: PushTConfig, num_envs: int, *, training: bool = False, threads: int = 1) -> None:
        """Build the worlds; the arguments are the base class's, and so are the errors."""
        super().__init__(config, num_envs, training=training, threads=threads)
        self._worlds = Worlds(num_envs, config.limit_steps)
        self._set_spaces()

    @property
    def agent_observation_space(self) -> spaces.Dict:
        """``state`` (6,); see ``UNITS``."""
        return spaces.Dict({"state": spaces.Box(-np.inf, np.inf, (STATE_SIZE,), np.float32)})

    @property
    def agent_action_space(self) -> spaces.Box:
        """The agent's target, (2,)."""
        return spaces.Box(-1.0, 1.0, (2,), np.float32)

    def expert(self) -> Actor:
        """Who plans two pushes ahead; see ``expert``."""
        return Demonstrators(self._worlds, self.config.expert_noise)

    def film(self, world: int, aux: Mapping[str, NDArray[Any]] | None = None) -> NDArray[np.uint8]:
        """Draw one world; see the base class, and ``film.frame`` for what is drawn of ``aux``."""
        from haltere.sims.pusht.film import frame  # only those who look need Pillow

        return frame(self._worlds, world, aux or {})

    def _observe(self) -> ObsTree:
        shown = self._worlds.shown
        turned = np.stack([np.cos(shown[:, 4]), np.sin(shown[:, 4])], axis=1)
        return {"state": np.concatenate([shown[:, :4], turned], axis=1).astype(np.float32)}

    def _begin(self, worlds: IntArray, seeds: IntArray | None) -> None:
        self._worlds.begin(worlds, seeds)

    def _move(self, meant: Float32Array) -> Outcome:
        worlds = self._worlds
        worlds.step(0.5 * BOARD_PX * (1.0 + meant.astype(np.float64)))
        over = ~worlds.solved & (worlds.clock >= self.config.limit_steps)
        return worlds.reward.astype(np.float32), worlds.solved.copy(), over

    def _measures(self) -> NDArray[Any]:
        return np.stack([self._worlds.solved, self._worlds.best, self._worlds.clock])
