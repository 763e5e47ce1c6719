"""A paddle pushes a block into its goal, left or right round a pane of glass: ``haltere/ManipFork-v0``.

Our own: a task whose demonstrations disagree, and on which doing what they do on average fails.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from haltere.configs.errors import IntegrityError, RequestError
from haltere.sims.actor import Actor
from haltere.sims.chance import IntArray
from haltere.sims.mujoco.fork.config import ForkConfig
from haltere.sims.mujoco.fork.constants import TABLE
from haltere.sims.mujoco.fork.expert import Demonstrators
from haltere.sims.mujoco.fork.senses import ROWS, UNITS, Float32Array, observe
from haltere.sims.mujoco.fork.worlds import STATE_SIZE, Worlds
from haltere.sims.task import Infos, ObsTree, TaskVectorEnv, task

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
class ManipFork(TaskVectorEnv[ForkConfig]):
    """W tables with one paddle each.

    An episode: the paddle goes round the pane, comes between pane and block and pushes the block ahead, until its
    centre is within 2.5 cm of the goal: reward 1, and the end. Whatever touches the pane breaks it and ends the episode
    with nothing. An action is the velocity that the paddle's servos aim at.

    Metrics: success; broke; left and right, whether the paddle's middle first came past the pane's left or right of the
    middle line, both 0 where it never did; steps; and block_error_m, how far the block is from its goal at the end.
    """

    def __init__(self, config: ForkConfig, num_envs: int, *, training: bool = False, threads: int = 1) -> None:
        """Build the worlds; the arguments are the base class's.

        Raises:
            RequestError: fewer than one world or thread is asked for.
        """
        super().__init__(config, num_envs, training=training, threads=threads)
        if num_envs < 1 or threads < 1:
            raise RequestError(f"worlds and threads must be at least 1, got {num_envs} and {threads}")
        self.agents = None
        self._running = False
        self._worlds = Worlds(num_envs, threads)
        self._set_spaces()

    @property
    def agent_observation_space(self) -> spaces.Dict:
        """``state`` (12,); see ``senses.ROWS``."""
        return spaces.Dict({"state": spaces.Box(-np.inf, np.inf, (len(ROWS),), np.float32)})

    @property
    def agent_action_space(self) -> spaces.Box:
        """Velocity ahead and left, (2,)."""
        return spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObsTree, Infos]:
        """Begin an episode in every world; see the base class."""
        self._worlds.begin(np.arange(self.num_envs), self._episode_seeds(seed))
        self._running = True
        return observe(self._worlds), {}

    def step(self, actions: Float32Array) -> tuple[ObsTree, Float32Array, NDArray[np.bool_], NDArray[np.bool_], Infos]:
        """One control period in every world; see the base class.

        Args:
            actions: (W, 2); what is outside [-1, 1] is taken as its nearest bound.

        Raises:
            RequestError: ``reset`` was never called, or the actions have another shape or aren't finite.
            HaltereError: MuJoCo could not integrate a world's state.
        """
        shape = (self.num_envs, 2)
        actions = np.asarray(actions, np.float32)
        if not self._running or actions.shape != shape or not np.isfinite(actions).all():
            raise RequestError(
                f"actions must be finite, of shape {shape} and come after reset(), got shape {actions.shape}"
            )
        worlds = self._worlds
        worlds.step(np.clip(actions, -1.0, 1.0).astype(np.float64))
        solved = worlds.solved
        terminated = solved | worlds.broke
        truncated = ~terminated & (worlds.clock >= self.config.limit_steps)
        obs = observe(worlds)
        infos: Infos = {}
        ended = np.flatnonzero(terminated | truncated)
        if len(ended):
            infos = {"episode": self._measures(solved, ended), "final_obs": obs}
            worlds.begin(ended, None)
            obs = observe(worlds)
        return obs, solved.astype(np.float32), terminated, truncated, infos

    def _measures(self, solved: NDArray[np.bool_], ended: IntArray) -> dict[str, Float32Array]:
        """Every metric, (W,), where episodes have ended."""
        worlds = self._worlds
        side = worlds.side
        values = np.full((len(METRICS), self.num_envs), np.nan, np.float32)
        now = np.stack([solved, worlds.broke, side == 1, side == -1, worlds.clock, worlds.error_m])
        values[:, ended] = now[:, ended]
        return dict(zip(METRICS, values, strict=True))

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Clocks and seeds of the worlds, and the bodies; the rest of them follows."""
        worlds, body = self._worlds.state()
        return {"worlds": worlds, "body": body, "seeds": self._generator_state()}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> ObsTree:
        """Go on exactly; see the base class."""
        names = {"worlds", "body", "seeds"}
        if set(state) != names or not self._worlds.load_state(state["worlds"], state["body"]):
            shape = (self.num_envs, STATE_SIZE)
            raise IntegrityError(f"the saved state isn't that of {self.num_envs} worlds of {self.spec_.id}, {shape}")
        self._set_generator_state(state["seeds"])
        self._running = True
        return observe(self._worlds)

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
