"""The demonstrators: each episode has one of its own, who goes left or right, near or wide, brisk or careful.

Which one it is follows from the episode's seed and shows in no observation. What it does follows from what is sensed,
from who it is, and from a little smooth noise; it remembers nothing, so that it goes on sensibly from wherever it is.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haltere.sims.actor import ArrayTree
from haltere.sims.chance import IntArray, key, uniform, waves, words
from haltere.sims.mujoco.fork.config import ForkConfig
from haltere.sims.mujoco.fork.constants import TABLE, Range
from haltere.sims.mujoco.fork.draws import FloatArray
from haltere.sims.mujoco.fork.worlds import Worlds

CLEAR_M = {"near": (0.02, 0.025), "wide": (0.04, 0.045)}
"""How far from the pane's edge an expert passes."""
SPEED = {"careful": (0.4, 0.45), "brisk": (0.6, 0.65)}
"""Of its commands, of 1, once it is past the pane."""
SWERVE = 0.95
"""Of everybody's until it is beside the pane: a turn of three steps leaves no time to make up one's mind."""
LEAST_SLOPE = 0.6
"""How far it goes ahead for each metre aside, at least: nobody stops before the pane."""
CORNER_M = 0.015
"""How far from touching the pane it passes the corner."""
BEHIND_M, CURVE_M = 0.06, 0.015
"""How far behind the pane's middle it turns back, begun so much before."""
STAGE_M = 0.025
"""How far behind the block it lines up."""
CENTRED_M, LOST_M = 0.01, 0.035
"""It begins to push when it is off the block's middle by the former at most, and goes on up to the latter."""
LEAST_PUSH_M = 0.03
"""It pushes as if the goal were so far ahead at least: a block beside its goal isn't pushed sideways."""
ARRIVAL_S = 0.12
"""Time constant with which it comes to where it wants to be."""

_SALT = np.uint64(0xA0761D6478BD642F)
_SINGLES, _WAVES = 5, 3
_WAVE_RAD = (0.15, 0.9)
"""Range of the noise's frequencies [rad per control step]: periods of 7 to 42 steps."""


@dataclass(frozen=True)
class Style:
    """Who demonstrates k episodes.

    Attributes:
        way: (k,) 1 left, -1 right.
        wide: (k,) whether it passes the pane in a wide curve.
        brisk: (k,) whether it goes fast behind the pane.
        clear_m: (k,) its distance from the pane's edge as it passes.
        speed: (k,) of its commands, of 1, behind the pane.
        frequency: (k, 2, 3) of its noise [rad per step].
        phase: (k, 2, 3) of its noise [rad].
    """

    way: FloatArray
    wide: NDArray[np.bool_]
    brisk: NDArray[np.bool_]
    clear_m: FloatArray
    speed: FloatArray
    frequency: FloatArray
    phase: FloatArray


def styles(seeds: IntArray, experts: str = "mixed") -> Style:
    """Draw who demonstrates the episodes of these seeds, (k,); ``experts`` is the configuration's."""
    share = uniform(words(key(seeds) ^ _SALT, _SINGLES + 4 * _WAVES))
    ways = {
        "mixed": np.where(share[:, 0] < 0.5, 1.0, -1.0),
        "both": np.where(seeds % 2 == 0, 1.0, -1.0),
        "left": np.ones(len(seeds)),
        "right": -np.ones(len(seeds)),
    }
    wide, brisk = share[:, 1] < 0.5, share[:, 2] < 0.5
    drawn = share[:, _SINGLES:].reshape(len(seeds), 2, 2, _WAVES)
    return Style(
        way=ways[experts],
        wide=wide,
        brisk=brisk,
        clear_m=np.where(wide, _within(CLEAR_M["wide"], share[:, 3]), _within(CLEAR_M["near"], share[:, 3])),
        speed=np.where(brisk, _within(SPEED["brisk"], share[:, 4]), _within(SPEED["careful"], share[:, 4])),
        frequency=_within(_WAVE_RAD, drawn[:, 0]),
        phase=_within((0.0, 2.0 * math.pi), drawn[:, 1]),
    )


def _within(between: Range, share: FloatArray) -> FloatArray:
    low, high = between
    return low + (high - low) * share


def command(state: FloatArray, style: Style) -> FloatArray:
    """What k experts do without noise, (k, 2); ``state`` (k, 12) is what they sense."""
    # Where the paddle would come to a stand from now: it has mass.
    x, y = (state[:, :2] + TABLE.servo_s * state[:, 2:4]).T
    (block_x, block_y), (pane_x, pane_half), goal = state[:, 4:6].T, state[:, 8:10].T, state[:, 10:12].T
    edge = pane_half + TABLE.paddle_half_m
    out = style.way * (edge + style.clear_m)
    corner = pane_x - TABLE.pane_thick_m - TABLE.bar_radius_m - CORNER_M
    behind = pane_x + BEHIND_M
    stage = block_x - TABLE.block_half_m - TABLE.bar_radius_m - STAGE_M
    left = np.maximum(style.way * (out - y), 0.0)
    aside = style.way * y > edge + 0.5 * style.clear_m
    off = block_y - y
    pushing = (abs(off) < CENTRED_M) | ((x > stage + 0.5 * STAGE_M) & (abs(off) < LOST_M))
    # What applies first: turn aside, pass the pane, come behind the block; or else push it.
    cases = [(x < behind - CURVE_M) & ~aside, x < behind - CURVE_M, ~pushing]
    ways = [
        np.stack([np.maximum(corner - x, LEAST_SLOPE * left), out - y]),
        np.stack([behind - x, out - y]),
        np.stack([stage - x, off]),
    ]
    push = np.stack([np.maximum(goal[0] - block_x, LEAST_PUSH_M), goal[1] - block_y + 0.5 * off])
    way = np.select(cases, ways, push)
    far = np.sqrt(way[0] ** 2 + way[1] ** 2)
    speed = np.minimum(np.where(cases[0], SWERVE, style.speed), far / (ARRIVAL_S * TABLE.paddle_mps))
    action: FloatArray = (way * speed / np.maximum(far, 1e-6)).T
    return action


class Demonstrators:
    """The expert of each world's episode. Of the worlds it knows the episodes' seeds and clocks; the rest it senses."""

    def __init__(self, worlds: Worlds, config: ForkConfig) -> None:
        """Act in these worlds, and in no others."""
        self._worlds, self._config = worlds, config

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Nothing is remembered."""

    def act(self, obs: ArrayTree) -> ArrayTree:
        """Commands (W, 2) as ``"action"``."""
        style = styles(self._worlds.seed, self._config.experts)
        action = command(obs["state"].astype(np.float64), style)
        action += waves(style.frequency, style.phase, self._worlds.clock, self._config.expert_noise)
        return {"action": np.clip(action, -1.0, 1.0).astype(np.float32)}
