"""The show and the choice: W worlds as arrays, without any picture.

Source: Lampinen et al. 2021, arXiv:2105.14039, and the authors' public environment. Time t counts the steps since the
reset. Dancer i makes move m (0 to 15) at t = i * (15 + delay) + m; the question is put at t = n * (15 + delay), the
next action is the first that counts, and before it every action is ignored. So all but the agent's place follows from
the clock, and isn't stored.
"""

import numpy as np
from numpy.typing import NDArray

from haltere.sims.ballet.config import MOST_DELAY
from haltere.sims.ballet.constants import MOVES, PATHS, REACH, ROOM, SLOTS, START, STEP, published_limit
from haltere.sims.ballet.draws import Layout, layouts
from haltere.sims.chance import IntArray, begun_seeds

BoolArray = NDArray[np.bool_]
START_CELL = START[0] * ROOM + START[1]
"""A cell is row * 11 + column."""
NOBODY = -1
_NO_SLOT = SLOTS
STATE_SIZE = 7
_STATE_CLOCK, _STATE_AGENT = 3, 6


def _on_floor(row: IntArray, column: IntArray) -> BoolArray:
    floor: BoolArray = (row >= 1) & (row <= ROOM - 2) & (column >= 1) & (column <= ROOM - 2)
    return floor


def _next_cells() -> IntArray:
    """Where each choice leads from each cell, (121, 8): a move into the wall isn't made, a diagonal one not by half."""
    row, column = np.divmod(np.arange(ROOM * ROOM), ROOM)
    to_row, to_column = row[:, None] + STEP[:, 0], column[:, None] + STEP[:, 1]
    return np.where(_on_floor(to_row, to_column), to_row * ROOM + to_column, np.arange(ROOM * ROOM)[:, None])


NEXT_CELL = _next_cells()
SLOT_CELL: IntArray = START_CELL + REACH * (STEP[:, 0] * ROOM + STEP[:, 1])
"""Where each slot is, (8,)."""
_SLOT_AT = np.full(ROOM * ROOM, _NO_SLOT)
_SLOT_AT[SLOT_CELL] = np.arange(SLOTS)
PATH_CELL: IntArray = PATHS[..., 0] * ROOM + PATHS[..., 1]
"""Where a dancer is after each move, from its slot, (13, 16): what to add to a cell."""


class Worlds:
    """W rooms, each with its dancers and its agent.

    Attributes:
        seed: (W,) of the episode.
        clock: (W,) steps since its reset.
        layout: who dances, and where; ``Layout``'s arrays, (W, ...).
        show: (W,) the clock at which the question is put.
        limit: (W,) the clock at which the episode is cut off.
        agent: (W,) the agent's cell.
        met: (W,) which dancer the agent has just touched, or ``NOBODY``. Touching one ends an episode, which is for the
            caller to see to, as is the limit.
    """

    def __init__(self, num_envs: int, choice_steps: int | None = None) -> None:
        """Make room; ``begin`` fills it. ``choice_steps`` is the configuration's."""
        self._choice_steps = choice_steps
        self._all = np.arange(num_envs)
        self._first_seed, self._number, self.seed, self.clock, self.show, self.limit, self.agent = np.zeros(
            (7, num_envs), np.int64
        )
        single, several = np.zeros((3, num_envs), np.int64), np.zeros((4, num_envs, SLOTS), np.int64)
        self.layout = Layout(*single, *several)
        self.met = np.full(num_envs, NOBODY)
        self._rest = np.full((num_envs, SLOTS), NOBODY)
        self._dancer_at = np.full((num_envs, SLOTS + 1), NOBODY)

    def begin(self, worlds: IntArray, seeds: IntArray | None, dancers: IntArray, delay: IntArray) -> None:
        """Start an episode in some worlds.

        Args:
            worlds: (k,) which.
            seeds: (k,) of the episodes, or None to go on in the stream of each world's last given seed.
            dancers: the numbers of dancers that an episode may draw.
            delay: the delays that it may draw.
        """
        seeds = begun_seeds(worlds, seeds, self._first_seed, self._number)
        self.seed[worlds], self.clock[worlds], self.agent[worlds] = seeds, 0, START_CELL
        self._set(worlds, layouts(seeds, dancers, delay))

    def _set(self, worlds: IntArray, layout: Layout) -> None:
        """Keep the layouts of some worlds, and what follows from them."""
        for name, array in vars(layout).items():
            getattr(self.layout, name)[worlds] = array
        self.show[worlds] = layout.dancers * (MOVES - 1 + layout.delay)
        if self._choice_steps is None:
            levels = zip(layout.dancers.tolist(), layout.delay.tolist(), strict=True)
            self.limit[worlds] = [published_limit(*level) for level in levels]
        else:
            self.limit[worlds] = self.show[worlds] + self._choice_steps
        self.met[worlds] = NOBODY
        self._dancer_at[worlds] = NOBODY
        order = np.broadcast_to(np.arange(SLOTS), layout.slot.shape)
        present = order < layout.dancers[:, None]
        self._dancer_at[worlds[:, None], layout.slot] = np.where(present, order, NOBODY)
        self._rest[worlds] = np.where(present, SLOT_CELL[layout.slot], NOBODY)

    def step(self, choice: IntArray) -> None:
        """Advance every world by one step; ``choice`` (W,) is each agent's direction."""
        self.clock += 1
        np.copyto(self.agent, NEXT_CELL[self.agent, choice], where=self.clock > self.show)
        self.met = self._dancer_at[self._all, _SLOT_AT[self.agent]]

    @property
    def chose(self) -> BoolArray:
        """Whether each agent has just touched a dancer, (W,)."""
        chose: BoolArray = self.met != NOBODY
        return chose

    @property
    def right(self) -> BoolArray:
        """Whether it is the dancer that was asked for, (W,)."""
        right: BoolArray = self.met == self.layout.target
        return right

    @property
    def word(self) -> IntArray:
        """The instruction in force, (W,): an index of ``WORDS``."""
        asked = self.layout.dance[self._all, self.layout.target]
        return np.where(self.clock < self.show, 0, 1 + asked)

    def dancing(self) -> tuple[IntArray, IntArray, IntArray]:
        """Where somebody dances now: the worlds, who dances there and which move was the last, (k,) each."""
        dancer, move = np.divmod(self.clock, MOVES - 1 + self.layout.delay)
        worlds = np.flatnonzero((move < MOVES) & (self.clock < self.show))
        return worlds, dancer[worlds], move[worlds]

    def places(self) -> IntArray:
        """The cell of each dancer now, (W, 8), ``NOBODY`` for those who aren't there."""
        places = self._rest.copy()
        there, dancer, move = self.dancing()
        places[there, dancer] += PATH_CELL[self.layout.dance[there, dancer], move]
        return places

    def state(self) -> IntArray:
        """All that the worlds' future depends on, (W, 7)."""
        level = self.layout.dancers, self.layout.delay
        return np.stack([self._first_seed, self._number, self.seed, self.clock, *level, self.agent], axis=1)

    def load_state(self, state: IntArray) -> bool:
        """Undo ``state``; False, and nothing is changed, where so many worlds can't have it."""
        if state.shape != (len(self._all), STATE_SIZE) or state.dtype != np.int64 or (state < 0).any():
            return False
        first_seed, number, seed, clock, dancers, delay, agent = state.T.copy()
        levels = (dancers >= 1) & (dancers <= SLOTS) & (delay >= 1) & (delay <= MOST_DELAY)
        if not (levels & _on_floor(*np.divmod(agent, ROOM))).all():
            return False
        self._first_seed, self._number, self.seed, self.clock, self.agent = first_seed, number, seed, clock, agent
        for world in self._all:
            level = dancers[world : world + 1], delay[world : world + 1]
            self._set(self._all[world : world + 1], layouts(seed[world : world + 1], *level))
        return True

    def one(self, world: int, clock: int | None = None) -> "Worlds":
        """A copy of one world; at another ``clock`` of its show, if one is given, when its agent was at its start."""
        state = self.state()[world : world + 1]
        if clock is not None:
            state[:, _STATE_CLOCK], state[:, _STATE_AGENT] = clock, START_CELL
        copy = Worlds(1, self._choice_steps)
        copy.load_state(state)
        return copy
