"""The table's rules: W episodes, without what the agents sense of them."""

import numpy as np
from numpy.typing import NDArray

from haltere.sims.chance import IntArray, begun_seeds
from haltere.sims.mujoco.fork.constants import SHOVE_BEHIND_M, TABLE
from haltere.sims.mujoco.fork.draws import SCENE_SIZE, FloatArray, Scene, scenes, shoves
from haltere.sims.mujoco.fork.physics import BLOCK, PADDLE, YAW, Physics
from haltere.sims.mujoco.fork.physics import STATE_SIZE as BODY_SIZE

BoolArray = NDArray[np.bool_]
STATE_SIZE = 6
_SIDE = 4
TRAIL_STEPS = 128
_FARTHEST_M = 10.0
"""Nothing that stepping leads to is as far off."""


class Worlds:
    """W tables, each with its paddle.

    Attributes:
        seed: (W,) of the episode.
        clock: (W,) control steps since its reset.
        side: (W,) how the paddle first came past the pane: 1 left of it, -1 right of it, 0 not yet.
        shoved: (W,) the step before which the paddle was set aside; 0 where it wasn't.
        scene: what the episodes began with; ``Scene``'s arrays, (W,).
        physics: the bodies.
        trail: (W, 128, 2) where the paddle was, for a film [m]: step n of the episode at n modulo 128, NaN where that
            isn't known. The worlds' future doesn't depend on it.
        broke: (W,) whether the pane has just been touched; it ends an episode, which is for the caller to see to.
    """

    def __init__(self, num_envs: int, threads: int = 1, *, paired: bool = False, shove_m: float = 0.0) -> None:
        """Make room; ``begin`` fills it.

        Args:
            num_envs: W.
            threads: of the physics.
            paired: whether an odd seed has the scene of the even one before it, and its shove.
            shove_m: how far each episode's paddle is set aside; 0 for not at all.
        """
        self._paired, self._shove_m = paired, shove_m
        self._all = np.arange(num_envs)
        self._first_seed, self._number, self.seed = np.zeros((3, num_envs), np.int64)
        self.clock, self.side, self.shoved = np.zeros((3, num_envs), np.int64)
        self._shove = shoves(self.seed)
        self.scene = Scene(*np.zeros((SCENE_SIZE, num_envs)))
        self.physics = Physics(num_envs, min(threads, num_envs))
        self.trail = np.full((num_envs, TRAIL_STEPS, 2), np.nan)
        self.broke = np.zeros(num_envs, np.bool_)

    def begin(self, worlds: IntArray, seeds: IntArray | None) -> None:
        """Start an episode in some worlds.

        Args:
            worlds: (k,) which.
            seeds: (k,) of the episodes, or None to go on in the stream of each world's last given seed.
        """
        seeds = begun_seeds(worlds, seeds, self._first_seed, self._number)
        self.seed[worlds], self.clock[worlds], self.side[worlds], self.shoved[worlds] = seeds, 0, 0, 0
        drawn = self._set(worlds, seeds)
        pose = [drawn.start_x, drawn.start_y, drawn.block_x, drawn.block_y, drawn.block_yaw]
        still = np.zeros_like(drawn.start_x)
        self.physics.state[worlds] = np.stack([*pose, drawn.ahead_mps, drawn.aside_mps, still, still, still], axis=1)
        self._mark(worlds)

    def _set(self, worlds: IntArray, seeds: IntArray) -> Scene:
        """Draw, keep and give the scenes of some worlds."""
        own = seeds - seeds % 2 if self._paired else seeds
        drawn, shove = scenes(own), shoves(own)
        for kept, new in ((self.scene, drawn), (self._shove, shove)):
            for name, array in vars(new).items():
                getattr(kept, name)[worlds] = array
        self.physics.place(worlds, drawn)
        self.broke[worlds] = False
        self.trail[worlds] = np.nan
        return drawn

    def _mark(self, worlds: IntArray) -> None:
        """Keep where some paddles are now."""
        self.trail[worlds, self.clock[worlds] % TRAIL_STEPS] = self.paddle[worlds]

    def step(self, action: FloatArray) -> None:
        """Advance every world by one step; ``action`` (W, 2) in [-1, 1] is the paddle's velocity ahead and left."""
        self._set_aside()
        self.broke = self.physics.step(TABLE.paddle_mps * action)
        self.clock += 1
        paddle = self.paddle
        passed = (self.side == 0) & (paddle[:, 0] > self.scene.pane_x)
        self.side[passed] = np.where(paddle[passed, 1] > 0.0, 1, -1)
        self._mark(self._all)

    def _set_aside(self) -> None:
        """Shove the paddles whose time has come, behind the back of whoever has just decided on a command."""
        if self._shove_m == 0.0:
            return
        behind = self.paddle[:, 0] > self.scene.pane_x + SHOVE_BEHIND_M
        due = (self.shoved == 0) & (self.clock >= self._shove.step) & behind
        self.paddle[due, 1] += self._shove_m * self._shove.side[due]
        self.shoved[due] = self.clock[due]

    @property
    def paddle(self) -> FloatArray:
        """Middle of each paddle, (W, 2) [m]."""
        return self.physics.state[:, PADDLE]

    @property
    def block(self) -> FloatArray:
        """Centre of each block, (W, 2) [m]."""
        return self.physics.state[:, BLOCK]

    @property
    def yaw(self) -> FloatArray:
        """Yaw of each block, (W,) [rad]."""
        yaw: FloatArray = self.physics.state[:, YAW].copy()  # contiguous: one world is computed like one of many
        return yaw

    @property
    def error_m(self) -> FloatArray:
        """How far each block is from its goal, (W,) [m]."""
        way = np.stack([self.scene.goal_x, self.scene.goal_y], axis=1) - self.block
        return np.sqrt(way[:, 0] ** 2 + way[:, 1] ** 2)

    @property
    def solved(self) -> BoolArray:
        """Whether each block is in its goal, and the pane whole, (W,)."""
        solved: BoolArray = (self.error_m <= TABLE.goal_m) & ~self.broke
        return solved

    def state(self) -> tuple[IntArray, FloatArray]:
        """All that the worlds' future depends on: (W, 6) and the bodies' (W, 10)."""
        numbers = [self._first_seed, self._number, self.seed, self.clock, self.side, self.shoved]
        return np.stack(numbers, axis=1), self.physics.state.copy()

    def load_state(self, numbers: IntArray, body: FloatArray) -> bool:
        """Undo ``state``; False, and nothing is changed, where so many worlds can't have it."""
        if not _possible(numbers, body, len(self._all)):
            return False
        self._first_seed, self._number, self.seed, self.clock, self.side, self.shoved = numbers.T.copy()
        self._set(self._all, self.seed)
        self.physics.state = body.copy()
        self._mark(self._all)
        return True

    def one(self, world: int) -> "Worlds":
        """A copy of one world."""
        numbers, body = self.state()
        copy = Worlds(1, paired=self._paired, shove_m=self._shove_m)
        copy.load_state(numbers[world : world + 1], body[world : world + 1])
        copy.trail = self.trail[world : world + 1].copy()
        copy.broke = self.broke[world : world + 1].copy()
        return copy


def _possible(numbers: IntArray, body: FloatArray, worlds: int) -> bool:
    """Whether a state is one that stepping can lead to, as far as anything is drawn or integrated from it."""
    if numbers.shape != (worlds, STATE_SIZE) or numbers.dtype != np.int64:
        return False
    if (np.delete(numbers, _SIDE, axis=1) < 0).any() or (abs(numbers[:, _SIDE]) > 1).any():
        return False
    if body.shape != (worlds, BODY_SIZE) or body.dtype != np.float64 or not np.isfinite(body).all():
        return False
    return bool((abs(body[:, :4]) <= _FARTHEST_M).all())
