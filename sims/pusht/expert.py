"""The demonstrators: each plans two pushes ahead, makes the first, looks, and plans anew.

Each episode has a demonstrator of its own, who dislikes some of the T's sides more than others. Who that is follows
from the episode's seed and shows in no observation: of pushes that serve about as well, each picks others. It goes by
what it senses, and remembers little: which push it is at, and which have just led nowhere.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from haltere.sims.actor import ArrayTree
from haltere.sims.chance import IntArray, key, uniform, waves, words
from haltere.sims.pusht.constants import BOARD_PX, LAG_S, FloatArray
from haltere.sims.pusht.plan import Board, Mood, further, next_push, on_board
from haltere.sims.pusht.pushes import SIDES, pushes
from haltere.sims.pusht.ways import CORNERS, next_stop
from haltere.sims.pusht.worlds import Worlds

DISLIKE = 2.0
"""How much longer than it is a push seems at the side that somebody likes least, at most."""
_GO_PXPS, _PUSH_PXPS = 300.0, 100.0
"""Its speed on the way, and as it pushes."""
_READY_PX, _TOUCH_PX = 5.0, 3.0
"""It begins to push when it is as near to where it lines up, or to where it touches."""
_DONE_PX, _ARRIVED_PX = 0.35, 2.0
"""A push is over when no more than the former is left of it and the agent is no farther from the block."""
_SLIPPED_PX = (4.0, 8.0)
"""It is over as well when the agent is so deep in the block, or so far along its side."""
_PATIENCE = 60
"""Steps after which a way or a push that hasn't come to its end is given up."""

_MOVED_PX, _TURNED_RAD = 1.0, 0.02
"""A block that moved less is thought to lie where it lay."""

_SALT = np.uint64(0xD6E8FEB86659FD93)
_WAVES = 3
_WAVE_RAD = (0.15, 0.9)
"""Range of the noise's frequencies [rad per control step]: periods of 7 to 42 steps."""


@dataclass(frozen=True)
class Style:
    """Who demonstrates k episodes.

    Attributes:
        taste: (k, S) how much longer than it is a push at each side seems, 1 to 3.
        frequency: (k, 2, 3) of its noise [rad per step].
        phase: (k, 2, 3) of its noise [rad].
    """

    taste: FloatArray
    frequency: FloatArray
    phase: FloatArray


def styles(seeds: IntArray) -> Style:
    """Draw who demonstrates the episodes of these seeds, (k,)."""
    share = uniform(words(key(seeds) ^ _SALT, SIDES + 4 * _WAVES))
    drawn = share[:, SIDES:].reshape(len(seeds), 2, 2, _WAVES)
    low, high = _WAVE_RAD
    return Style(1.0 + DISLIKE * share[:, :SIDES], low + (high - low) * drawn[:, 0], 2.0 * math.pi * drawn[:, 1])


class _Demonstrator:
    """One of them, in one episode."""

    def __init__(self, taste: FloatArray) -> None:
        """Know what it likes; (S,)."""
        # Banned is what was given up since the block moved last; that one's pose; and what was given up last of all.
        self._mood = Mood(taste)
        self._pose = (np.full(2, np.inf), 0.0)
        self._last = -1
        self._contact: int | None = None
        self._length_px = 0.0
        self._pushing = False
        self._steps = 0

    def target(self, state: FloatArray) -> FloatArray:
        """Where the agent is to be led, (2,) [px]; ``state`` (6,) is what is sensed."""
        board = Board.seen(state)
        self._steps += 1
        if self._contact is not None and self._pushing:
            self._go_on(board, self._contact)
        elif self._contact is not None and self._steps > _PATIENCE:
            self._give_up(self._contact)
        if self._contact is None:
            self._forgive(board)
            self._contact, self._length_px = next_push(board, self._mood)
            self._pushing, self._steps = False, 0
        contact = self._contact
        if not self._pushing:
            near = [pushes().ready[contact] - board.agent, pushes().touching[contact] - board.agent]
            self._pushing = math.hypot(*near[0]) < _READY_PX or math.hypot(*near[1]) < _TOUCH_PX
            self._steps = 0 if self._pushing else self._steps
        return self._pushed(board, contact) if self._pushing else _led(board, contact)

    def _give_up(self, contact: int) -> None:
        """Push elsewhere first, whether this push is done or leads nowhere."""
        self._contact, self._last = None, contact
        self._mood = replace(self._mood, banned=self._mood.banned | {contact})

    def _forgive(self, board: Board) -> None:
        """Think of all pushes but the last again, if the block has moved since this was last asked."""
        (way, turned), (before, angle) = board.pose, self._pose
        if math.hypot(*(way - before)) > _MOVED_PX or abs(turned - angle) > _TURNED_RAD:
            self._mood = replace(self._mood, banned=self._mood.banned & {self._last})
        self._pose = way, turned

    def _go_on(self, board: Board, contact: int) -> None:
        """Decide how far to push, and whether that was it."""
        inward, apart = pushes().inward[contact], pushes().touching[contact] - board.agent
        gap, aside = float(apart @ inward), float(apart[0] * inward[1] - apart[1] * inward[0])
        if gap < _TOUCH_PX:
            self._length_px = further(board, contact, self._length_px, self._mood)
        done = gap < _ARRIVED_PX and self._length_px < _DONE_PX
        if done or gap < -_SLIPPED_PX[0] or abs(aside) > _SLIPPED_PX[1] or self._steps > _PATIENCE:
            self._give_up(contact)

    def _pushed(self, board: Board, contact: int) -> FloatArray:
        """A target ahead on the arc of the push."""
        ahead = np.array([min(self._length_px, LAG_S * _PUSH_PXPS)])
        moved, _ = pushes().moved(np.array([contact]), ahead, pushes().touching[contact])
        return board.place(moved[0])


def _led(board: Board, contact: int) -> FloatArray:
    """A target on the way to where the agent lines up."""
    stop = board.place(next_stop(board.agent, contact, on_board(board.place(CORNERS))))
    at = board.place(board.agent)
    way = stop - at
    return at + way * min(1.0, LAG_S * _GO_PXPS / max(math.hypot(*way), 1e-6))


class Demonstrators:
    """The demonstrator of each world's episode. Of the worlds it knows seeds and clocks; the rest it senses."""

    def __init__(self, worlds: Worlds, noise: float) -> None:
        """Act in these worlds, and in no others; ``noise`` is the configuration's ``expert_noise``."""
        self._worlds, self._noise = worlds, noise
        self._style = styles(worlds.seed)
        self._at_work = [_Demonstrator(taste) for taste in self._style.taste]

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Forget which push it is at, in some worlds (W,) or in all."""
        self._style = styles(self._worlds.seed)
        for world in np.flatnonzero(np.ones(len(self._at_work), np.bool_) if mask is None else mask).tolist():
            self._at_work[world] = _Demonstrator(self._style.taste[world])

    def act(self, obs: ArrayTree) -> ArrayTree:
        """Commands (W, 2) as ``"action"``."""
        begun = self._worlds.clock == 0
        if begun.any():
            self.reset(begun)
        state = obs["state"].astype(np.float64)
        target = np.stack([one.target(row) for one, row in zip(self._at_work, state, strict=True)])
        action = 2.0 * target / BOARD_PX - 1.0
        action += waves(self._style.frequency, self._style.phase, self._worlds.clock, self._noise)
        return {"action": np.clip(action, -1.0, 1.0).astype(np.float32)}
