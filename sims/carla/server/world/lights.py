"""Traffic lights: what each shows, by the plan of its junction."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from haltere.sims.carla.geometry import BoundingBox
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
    _frozen: bool = False
    _lasts_s: float = 0.0
    """How long the junction stays as it is; never nothing, so that time goes on."""

    def begin(self) -> None:
        """Go to the plan's beginning."""
        self.phase, self.shows, self.elapsed_s = 0, Light.GREEN, 0.0
        self._show()

    def heed(self) -> None:
        """A light has been frozen or let go, or has got another time."""
        first = self._active[0]
        lasts = {Light.GREEN: first.green_s, Light.YELLOW: first.yellow_s}.get(self.shows, first.red_s)
        self._lasts_s = max(lasts, 0.05)
        self._frozen = any(head.frozen for head in self.heads)

    def tick(self, delta_s: float) -> bool:
        """Let time go by, unless a light is frozen: the plan waits for it then. Whether lights have changed."""
        if self._frozen:
            return False
        self.elapsed_s += delta_s
        for head in self.heads:
            head.elapsed_s += delta_s
        changed = False
        while self.elapsed_s >= self._lasts_s:
            self.elapsed_s -= self._lasts_s
            self._next()
            changed = True
        return changed

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
        self.heed()


class Lights:
    """All lights of a town.

    Attributes:
        junctions: by their numbers.
        heads: by their actors'.
        first: number of the first light's actor; the others follow.
        lines: (n, 6) of each one's box before it: x, y, cosine and sine of its yaw, half its length and width [m].
        changes: how often anything but the time has changed.
    """

    def __init__(self, lights: Sequence[TrafficLight], first: int) -> None:
        """Begin every junction's plan.

        Args:
            lights: of the town.
            first: number of the first light's actor.
        """
        self.junctions: dict[int, Junction] = {}
        self.heads: dict[int, Head] = {}
        self.first, self.changes = first, 0
        for number, light in enumerate(lights, start=first):
            junction = self.junctions.setdefault(light.junction, Junction())
            head = Head(light, number, len(junction.heads), light.green_s, light.yellow_s, light.red_s)
            junction.heads.append(head)
            self.heads[number] = head
        self.lines = np.array([_line(light.stops) for light in lights]).reshape(-1, 6)
        self.reset()

    def reset(self) -> None:
        """Every junction from its plan's beginning."""
        for number in self.junctions:
            self.begin(number)

    def begin(self, junction: int) -> None:
        """A junction from its plan's beginning."""
        self.junctions[junction].begin()
        self.changes += 1

    def tick(self, delta_s: float) -> None:
        """Let time go by."""
        for junction in self.junctions.values():
            self.changes += junction.tick(delta_s)

    def show(self, actor: int, light: Light) -> None:
        """Until its plan goes on."""
        self.heads[actor].shows, self.heads[actor].elapsed_s = light, 0.0
        self.changes += 1

    def time(self, actor: int, **seconds: float) -> None:
        """Give a light, and those that change with it, other times: ``green_s``, ``yellow_s`` or ``red_s``."""
        of = self.heads[actor].light
        heads = [head for head in self.junctions[of.junction].heads if head.light.phase == of.phase]
        for head in heads:
            for name, value in seconds.items():
                setattr(head, name, value)
        self._heed(heads)

    def freeze(self, actor: int, *, frozen: bool) -> None:
        """Stop a light's time, and so its junction's, or let it go on."""
        self.heads[actor].frozen = frozen
        self._heed([self.heads[actor]])

    def freeze_all(self, *, frozen: bool) -> None:
        """All of them, or none."""
        for head in self.heads.values():
            head.frozen = frozen
        self._heed(self.heads.values())

    def _heed(self, heads: Iterable[Head]) -> None:
        for junction in {head.light.junction for head in heads}:
            self.junctions[junction].heed()
        self.changes += 1

    def group(self, actor: int) -> list[int]:
        """Actors of the lights of one's junction, itself among them."""
        return [head.actor for head in self.junctions[self.heads[actor].light.junction].heads]


def _line(box: BoundingBox) -> tuple[float, ...]:
    turned = math.radians(box.rotation.yaw)
    return box.location.x, box.location.y, math.cos(turned), math.sin(turned), box.extent.x, box.extent.y
