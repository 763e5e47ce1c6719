"""What moves in a film of the swarm, layer by layer over the backdrop of one episode."""

import colorsys
from collections import deque

import numpy as np
from numpy.typing import NDArray

from haltere.sims.mujoco.swarm.backdrop import Backdrop
from haltere.sims.mujoco.swarm.hud import bar_tile, draw_words, flash_tile, ring_tile
from haltere.sims.mujoco.swarm.overlay import Canvas, Rgb
from haltere.sims.mujoco.swarm.quadrotor import quadrotor_tile
from haltere.sims.mujoco.swarm.snapshot import FloatArray, SwarmSnapshot
from haltere.sims.mujoco.swarm.view import View

DRONE_SCALE = 3.0
TRAIL_S = 2.5
FLASH_S = 0.4
_LIFT_PX = 9.0
_SAME_GOAL_M = 0.05
_PALETTE: tuple[Rgb, ...] = (
    (76, 201, 240),
    (249, 199, 79),
    (144, 214, 109),
    (249, 132, 74),
    (179, 136, 255),
    (244, 143, 190),
    (67, 190, 160),
    (120, 150, 255),
)


def drone_colours(count: int) -> tuple[Rgb, ...]:
    """Colours that tell drones apart: a palette first, then hues a golden ratio apart. None is a contact's red."""
    extra: list[Rgb] = []
    for index in range(len(_PALETTE), count):
        hue = 0.08 + 0.84 * ((index * 0.618034) % 1.0)
        red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(hue, 0.68, 0.75))
        extra.append((red, green, blue))
    return (*_PALETTE[:count], *extra)


class Film:
    """One episode's film.

    Attributes:
        view: where the camera stands.
        backdrop: the scenery.
        cut_m: height at which the cylinders are cut off for the view.
    """

    def __init__(self, first: SwarmSnapshot, view: View, backdrop: Backdrop, cut_m: float) -> None:
        """Begin with an episode's first snapshot; nothing is drawn yet."""
        self.view, self.backdrop, self.cut_m = view, backdrop, cut_m
        self._obstacle = np.array(first.obstacle, dtype=float)
        self._time_s = first.time_s
        self._past: deque[tuple[float, NDArray[np.float64]]] = deque()
        self._flash_until_s = np.full(len(first.position), -np.inf)
        self._colours = drone_colours(len(first.position))

    def goes_on(self, now: SwarmSnapshot) -> bool:
        """Whether a snapshot belongs to the same episode, not before the last one."""
        same = now.position.shape[0] == len(self._colours) and now.obstacle.shape == self._obstacle.shape
        return same and now.time_s >= self._time_s and bool(np.array_equal(now.obstacle, self._obstacle))

    def draw(self, now: SwarmSnapshot, attention: FloatArray | None) -> NDArray[np.uint8]:
        """Add the snapshot to the trails and draw the frame, (H, W, 3); the arguments are the camera's."""
        self._time_s = now.time_s
        self._past.append((now.time_s, np.array(now.position, dtype=float)))
        while now.time_s - self._past[0][0] > TRAIL_S:
            self._past.popleft()
        self._flash_until_s[now.touching] = now.time_s + FLASH_S
        canvas = Canvas(self.backdrop.rgb, self.backdrop.depth)
        self._draw_plumb_lines(canvas, now)
        self._draw_goals(canvas, now)
        self._draw_trails(canvas)
        self._draw_drones(canvas, now, attention)
        draw_words(canvas, now, self.cut_m, DRONE_SCALE, attention is not None)
        return canvas.rgb

    def _draw_plumb_lines(self, canvas: Canvas, now: SwarmSnapshot) -> None:
        """A dotted line from each drone to the floor, and a blot where it ends: where in the forest is it?"""
        for index, colour in enumerate(self._colours):
            height = max(float(now.position[index, 2]), 0.0)
            steps = np.arange(0.0, height, 0.12)
            points = np.column_stack([np.tile(now.position[index, :2], (len(steps), 1)), steps])
            if len(points):
                xy, depth = self.view.project(points)
                radius = np.full(len(points), 0.55)
                radius[0] = 3.0
                canvas.dots(xy, depth, radius, np.full(len(points), 0.45), colour)

    def _draw_goals(self, canvas: Canvas, now: SwarmSnapshot) -> None:
        """One ring for each place; drones that share it share the ring."""
        left = list(range(len(self._colours)))
        while left:
            goal = now.goal[left[0]]
            here = [index for index in left if np.linalg.norm(now.goal[index] - goal) < _SAME_GOAL_M]
            left = [index for index in left if index not in here]
            xy, depth = self.view.project(np.asarray(goal, dtype=float))
            tile = ring_tile(tuple(self._colours[index] for index in here), 9 if len(here) == 1 else 12)
            canvas.centred(tile, xy, float(depth))

    def _draw_trails(self, canvas: Canvas) -> None:
        """Where each drone was, fading: a row of dots no farther apart than a pixel."""
        if len(self._past) < 2:
            return
        times = np.array([time for time, _ in self._past])
        xy, depth = self.view.project(np.stack([position for _, position in self._past]))
        freshness = np.clip(1.0 - (self._time_s - times) / TRAIL_S, 0.0, 1.0)
        knots = np.arange(len(times), dtype=float)
        for index, colour in enumerate(self._colours):
            path = xy[:, index]
            length = np.concatenate([[0.0], np.hypot(*np.diff(path, axis=0).T).cumsum()])
            if length[-1] < 1.0:
                continue
            at = np.interp(np.arange(0.0, length[-1], 0.8), length, knots)
            x, y = (np.interp(at, knots, path[:, axis]) for axis in range(2))
            fresh = np.interp(at, knots, freshness)
            deep = np.interp(at, knots, depth[:, index])
            canvas.dots(np.column_stack([x, y]), deep, 0.5 + 0.9 * fresh, 0.75 * fresh, colour)

    def _draw_drones(self, canvas: Canvas, now: SwarmSnapshot, attention: FloatArray | None) -> None:
        """The farthest first; a red ring around one that has just touched something; attention above each."""
        xy, depth = self.view.project(np.asarray(now.position, dtype=float))
        tops = np.zeros(len(self._colours))
        for index in np.argsort(-depth):
            deep = float(depth[index]) - 0.1
            if self._flash_until_s[index] > now.time_s:
                canvas.centred(flash_tile(), xy[index], deep)
            tile, corner = quadrotor_tile(
                self.view, now.position[index], now.quaternion[index], self._colours[index], DRONE_SCALE
            )
            canvas.tile(tile, corner, deep)
            tops[index] = corner[1]
        if attention is not None:
            for index, (neighbours, obstacles) in enumerate(attention):
                tile = bar_tile(float(neighbours) / max(float(neighbours + obstacles), 1e-9))
                canvas.centred(tile, np.array([xy[index, 0], tops[index] - _LIFT_PX / 2]))
