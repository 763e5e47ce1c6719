"""A town, what has been spawned in it, and its time."""

import math
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.sims.carla.drive.bodies import CONTACT
from haltere.sims.carla.geometry import BoundingBox, Rotation, Transform, Vector, placed
from haltere.sims.carla.scene import Label
from haltere.sims.carla.server.wire import structs
from haltere.sims.carla.server.wire.payloads import world_state
from haltere.sims.carla.server.world.actors import Actor, attributes_of, box_of
from haltere.sims.carla.server.world.kinds import Category, kind_of
from haltere.sims.carla.server.world.lights import Lights
from haltere.sims.carla.server.world.motion import GRAVITY, Motion
from haltere.sims.carla.server.world.sensors import check_sensor
from haltere.sims.carla.server.world.table import Table
from haltere.sims.carla.towns import load_town
from haltere.sims.carla.towns.reading import town_of
from haltere.sims.carla.towns.town import Town

OFFERED = "OpenDriveMap"
"""What CARLA's client calls a map that it has sent itself."""
FIRST_ACTOR = 24
"""CARLA's own numbers begin somewhere there; 0 is nobody."""
ASYNCHRONOUS_S = 0.05
"""Of a tick where neither the client nor the settings say otherwise."""
_LOOKS_ON = Transform(Vector(0.0, 0.0, 30.0), Rotation(pitch=-45.0))
_MOVING = (Category.VEHICLE, Category.WALKER, Category.PROP)
_SIGNS = {"205": "traffic.yield", "206": "traffic.stop", "274": "traffic.speed_limit.{:.0f}"}
"""What CARLA calls them."""
_SIGN_BOX = BoundingBox(Vector(0.0, 0.0, 2.5), Vector(0.1, 0.4, 0.4))
_LIGHT_BOX = BoundingBox(Vector(0.0, 0.0, 4.5), Vector(0.2, 0.2, 0.5))


class World:
    """All that calls change and a tick moves.

    Attributes:
        town: as it was loaded.
        episode: its number; loading gives another one.
        frame: number of the last tick, over all episodes.
        time_s: simulated, since the town was loaded.
        settings: of time and physics.
        weather: as it was set.
        gravity: that accelerometers feel [m/s2]; motion has its own.
        actors: by number, in the order in which they came.
        motion: of those that move.
        lights: of the town.
        spectator: number of who looks on.
        contacts: of bodies and things, in the last tick.
        on_moved: told in each tick once everybody has moved, before the state is out.
        on_tick: told after each tick, once the state is out.
        on_destroyed: told of each actor that is gone.
        on_loaded: told of another episode, before its first state is out.
        token: gives that of a sensor's stream.
    """

    def __init__(self, town: str, *, seed: int, publish: Callable[[bytes], None]) -> None:
        """Load a town.

        Args:
            town: its name, or a path of an OpenDRIVE file.
            seed: of what grows in it.
            publish: takes the state after each tick.

        Raises:
            RequestError: there is no such town, or it can't be read.
        """
        self._seed, self._publish = seed, publish
        self._source, self._offered = town, ""
        self._next = FIRST_ACTOR
        self.episode, self.frame = 0, 0
        self.settings, self.weather = structs.EpisodeSettings(), structs.Weather(sun_altitude_angle=45.0)
        self.gravity = GRAVITY
        self.on_moved: Callable[[float], None] = lambda delta_s: None
        self.on_tick: Callable[[float], None] = lambda delta_s: None
        self.on_destroyed: Callable[[Actor], None] = lambda actor: None
        self.on_loaded: Callable[[], None] = lambda: None
        self.token: Callable[[int], bytes] = lambda stream: b""
        self.town: Town
        self._begin(load_town(town, seed))

    def _begin(self, town: Town) -> None:
        self.town = town
        self.episode += 1
        self.time_s, self._delta_s = 0.0, 0.0
        self.actors: dict[int, Actor] = {}
        self.motion = Motion(town.scene)
        self._led: dict[int, Vector] = {}
        self.contacts = np.zeros(0, CONTACT)
        self.spectator = self._put_in("spectator", Category.SPECTATOR, _LOOKS_ON, BoundingBox())
        self.lights = Lights(town.lights, self._next)
        self._table = Table(town.limits, self.lights)
        for light in town.lights:
            self._put_in("traffic.traffic_light", Category.LIGHT, light.place, _LIGHT_BOX, (Label.TRAFFIC_LIGHT,))
        for sign in town.signs:
            number = self._put_in(_SIGNS[sign.kind].format(sign.value), Category.SIGN, sign.place, _SIGN_BOX)
            self.actors[number].signal, self.actors[number].labels = sign.signal, (Label.TRAFFIC_SIGNS,)
        self._changed()

    def _changed(self) -> None:
        """Something has come or gone."""
        actors = list(self.actors.values())
        self._table.rebuild(actors)
        self._vehicles = [actor for actor in actors if actor.category is Category.VEHICLE]

    def _put_in(
        self, name: str, category: Category, place: Transform, box: BoundingBox, labels: tuple[Label, ...] = ()
    ) -> int:
        """What comes with the town, rather than by a call."""
        number = self._take_number()
        self.actors[number] = Actor(number, category, structs.Description(0, name), place, box=box, labels=labels)
        return number

    def _take_number(self) -> int:
        self._next += 1
        return self._next - 1

    def load(self, name: str, *, reset_settings: bool) -> None:
        """Another town, or the same one anew where the name is empty.

        Raises:
            RequestError: there is no such town, or it can't be read; everything stays as it was.
        """
        if name == OFFERED:
            town = town_of(OFFERED, self._offered, self._seed)
        else:
            town = load_town(name or self._source, self._seed)
            self._source = name or self._source
        for actor in self.actors.values():
            self.on_destroyed(actor)
        if reset_settings:
            self.settings = structs.EpisodeSettings()
        self._begin(town)
        self.on_loaded()
        self._publish(self.state())

    def offer(self, opendrive: str) -> None:
        """Keep a map for ``load``."""
        self._offered = opendrive

    def actor(self, number: int) -> Actor:
        """One of them.

        Raises:
            RequestError: there is none of that number.
        """
        if number not in self.actors:
            raise RequestError(f"actor {number} not found: it was destroyed, or never was")
        return self.actors[number]

    @property
    def source(self) -> str:
        """What ``load`` is given to come back to this town."""
        return OFFERED if self.town.name == OFFERED else self._source

    def told(self, actor: Actor) -> structs.Actor:
        """As a client is told of it."""
        return actor.told(self.token(actor.number) if actor.category is Category.SENSOR else b"")

    def spawn(
        self, description: structs.Description, place: Transform, parent: int = 0, *, crowded: bool = False
    ) -> Actor:
        """Put an actor into the world.

        Args:
            description: what, with its attributes.
            place: where, in the parent's frame if there is one.
            parent: number of what it is attached to; 0 for nothing.
            crowded: even where something is already.

        Raises:
            RequestError: there is no such blueprint, attribute or parent, or something is there already.
        """
        kind = kind_of(description)
        relative = None
        if parent:
            relative, place = place, placed(self.place_of(self.actor(parent)), place)
        box = box_of(kind.extent, self._next)
        attributes = attributes_of(kind, description)
        if kind.category is Category.SENSOR:
            check_sensor(description.name, attributes)
        moves = kind.category in _MOVING
        if moves and not parent and not crowded and self.motion.is_taken(place, kind.extent):
            raise RequestError("Spawn failed because of collision at spawn position")
        actor = Actor(self._take_number(), kind.category, description, place, kind, box=box, labels=kind.labels)
        actor.parent, actor.relative, actor.attributes = parent, relative, attributes
        if moves:
            actor.body, actor.physics = self.motion.add(kind, place, attached=bool(parent))
        self.actors[actor.number] = actor
        self._changed()
        return actor

    def destroy(self, number: int) -> bool:
        """Take an actor out of the world, with whatever is attached to it; whether there was one.

        Raises:
            RequestError: it came with the town.
        """
        actor = self.actors.get(number)
        if actor is None:
            return False
        if actor.category in (Category.SPECTATOR, Category.LIGHT, Category.SIGN):
            raise RequestError(f"actor {number} ({actor.description.name}) belongs to the town and can't be destroyed")
        for child in [child.number for child in self.actors.values() if child.parent == number]:
            self.destroy(child)
        if actor.body is not None:
            self.motion.remove(actor.body)
            self._led.pop(actor.body, None)
        del self.actors[number]
        self._changed()
        self.on_destroyed(actor)
        return True

    def place_of(self, actor: Actor) -> Transform:
        """Where an actor is now."""
        if actor.relative is not None:
            return placed(self.place_of(self.actors[actor.parent]), actor.relative)
        return actor.place if actor.body is None else self.motion.place_of(actor.body)

    def velocities(self, numbers: NDArray[np.integer]) -> NDArray[np.float64]:
        """Of actors by number, (n, 3) [m/s]; zero of who has none."""
        found = np.zeros((len(numbers), 3))
        for number in np.unique(numbers):
            actor = self.actors.get(int(number))
            if actor is not None and actor.body is not None:
                found[numbers == number] = self.motion.velocity(actor.body)
        return found

    def put(self, actor: Actor, place: Transform) -> None:
        """Move an actor at once, in its parent's frame if it has one."""
        if actor.relative is not None:
            actor.relative = place
        elif actor.body is not None:
            self.motion.teleport(actor.body, place)
        else:
            actor.place = place

    def lead(self, walker: Actor, speed_mps: float) -> None:
        """Somebody walks whom a client puts from place to place: until the next tick he has that speed ahead."""
        if walker.body is not None:
            yaw = math.radians(self.place_of(walker).rotation.yaw)
            self._led[walker.body] = Vector(speed_mps * math.cos(yaw), speed_mps * math.sin(yaw), 0.0)

    def attached(self) -> Iterator[Actor]:
        """Actors that go along with another one."""
        return (actor for actor in self.actors.values() if actor.relative is not None)

    def tick(self, delta_s: float | None = None) -> int:
        """Let time go by, tell everybody, and return the frame's number.

        Args:
            delta_s: how much; what the settings say where None.
        """
        fixed_s = self.settings.fixed_delta_seconds
        self._delta_s = delta_s if delta_s is not None else fixed_s or ASYNCHRONOUS_S
        self._drive()
        self.contacts = self.motion.step(self._delta_s, self._substeps())
        for body, velocity in self._led.items():
            self.motion.set_velocity(body, velocity)
        self._led.clear()
        self.lights.tick(self._delta_s)
        self.frame += 1
        self.time_s += self._delta_s
        self.on_moved(self._delta_s)
        self._publish(self.state())
        self.on_tick(self._delta_s)
        return self.frame

    def _drive(self) -> None:
        """Press the pedals of vehicles that hold a speed."""
        for actor in self._vehicles:
            if actor.target is not None and actor.driver is not None and actor.body is not None:
                speed_mps, acceleration, most_rad = self.motion.speed(actor.body)
                control = actor.driver.drive(
                    actor.target,
                    actor.ackermann,
                    speed_mps=speed_mps,
                    acceleration=acceleration,
                    most_steer_rad=most_rad,
                    delta_s=self._delta_s,
                )
                self.motion.control(actor.body, control)

    def _substeps(self) -> int:
        """As many as keep each as short as the settings ask; the motion has its own least number."""
        if not self.settings.substepping:
            return 1
        wanted = -(-self._delta_s // self.settings.max_substep_delta_time)
        return int(min(max(wanted, 1), self.settings.max_substeps))

    def state(self) -> bytes:
        """As it goes out."""
        rows = self._table.fill(self)
        clock_s = time.time()
        return world_state(
            self.frame, self.time_s, episode=self.episode, clock_s=clock_s, delta_s=self._delta_s, actors=rows
        )
