"""Calls about the server, the episode, time, weather and maps."""

import math
from collections.abc import Callable
from hashlib import sha256

from haltere.configs.errors import RequestError
from haltere.sims.carla.server.wire import structs
from haltere.sims.carla.server.wire.rpc import remote
from haltere.sims.carla.server.world.world import World
from haltere.sims.carla.towns import town_names

VERSION = "0.9.16"
"""Of the client that this server speaks to."""
WORLD_STREAM = 1
LONGEST_TICK_S = 10.0


class Session:
    """The server as a whole."""

    def __init__(self, world: World, token: Callable[[int], bytes]) -> None:
        """Of one world; ``token`` gives that of a stream."""
        self._world = world
        self._token = token

    @remote("version")
    def version(self) -> str:
        """The client compares it with its own, and warns."""
        return VERSION

    @remote("get_episode_info")
    def episode_info(self) -> structs.EpisodeInfo:
        """Its number, and where its states are."""
        return structs.EpisodeInfo(self._world.episode, structs.Token(self._token(WORLD_STREAM)))

    @remote("get_sensor_token")
    def sensor_token(self, stream: int) -> structs.Token:
        """Of any stream."""
        return structs.Token(self._token(stream))

    @remote("get_episode_settings")
    def settings(self) -> structs.EpisodeSettings:
        """As they are."""
        return self._world.settings

    @remote("set_episode_settings")
    def set_settings(self, settings: structs.EpisodeSettings) -> int:
        """From now on; returns the number of the last frame."""
        step_s = settings.fixed_delta_seconds
        if step_s is not None and not 0.0 <= step_s <= LONGEST_TICK_S:
            raise RequestError(f"fixed_delta_seconds must be 0 (none) to {LONGEST_TICK_S:g}, got {step_s:g}")
        if settings.substepping and (settings.max_substep_delta_time <= 0.0 or settings.max_substeps < 1):
            raise RequestError(
                "substepping needs max_substep_delta_time above 0 and max_substeps of at least 1, got "
                f"{settings.max_substep_delta_time:g} and {settings.max_substeps}"
            )
        self._world.settings = settings
        return self._world.frame

    @remote("tick_cue")
    def tick(self) -> int:
        """One frame, where time goes by only so; otherwise the last one's number."""
        return self._world.tick() if self._world.settings.synchronous_mode else self._world.frame

    @remote("get_weather_parameters")
    def weather(self) -> structs.Weather:
        """As it is."""
        return self._world.weather

    @remote("set_weather_parameters")
    def set_weather(self, weather: structs.Weather) -> None:
        """From now on."""
        self._world.weather = weather

    @remote("get_imui_gravity")
    def gravity(self) -> float:
        """That accelerometers feel [m/s2]."""
        return self._world.gravity

    @remote("set_imui_gravity")
    def set_gravity(self, gravity: float) -> None:
        """Likewise."""
        if not math.isfinite(gravity):
            raise RequestError(f"gravity must be finite, got {gravity}")
        self._world.gravity = gravity

    @remote("set_annotations_traverse_translucency")
    def see_through(self, enabled: bool) -> None:
        """Nothing here is translucent."""

    @remote("get_available_maps")
    def maps(self) -> tuple[str, ...]:
        """Of our own; any OpenDRIVE file is loaded by its path."""
        return tuple(f"/Game/Carla/Maps/{name}" for name in town_names())

    @remote("get_map_info")
    def map_info(self) -> structs.MapInfo:
        """Its path, and where vehicles may be spawned."""
        return structs.MapInfo(f"Carla/Maps/{self._world.town.name}", self._world.town.spawn_points)

    @remote("get_map_data")
    def map_data(self) -> str:
        """OpenDRIVE."""
        return self._world.town.opendrive

    @remote("get_navigation_mesh")
    def navigation_mesh(self) -> bytes:
        """Where walkers may go."""
        return self._world.town.walkways.mesh

    @remote("get_required_files")
    def required_files(self, folder: str) -> tuple[str, ...]:
        """One, if anybody may walk: where. A client keeps files by their names, so that another mesh has another."""
        files = self._files()
        return tuple(name for name in files if name.startswith(folder))

    @remote("request_file")
    def file(self, name: str) -> bytes:
        """One of these."""
        files = self._files()
        if name not in files:
            raise RequestError(f"there is no file '{name}' here; there are: {', '.join(files) or 'none'}")
        return files[name]

    def _files(self) -> dict[str, bytes]:
        mesh = self._world.town.walkways.mesh
        named = f"Nav/haltere-{self._world.town.name}-{sha256(mesh).hexdigest()[:16]}.bin"
        return {named: mesh} if mesh else {}

    @remote("load_new_episode")
    def load(self, name: str, reset_settings: bool, layers: int = 0) -> None:
        """Another map, or the same one anew where the name is empty."""
        self._world.load(name, reset_settings=reset_settings)

    @remote("copy_opendrive_to_file")
    def opendrive(self, text: str, parameters: structs.OpendriveParameters) -> None:
        """Take a map that a client has; ``load_new_episode`` follows and loads it."""
        self._world.offer(text)
