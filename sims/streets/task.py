"""Ways to find in a neighbourhood that is new in every episode: ``haltere/MemoryStreets-v0``.

Our own, on procedural graphs. After the one-shot street navigation of Ritter et al. 2020, "Rapid task-solving in novel
environments", arXiv:2006.03662, whose streets were never released.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from haltere.configs.errors import IntegrityError
from haltere.sims.chance import IntArray
from haltere.sims.choosing import ChoosingTask
from haltere.sims.single import Outcome
from haltere.sims.streets.config import StreetsConfig
from haltere.sims.streets.constants import DIRECTIONS, LOOK, MIX_SIZE, PARTS
from haltere.sims.streets.draws import Neighbourhood
from haltere.sims.streets.worlds import Worlds
from haltere.sims.task import ObsTree, task

_RATES = ("success", "reached", "efficiency_first", "efficiency_late")
_EXCESS = tuple(f"excess_{part}" for part in range(1, PARTS + 1))
METRICS = (*_RATES, *_EXCESS, "steps", "size")
UNITS = {
    "here": "appearance of the junction where the agent is, 16 numbers of -1 or 1",
    "goal": "appearance of the junction where it has to go, likewise",
    "streets": f"1 where the street in that direction is open, 0 where it is closed: {', '.join(DIRECTIONS)}",
    "last": f"1 at the direction that it has just gone: {', '.join(DIRECTIONS)}; all 0 where it didn't move or was put "
    "somewhere else",
    "fresh": "1 where the goal has just been given, 0 otherwise; 1 where the step before reached the last goal",
    "action": f"a score for each direction, the largest is gone: {', '.join(DIRECTIONS)}; a closed street costs a step",
}


@task(
    "haltere/MemoryStreets-v0",
    config=StreetsConfig,
    metrics=METRICS,
    rates=_RATES,
    ctrl_dt_s=0.2,  # there is no clock in it; a film of this pace can be followed
    sim="numpy",
    units=UNITS,
)
class MemoryStreets(ChoosingTask[StreetsConfig]):
    """W neighbourhoods with one agent each.

    An episode: streets and the appearance of every junction are new. The agent is given a goal by its appearance, and
    once it is there, or its time is up, the next one, ``goals`` of them in the same neighbourhood. Whoever remembers
    where it has been finds the later ones faster. Reward 1 for each goal that is reached.

    Metrics: success, the shortest way by the steps taken, 0 where a goal wasn't reached, mean over all goals; reached,
    the share of goals; efficiency_first and efficiency_late, success of the first goal and of the second half of them;
    excess_1 to excess_8, steps beyond the shortest way in each eighth of the goals; steps; and the level, size. An
    action is a score for each direction, north first, then clockwise.
    """

    choices = len(DIRECTIONS)
    levels = ("size",)

    def __init__(self, config: StreetsConfig, num_envs: int, *, training: bool = False, threads: int = 1) -> None:
        """Build the worlds; the arguments are the base class's, and one thread does the work.

        Raises:
            RequestError: see the base class.
        """
        super().__init__(config, num_envs, training=training, threads=threads)
        settings = config.detours, config.goals, config.goal_steps, config.relocate
        self._worlds = Worlds(num_envs, config.largest, *settings)
        self._ready()

    @property
    def agent_observation_space(self) -> spaces.Dict:
        """Here (16,), goal (16,), streets (4,), last (4,) and fresh (2,); see ``UNITS``."""
        sizes = {"here": LOOK, "goal": LOOK, "streets": len(DIRECTIONS), "last": len(DIRECTIONS), "fresh": 2}
        lowest = {"here": -1.0, "goal": -1.0}
        return spaces.Dict(
            {name: spaces.Box(lowest.get(name, 0.0), 1.0, (size,), np.float32) for name, size in sizes.items()}
        )

    def set_training_steps(self, steps: int) -> None:
        """Choose the stage of the curriculum; episodes that have begun go on at their own size."""
        stage = self._stage(steps)
        own = MIX_SIZE if self.config.size == "mix" else (self.config.size,)
        self._sizes = np.array(own if stage is None else stage.size, np.int64)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Seeds, places and tasks of the worlds, and what became of the tasks before; the streets follow."""
        worlds, record = self._worlds.state()
        return {"worlds": worlds, "record": record, "seeds": self._generator_state()}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> ObsTree:
        """Go on exactly; see the base class. Call ``set_training_steps`` after it."""
        names = {"worlds", "record", "seeds"}
        if set(state) != names or not self._worlds.load_state(state["worlds"], state["record"]):
            worlds = f"{self.num_envs} worlds of {self.spec_.id} with {self.config.goals} goals"
            raise IntegrityError(f"the saved state isn't that of {worlds}")
        self._set_generator_state(state["seeds"])
        self._running = True
        return self._observe()

    @property
    def layout(self) -> Neighbourhood:
        """The map of each world, (W, ...). For those who judge a memory; it isn't for the agent."""
        return Neighbourhood(*(array.copy() for array in vars(self._worlds.layout).values()))

    @property
    def places(self) -> tuple[IntArray, IntArray]:
        """The junction where each agent is and the one where it has to go, (W,) each. It isn't for the agent."""
        return self._worlds.here.copy(), self._worlds.goal.copy()

    @property
    def answer(self) -> IntArray:
        """A direction that leads to each goal on a shortest way, (W,). For experts; it isn't for the agent."""
        return self._worlds.answer()

    def film(self, world: int, aux: Mapping[str, NDArray[Any]] | None = None) -> NDArray[np.uint8]:
        """Draw one world; see the base class, and ``film.StreetsCamera`` for what is drawn of ``aux``."""
        from haltere.sims.streets.film import StreetsCamera  # only those who look need Pillow

        return StreetsCamera().frame(self._worlds.one(world), aux or {})

    def _observe(self) -> ObsTree:
        worlds = self._worlds
        look = worlds.layout.look[np.arange(self.num_envs)[:, None], np.stack([worlds.here, worlds.goal], axis=1)]
        bits = ((look[..., None] >> np.arange(LOOK)) & 1).astype(np.float32) * 2.0 - 1.0
        fresh = worlds.taken == 0
        return {
            "here": bits[:, 0].copy(),
            "goal": bits[:, 1].copy(),
            "streets": worlds.opened().astype(np.float32),
            "last": (worlds.last[:, None] == np.arange(len(DIRECTIONS))).astype(np.float32),
            "fresh": np.stack([fresh, worlds.arrived], axis=1).astype(np.float32),
        }

    def _begin(self, worlds: IntArray, seeds: IntArray | None) -> None:
        self._worlds.begin(worlds, seeds, self._sizes)

    def _move(self, choice: IntArray) -> Outcome:
        self._worlds.step(choice)
        never = np.zeros(self.num_envs, np.bool_)  # time runs out for goals, and that is no interruption
        return self._worlds.arrived.astype(np.float32), self._worlds.over, never

    def _measures(self) -> NDArray[Any]:
        worlds = self._worlds
        efficiency = worlds.efficiency()
        half = efficiency.shape[1] // 2
        parts = worlds.excess().reshape(self.num_envs, PARTS, -1).mean(axis=2)
        rates = efficiency.mean(axis=1), worlds.record[..., 2].mean(axis=1), efficiency[:, 0]
        return np.stack([*rates, efficiency[:, half:].mean(axis=1), *parts.T, worlds.clock, worlds.layout.size])
