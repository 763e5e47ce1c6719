"""One arm, ten things to do with it, and a sentence that says which: ``haltere/ManipMT10-v0``.

Source: Yu et al. 2019, arXiv:1910.10897; scenes, success and experts are those of the package ``metaworld``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from haltere.sims.actor import Actor
from haltere.sims.bodied import BodiedTask
from haltere.sims.chance import IntArray
from haltere.sims.mujoco.mt10.benches import Float32Array
from haltere.sims.mujoco.mt10.config import MT10Config
from haltere.sims.mujoco.mt10.constants import ACTION_SIZE, CTRL_DT_S, NAMES, STATE_SIZE
from haltere.sims.mujoco.mt10.expert import Demonstrators
from haltere.sims.mujoco.mt10.words import EMBEDDING_SIZE, embedded
from haltere.sims.mujoco.mt10.worlds import Worlds
from haltere.sims.single import Outcome
from haltere.sims.task import ObsTree, task

METRICS = ("success", "task", "steps")
UNITS = {
    "state": "hand x, y, z [m]; gripper, 0 closed to 1 open; object x, y, z [m] and its orientation; 7 zeros; "
    "the same 18 numbers a step before; goal x, y, z [m]: all in the frame of Meta-World's table",
    "instruction": "embedding of the task's sentence by all-MiniLM-L6-v2, of unit length",
    "action": "motion of the hand along x, y, z as a share of 1 cm a step; effort that closes the gripper, -1 opens it",
}


@task(
    "haltere/ManipMT10-v0",
    config=MT10Config,
    metrics=METRICS,
    rates=METRICS[:1],
    ctrl_dt_s=CTRL_DT_S,
    sim="mujoco",
    units=UNITS,
    safe_action=0.0,
)
class ManipMT10(BodiedTask[MT10Config, Worlds]):
    """W worlds, each of which holds one of the ten sub-tasks for an episode.

    The episode's seed says which: number seed modulo 10 of the ten, or of those that ``tasks`` names. It also draws
    where object and goal are. Success is Meta-World's own flag; it brings a reward of 1 and ends the episode.

    Metrics: success; task, the sub-task's number in the order of Meta-World's ten; and steps.
    """

    levels = ("task",)
    repeat: ClassVar[int] = 1
    """Of Meta-World's steps, for how many a command holds."""

    def __init__(self, config: MT10Config, num_envs: int, *, training: bool = False, threads: int = 1) -> None:
        """Build the worlds; the arguments are the base class's, and so are the errors."""
        super().__init__(config, num_envs, training=training, threads=threads)
        kinds = [NAMES.index(name) for name in config.tasks]
        self._worlds = Worlds(num_envs, kinds, threads, config.shove_m, self.repeat)
        self._sentences, self._vectors = embedded().told(config.paraphrase)
        self._set_spaces()

    @property
    def agent_observation_space(self) -> spaces.Dict:
        """``state`` (39,) and ``instruction`` (384,)."""
        return spaces.Dict(
            {
                "state": spaces.Box(-np.inf, np.inf, (STATE_SIZE,), np.float32),
                "instruction": spaces.Box(-1.0, 1.0, (EMBEDDING_SIZE,), np.float32),
            }
        )

    @property
    def agent_action_space(self) -> spaces.Box:
        """Motion of the hand and effort of the gripper, (4,)."""
        return spaces.Box(-1.0, 1.0, (ACTION_SIZE,), np.float32)

    @property
    def instructions(self) -> Sequence[str]:
        """The sentence of each world's sub-task, or its paraphrase."""
        return [self._sentences[kind] for kind in self._worlds.kind.tolist()]

    @classmethod
    def level_name(cls, metric: str, value: float) -> str:
        """The sub-task's name; see the base class."""
        del metric  # there is but one
        return NAMES[int(value)]

    def expert(self) -> Actor:
        """Meta-World's scripted policies, with ``config.expert_noise``; see ``expert``."""
        return Demonstrators(self._worlds, self.config.expert_noise, self.repeat)

    def bare_step(self) -> float:
        """MuJoCo's part of a step alone, for a bench, without a command; the worlds stay as they are.

        Returns:
            CPU time that MuJoCo took [s].
        """
        return sum(self._worlds.bare_step() for _ in range(self.repeat))

    @classmethod
    def bench_sim(
        cls, config: MT10Config, progress: Callable[[int, int], None] | None = None
    ) -> dict[str, str | float]:
        """What ``haltere bench TASK --sim`` prints; see ``bench.measure``."""
        from haltere.sims.mujoco.mt10.bench import measure  # that module imports this one

        return {"task": cls.spec_.id, **measure(config, cls, progress=progress)}

    def film(self, world: int, aux: Mapping[str, NDArray[Any]] | None = None) -> NDArray[np.uint8]:
        """Draw one world; see the base class, and ``film.frame`` for what is drawn of ``aux``."""
        from haltere.sims.mujoco.mt10.film import frame  # only those who look need Pillow and OpenGL

        return frame(self._worlds, world, self.instructions[world], aux or {}, self.repeat)

    def close_extras(self, **kwargs: object) -> None:
        """End the threads of the physics."""
        self._worlds.close()

    def _observe(self) -> ObsTree:
        worlds = self._worlds
        return {"state": worlds.shown.astype(np.float32), "instruction": self._vectors[worlds.kind]}

    def _begin(self, worlds: IntArray, seeds: IntArray | None) -> None:
        self._worlds.begin(worlds, seeds)

    def _move(self, meant: Float32Array) -> Outcome:
        worlds, solved = self._worlds, np.zeros(self.num_envs, np.bool_)
        for _ in range(self.repeat):
            worlds.step(meant)
            solved |= worlds.solved
        worlds.solved[:] = solved
        return solved.astype(np.float32), solved, ~solved & (self._steps >= self.config.limit_steps)

    def _measures(self) -> NDArray[Any]:
        worlds = self._worlds
        return np.stack([worlds.solved, worlds.kind, self._steps])

    @property
    def _steps(self) -> IntArray:
        """Of each world's episode so far, (W,)."""
        return self._worlds.clock // self.repeat
