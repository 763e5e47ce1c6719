"""Meta-World's scenes, one of each kind for all worlds: a world is a state that is put in, stepped and taken out.

Model, ranges, bounds and constants are those of Meta-World's own environments, which are built once a process; what
happens in a reset and in a step is written down here as they do it, operation by operation, so that every number is
theirs to the bit. Source: metaworld 3.1.1, ``sawyer_xyz_env.py`` and ``envs/sawyer_*_v3.py``.
"""

import math
import threading
from abc import ABC, abstractmethod
from functools import cache
from typing import Any, ClassVar

import metaworld
import mujoco
import numpy as np
from metaworld.env_dict import MT10_V3
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError
from haltere.sims.mujoco.mt10.constants import NAMES, SUB_TASKS, SubTask
from haltere.sims.mujoco.mt10.draws import FloatArray, vector

Float32Array = NDArray[np.float32]
SENSED_SIZE = 18
"""Of what is sensed of one moment: hand (3) [m], gripper (1), object (3) [m] and its orientation (4), zeros (7)."""
STATE_KIND = mujoco.mjtState.mjSTATE_INTEGRATION
_RESET_STEPS = 50
_DOWN = np.array([1.0, 0.0, 1.0, 0.0])
"""Orientation of the hand, always; MuJoCo makes a unit quaternion of it."""


class Bench(ABC):
    """One scene, and room to step it in.

    Attributes:
        sub_task: which one.
        model: MuJoCo's; the place of its fixture is the last world's.
        data: the last world's.
        low: (39,) bounds that a step's observation is clipped to.
        high: the same.
        state_size: of a world's state.
        lock: held while a world is in; worlds of several environments share a bench.
    """

    fixture: ClassVar[str | None] = None
    """Body of the model that an episode places, where there is one."""

    def __init__(self, sub_task: SubTask) -> None:
        """Build Meta-World's environment and take over what it is made of."""
        self.sub_task = sub_task
        env = _published(sub_task.name)
        self.model, self.data = env.model, env.data
        self.low, self.high = env.sawyer_observation_space.low, env.sawyer_observation_space.high
        self._drawn_low, self._drawn_high = env._random_reset_space.low, env._random_reset_space.high
        self._mocap_low, self._mocap_high = env.mocap_low, env.mocap_high
        self._action_scale, self._substeps = env.action_scale, env.frame_skip
        self._hand_start = np.array(env.hand_init_pos)
        self.state_size = int(mujoco.mj_stateSize(self.model, STATE_KIND))
        self.lock = threading.Lock()
        self._hand, self._right, self._left = (self.data.body(f).xpos for f in ("hand", "rightclaw", "leftclaw"))
        self._place = None if self.fixture is None else self.model.body(self.fixture).pos
        marked = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_SITE, "goal")
        # Only pictures show it; one scene has none.
        self._goal = np.zeros(3) if marked < 0 else self.model.site_pos[marked]

    def draw(self, seed: int) -> FloatArray:
        """Where object and goal are in the episode of a seed; see ``draws.vector``."""
        return vector(seed, self._drawn_low, self._drawn_high, self.sub_task.least_gap_m)

    def begin(self, drawn: FloatArray, sensed: FloatArray, turned: FloatArray) -> FloatArray:
        """Reset: the hand is led to its start for 50 control steps, then the object is placed.

        Args:
            drawn: of the episode.
            sensed: (18,) is filled with what is sensed first; ``turned`` (9,) with the rotation where it ``turns``.
            turned: see there.

        Returns:
            The target, (3,) [m]; the state is what ``take`` gives then.
        """
        self.fix(drawn)
        self._lead_hand()
        target = self._arrange(drawn)
        self._goal[:] = target
        self._sense(sensed, turned)
        return target

    def fix(self, drawn: FloatArray) -> None:
        """Place the fixture of an episode."""
        if self._place is not None:
            self._place[:] = drawn[-3:]

    def put(self, drawn: FloatArray, target: FloatArray, state: FloatArray) -> None:
        """Put a world in."""
        self.fix(drawn)
        self._goal[:] = target
        mujoco.mj_setState(self.model, self.data, state[: self.state_size], STATE_KIND)

    def take(self, state: FloatArray) -> None:
        """Take the world out into (S,)."""
        mujoco.mj_getState(self.model, self.data, state[: self.state_size], STATE_KIND)

    def step(self, action: Float32Array, target: FloatArray, sensed: FloatArray, turned: FloatArray) -> bool:
        """One control period of the world that is in.

        Args:
            action: (4,) in [-1, 1].
            target: of its episode.
            sensed: as ``begin``'s.
            turned: as ``begin``'s.

        Returns:
            Whether it has succeeded.

        Raises:
            HaltereError: MuJoCo couldn't integrate the state.
        """
        data = self.data
        # In single precision, as Meta-World does with actions of its own action space.
        moved = data.mocap_pos[0] + action[:3] * self._action_scale
        data.mocap_pos[0] = np.clip(moved, self._mocap_low, self._mocap_high)
        data.mocap_quat[0] = _DOWN
        self._simulate(float(action[3]))
        mujoco.mj_forward(self.model, data)
        self._sense(sensed, turned)
        if not np.isfinite(sensed).all():
            raise HaltereError("MuJoCo could not integrate a world's state; its trajectory is lost, reset it")
        return bool(self._solved(sensed[4:7], target))

    def shove(self, way: FloatArray) -> None:
        """Move what leads the hand of the world that is in by (3,) [m]; the hand follows within the next steps."""
        self.data.mocap_pos[0] += way

    def bare_step(self) -> None:
        """MuJoCo's part of a step alone, for a bench."""
        self._simulate(0.0)
        mujoco.mj_forward(self.model, self.data)

    def _lead_hand(self) -> None:
        mujoco.mj_resetData(self.model, self.data)
        for _ in range(_RESET_STEPS):
            self.data.mocap_pos[0] = self._hand_start
            self.data.mocap_quat[0] = _DOWN
            self._simulate(-1.0)

    def _simulate(self, grip: float) -> None:
        self.data.ctrl[:] = grip, -grip
        mujoco.mj_step(self.model, self.data, nstep=self._substeps)

    def _sense(self, sensed: FloatArray, turned: FloatArray) -> None:
        sensed[:3] = self._hand
        apart = length(self._right - self._left) / 0.1
        sensed[3] = min(max(apart, 0.0), 1.0)
        sensed[4:7] = self._object()
        self._orientation(sensed[7:11], turned)

    def _set_joints(self, first: int, places: FloatArray | float, still: slice) -> None:
        """Put an object somewhere, at rest."""
        places = np.atleast_1d(places)
        self.data.qpos[first : first + len(places)] = places
        self.data.qvel[still] = 0.0
        mujoco.mj_forward(self.model, self.data)

    @abstractmethod
    def _arrange(self, drawn: FloatArray) -> FloatArray:
        """Place the object; returns the target."""

    @abstractmethod
    def _object(self) -> FloatArray:
        """Where the object is, (3,) [m]."""

    def _orientation(self, quaternion: FloatArray, turned: FloatArray) -> None:
        """Fill in the object's quaternion, or its rotation matrix to be made one; zeros where nothing is said of it."""
        del quaternion, turned

    @abstractmethod
    def _solved(self, at: FloatArray, target: FloatArray) -> bool:
        """Whether the object, which is at (3,), is where it should be."""


def length(vector: FloatArray) -> float:
    """``np.linalg.norm`` of a vector, to the bit."""
    return math.sqrt(vector.dot(vector))


def _published(name: str) -> Any:  # noqa: ANN401 -- its attributes are declared where they are still None
    """Meta-World's own environment, told that the goal is observable in the one way that sets its bounds right too."""
    published = f"{name}-v3"
    cls = MT10_V3[published]
    env: Any = cls()
    facts = {"rand_vec": env._random_reset_space.low, "env_cls": cls, "partially_observable": False}
    env.set_task(metaworld._encode_task(published, facts))
    return env


_BUILDING = threading.Lock()


def bench(number: int) -> Bench:
    """The bench of a sub-task by its number; one a process."""
    with _BUILDING:
        return _built(number)


@cache
def _built(number: int) -> Bench:
    from haltere.sims.mujoco.mt10.scenes import SCENES  # that module imports this one

    return SCENES[NAMES[number]](SUB_TASKS[number])
