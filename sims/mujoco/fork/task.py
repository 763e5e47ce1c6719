"""A paddle pushes a block into its goal, left or right round a pane of glass: ``haltere/ManipFork-v0``.

Our own: a task whose demonstrations disagree, and on which doing what they do on average fails.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from haltere.sims.actor import Actor
from haltere.sims.bodied import BodiedTask
from haltere.sims.chance import IntArray
from haltere.sims.mujoco.fork.config import ForkConfig
from haltere.sims.mujoco.fork.constants import TABLE
from haltere.sims.mujoco.fork.expert import Demonstrators
from haltere.sims.mujoco.fork.senses import ROWS, UNITS, Float32Array, observe
from haltere.sims.mujoco.fork.worlds import Worlds
from haltere.sims.single import Outcome
from haltere.sims.task import ObsTree, task

METRICS = ("success", "broke", "left", "right", "steps", "block_error_m")


@task(
    "haltere/ManipFork-v0",
    config=ForkConfig,
    metrics=METRICS,
    rates=METRICS[:4],
    ctrl_dt_s=TABLE.ctrl_dt_s,
    sim="mujoco",
    units=UNITS,
    safe_action=0.0,
)
class ManipFork(BodiedTask[ForkConfig, Worlds]):
    """W tables with one paddle each.

    An episode: the paddle goes round the pane, comes between pane and block and pushes the block ahead, until its
    centre is within 2.5 cm of the goal: reward 1, and the end. Whatever touches the pane breaks it and ends the episode
    with nothing. An action is the velocity that the paddle's servos aim at.

    Metrics: success; broke; left and right, whether the paddle's middle first came past the pane's left or right of the
    middle line, both 0 where it never did; steps; and block_error_m, how far the block is from its goal at the end.
    """

    def __init__(self, config: ForkConfig, num_envs: int, *, training: bool = False, threads: int = 1) -> None:
        """Build the worlds; the arguments are the base class's, and so are the errors."""
        super().__init__(config, num_envs, training=training, threads=threads)
        paired = self.config.experts == "both"
        self._worlds = Worlds(num_envs, threads, paired=paired, shove_m=self.config.shove_m)
        self._set_spaces()

    @property
    def agent_observation_space(self) -> spaces.Dict:
        """``state`` (12,); see ``senses.ROWS``."""
        return spaces.Dict({"state": spaces.Box(-np.inf, np.inf, (len(ROWS),), np.float32)})

    @property
    def agent_action_space(self) -> spaces.Box:
        """Velocity ahead and left, (2,)."""
        return spaces.Box(-1.0, 1.0, (2,), np.float32)

    def expert(self) -> Actor:
        """See the base class, and ``expert`` for who demonstrates what; ``config.experts`` may want one way alone."""
        return Demonstrators(self._worlds, self.config)

    def bare_step(self) -> None:
        """MuJoCo's part of a step alone, for a bench; the worlds stay as they are."""
        self._worlds.physics.bare_step()

    @classmethod
    def bench_sim(
        cls, config: ForkConfig, progress: Callable[[int, int], None] | None = None
    ) -> dict[str, str | float]:
        """What ``haltere bench manip-fork --sim`` prints; see ``bench.measure``."""
        from haltere.sims.mujoco.fork.bench import measure  # that module imports this one

        return {"task": cls.spec_.id, **measure(config, progress=progress)}

    def film(self, world: int, aux: Mapping[str, NDArray[Any]] | None = None) -> NDArray[np.uint8]:
        """Draw one world; see the base class, and ``film.frame`` for what is drawn of ``aux``."""
        from haltere.sims.mujoco.fork.film import frame  # only those who look need Pillow

        return frame(self._worlds.one(world), aux or {})

    def close_extras(self, **kwargs: object) -> None:
        """End the threads of the physics."""
        self._worlds.physics.close()

    def _observe(self) -> ObsTree:
        return observe(self._worlds)

    def _begin(self, worlds: IntArray, seeds: IntArray | None) -> None:
        self._worlds.begin(worlds, seeds)

    def _move(self, meant: Float32Array) -> Outcome:
        worlds = self._worlds
        worlds.step(meant.astype(np.float64))
        terminated = worlds.solved | worlds.broke
        return worlds.solved.astype(np.float32), terminated, ~terminated & (worlds.clock >= self.config.limit_steps)

    def _measures(self) -> NDArray[Any]:
        worlds, side = self._worlds, self._worlds.side
        return np.stack([worlds.solved, worlds.broke, side == 1, side == -1, worlds.clock, worlds.error_m])
