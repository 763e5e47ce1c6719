"""Traffic lights: what each shows, by the plan of its junction."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from haltere.sims.carla.server.wire.payloads import Light
from haltere.sims.carla.towns.town import TrafficLight


@dataclass
class Head:
    """One light as it is now.

    Attributes:
        light: as the town has it.
        actor: its number.
        pole: its place among those of its junction.
        green_s: how long; a client may change all three.
        yellow_s: likewise.
        red_s: of all lights of the junction, after its own phase.
        shows: what.
        elapsed_s: for how long it has shown that.
        frozen: whether time goes by for it.
    """

    light: TrafficLight
    actor: int
    pole: int
    green_s: float
    yellow_s: float
    red_s: float
    shows: Light = Light.RED
    elapsed_s: float = 0.0
    frozen: bool = False


@dataclass
class Junction:
    """Lights that change together: those of one phase are green at once, one phase after the other."""

    heads: list[Head] = field(default_factory=list)
    phase: int = 0
    shows: Light = Light.GREEN
    elapsed_s: float = 0.0
    _active: list[Head] = field(default_factory=list)

    def begin(self) -> None:
        """Go to the plan's beginning."""
        self.phase, self.shows, self.elapsed_s = 0, Light.GREEN, 0.0
        self._show()

    def tick(self, delta_s: float) -> None:
        """Let time go by, unless a light is frozen: the plan waits for it then."""
        if any(head.frozen for head in self.heads):
            return
        self.elapsed_s += delta_s
        for head in self.heads:
            head.elapsed_s += delta_s
        while self.elapsed_s >= self._lasts_s():
            self.elapsed_s -= self._lasts_s()
            self._next()

    def _lasts_s(self) -> float:
        """How long the junction stays as it is; never nothing, so that time goes on."""
        first = self._active[0]
        lasts = {Light.GREEN: first.green_s, Light.YELLOW: first.yellow_s}.get(self.shows, first.red_s)
        return max(lasts, 0.05)

    def _next(self) -> None:
        if self.shows == Light.GREEN:
            self.shows = Light.YELLOW
        elif self.shows == Light.YELLOW:
            self.shows = Light.RED
        else:
            self.shows, self.phase = Light.GREEN, self.phase + 1
        self._show()

    def _show(self) -> None:
        phases = sorted({head.light.phase for head in self.heads})
        now = phases[self.phase % len(phases)]
        self._active = [head for head in self.heads if head.light.phase == now]
        for head in self.heads:
            shows = self.shows if head.light.phase == now else Light.RED
            if shows != head.shows:
                head.shows, head.elapsed_s = shows, self.elapsed_s


class Lights:
    """All lights of a town."""

    def __init__(self, lights: Sequence[TrafficLight], first_actor: int) -> None:
        """Begin every junction's plan.

        Args:
            lights: of the town.
            first_actor: number of the first light's actor; the others follow.
        """
        self.junctions: dict[int, Junction] = {}
        self.heads: dict[int, Head] = {}
        for number, light in enumerate(lights, start=first_actor):
            junction = self.junctions.setdefault(light.junction, Junction())
            head = Head(light, number, len(junction.heads), light.green_s, light.yellow_s, light.red_s)
            junction.heads.append(head)
            self.heads[number] = head
        boxes = [light.stops for light in lights]
        self._numbers = np.arange(first_actor, first_actor + len(lights))
        self._centres = np.array([(box.location.x, box.location.y) for box in boxes]).reshape(-1, 2)
        self._halves = np.array([(box.extent.x, box.extent.y) for box in boxes]).reshape(-1, 2)
        turned = np.radians([box.rotation.yaw for box in boxes])
        self._ahead = np.stack([np.cos(turned), np.sin(turned)], axis=-1)
        self.reset()

    def at(self, places: NDArray[np.floating]) -> NDArray[np.int64]:
        """Which light each of some places is at.

        Args:
            places: (n, 3) [m].

        Returns:
            (n,) number of the light's actor; -1 where there is none.
        """
        if not len(self._numbers):
            return np.full(len(places), -1)
        apart = places[:, None, :2] - self._centres
        along = np.abs((apart * self._ahead).sum(-1))
        across = np.abs(apart[..., 1] * self._ahead[:, 0] - apart[..., 0] * self._ahead[:, 1])
        inside = (along <= self._halves[:, 0]) & (across <= self._halves[:, 1])
        return np.where(inside.any(-1), self._numbers[inside.argmax(-1)], -1)

    def reset(self) -> None:
        """Every junction from its plan's beginning."""
        for junction in self.junctions.values():
            junction.begin()

    def tick(self, delta_s: float) -> None:
        """Let time go by."""
        for junction in self.junctions.values():
            junction.tick(delta_s)

    def freeze(self, *, frozen: bool) -> None:
        """All of them, or none."""
        for head in self.heads.values():
            head.frozen = frozen

    def group(self, actor: int) -> list[int]:
        """Actors of the lights of one's junction, itself among them."""
        return [head.actor for head in self.junctions[self.heads[actor].light.junction].heads]
