"""W neighbourhoods with an agent each, its present task and what became of the ones before."""

import numpy as np
from numpy.typing import NDArray

from haltere.sims.chance import IntArray, begun_seeds
from haltere.sims.streets.constants import DIRECTIONS
from haltere.sims.streets.draws import BoolArray, Neighbourhood, neighbourhoods, tasks

NOWHERE = len(DIRECTIONS)
"""Direction of an agent that has just been put where it is, or found the street closed."""


class Worlds:
    """W neighbourhoods.

    Attributes:
        seed: (W,) of the episode.
        clock: (W,) steps since its reset.
        layout: the neighbourhoods; ``Neighbourhood``'s arrays, (W, ...).
        task: (W,) number of the present task, from 0 on; once it is ``goals``, the episode is over.
        taken: (W,) steps since the present task was given.
        here: (W,) the junction where the agent is.
        start: (W,) where it was when the task was given.
        goal: (W,) where it has to go.
        last: (W,) the direction that it has just gone, or ``NOWHERE``.
        arrived: (W,) whether its last step reached a goal.
        record: (W, goals, 3) of each finished task: steps taken, steps of the shortest way, and 1 if it was reached.
    """

    def __init__(self, num_envs: int, side: int, detours: float, goals: int, goal_steps: int, relocate: bool) -> None:
        """Make room; ``begin`` fills it. The arguments are the configuration's, ``side`` its largest size."""
        self._side, self._detours, self._goal_steps, self._relocate = side, detours, goal_steps, relocate
        self._all = np.arange(num_envs)
        self._first_seed, self._number, self.seed, self.clock, self.task, self.taken = np.zeros((6, num_envs), np.int64)
        self.here, self.start, self.goal, self.last = np.zeros((4, num_envs), np.int64)
        self.arrived = np.zeros(num_envs, np.bool_)
        self.record = np.zeros((num_envs, goals, 3), np.int64)
        shapes = ((), (side**2,), (side**2, len(DIRECTIONS)), (side**2, side**2))
        self.layout = Neighbourhood(*(np.zeros((num_envs, *shape), np.int64) for shape in shapes))

    def begin(self, worlds: IntArray, seeds: IntArray | None, sizes: IntArray) -> None:
        """Start an episode in some worlds.

        Args:
            worlds: (k,) which.
            seeds: (k,) of the episodes, or None to go on in the stream of each world's last given seed.
            sizes: the sizes that an episode may draw.
        """
        seeds = begun_seeds(worlds, seeds, self._first_seed, self._number)
        self.seed[worlds], self.clock[worlds], self.task[worlds], self.record[worlds] = seeds, 0, 0, 0
        self.arrived[worlds] = False
        self._set(worlds, neighbourhoods(seeds, sizes, self._side, self._detours))
        self._give(worlds, anywhere=True)

    def _set(self, worlds: IntArray, layout: Neighbourhood) -> None:
        for name, array in vars(layout).items():
            getattr(self.layout, name)[worlds] = array

    def _give(self, worlds: IntArray, *, anywhere: bool) -> None:
        """Give some agents their next task, somewhere else if ``anywhere``."""
        start = None if anywhere else self.here[worlds]
        start, goal = tasks(self.seed[worlds], self.task[worlds], self.layout, worlds, start)
        self.here[worlds] = self.start[worlds] = start
        self.goal[worlds], self.taken[worlds] = goal, 0
        if anywhere:
            self.last[worlds] = NOWHERE

    def step(self, choice: IntArray) -> None:
        """Advance every world by one step; ``choice`` (W,) is each agent's direction."""
        there = self.layout.leads[self._all, self.here, choice]
        self.last = np.where(there == self.here, NOWHERE, choice)
        self.here = there
        self.clock += 1
        self.taken += 1
        self.arrived = self.here == self.goal
        done = np.flatnonzero(self.arrived | (self.taken >= self._goal_steps))
        if len(done):
            shortest = self.layout.way[done, self.start[done], self.goal[done]]
            result = np.stack([self.taken[done], shortest, self.arrived[done]], axis=1)
            self.record[done, self.task[done]] = result
            self.task[done] += 1
            self._give(done, anywhere=self._relocate)

    @property
    def over(self) -> BoolArray:
        """Whether each world's last task is finished, (W,)."""
        over: BoolArray = self.task >= self.record.shape[1]
        return over

    def opened(self) -> BoolArray:
        """Which streets are open where each agent is, (W, 4)."""
        opened: BoolArray = self.layout.leads[self._all, self.here] != self.here[:, None]
        return opened

    def answer(self) -> IntArray:
        """A direction that leads to each agent's goal on a shortest way, (W,), the first of equals."""
        to = self.layout.leads[self._all, self.here]
        best: IntArray = self.layout.way[self._all[:, None], to, self.goal[:, None]].argmin(axis=1)
        return best

    def efficiency(self) -> NDArray[np.float64]:
        """Shortest way by steps taken of each finished task, (W, goals), 0 where it wasn't reached.

        Source: success weighted by path length, Anderson et al. 2018, arXiv:1807.06757, section 4.
        """
        taken, shortest, reached = np.moveaxis(self.record, -1, 0)
        return reached * shortest / np.maximum(taken, 1)

    def excess(self) -> IntArray:
        """Steps taken beyond the shortest way in each finished task, (W, goals)."""
        excess: IntArray = self.record[..., 0] - self.record[..., 1]
        return excess

    def state(self) -> tuple[IntArray, IntArray]:
        """All that the worlds' future depends on: (W, 12), see ``_NUMBERS``, and the record (W, goals, 3)."""
        numbers = [self.layout.size if name == "size" else getattr(self, name) for name in _NUMBERS]
        return np.stack(numbers, axis=1).astype(np.int64), self.record.copy()

    def load_state(self, numbers: IntArray, record: IntArray) -> bool:
        """Undo ``state``; False, and nothing is changed, where so many worlds can't have it."""
        if not self._possible(numbers, record):
            return False
        for name, column in zip(_NUMBERS, numbers.T.copy(), strict=True):
            if name != "size":
                setattr(self, name, column)
        self.arrived, self.record = self.arrived.astype(np.bool_), record.copy()
        for world in self._all:
            one = slice(world, world + 1)
            size = numbers[one, _NUMBERS.index("size")]
            self._set(self._all[one], neighbourhoods(self.seed[one], size, self._side, self._detours))
        return True

    def _possible(self, numbers: IntArray, record: IntArray) -> bool:
        shapes = numbers.shape == (len(self._all), len(_NUMBERS)) and record.shape == self.record.shape
        if not shapes or numbers.dtype != np.int64 or record.dtype != np.int64 or min(numbers.min(), record.min()) < 0:
            return False
        of = dict(zip(_NUMBERS, numbers.T, strict=True))
        fits = (of["size"] >= 3) & (of["size"] <= self._side) & (of["task"] < record.shape[1])
        fits &= (of["last"] <= NOWHERE) & (of["arrived"] <= 1)
        for place in (of["here"], of["start"], of["goal"]):
            row, column = np.divmod(place, self._side)
            fits &= (row < of["size"]) & (column < of["size"])
        return bool(fits.all())

    def one(self, world: int) -> "Worlds":
        """A copy of one world."""
        numbers, record = (part[world : world + 1] for part in self.state())
        copy = Worlds(1, self._side, self._detours, record.shape[1], self._goal_steps, self._relocate)
        copy.load_state(numbers, record)
        return copy


_NUMBERS = (
    *("_first_seed", "_number", "seed", "size", "clock", "task", "taken"),
    *("here", "start", "goal", "last", "arrived"),
)
"""Columns of a state."""
