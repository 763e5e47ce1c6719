"""Boxes open, show an object each and close; much later one is asked for by name: ``haltere/MemoryRooms-v0``.

Our own: object permanence, and memory in detail. After the hidden objects of Lampinen et al. 2021, "Towards mental time
travel: a hierarchical memory for reinforcement learning agents", arXiv:2105.14039, which were never released.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from haltere.sims.bodied import BodiedTask
from haltere.sims.chance import IntArray
from haltere.sims.choosing import ChoosingTask
from haltere.sims.mujoco.rooms.config import RoomsConfig
from haltere.sims.mujoco.rooms.constants import (
    DIRECTIONS,
    MIX_BOXES,
    MIX_DELAY,
    OPEN_STEPS,
    PERIOD_STEPS,
    ROOM,
)
from haltere.sims.mujoco.rooms.draws import Layout
from haltere.sims.mujoco.rooms.senses import SIZES, UNITS, Float32Array, answer, observe
from haltere.sims.mujoco.rooms.worlds import Worlds
from haltere.sims.single import Outcome
from haltere.sims.task import ObsTree, task

METRICS = ("success", "chose", "steps", "choice_steps", "boxes", "delay", "asked_after")


@task(
    "haltere/MemoryRooms-v0",
    config=RoomsConfig,
    metrics=METRICS,
    rates=METRICS[:2],
    ctrl_dt_s=ROOM.ctrl_dt_s,
    sim="mujoco",
    units=UNITS,
)
class MemoryRooms(ChoosingTask[RoomsConfig], BodiedTask[RoomsConfig, Worlds]):
    """W rooms with boxes and one agent each.

    An episode: the boxes open one after the other, in random order, and each shows its object. Then comes the delay,
    with screens on the walls that show other objects. All the while the agent is led about (and turned, with
    ``turns``), and can't help it. Then it is told the shape and the colour of one of the objects, and walks. The first
    box that it touches ends the episode: reward 1 if that object was in it, else 0. Whoever remembers nothing is right
    once in ``boxes``.

    Metrics: success; chose, whether it touched any box; steps of the episode, and of those the steps that it had to
    choose; and the level, boxes, delay and asked_after. An action is a score for each direction of the body, ahead
    first, then counter-clockwise.
    """

    choices = len(DIRECTIONS)
    levels = ("boxes", "delay", "asked_after")

    def __init__(self, config: RoomsConfig, num_envs: int, *, training: bool = False, threads: int = 1) -> None:
        """Build the worlds; the arguments are the base class's.

        Raises:
            RequestError: see the base class.
        """
        super().__init__(config, num_envs, training=training, threads=threads)
        shorter = config.training_choice_steps if training else None
        self._worlds = Worlds(num_envs, replace(config, choice_steps=shorter or config.choice_steps), threads)
        self._by_bearing = config.order == "bearing"
        self._progress = config.progress if training else 0.0
        self._ready()

    @property
    def agent_observation_space(self) -> spaces.Dict:
        """Self (7,), boxes (24,), screens (4,), shown (34,), where (2,) and instruction (35,); see ``UNITS``."""
        unbounded = ("self", "boxes", "where")
        bounds = {name: (-np.inf, np.inf) if name in unbounded else (0.0, 1.0) for name in SIZES}
        return spaces.Dict({name: spaces.Box(*bounds[name], (size,), np.float32) for name, size in SIZES.items()})

    def set_training_steps(self, steps: int) -> None:
        """Choose the stage of the curriculum; episodes that have begun go on at their own level."""
        stage = self._stage(steps)
        if stage is not None:
            boxes, delay, asked_after = stage.boxes, stage.delay, stage.asked_after
        else:
            boxes = MIX_BOXES if self.config.boxes == "mix" else (self.config.boxes,)
            delay = MIX_DELAY if self.config.delay == "mix" else (self.config.delay,)
            asked_after = (self.config.asked_after,)
        self._levels = np.array(boxes, np.int64), np.array(delay, np.int64), np.array(asked_after, np.int64)

    @property
    def acts(self) -> NDArray[np.bool_]:
        """Whether the question has been put in each world, (W,): until then the agents are led."""
        return self._worlds.acts

    @property
    def choice_opens(self) -> IntArray:
        """The step of each world's episode whose action is the first that counts, (W,); an episode's first is 1."""
        return self._worlds.question + 1

    @property
    def target_shown(self) -> IntArray:
        """When each world's target is shown, (W, 2): the clock at the first and the last step that its box is open.

        For those who judge a memory. It isn't for the agent.
        """
        layout = self._worlds.layout
        begin = PERIOD_STEPS * (layout.order == layout.target[:, None]).argmax(axis=1)
        return np.stack([begin, begin + OPEN_STEPS - 1], axis=1)

    @property
    def asked_about(self) -> IntArray:
        """See the base class: when the target was shown, where the question has just been put."""
        asked = self._worlds.clock == self._worlds.question
        return np.where(asked[:, None], self.target_shown, -1)

    @property
    def layout(self) -> Layout:
        """What is where in each world, (W, ...). For those who judge a memory; it isn't for the agent."""
        return Layout(*(array.copy() for array in vars(self._worlds.layout).values()))

    @property
    def answer(self) -> IntArray:
        """The direction that leads to the right box from where each agent is, (W,). For experts, not for the agent."""
        return answer(self._worlds)

    def bare_step(self) -> None:
        """MuJoCo's part of a step alone, for a bench; the worlds stay as they are."""
        self._worlds.physics.bare_step()

    @classmethod
    def bench_sim(
        cls, config: RoomsConfig, progress: Callable[[int, int], None] | None = None
    ) -> dict[str, str | float]:
        """What ``haltere bench memory-rooms --sim`` prints; see ``bench.measure``."""
        from haltere.sims.mujoco.rooms.bench import measure  # that module imports this one

        return {"task": cls.spec_.id, **measure(config, progress=progress)}

    def film(self, world: int, aux: Mapping[str, NDArray[Any]] | None = None) -> NDArray[np.uint8]:
        """Draw one world; see the base class, and ``film.RoomsCamera`` for what is drawn of ``aux``."""
        from haltere.sims.mujoco.rooms.film import RoomsCamera  # only those who look need Pillow

        if not hasattr(self, "_camera"):
            self._camera = RoomsCamera()
        return self._camera.frame(self._worlds.one(world), aux or {})

    def close_extras(self, **kwargs: object) -> None:
        """End the threads of the physics."""
        self._worlds.physics.close()

    def _observe(self) -> ObsTree:
        return observe(self._worlds, self._by_bearing)

    def _far_m(self) -> Float32Array:
        """How far each agent has still to go, (W,) [m]; zeros where nobody is paid for nearing."""
        if not self._progress:
            return np.zeros(self.num_envs, np.float32)
        way = self._worlds.to_target()
        return np.where(self._worlds.acts, np.sqrt(way[:, 0] ** 2 + way[:, 1] ** 2), 0.0)

    def _begin(self, worlds: IntArray, seeds: IntArray | None) -> None:
        self._worlds.begin(worlds, seeds, self._levels)

    def _move(self, choice: IntArray) -> Outcome:
        worlds = self._worlds
        before_m = self._far_m()
        worlds.step(choice)
        touched = worlds.touched >= 0
        reward = (worlds.right + self._progress * (before_m - self._far_m())).astype(np.float32)
        return reward, touched, ~touched & (worlds.clock >= worlds.limit)

    def _measures(self) -> NDArray[Any]:
        worlds = self._worlds
        level = worlds.layout.boxes, worlds.layout.delay, worlds.layout.shows - 1
        had = np.maximum(worlds.clock - worlds.question, 0)
        return np.stack([worlds.right, worlds.touched >= 0, worlds.clock, had, *level])
