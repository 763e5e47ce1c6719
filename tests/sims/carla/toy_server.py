"""A server that keeps what it is told and tells it back: all of the wire, and no world behind it.

Run as a program it prints its two ports, and serves until its standard input ends.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, field, replace

import numpy as np
from toy_sensed import MESSAGES

from haltere.configs.errors import RequestError
from haltere.sims.carla.geometry import BoundingBox, Transform, Vector
from haltere.sims.carla.server.wire import structs
from haltere.sims.carla.server.wire.endpoint import Endpoint, listen
from haltere.sims.carla.server.wire.payloads import ACTIVE, VEHICLE, Light, header, world_state
from haltere.sims.carla.server.wire.rpc import methods_of, remote
from haltere.sims.carla.server.wire.streams import Streams, token

WORLD_STREAM, SPEED_LIMIT = 1, 50.0
CAR = structs.Blueprint(
    1,
    "vehicle.toy.car",
    "vehicle,toy,car",
    (
        structs.Attribute("number_of_wheels", structs.AttributeType.INT, "4", is_modifiable=False),
        structs.Attribute("color", structs.AttributeType.COLOR, "1,2,3", ("1,2,3", "4,5,6")),
        structs.Attribute("role_name", structs.AttributeType.STRING, "autopilot"),
    ),
)


@dataclass(frozen=True)
class Car:
    """Where the car is, how it moves and what it does."""

    number: int
    place: Transform = field(default_factory=Transform)
    velocity: Vector = field(default_factory=Vector)
    control: structs.VehicleControl = field(default_factory=structs.VehicleControl)

    def row(self) -> bytes:
        """In a world's state."""
        row = np.zeros((), VEHICLE)
        row["number"], row["state"], row["speed_limit"], row["light"] = self.number, ACTIVE, SPEED_LIMIT, Light.GREEN
        row["location"], row["rotation"] = astuple(self.place.location), astuple(self.place.rotation)
        row["velocity"] = astuple(self.velocity)
        for name, value in asdict(self.control).items():
            row[name] = value
        return row.tobytes()


BOX = BoundingBox(Vector(0.0, 0.0, 0.7), Vector(2.0, 1.0, 0.7))


@dataclass
class Toy:
    """What is kept: settings, weather, and of each actor its place, its control and its physics."""

    streams: Streams
    endpoint: Endpoint | None = None
    settings: structs.EpisodeSettings = field(default_factory=structs.EpisodeSettings)
    weather: structs.Weather = field(default_factory=structs.Weather)
    actors: dict[int, structs.Actor] = field(default_factory=dict)
    states: dict[int, Car] = field(default_factory=dict)
    physics: dict[int, structs.PhysicsControl] = field(default_factory=dict)
    ackermann: structs.AckermannSettings = field(default_factory=structs.AckermannSettings)
    frame: int = 1

    def state(self, stream: int = WORLD_STREAM) -> bytes | None:
        """Of the world; there is no other stream."""
        if stream != WORLD_STREAM:
            return None
        rows, clock_s, time_s = b"".join(car.row() for car in self.states.values()), time.time(), 0.05 * self.frame
        return world_state(self.frame, time_s, episode=7, clock_s=clock_s, delta_s=0.05, actors=rows)

    @remote("version")
    def version(self) -> str:
        """As the client's."""
        return "0.9.16"

    @remote("get_episode_info")
    def episode_info(self) -> structs.EpisodeInfo:
        """Number 7."""
        return structs.EpisodeInfo(7, self.sensor_token(WORLD_STREAM))

    @remote("get_sensor_token")
    def sensor_token(self, stream: int) -> structs.Token:
        """Of any stream."""
        assert self.endpoint is not None
        return structs.Token(token(stream, self.endpoint.stream_port))

    @remote("get_episode_settings")
    def get_settings(self) -> structs.EpisodeSettings:
        """As they were set."""
        return self.settings

    @remote("set_episode_settings")
    def set_settings(self, settings: structs.EpisodeSettings) -> int:
        """From the next frame on."""
        self.settings = settings
        return self.tick()

    @remote("get_required_files")
    def required_files(self, folder: str) -> tuple[str, ...]:
        """The client has all that it needs."""
        return ()

    @remote("query_lights_state")
    def lights(self, client: str) -> tuple[int, ...]:
        """There are none."""
        return ()

    @remote("get_weather_parameters")
    def get_weather(self) -> structs.Weather:
        """As it was set."""
        return self.weather

    @remote("set_weather_parameters")
    def set_weather(self, weather: structs.Weather) -> None:
        """Keep."""
        self.weather = weather

    @remote("tick_cue")
    def tick(self) -> int:
        """A frame goes by."""
        self.frame += 1
        self.streams.send(WORLD_STREAM, self.state() or b"")
        return self.frame

    @remote("get_actor_definitions")
    def definitions(self) -> Sequence[structs.Blueprint]:
        """The car, and every sensor."""
        sensors = (f"sensor.{name}" for name in MESSAGES)
        tick = structs.Attribute("sensor_tick", structs.AttributeType.FLOAT, "0.0")
        return [CAR, *(structs.Blueprint(2 + n, name, "sensor", (tick,)) for n, name in enumerate(sensors))]

    @remote("spawn_actor")
    def spawn(self, description: structs.Description, where: Transform) -> structs.Actor:
        """A car or a sensor, wherever."""
        number, box = 100 + len(self.actors), replace(BOX, actor=100 + len(self.actors))
        stream = self.sensor_token(number).data if description.name.startswith("sensor") else b""
        self.actors[number] = structs.Actor(number, 0, description, box, bytes([14]), stream)
        self.states[number] = Car(number, where)
        return self.actors[number]

    @remote("get_actors_by_id")
    def actors_by_id(self, numbers: tuple[int, ...]) -> list[structs.Actor]:
        """Of those that there are."""
        return [self.actors[number] for number in numbers if number in self.actors]

    @remote("get_actor_bounding_box")
    def bounding_box(self, number: int) -> BoundingBox:
        """Its own."""
        return self.actors[number].bounding_box

    @remote("apply_control_to_vehicle")
    def control(self, number: int, control: structs.VehicleControl) -> None:
        """Shows in the next state."""
        self.states[number] = replace(self.states[number], control=control)

    @remote("set_actor_target_velocity")
    def velocity(self, number: int, velocity: Vector) -> None:
        """Shows in the next state."""
        self.states[number] = replace(self.states[number], velocity=velocity)

    @remote("get_physics_control")
    def get_physics(self, number: int) -> structs.PhysicsControl:
        """As it was set."""
        if number not in self.physics:
            raise RequestError(f"actor {number} has no physics yet")
        return self.physics[number]

    @remote("apply_physics_control")
    def set_physics(self, number: int, physics: structs.PhysicsControl) -> None:
        """Keep."""
        self.physics[number] = physics

    @remote("get_ackermann_controller_settings")
    def get_ackermann(self, number: int) -> structs.AckermannSettings:
        """As they were set."""
        return self.ackermann

    @remote("apply_ackermann_controller_settings")
    def set_ackermann(self, number: int, settings: structs.AckermannSettings) -> None:
        """Keep."""
        self.ackermann = settings

    @remote("kept")
    def kept(self, what: str, number: int | None = None) -> str:
        """A structure with the names of its fields, as JSON."""
        found = getattr(self, what)
        return json.dumps(asdict(found if number is None else found[number]))

    @remote("sense")
    def sense(self, number: int) -> bool:
        """Send a sensor's message, if anybody listens."""
        own = self.actors[number]
        kind, message = MESSAGES[own.description.name.removeprefix("sensor.")]
        place = self.states[number].place
        self.streams.send(number, header(kind, self.frame, 0.05 * self.frame, place) + message(own))
        return number in self.streams.listened()

    @remote("unpackable")
    def unpackable(self, number: int) -> int:
        """Another bug."""
        return number - 2**70

    @remote("broken")
    def broken(self) -> float:
        """A bug of the server's."""
        return 1 / (self.frame - self.frame)


async def serve() -> None:
    """Until standard input ends."""
    streams = Streams()
    toy = Toy(streams)
    streams.on_joined = toy.state
    toy.endpoint = await listen(methods_of(toy), streams)
    print(json.dumps([toy.endpoint.port, toy.endpoint.stream_port]), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await toy.endpoint.close()


if __name__ == "__main__":
    asyncio.run(serve())
