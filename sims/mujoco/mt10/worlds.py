"""W episodes: their states, which the benches step one after the other, and what is sensed of them."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from haltere.sims.chance import IntArray, begun_seeds
from haltere.sims.mujoco.mt10.benches import SENSED_SIZE, Bench, Float32Array, bench
from haltere.sims.mujoco.mt10.constants import SUB_TASKS
from haltere.sims.mujoco.mt10.draws import FloatArray, shoves, sub_tasks

BoolArray = NDArray[np.bool_]
NUMBERS = 4
"""Whole numbers of a world: its first seed, the number of its episode since, that one's seed, and its clock."""
BODY_SIZE = 288
"""Most numbers that MuJoCo needs for a state of one of the ten."""
_TURNS = np.array([sub_task.turns for sub_task in SUB_TASKS])


class Worlds:
    """W episodes.

    Attributes:
        seed: (W,) of the episode.
        clock: (W,) Meta-World's steps since its reset; a control step of the caller's may take several.
        kind: (W,) number of its sub-task.
        drawn: (W, 6) where object and goal were placed; unused numbers are 0.
        target: (W, 3) [m].
        shove_step: (W,) the one of Meta-World's steps before which its hand is shoved, where they are at all.
        shown: (W, 39) what is sensed, as Meta-World gives it: now, a step before, and the target.
        solved: (W,) whether the last step brought success; it ends an episode, which is for the caller to see to.
    """

    def __init__(
        self, num_envs: int, chosen: Sequence[int], threads: int = 1, shove_m: float = 0.0, repeat: int = 1
    ) -> None:
        """Make room for episodes of the chosen sub-tasks; ``begin`` fills it.

        Args:
            num_envs: W.
            chosen: numbers of the sub-tasks.
            threads: of the physics.
            shove_m: how far each episode's hand is shoved; 0 for not at all.
            repeat: Meta-World's steps in one of the caller's control steps, before a whole one of which a shove comes.
        """
        self._chosen = np.array(chosen, np.int64)
        self._benches: dict[int, Bench] = {int(number): bench(int(number)) for number in set(chosen)}
        self._first_seed, self._number, self.seed, self.clock = np.zeros((NUMBERS, num_envs), np.int64)
        self.kind = np.full(num_envs, chosen[0], np.int64)
        self.drawn, self.target = np.zeros((num_envs, 6)), np.zeros((num_envs, 3))
        self._shove_m = shove_m
        self._repeat = repeat
        self.shove_step, self._shove_way = np.zeros(num_envs, np.int64), np.zeros((num_envs, 3))
        self._body = np.zeros((num_envs, BODY_SIZE))
        self._now, self.shown = np.zeros((num_envs, SENSED_SIZE)), np.zeros((num_envs, 2 * SENSED_SIZE + 3))
        self._turned = np.zeros((num_envs, 9))
        self.solved = np.zeros(num_envs, np.bool_)
        # Sub-tasks are dealt out among the threads, since each has one bench.
        workers = min(threads, len(self._benches), num_envs)
        self._pool = ThreadPoolExecutor(workers) if workers > 1 else None
        self._workers = workers

    def begin(self, worlds: IntArray, seeds: IntArray | None) -> None:
        """Start an episode in some worlds.

        Args:
            worlds: (k,) which.
            seeds: (k,) of the episodes, or None to go on in the stream of each world's last given seed.
        """
        seeds = begun_seeds(worlds, seeds, self._first_seed, self._number)
        self.seed[worlds], self.clock[worlds] = seeds, 0
        self.solved[worlds] = False
        self._draw(worlds)
        self._now[worlds] = 0.0
        self._body[worlds] = 0.0
        self._share(self._begin_one, worlds)
        self._turn(worlds)
        now = self._now[worlds]
        self.shown[worlds] = np.concatenate([now, now, self.target[worlds]], axis=1)

    def _draw(self, worlds: IntArray) -> None:
        self.kind[worlds] = sub_tasks(self.seed[worlds], self._chosen)
        steps, self._shove_way[worlds] = shoves(self.seed[worlds])
        self.shove_step[worlds] = self._repeat * steps
        self.drawn[worlds] = 0.0
        for world in worlds.tolist():
            drawn = self.bench(world).draw(int(self.seed[world]))
            self.drawn[world, : len(drawn)] = drawn

    def _begin_one(self, world: int) -> None:
        scene = self.bench(world)
        with scene.lock:
            self.target[world] = scene.begin(self._vector(world), self._now[world], self._turned[world])
            scene.take(self._body[world])

    def step(self, action: Float32Array) -> None:
        """Advance every world by one step; ``action`` (W, 4) in [-1, 1].

        Raises:
            HaltereError: MuJoCo couldn't integrate a world's state.
        """
        worlds, before = np.arange(len(self.seed)), self._now.copy()
        shoved = (self.clock == self.shove_step) & (self._shove_m > 0.0)

        def step_one(world: int) -> None:
            scene = self.bench(world)
            with scene.lock:
                self.put(world)
                if shoved[world]:
                    scene.shove(self._shove_m * self._shove_way[world])
                reached = scene.step(action[world], self.target[world], self._now[world], self._turned[world])
                scene.take(self._body[world])
            self.solved[world] = reached

        self._share(step_one, worlds)
        self.clock += 1
        self._turn(worlds)
        sensed = np.concatenate([self._now, before, self.target], axis=1)
        for kind, scene in self._benches.items():
            of = self.kind == kind
            self.shown[of] = np.clip(sensed[of], scene.low, scene.high)

    def _share(self, work: Any, worlds: IntArray) -> None:  # noqa: ANN401 -- a function of a world's number
        """Do something in each world, those of a sub-task in the same thread."""

        def part(worker: int) -> None:
            for world in worlds[self.kind[worlds] % self._workers == worker].tolist():
                work(world)

        if self._pool is None:
            for world in worlds.tolist():
                work(world)
        else:
            list(self._pool.map(part, range(self._workers)))

    def _turn(self, worlds: IntArray) -> None:
        """Make quaternions of the rotations that were sensed in some worlds, as Meta-World does: x, y, z, w."""
        turned = worlds[_TURNS[self.kind[worlds]]]
        if len(turned):
            self._now[turned, 7:11] = Rotation.from_matrix(self._turned[turned].reshape(-1, 3, 3)).as_quat()

    def bench(self, world: int) -> Bench:
        """The bench of a world's sub-task."""
        return self._benches[int(self.kind[world])]

    def _vector(self, world: int) -> FloatArray:
        """What was drawn for a world, (3,) or (6,)."""
        vector: FloatArray = self.drawn[world, : 6 if SUB_TASKS[self.kind[world]].least_gap_m else 3]
        return vector

    def shoved_at(self, world: int) -> int | None:
        """The one of Meta-World's steps before which a world's hand was shoved; None where it hasn't been."""
        gone = self._shove_m > 0.0 and self.clock[world] > self.shove_step[world]
        return int(self.shove_step[world]) if gone else None

    def put(self, world: int) -> None:
        """Put a world into its bench, for a film; the lock is the caller's to hold."""
        self.bench(world).put(self._vector(world), self.target[world], self._body[world])

    def bare_step(self) -> float:
        """MuJoCo's part of a step in every world, and nothing of it is kept; returns its CPU time [s]."""
        spent_s = 0.0
        for world in range(len(self.seed)):
            scene = self.bench(world)
            with scene.lock:
                self.put(world)
                begin_s = time.process_time()
                scene.bare_step()
                spent_s += time.process_time() - begin_s
        return spent_s

    def state(self) -> tuple[IntArray, FloatArray]:
        """All that the worlds' future depends on: (W, 4), and (W, 348): MuJoCo's, what is sensed, and the target."""
        numbers = np.stack([self._first_seed, self._number, self.seed, self.clock], axis=1)
        return numbers, np.concatenate([self._body, self._now, self.shown, self.target], axis=1)

    def load_state(self, numbers: IntArray, body: FloatArray) -> bool:
        """Undo ``state``; False, and nothing is changed, where so many worlds can't have it."""
        count, parts = len(self.seed), (self._body, self._now, self.shown, self.target)
        if numbers.shape != (count, NUMBERS) or numbers.dtype != np.int64 or (numbers < 0).any():
            return False
        if body.shape != (count, sum(part.shape[1] for part in parts)) or body.dtype != np.float64:
            return False
        if not np.isfinite(body).all():
            return False
        self._first_seed, self._number, self.seed, self.clock = numbers.T.copy()
        self._draw(np.arange(count))
        for part, saved in zip(parts, np.split(body, np.cumsum([p.shape[1] for p in parts])[:-1], axis=1), strict=True):
            part[:] = saved
        self.solved[:] = False
        return True

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
