"""Takes down what a world's actors do."""

import logging
from datetime import UTC, datetime
from pathlib import Path

from haltere.configs.errors import RequestError
from haltere.sims.carla.server.recording.track import Born, Frame, Writer
from haltere.sims.carla.server.world.world import World

_log = logging.getLogger(__name__)


class Recorder:
    """Of one world.

    Attributes:
        path: of the recording that is going on; None where none is.
    """

    def __init__(self, world: World) -> None:
        """Nothing is recorded yet."""
        self._world = world
        self._writer: Writer | None = None
        self.path: Path | None = None
        self._began_s = 0.0
        self._known: set[int] = set()

    def start(self, path: Path) -> None:
        """Begin one with all that is there now; what is being recorded ends first.

        Raises:
            RequestError: nothing can be written there.
        """
        self.stop()
        self._writer = Writer(path, self._world.source, datetime.now(UTC).strftime("%x %X"))
        self.path, self._began_s, self._known = path, self._world.time_s, set()
        self.note()

    def stop(self) -> None:
        """End it, if one is going on.

        Raises:
            RequestError: the rest can't be written.
        """
        writer, self._writer, self.path = self._writer, None, None
        if writer is not None:
            writer.close()

    def note(self) -> None:
        """Add a frame of how the world is now; where that can't be written, the recording ends, and the log says so."""
        writer, world = self._writer, self._world
        if writer is None:
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
        try:
            writer.add(frame)
        except RequestError as error:
            self._writer, self.path = None, None
            _log.warning("the recording has ended: %s", error)
