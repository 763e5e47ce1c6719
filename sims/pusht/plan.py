"""Which push comes next: of all pairs of pushes, the pair that brings the block nearest to its goal for its time.

A block's pose, as it is used here, is (2,) how far its centroid is from the goal's, in the block's own frame [px], and
how far it is turned from the goal [rad]. How far it is off is one number: the root mean square distance of its points
from where they belong, of which moving a centroid and turning about it are independent parts.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from haltere.sims.pusht.constants import (
    BOARD_PX,
    CENTROID,
    GOAL_PX,
    GOAL_RAD,
    ORIGIN,
    OUTLINE,
    TURNING_PX2,
    WALLS_PX,
    FloatArray,
    rotation,
)
from haltere.sims.pusht.pushes import LENGTHS_PX, IndexArray, pushes
from haltere.sims.pusht.ways import CORNERS, BoolArray, lengths, roads

_GOAL_CENTROID = GOAL_PX + rotation(GOAL_RAD) @ (CENTROID - ORIGIN)
TRAVEL_PX, PUSH_PX = 22.0, 9.0
"""How far the agent gets in a step on its way, and as it pushes."""
_TURNAROUND = 7.0
"""Steps that a push costs beside its length."""
_OPEN, _OPEN_PER_PX = 15.0, 2.5
"""Steps that are thought to be needed from where a plan ends, if it isn't the goal; and for each px that is missing."""
_MOST_HURRY = 6
_THERE_PX = 1.5
"""The goal, for a plan."""
_BAD, _HOPELESS = 50.0, 5000.0
"""Steps that count for a block or an agent that would be led through a wall; and for what can't be done."""
EDGE_PX = 1.0
"""The agent is led no nearer to the edge of what it can be told to go to."""
_ROWS = 48
"""Of a table that are worked on at once, so that it stays in the cache."""


@dataclass(frozen=True)
class Board:
    """One moment as the demonstrator sees it.

    Attributes:
        middle: (2,) the block's centre of gravity [px].
        turned: (2, 2) from the block's frame to the board's.
        yaw: of the block [rad].
        agent: (2,) in the block's frame [px].
    """

    middle: FloatArray
    turned: FloatArray
    yaw: float
    agent: FloatArray

    @classmethod
    def seen(cls, state: FloatArray) -> "Board":
        """What a state (6,) says: agent, the package's origin of the block, cosine and sine of its angle."""
        yaw = float(np.arctan2(state[5], state[4]))
        turned = rotation(yaw)
        middle = state[2:4] - turned @ ORIGIN
        return cls(middle, turned, yaw, turned.T @ (state[:2] - middle))

    def place(self, points: FloatArray) -> FloatArray:
        """From the block's frame (..., 2) to the board's."""
        placed: FloatArray = self.middle + points @ self.turned.T
        return placed

    @property
    def pose(self) -> tuple[FloatArray, float]:
        """See the module."""
        return self.turned.T @ (self.middle - _GOAL_CENTROID) + CENTROID, self.yaw - GOAL_RAD


@dataclass(frozen=True)
class Mood:
    """Who plans.

    Attributes:
        taste: (S,) how much longer than it is a push at each side seems.
        banned: contacts that were given up since the block moved; they aren't thought of.
    """

    taste: FloatArray
    banned: frozenset[int] = frozenset()

    @property
    def hurry(self) -> float:
        """How much more what is missing counts: twice for each of them, or no push might ever seem worth its steps."""
        return 2.0 ** min(_MOST_HURRY, max(0, len(self.banned) - 1))


def off(way: FloatArray, turned: FloatArray) -> FloatArray:
    """How far blocks are off, (N,) [px], of poses (N, 2) and (N,)."""
    missing: FloatArray = np.sqrt((way**2).sum(axis=1) + 2.0 * TURNING_PX2 * (1.0 - np.cos(turned)))
    return missing


class _Table:
    """Every contact with every length, (P,), and what is the same wherever the block lies.

    Attributes:
        contact: (P,) number.
        length: (P,) [px].
        outcome: (5, P); times a row of ``_terms`` it is the square of how far the block is off afterwards.
        travel: (C, C) steps from lining up for one push to lining up for another.
    """

    def __init__(self) -> None:
        """Work them out."""
        count = len(pushes().side)
        self.contact, self.length = np.repeat(np.arange(count), len(LENGTHS_PX)), np.tile(LENGTHS_PX, count)
        moved, turn = pushes().moved(self.contact, self.length, CENTROID)
        x, y = (moved - CENTROID).T
        outcome = [x**2 + y**2, 2 * x, 2 * y, -2 * TURNING_PX2 * np.cos(turn), 2 * TURNING_PX2 * np.sin(turn)]
        self.outcome = np.stack(outcome).astype(np.float32)
        self.travel = roads().between / TRAVEL_PX


@cache
def table() -> _Table:
    """Worked out once a process."""
    return _Table()


def push_steps(contact: IndexArray, length: FloatArray, taste: FloatArray) -> FloatArray:
    """Steps that pushes (N,) count for one who likes some sides less, (S,)."""
    steps: FloatArray = (length / PUSH_PX + _TURNAROUND) * taste[pushes().side[contact]]
    return steps


def _open_steps(missing: FloatArray, hurry: float) -> FloatArray:
    """Steps that are thought to be needed where so much is missing [px]."""
    unfinished = np.where(missing > _THERE_PX, np.float32(_OPEN), np.float32(0.0))
    steps: FloatArray = np.float32(hurry * _OPEN_PER_PX) * missing + unfinished
    return steps


def after(board: Board, contact: IndexArray, length: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The block's pose after pushes (N,), (N, 2) and (N,)."""
    (way, yaw), (moved, turn) = board.pose, pushes().moved(contact, length, CENTROID)
    x, y = (way + moved - CENTROID).T
    cosine, sine = np.cos(turn), np.sin(turn)
    return np.stack([cosine * x + sine * y, cosine * y - sine * x], axis=1), yaw + turn


def steps_from(way: FloatArray, turned: FloatArray, contact: IndexArray, mood: Mood) -> FloatArray:
    """Steps that are still needed, (N,), in poses (N, 2) and (N,) after pushes (N,), by one more push or none."""
    pairs, square = table(), (way**2).sum(axis=1) + 2.0 * TURNING_PX2
    terms = np.stack([np.ones(len(way)), *way.T, np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)
    push = push_steps(pairs.contact, pairs.length, mood.taste).astype(np.float32).reshape(-1, len(LENGTHS_PX))
    between = (pairs.travel[contact] + _out_of_reach(way, turned)).astype(np.float32)[:, :, None]
    square, best = square.astype(np.float32)[:, None], np.empty(len(way))
    for first in range(0, len(way), _ROWS):
        rows = slice(first, first + _ROWS)
        missing = terms[rows] @ pairs.outcome
        missing += square[rows]
        missing = np.sqrt(np.maximum(missing, 0.0, out=missing), out=missing)
        steps = _open_steps(missing, mood.hurry).reshape(len(missing), *push.shape) + push
        steps += between[rows]
        best[rows] = steps.min(axis=(1, 2))
    return np.minimum(best, _open_steps(off(way, turned), mood.hurry))


def _out_of_reach(way: FloatArray, turned: FloatArray) -> FloatArray:
    """Steps that count for pushes that the agent can't line up for on the board, (N, C), in poses (N, 2) and (N,)."""
    yaw, (x, y) = turned + GOAL_RAD, (pushes().ready - CENTROID).T
    cosine, sine = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    at_x = _GOAL_CENTROID[0] + cosine * (way[:, :1] + x) - sine * (way[:, 1:] + y)
    at_y = _GOAL_CENTROID[1] + sine * (way[:, :1] + x) + cosine * (way[:, 1:] + y)
    inside = (np.minimum(at_x, at_y) > EDGE_PX) & (np.maximum(at_x, at_y) < BOARD_PX - EDGE_PX)
    return np.where(inside, 0.0, _HOPELESS)


def _walls(board: Board, contact: IndexArray, length: FloatArray) -> FloatArray:
    """Steps that count for leading the block into a wall, or the agent off the board, (N,)."""
    low, high = WALLS_PX
    spill = np.zeros(len(contact))
    for corner in OUTLINE:
        at = board.place(pushes().moved(contact, length, corner)[0])
        spill = np.maximum(spill, np.maximum(low + 2.0 - at, at - high + 2.0).max(axis=1))
    at = board.place(pushes().moved(contact, length, pushes().touching[contact])[0])
    gone = np.maximum(-at, at - BOARD_PX).max(axis=1)
    return np.where(spill > 0.0, _BAD + spill, 0.0) + np.where(gone > 0.0, _BAD + gone, 0.0)


def on_board(points: FloatArray) -> BoolArray:
    """Whether the agent can be told to go to points (N, 2), (N,)."""
    inside: BoolArray = np.logical_and.reduce((points > EDGE_PX) & (points < BOARD_PX - EDGE_PX), axis=1)
    return inside


def next_push(board: Board, mood: Mood) -> tuple[int, float]:
    """The push to begin now.

    Args:
        board: as it is.
        mood: of who makes it.

    Returns:
        The contact's number, and how far to go [px].
    """
    pairs = table()
    there = lengths(board.agent, on_board(board.place(CORNERS))) / TRAVEL_PX
    there = np.where(on_board(board.place(pushes().ready)) & np.isfinite(there), there, _HOPELESS)
    there[list(mood.banned)] += _HOPELESS
    way, turned = after(board, pairs.contact, pairs.length)
    steps = steps_from(way, turned, pairs.contact, mood) + push_steps(pairs.contact, pairs.length, mood.taste)
    best = int(np.argmin(steps + there[pairs.contact] + _walls(board, pairs.contact, pairs.length)))
    return int(pairs.contact[best]), float(pairs.length[best])


def further(board: Board, contact: int, length: float, mood: Mood) -> float:
    """How far to go on with a push that was begun for a length: what serves best as things are now [px]."""
    ways = np.linspace(0.0, 1.0, 32) ** 2 * min(150.0, 1.6 * length + 10.0)
    contacts = np.full(len(ways), contact)
    way, turned = after(board, contacts, ways)
    steps = steps_from(way, turned, contacts, mood) + ways / PUSH_PX + _walls(board, contacts, ways)
    return float(ways[np.argmin(steps)])
