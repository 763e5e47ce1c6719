"""Plays a recording again: its actors come anew, or are those that are still there, and are moved as they were."""

import math
from bisect import bisect_right

from haltere.configs.errors import RequestError
from haltere.sims.carla.geometry import Transform, Vector, placed
from haltere.sims.carla.server.recording.track import Born, Track, transform_of
from haltere.sims.carla.server.world.kinds import Category
from haltere.sims.carla.server.world.world import World

_HERO = "hero"


class Replayer:
    """Of one world.

    Attributes:
        time_factor: how much faster than it was.
        ignore_hero: whether vehicles whose role is ``hero`` are left out.
        ignore_spectator: whether who looks on stays where he is, even if an actor is followed.
    """

    def __init__(self, world: World) -> None:
        """Nothing is played yet."""
        self._world = world
        self.time_factor, self.ignore_hero, self.ignore_spectator = 1.0, False, False
        self._track: Track | None = None
        self._numbers: dict[int, int] = {}
        self._came: set[int] = set()
        self._now_s, self._end_s, self._next = 0.0, 0.0, 0
        self._follow, self._offset, self._sensors = 0, Transform(), False

    def start(
        self, track: Track, start_s: float, duration_s: float, follow: int, sensors: bool, offset: Transform
    ) -> None:
        """Begin one.

        Args:
            track: what.
            start_s: from there on; negative counts from the end.
            duration_s: for so long; 0 for all of it.
            follow: number, in the recording, of the actor that the spectator goes along with; 0 for none.
            sensors: whether sensors come too.
            offset: of the spectator from the actor that is followed.

        Raises:
            RequestError: the recording is empty, or the times aren't numbers.
        """
        if not track.frames:
            raise RequestError("the recording has no frame: it was never stopped, or no tick went by")
        if not (math.isfinite(start_s) and math.isfinite(duration_s) and duration_s >= 0):
            raise RequestError(f"start and duration must be numbers, got {start_s:g} and {duration_s:g}")
        self.stop(keep=False)
        begin_s = min(max(start_s if start_s >= 0 else track.duration_s + start_s, 0.0), track.duration_s)
        self._track, self._next = track, 0
        self._now_s, self._end_s = begin_s, begin_s + duration_s if duration_s else track.duration_s
        self._follow, self._offset, self._sensors = follow, offset, sensors
        self._catch_up()

    def stop(self, *, keep: bool) -> None:
        """Play no more; who came moves by himself from now on, or goes if not ``keep``."""
        world = self._world
        for number in self._numbers.values():
            actor = world.actors.get(number)
            if actor is None:
                continue
            if not keep and number in self._came:
                world.destroy(number)
            elif actor.body is not None and actor.category is not Category.PROP:
                world.motion.simulate(actor.body, enabled=True)
        self._track, self._numbers, self._came = None, {}, set()

    def advance(self, delta_s: float) -> None:
        """Move everybody; at the end they move by themselves."""
        if self._track is None:
            return
        self._now_s = min(self._now_s + delta_s * self.time_factor, self._end_s)
        self._catch_up()
        if self._now_s >= min(self._end_s, self._track.duration_s):
            self.stop(keep=True)

    def _catch_up(self) -> None:
        """Whoever has come or gone until now, and where they all are, between two frames."""
        assert self._track is not None
        frames = self._track.frames
        last = max(bisect_right(frames, self._now_s, key=lambda frame: frame.time_s) - 1, 0)
        while self._next <= last:
            frame = frames[self._next]
            for born in frame.born:
                self._come(born)
            for number in frame.gone:
                self._go(self._numbers.pop(number, 0))
            self._next += 1
        before, after = frames[last], frames[min(last + 1, len(frames) - 1)]
        gap_s = after.time_s - before.time_s
        share = (self._now_s - before.time_s) / gap_s if gap_s > 0 else 0.0
        for number, pose in before.places.items():
            self._put(number, _between(pose, after.places.get(number, pose), min(max(share, 0.0), 1.0)))

    def _come(self, born: Born) -> None:
        name = born.description.name
        role = {each.name: each.value for each in born.description.attributes}.get("role_name", "")
        if (self.ignore_hero and role == _HERO) or (name.startswith("sensor.") and not self._sensors):
            return
        if born.parent and born.parent not in self._numbers:
            return
        world = self._world
        actor = world.actors.get(born.number)
        if actor is None or actor.description != born.description:
            actor = world.spawn(born.description, born.place, self._numbers.get(born.parent, 0), crowded=True)
            self._came.add(actor.number)
        self._numbers[born.number] = actor.number
        if actor.body is not None:
            world.motion.simulate(actor.body, enabled=False)

    def _go(self, number: int) -> None:
        if number in self._came:
            self._world.destroy(number)

    def _put(self, number: int, pose: tuple[float, ...]) -> None:
        actor = self._world.actors.get(self._numbers.get(number, 0))
        if actor is None or actor.body is None or actor.relative is not None:
            return
        place = transform_of(pose)
        self._world.put(actor, place)
        self._world.motion.set_velocity(actor.body, Vector(*pose[6:9]))
        if number == self._follow and not self.ignore_spectator:
            self._world.put(self._world.actors[self._world.spectator], placed(place, self._offset))


def _between(one: tuple[float, ...], other: tuple[float, ...], share: float) -> tuple[float, ...]:
    """Angles go the short way round."""
    found = [a + (b - a) * share for a, b in zip(one, other, strict=True)]
    for axis in range(3, 6):
        found[axis] = one[axis] + math.remainder(other[axis] - one[axis], 360.0) * share
    return tuple(found)
