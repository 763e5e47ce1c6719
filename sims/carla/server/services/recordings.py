"""Calls about recordings: made, told of, played again."""

import logging
from pathlib import Path

from haltere.configs.errors import RequestError
from haltere.sims.carla.geometry import Transform
from haltere.sims.carla.server.recording.recorder import Recorder
from haltere.sims.carla.server.recording.replayer import Replayer
from haltere.sims.carla.server.recording.reports import blocked, collisions, told
from haltere.sims.carla.server.recording.track import Track, load, path_of
from haltere.sims.carla.server.wire.rpc import remote
from haltere.sims.carla.server.world.world import World

_log = logging.getLogger(__name__)
MOST_TIMES = 1000.0
"""Of a replay's speed."""


class Recordings:
    """Of one world."""

    def __init__(self, world: World, folder: Path) -> None:
        """Files lie in ``folder``, which is made when it is needed."""
        self._world, self._folder = world, folder
        self._recorder, self._replayer = Recorder(world), Replayer(world)
        world.on_moved = self._moved

    def _moved(self, delta_s: float) -> None:
        self._replayer.advance(delta_s)
        self._recorder.note()

    def forget(self) -> None:
        """The world has another town, or ends: what was recorded is written, and nothing is played."""
        try:
            self._recorder.stop()
        except RequestError as error:
            _log.warning("the recording is lost: %s", error)
        self._replayer.stop(keep=True)

    def _track(self, name: str) -> Track:
        path = path_of(self._folder, name)
        if path == self._recorder.path:
            raise RequestError(f"{path} is still being recorded; stop_recorder ends it")
        return load(path)

    @remote("start_recorder")
    def start(self, name: str, everything: bool = False) -> str:
        """Begin; returns where the file will lie. Everything that can be recorded always is."""
        path = path_of(self._folder, name)
        self._recorder.start(path)
        return str(path)

    @remote("stop_recorder")
    def stop(self) -> None:
        """Write the file."""
        self._recorder.stop()

    @remote("show_recorder_file_info")
    def info(self, name: str, every_frame: bool) -> str:
        """Who came and went."""
        return told(self._track(name), every_frame=every_frame)

    @remote("show_recorder_collisions")
    def met(self, name: str, first: int, second: int) -> str:
        """Who met whom; kinds are letters, by their code."""
        if not (0 < first < 128 and 0 < second < 128):
            raise RequestError(f"a kind of actor must be a letter, got codes {first} and {second}")
        return collisions(self._track(name), chr(first), chr(second))

    @remote("show_recorder_actors_blocked")
    def stood(self, name: str, least_s: float, least_cm: float) -> str:
        """Vehicles that stood."""
        return blocked(self._track(name), least_s, least_cm)

    @remote("replay_file")
    def replay(
        self, name: str, start_s: float, duration_s: float, follow: int, sensors: bool, offset: Transform
    ) -> str:
        """Play one in its own town; whoever of it is still there plays himself."""
        self._recorder.stop()
        track = self._track(name)
        self._replayer.stop(keep=False)
        if track.town != self._world.source:
            self._world.load(track.town, reset_settings=False)
        self._replayer.start(track, start_s, duration_s, follow, sensors, offset)
        return f"Replaying File: {path_of(self._folder, name)}"

    @remote("stop_replayer")
    def stop_replay(self, keep: bool) -> None:
        """Who came goes, unless he is kept."""
        self._replayer.stop(keep=keep)

    @remote("set_replayer_time_factor")
    def set_time_factor(self, factor: float) -> None:
        """How much faster than it was."""
        if not 0.0 < factor <= MOST_TIMES:
            raise RequestError(f"a replay's time factor must be above 0 and at most {MOST_TIMES:g}, got {factor:g}")
        self._replayer.time_factor = factor

    @remote("set_replayer_ignore_hero")
    def ignore_hero(self, ignored: bool) -> None:
        """Whether vehicles whose role is ``hero`` are left out."""
        self._replayer.ignore_hero = ignored

    @remote("set_replayer_ignore_spectator")
    def ignore_spectator(self, ignored: bool) -> None:
        """Whether who looks on stays where he is."""
        self._replayer.ignore_spectator = ignored
