"""The show, the delay and the walk: W rooms, without what the agents sense of them.

Time t counts the steps since the reset. With n boxes, show s begins at t = s * (6 n + delay), and its i-th box is open
for four steps from 6 i later on. The question is put after the last show's delay; the next action is the first that
counts. Before it the agent is led from point to point and, with ``turns``, turned, whatever it wants.
"""

import numpy as np
from numpy.typing import NDArray

from haltere.sims.chance import IntArray, begun_seeds
from haltere.sims.mujoco.rooms.config import MOST_DELAY, MOST_SHOWS, RoomsConfig
from haltere.sims.mujoco.rooms.constants import (
    BOXES,
    DIRECTIONS,
    OBJECTS,
    OPEN_STEPS,
    PERIOD_STEPS,
    ROOM,
    WALK_STEPS,
)
from haltere.sims.mujoco.rooms.draws import FloatArray, Layout, direction, layouts, screen, walk_point
from haltere.sims.mujoco.rooms.physics import MOTION, Physics
from haltere.sims.mujoco.rooms.physics import STATE_SIZE as BODY_SIZE

BoolArray = NDArray[np.bool_]
NOTHING = -1
STATE_SIZE = 7
TOWARDS: FloatArray = direction(np.linspace(0.0, 2.0 * np.pi, len(DIRECTIONS), endpoint=False))
"""What each choice means: forward and left, unit vectors of the body, (8, 2)."""


class Worlds:
    """W rooms, each with its boxes and its agent.

    Attributes:
        seed: (W,) of the episode.
        clock: (W,) steps since its reset.
        layout: what is where; ``Layout``'s arrays, (W, ...).
        question: (W,) the clock at which the question is put.
        limit: (W,) the clock at which the episode is cut off.
        physics: the agents' bodies.
        touched: (W,) number of the box that the agent has just touched of its own will, or ``NOTHING``. Touching one
            ends an episode, which is for the caller to see to, as is the limit.
    """

    def __init__(self, num_envs: int, config: RoomsConfig, threads: int = 1) -> None:
        """Make room; ``begin`` fills it."""
        self._config = config
        self._all = np.arange(num_envs)
        self._first_seed, self._number, self.seed, self.clock, self.question, self.limit = np.zeros(
            (6, num_envs), np.int64
        )
        several = [np.zeros((num_envs, *shape), kind) for shape, kind in _LAYOUT_SHAPES]
        self.layout = Layout(*np.zeros((4, num_envs), np.int64), *several)
        self.physics = Physics(num_envs, min(threads, num_envs))
        self.touched = np.full(num_envs, NOTHING)
        self._goal, self._facing = np.zeros((2, num_envs, 2))

    def begin(self, worlds: IntArray, seeds: IntArray | None, levels: tuple[IntArray, IntArray, IntArray]) -> None:
        """Start an episode in some worlds.

        Args:
            worlds: (k,) which.
            seeds: (k,) of the episodes, or None to go on in the stream of each world's last given seed.
            levels: the numbers of boxes, delays and numbers of further shows that an episode may draw.
        """
        seeds = begun_seeds(worlds, seeds, self._first_seed, self._number)
        self.seed[worlds], self.clock[worlds] = seeds, 0
        self.physics.state[worlds] = 0.0
        self.physics.state[worlds, :2], self.physics.state[worlds, 2] = self._point(seeds, np.zeros_like(seeds))
        self._set(worlds, layouts(seeds, *levels))
        self._lead(worlds)

    def _set(self, worlds: IntArray, layout: Layout) -> None:
        """Keep the layouts of some worlds, and what follows from them."""
        for name, array in vars(layout).items():
            getattr(self.layout, name)[worlds] = array
        self.question[worlds] = layout.shows * (layout.boxes * PERIOD_STEPS + layout.delay)
        self.limit[worlds] = self.question[worlds] + self._config.choice_steps
        self.touched[worlds] = NOTHING
        self.physics.place(worlds, layout.place, np.arange(BOXES) < layout.boxes[:, None])

    def _lead(self, worlds: IntArray) -> None:
        """Draw where some agents are led from now on."""
        number = 1 + self.clock[worlds] // WALK_STEPS
        self._goal[worlds], heading = self._point(self.seed[worlds], number)
        self._facing[worlds] = direction(heading)

    def _point(self, seeds: IntArray, number: IntArray) -> tuple[FloatArray, FloatArray]:
        """Where an agent is led for that time, and how it is turned there; see ``walk_point``."""
        point, heading = walk_point(seeds, number)
        return point, heading if self._config.turns else np.zeros_like(heading)

    def step(self, choice: IntArray) -> None:
        """Advance every world by one step; ``choice`` (W,) is each agent's direction."""
        free = self.acts
        force = self.physics.step(np.where(free[:, None], self._walk(choice), self._leading()))
        self.clock += 1
        touching = free & (force > 0.0).any(axis=1)
        self.touched = np.where(touching, force.argmax(axis=1), NOTHING)
        due = np.flatnonzero((self.clock % WALK_STEPS == 0) & ~self.acts)
        if len(due):
            self._lead(due)

    def _walk(self, choice: IntArray) -> FloatArray:
        """Velocity in the room [m/s] and yaw rate, (W, 3), of agents that walk in a direction of their body."""
        cos, sin = self.heading.T
        ahead, left = ROOM.agent_mps * TOWARDS[choice].T
        return np.stack([cos * ahead - sin * left, sin * ahead + cos * left, np.zeros_like(cos)], axis=1)

    def _leading(self) -> FloatArray:
        """The same of agents that are led, slower the nearer they are to where they go."""
        way = ROOM.lead_gain_ps * (self._goal - self.place)
        speed = np.sqrt(way[:, 0] ** 2 + way[:, 1] ** 2)
        way *= np.minimum(1.0, ROOM.led_mps / np.maximum(speed, 1e-9))[:, None]
        (cos, sin), (x, y) = self.heading.T, self._facing.T
        across = cos * y - sin * x
        turn = np.where(cos * x + sin * y < 0.0, np.copysign(1.0, across), across)
        rate = np.clip(ROOM.lead_gain_ps * turn, -ROOM.led_rps, ROOM.led_rps)
        return np.column_stack([way, rate])

    @property
    def acts(self) -> BoolArray:
        """Whether the question has been put, (W,): the next action counts."""
        acts: BoolArray = self.clock >= self.question
        return acts

    @property
    def place(self) -> FloatArray:
        """Where each agent is, (W, 2) [m] in the room."""
        return self.physics.state[:, :2]

    @property
    def heading(self) -> FloatArray:
        """Where each agent's body points, (W, 2): unit vectors in the room."""
        angle = self.physics.state[:, 2].copy()  # contiguous, so that one world is computed like one of many
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)

    @property
    def motion(self) -> FloatArray:
        """Velocity in the room [m/s] and yaw rate [rad/s] of each agent, (W, 3)."""
        return self.physics.state[:, MOTION]

    def to_box(self) -> FloatArray:
        """From each agent to each box, (W, 8, 2) [m] in the room."""
        return self.layout.place - self.place[:, None]

    def to_target(self) -> FloatArray:
        """From each agent to the right box, (W, 2) [m] in the room."""
        return self.layout.place[self._all, self.layout.target] - self.place

    @property
    def right(self) -> BoolArray:
        """Whether each agent has just touched the box that it was asked for, (W,)."""
        right: BoolArray = self.touched == self.layout.target
        return right

    @property
    def asked(self) -> IntArray:
        """The object that each agent is, or will be, asked for, (W,)."""
        asked: IntArray = self.layout.objects[self._all, self.layout.target]
        return asked

    def shown(self) -> tuple[IntArray, IntArray, IntArray]:
        """What is open now: number of the box, number of the screen and the object in it, (W,) each, or ``NOTHING``."""
        layout = self.layout
        showing = layout.boxes * PERIOD_STEPS
        show, within = np.divmod(self.clock, showing + layout.delay)
        delayed = within >= showing
        opening, phase = np.divmod(np.where(delayed, within - showing, within), PERIOD_STEPS)
        opened = (phase < OPEN_STEPS) & ~self.acts
        box, wall, thing = np.full((3, len(self._all)), NOTHING)
        at = np.flatnonzero(opened & ~delayed)
        box[at] = layout.order[at, opening[at]]
        thing[at] = layout.objects[at, show[at] * layout.boxes[at] + box[at]]
        at = np.flatnonzero(opened & delayed)
        if self._config.distractors and len(at):
            used = layout.shows[at] * layout.boxes[at]
            began = self.clock[at] - phase[at]
            wall[at], spare = screen(self.seed[at], began, self._config.distractors, OBJECTS - used)
            thing[at] = layout.objects[at, used + spare]
        return box, wall, thing

    def state(self) -> tuple[IntArray, FloatArray]:
        """All that the worlds' future depends on: (W, 7) and the bodies' (W, 6)."""
        level = self.layout.boxes, self.layout.delay, self.layout.shows
        numbers = np.stack([self._first_seed, self._number, self.seed, self.clock, *level], axis=1)
        return numbers, self.physics.state.copy()

    def load_state(self, numbers: IntArray, body: FloatArray) -> bool:
        """Undo ``state``; False, and nothing is changed, where so many worlds can't have it."""
        if not _possible(numbers, body, len(self._all)):
            return False
        first_seed, number, seed, clock, boxes, delay, shows = numbers.T.copy()
        self._first_seed, self._number, self.seed, self.clock = first_seed, number, seed, clock
        for world in self._all:
            one = slice(world, world + 1)
            self._set(self._all[one], layouts(seed[one], boxes[one], delay[one], shows[one] - 1))
        self.physics.state = body.copy()
        self._lead(self._all)
        return True

    def one(self, world: int, clock: int | None = None) -> "Worlds":
        """A copy of one world; at another ``clock`` if one is given, with the agent where it is now."""
        numbers, body = self.state()
        if clock is not None:
            numbers[world, 3] = clock
        copy = Worlds(1, self._config)
        copy.load_state(numbers[world : world + 1], body[world : world + 1])
        return copy


_LAYOUT_SHAPES = (
    ((BOXES, 2), np.float64),
    ((BOXES,), np.int64),
    ((OBJECTS,), np.int64),
)


def _possible(numbers: IntArray, body: FloatArray, worlds: int) -> bool:
    """Whether a state is one that stepping can lead to, as far as anything is indexed or integrated by it."""
    if numbers.shape != (worlds, STATE_SIZE) or numbers.dtype != np.int64 or (numbers < 0).any():
        return False
    if body.shape != (worlds, BODY_SIZE) or body.dtype != np.float64 or not np.isfinite(body).all():
        return False
    boxes, delay, shows = numbers.T[4:]
    levels = (boxes >= 1) & (boxes <= BOXES) & (delay >= 1) & (delay <= MOST_DELAY)
    inside = (abs(body[:, :2]) <= ROOM.side_m / 2).all(axis=1)
    return bool((levels & inside & (shows >= 1) & (shows <= MOST_SHOWS)).all())
