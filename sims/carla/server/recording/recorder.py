"""Takes down what a world's actors do."""

from datetime import UTC, datetime
from pathlib import Path

from haltere.sims.carla.server.recording.track import Born, Frame, Track, save
from haltere.sims.carla.server.world.world import World

MOST_FRAMES = 1_000_000
"""A recording that nobody ends, ends."""


class Recorder:
    """Of one world."""

    def __init__(self, world: World) -> None:
        """Nothing is recorded yet."""
        self._world = world
        self._track: Track | None = None
        self._path = Path()
        self._began_s = 0.0
        self._known: set[int] = set()

    def start(self, path: Path) -> None:
        """Begin one with all that is there now; what was recorded until then is written first.

        Raises:
            RequestError: nothing can be written there.
        """
        self.stop()
        track = Track(self._world.source, datetime.now(UTC).strftime("%x %X"))
        save(track, path)
        self._track, self._path, self._began_s, self._known = track, path, self._world.time_s, set()
        self.note()

    def stop(self) -> None:
        """Write it, if one is going on.

        Raises:
            RequestError: it can't be written.
        """
        track, self._track = self._track, None
        if track is not None:
            save(track, self._path)

    def note(self) -> None:
        """Add a frame of how the world is now."""
        track, world = self._track, self._world
        if track is None or len(track.frames) >= MOST_FRAMES:
            return
        frame = Frame(world.time_s - self._began_s)
        here = {number: actor for number, actor in world.actors.items() if actor.kind is not None}
        frame.gone.extend(sorted(self._known - set(here)))
        bodies: dict[int, int] = {}
        for number, actor in here.items():
            place = world.place_of(actor)
            if number not in self._known:
                at = place if actor.relative is None else actor.relative
                frame.born.append(Born(number, actor.description, at, actor.parent))
            if actor.body is not None:
                where, turned, speed = place.location, place.rotation, world.motion.velocity(actor.body).tolist()
                pose = (where.x, where.y, where.z, turned.pitch, turned.yaw, turned.roll)
                frame.places[number] = (*pose, *speed)
                bodies[actor.body] = number
        for contact in world.contacts:
            first, second = int(contact["first"]), int(contact["second"])
            frame.met.append((bodies.get(first, 0), bodies.get(second, 0)))
        self._known = set(here)
        track.frames.append(frame)
