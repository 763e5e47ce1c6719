"""The same arm, by what cameras see of its work: ``haltere/ManipPixels-v0``.

Source: Yu et al. 2019, arXiv:1910.10897; scenes, success and experts are those of the package ``metaworld``. The two
cameras, one beside the table and one at the hand, are as in Mandlekar et al. 2021, arXiv:2108.03298, section 4.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from haltere.sims.chance import IntArray
from haltere.sims.mujoco.mt10.constants import CTRL_DT_S
from haltere.sims.mujoco.mt10.task import METRICS, UNITS, ManipMT10
from haltere.sims.mujoco.mt10.words import EMBEDDING_SIZE
from haltere.sims.mujoco.pixels.cameras import CAMERAS, SIDE_PX, pictures
from haltere.sims.mujoco.pixels.config import PixelsConfig
from haltere.sims.task import ObsTree, task

REPEAT = 4
"""Of Meta-World's steps of 12.5 ms, for how many a command holds: 20 Hz, as cameras are. They show 30 to 60 pictures a
second, and robots that are taught by them are commanded at 10 Hz (Chi et al. 2023, arXiv:2303.04137) to 50 Hz."""
HAND_SIZE = 4
_IMAGE = "RGB in [0, 1], channel, row and column, of a camera "


@task(
    "haltere/ManipPixels-v0",
    config=PixelsConfig,
    metrics=METRICS,
    rates=METRICS[:1],
    ctrl_dt_s=REPEAT * CTRL_DT_S,
    sim="mujoco",
    units={
        "side": _IMAGE + "beside the table",
        "hand": _IMAGE + "at the hand that looks down past the fingers",
        "proprioception": "hand x, y, z [m] in the frame of Meta-World's table; gripper, 0 closed to 1 open",
        "instruction": UNITS["instruction"],
        "action": "motion of the hand along x, y, z as a share of 4 cm a step; effort to close the gripper, -1 opens",
    },
    deterministic=False,  # the worlds are; pictures are those of a machine's OpenGL
    safe_action=0.0,
)
class ManipPixels(ManipMT10):
    """W worlds, each of which holds one of the sub-tasks for an episode, as in ``ManipMT10``.

    Nothing is told of object and goal, and where they are has to be seen. A command holds for ``REPEAT`` of
    Meta-World's steps. Success in any of them is success.
    """

    config: PixelsConfig
    repeat: ClassVar[int] = REPEAT

    def __init__(self, config: PixelsConfig, num_envs: int, *, training: bool = False, threads: int = 1) -> None:
        """Build the worlds; the arguments are the base class's, and so are the errors."""
        self._cameras = CAMERAS[config.cameras]
        super().__init__(config, num_envs, training=training, threads=threads)

    @property
    def agent_observation_space(self) -> spaces.Dict:
        """``side`` and ``hand`` (3, 64, 64), ``proprioception`` (4,) and ``instruction`` (384,)."""
        image = spaces.Box(0.0, 1.0, (3, SIDE_PX, SIDE_PX), np.float32)
        vectors = {
            "proprioception": spaces.Box(-np.inf, np.inf, (HAND_SIZE,), np.float32),
            "instruction": spaces.Box(-1.0, 1.0, (EMBEDDING_SIZE,), np.float32),
        }
        return spaces.Dict({**dict.fromkeys(self._cameras, image), **vectors})

    def film(self, world: int, aux: Mapping[str, NDArray[Any]] | None = None) -> NDArray[np.uint8]:
        """Draw one world, and what the policy sees of it; see the base class."""
        from haltere.sims.mujoco.mt10.film import frame  # only those who look need Pillow

        seen = list(pictures(self._worlds, world, self._cameras))
        return frame(self._worlds, world, self.instructions[world], aux or {}, self.repeat, seen)

    def _observe(self) -> ObsTree:
        shape = (self.num_envs, 3, SIDE_PX, SIDE_PX)
        obs: ObsTree = {name: np.empty(shape, np.float32) for name in self._cameras}
        self._look(obs, np.arange(self.num_envs))
        return obs | self._felt()

    def _begin_anew(self, obs: ObsTree, ended: IntArray) -> tuple[ObsTree, ObsTree]:
        """See the base class; only what has changed is drawn again."""
        self._begin(ended, None)
        fresh: ObsTree = {name: obs[name].copy() for name in self._cameras}
        self._look(fresh, ended)
        return obs, fresh | self._felt()

    def _felt(self) -> ObsTree:
        worlds = self._worlds
        hand = worlds.shown[:, :HAND_SIZE].astype(np.float32)
        return {"proprioception": hand, "instruction": self._vectors[worlds.kind]}

    def _look(self, obs: ObsTree, worlds: IntArray) -> None:
        """Fill in what the cameras see of some worlds."""
        for world in worlds.tolist() if self._cameras else ():
            for name, picture in zip(self._cameras, pictures(self._worlds, world, self._cameras), strict=True):
                obs[name][world] = picture.transpose(2, 0, 1) / np.float32(255.0)
