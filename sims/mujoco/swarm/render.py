"""A film of the swarm: quadrotors, where they have been, where they are going and what each attends to."""

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError
from haltere.sims.mujoco.swarm.backdrop import Scenery, draw_backdrop
from haltere.sims.mujoco.swarm.layers import Film
from haltere.sims.mujoco.swarm.snapshot import FloatArray, SwarmSnapshot
from haltere.sims.mujoco.swarm.view import fit

_HEADROOM_M = 0.3
_LOWEST_CUT_M = 2.5
_MARGIN_M = 0.3


class SwarmCamera:
    """Draws one world, frame after frame. It stands still during an episode and remembers the trails."""

    def __init__(self, width: int = 960, height: int = 540) -> None:
        """Set the size of the frames [px].

        Raises:
            HaltereError: they would be too small to read.
        """
        if width < 320 or height < 180:
            raise HaltereError(f"a film of the swarm needs at least 320 x 180 pixels, got {width} x {height}")
        self.size = (width, height)
        self._film: Film | None = None

    @property
    def renderer(self) -> str:
        """What drew the scenery: ``mujoco-egl``, ``mujoco-osmesa`` or ``tiny``; empty before the first frame."""
        return self._film.backdrop.renderer if self._film else ""

    def frame(self, now: SwarmSnapshot, attention: FloatArray | None = None) -> NDArray[np.uint8]:
        """Draw the world as it is now.

        Args:
            now: the world. An earlier time than the last one's, other cylinders or another number of drones begin a
                new film: a new standpoint and no trails.
            attention: (N, 2) each drone's weight on its neighbours and on obstacles, if there is such a thing.

        Returns:
            (H, W, 3) RGB.

        Raises:
            HaltereError: a pose isn't finite, or the attention isn't (N, 2) weights.
            RequestError: ``HALTERE_RENDERER`` asks for what isn't there.
        """
        _check(now, attention)
        if self._film is None or not self._film.goes_on(now):
            self._film = _film(now, *self.size)
        return self._film.draw(now, attention)


def _film(now: SwarmSnapshot, width: int, height: int) -> Film:
    """Choose where to stand so that the forest, the drones and their goals are seen, and draw what won't move."""
    places = np.vstack([now.position, now.goal, np.zeros((1, 3))])
    cut_m = min(max(_LOWEST_CUT_M, float(places[:, 2].max()) + _HEADROOM_M), now.room_m)
    scenery = Scenery(np.array(now.obstacle, dtype=float), now.obstacle_radius_m, cut_m, now.room_m)
    seen = np.vstack([places[:, :2], now.obstacle])
    low, high = seen.min(axis=0) - _MARGIN_M, seen.max(axis=0) + _MARGIN_M
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (0.0, cut_m)])
    view = fit(corners, width, height)
    return Film(now, view, draw_backdrop(scenery, view), cut_m)


def _check(now: SwarmSnapshot, attention: FloatArray | None) -> None:
    for name in ("position", "quaternion", "goal", "obstacle"):
        if not np.isfinite(getattr(now, name)).all():
            raise HaltereError(f"the swarm can't be drawn at {now.time_s:g} s: its {name} isn't finite")
    if attention is None:
        return
    wanted = (len(now.position), 2)
    if attention.shape != wanted or not np.isfinite(attention).all():
        raise HaltereError(f"attention must be finite and of shape {wanted}, got shape {attention.shape}")
