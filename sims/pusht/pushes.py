"""Every push that the demonstrators think of, and where it leads.

The block stops at once when nothing pushes it (the package damps all speed away in each of its steps), and it has no
friction with the agent. So the agent, which gives way to nothing, turns and shifts it as one impulse along the normal
does: by an amount that depends on where it touches, in the block's own frame, and not on where the block lies. An agent
that stays at that point of the block moves it along an arc.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from haltere.sims.pusht.constants import AGENT_PX, SPREAD_PX2, FloatArray

IndexArray = NDArray[np.intp]
LENGTHS_PX = np.array([0.7, 1.5, 2.5, 4, 6, 9, 13, 18, 25, 33, 43, 55, 70, 88, 110, 140])
"""How far the agent goes in the pushes that a plan is made of."""
CLEAR_PX = 6.0
"""How far from the block the agent lines up."""
_APART_PX = 6.0
_SIDES = (
    # From, to, and the direction of the push. What is nearer to a corner slips off it, or touches two sides at once.
    ((-54, -45), (54, -45), (0, 1)),
    ((60, -41), (60, -19), (-1, 0)),
    ((-60, -41), (-60, -19), (1, 0)),
    ((34, -15), (55, -15), (0, -1)),
    ((-34, -15), (-55, -15), (0, -1)),
    ((15, 4), (15, 70), (-1, 0)),
    ((-15, 4), (-15, 70), (1, 0)),
    ((-10, 75), (10, 75), (0, -1)),
)
SIDES = len(_SIDES)


class Pushes:
    """Points of the outline, (C,), and what pushing there does; all in the block's frame.

    Attributes:
        at: (C, 2) where the agent touches [px].
        inward: (C, 2) which way it pushes.
        side: (C,) number of the straight side.
        touching: (C, 2) the agent's middle when it touches [px].
        ready: (C, 2) where it lines up before [px].
        shift: (C, 2) the block's centre of gravity [px per px of the agent's way].
        turn: (C,) the block [rad per px].
    """

    def __init__(self) -> None:
        """Lay them out evenly on each side."""
        rows: list[tuple[float, ...]] = []
        for number, (begin, end, inward) in enumerate(_SIDES):
            span = np.subtract(end, begin)
            count = round(float(abs(span).sum()) / _APART_PX) + 1
            rows += [(*(begin + share * span), *inward, number) for share in np.linspace(0.0, 1.0, count)]
        table = np.array(rows)
        self.at, self.inward, self.side = table[:, :2], table[:, 2:4], table[:, 4].astype(np.intp)
        self.touching = self.at - AGENT_PX * self.inward
        self.ready = self.touching - CLEAR_PX * self.inward
        lever = self.at[:, 0] * self.inward[:, 1] - self.at[:, 1] * self.inward[:, 0]
        # An impulse J along the normal n at r shifts by J n / m and turns by J (r x n) / I; the point r must give way
        # along n as fast as the agent comes.
        gives = 1.0 + lever**2 / SPREAD_PX2
        self.shift, self.turn = self.inward / gives[:, None], lever / SPREAD_PX2 / gives

    def moved(self, contact: IndexArray, length: FloatArray, point: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Where a point of the block comes, and how far the block turns, when the agent goes a way.

        Args:
            contact: (N,) which.
            length: (N,) of the agent's way [px].
            point: (2,), or (N, 2), in the block's frame as it is before [px].

        Returns:
            (N, 2) in that same frame [px], and (N,) [rad].
        """
        angle, shift = self.turn[contact] * length, self.shift[contact] * length[:, None]
        # The mean of a rotation from 0 to the angle: sin(a) / a and (1 - cos(a)) / a.
        along, across = np.sinc(angle / np.pi), np.sinc(angle / (2 * np.pi)) ** 2 * angle / 2
        cosine, sine = np.cos(angle), np.sin(angle)
        x, y = np.broadcast_to(point, shift.shape).T
        moved_x = along * shift[:, 0] - across * shift[:, 1] + cosine * x - sine * y
        moved_y = across * shift[:, 0] + along * shift[:, 1] + sine * x + cosine * y
        return np.stack([moved_x, moved_y], axis=1), angle


@cache
def pushes() -> Pushes:
    """All of them."""
    return Pushes()
