"""One road with an agent on it: an episode in one CARLA."""

from typing import Any

import carla
import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError
from haltere.sims.carla.route.boxes import Boxes
from haltere.sims.carla.route.config import RouteConfig
from haltere.sims.carla.route.crossings import Crossings
from haltere.sims.carla.route.drivers import Car, Command, Driver, Seen
from haltere.sims.carla.route.endpoint import Endpoint
from haltere.sims.carla.route.masks import Masks
from haltere.sims.carla.route.places import Draws, Places
from haltere.sims.carla.route.roads import roads_of, wrapped

FloatArray = NDArray[np.float64]
STEP_S = 1.0 / 15.0
"""Source: VLM-RL's 15 Hz."""
ARRIVED_M = 5.0
"""Source: VLM-RL's success."""
STANDING_MPS = 1.0 / 3.6
AGENT = "vehicle.lincoln.mkz_2020"
_KEPT = 0.75
"""Share of the wheel's last place that a command keeps. Source: VLM-RL's steering."""
_TOUCH_M = 0.02
_NEAR_M = 40.0
FAR_M = 50.0
WAYPOINTS = 15
_SOLID = ("Buildings", "Fences", "Poles", "Static", "TrafficLight", "TrafficSigns", "Vegetation", "Walls", "GuardRail")
_SMALL = ("car", "van")
"""What gets round every bend without driving over what stands there, as buses and lorries may not."""
_CM = 100.0
_LEAST_LIMIT_KMH = 20.0
"""Of a map without limits, CARLA says 0."""


class RouteWorld:
    """One CARLA, in which episodes follow each other.

    Attributes:
        way: the route.
        seen: everybody on the road, the agent first.
        boxes: theirs.
        drivers: of everybody; the agent's is its expert.
        command: of the wheel, 1 is all to the right, and of the pedals, as they were carried out last.
        along_m: how far along the route the agent is.
        progress_m: by how much the last step changed that.
        aside_m: how far to the right of the route it is.
        driven_m: how far it has driven.
        steps: since the reset.
        outside: of these steps, how many ended out of the lane.
        collided: whether its box met another.
        red_lights: lines that it has crossed although their light was red.
        standing: for how many steps it has been slower than 1 km/h.
        closed: numbers of the lights that aren't green.
    """

    def __init__(self, config: RouteConfig) -> None:
        """Begin a server, or connect to one; ``begin`` puts somebody on the road. Errors are ``Endpoint``'s."""
        self.config = config
        self.endpoint = Endpoint(config.carla, config.town, STEP_S)
        self.roads = roads_of(self.endpoint.map)
        self.masks = Masks(self.roads)
        world = self.endpoint.world
        self._places = Places(self.endpoint.map, world, self.roads, config)
        library = world.get_blueprint_library()
        vehicles = sorted(library.filter("vehicle.*"), key=lambda kind: kind.id)
        self._kinds = [kind for kind in vehicles if kind.get_attribute("base_type").as_str() in _SMALL]
        if config.vehicles and not self._kinds:
            raise HaltereError(
                f"{self.endpoint.name}: none of its {len(vehicles)} vehicles is a {' or a '.join(_SMALL)}"
            )
        self._agent = library.find(AGENT)
        self._agent.set_attribute("role_name", "hero")
        lines = {line.light for line in self._places.lines}
        self._lights = {light: world.get_actor(light) for light in sorted(lines)}
        kinds = [getattr(carla.CityObjectLabel, name) for name in _SOLID]
        self._solid = Boxes.of([thing.bounding_box for kind in kinds for thing in world.get_environment_objects(kind)])

    def begin(self, seed: int) -> None:
        """Begin the episode of that seed.

        Raises:
            HaltereError: there is no room for the agent, or CARLA doesn't answer.
        """
        self.endpoint.clear()
        draws = Draws(seed)
        start, self.way = self._places.route(draws)
        others = self._places.others(draws, start)
        wanted = [(self._agent, start.where)]
        wanted += [(self._kinds[draws.below(len(self._kinds))], other.where) for other, _ in others]
        numbers = self.endpoint.spawn(wanted)
        if not numbers[0]:
            raise HaltereError(f"{self.endpoint.name}: there is no room for the agent at {start.where.location}")
        ways = [self.way, *(way for _, way in others)]
        self._numbers = [number for number in numbers if number]
        still = carla.VehicleControl(brake=1.0)
        snapshot = self.endpoint.control([(number, still) for number in self._numbers])
        self._actors = [self.endpoint.world.get_actor(number) for number in self._numbers]
        self._half, self._tall = _sizes(self._actors)
        taken = [way for way, number in zip(ways, numbers, strict=True) if number]
        self.drivers = [
            Driver(place, _car(actor), way, self._places.stops(way))
            for place, (actor, way) in enumerate(zip(self._actors, taken, strict=True))
        ]
        self._crossings = Crossings(self.drivers, self._half, STEP_S)
        self._look(snapshot)
        self.command: Command = (0.0, 0.0)
        self.steps = self.outside = self.red_lights = self.standing = 0
        self.driven_m = self.progress_m = 0.0
        self.collided = False
        self.drivers[0].at, self.along_m, self.aside_m = self.way.nearest(self.seen.place[0], 0)
        self.masks.forget()
        self.masks.keep(self.boxes[1:])

    def step(self, wanted: FloatArray) -> None:
        """One control period: the agent's command (2,), and everybody else's own."""
        wheel = _KEPT * self.command[0] + (1.0 - _KEPT) * float(wanted[0])
        self.command = wheel, float(wanted[1])
        commands = [self.command, *(self._meant(driver) for driver in self.drivers[1:])]
        controls = [(number, _control(command)) for number, command in zip(self._numbers, commands, strict=True)]
        foreseen, line = self._foreseen(), self._line(self._red)
        before = self.seen.place[0]
        self._look(self.endpoint.control(controls))
        self._judge(before, foreseen, line)
        self.masks.keep(self.boxes[1:])

    def _meant(self, driver: Driver) -> Command:
        number = driver.number
        return driver.command(self.seen, self._limit_mps(number), self.closed, self._crossings.held_m(number))

    def _look(self, snapshot: Any) -> None:  # noqa: ANN401 -- carla.WorldSnapshot
        rows = []
        for number in self._numbers:
            actor = snapshot.find(number)
            if actor is None:
                raise HaltereError(f"{self.endpoint.name}: vehicle {number} is gone; somebody destroyed it")
            where, speed = actor.get_transform(), actor.get_velocity()
            place = where.location
            rows.append((place.x, place.y, place.z, np.radians(where.rotation.yaw), speed.x, speed.y))
        x, y, z, turned, ahead, right = np.array(rows).T
        self._velocity = np.stack([ahead, right], axis=1)
        speed = np.cos(turned) * ahead + np.sin(turned) * right
        self.seen = Seen(np.stack([x, y], axis=1), turned, speed, self._half)
        self.boxes = Boxes(self.seen.place, turned, self._half, z + 0.1, z + self._tall)
        states = {number: light.state for number, light in self._lights.items()}
        self.closed = frozenset(n for n, state in states.items() if state != carla.TrafficLightState.Green)
        self._red = frozenset(n for n, state in states.items() if state == carla.TrafficLightState.Red)
        self._crossings.settle(self.seen, self.closed)

    @property
    def at(self) -> int:
        """Number of the route's point that the agent is at."""
        return self.drivers[0].at

    @property
    def limit_mps(self) -> float:
        """What the agent may drive [m/s]."""
        return self._limit_mps(0)

    def _limit_mps(self, number: int) -> float:
        return max(float(self._actors[number].get_speed_limit()), _LEAST_LIMIT_KMH) / 3.6

    def _foreseen(self) -> Boxes:
        """Where everybody would be after this step at a steady speed."""
        now = self.boxes
        return Boxes(now.middle + STEP_S * self._velocity, now.turned, now.half, now.low, now.high)

    def _line(self, closed: frozenset[int]) -> float:
        """How far the agent's bumper is from the next line of one of these lights [m]."""
        return self.drivers[0].stop_ahead(closed, float(self._half[0, 0]))

    def line_m(self) -> float:
        """To the line of a light that isn't green, at most 50 m: what the agent is told."""
        return min(max(self._line(self.closed), 0.0), FAR_M)

    def _judge(self, before: FloatArray, foreseen: Boxes, line: float) -> None:
        moved = float(np.hypot(*(self.seen.place[0] - before)))
        self.steps += 1
        self.driven_m += moved
        self.drivers[0].at, along_m, self.aside_m = self.way.nearest(self.seen.place[0], self.at)
        self.progress_m, self.along_m = along_m - self.along_m, along_m
        self.outside += abs(self.aside_m) > 0.5 * float(self.way.width[self.at])
        self.standing = self.standing + 1 if abs(self.seen.speed[0]) < STANDING_MPS else 0
        if line < np.inf and line >= 0.0 and self.progress_m > line:
            self.red_lights += 1
        self.collided = self._met(self.boxes) or self._met(foreseen)

    def _met(self, boxes: Boxes) -> bool:
        """Whether the agent, the first of them, touches another or what stands.

        Who has been hit may be gone from where he was by the end of the step: ``_foreseen`` still has him there.
        """
        me = boxes[:1]
        near = np.abs(self._solid.middle - me.middle).max(axis=1) < _NEAR_M
        return bool(boxes[1:].touching(me, _TOUCH_M).any() or self._solid[near].touching(me, _TOUCH_M).any())

    def lines(self) -> list[tuple[FloatArray, float, bool]]:
        """Every line of a light: where (2,), its heading [rad], and whether one has to stop there now."""
        return [(line.place, line.turned, line.light in self.closed) for line in self._places.lines]

    def expert_command(self) -> FloatArray:
        """What the others' driver would do in the agent's place, (2,): the wheel is turned as it has to be at once."""
        wheel, pedals = self._meant(self.drivers[0])
        turned = (wheel - _KEPT * self.command[0]) / (1.0 - _KEPT)
        return np.clip([turned, pedals], -1.0, 1.0)

    @property
    def arrived(self) -> bool:
        """Whether the agent is at the end of its route."""
        return self.way.length_m - self.along_m < ARRIVED_M

    def waypoints(self) -> FloatArray:
        """The next 15 points of the route in the agent's frame, (15, 2): ahead and right [m]."""
        which = np.minimum(self.at + 1 + np.arange(WAYPOINTS), len(self.way.points) - 1)
        away = self.way.points[which] - self.seen.place[0]
        ahead = self.seen.ahead[0]
        return np.stack([away @ ahead, away @ np.array([-ahead[1], ahead[0]])], axis=1)

    def turned_off(self) -> float:
        """How far the agent is turned away from the route [rad]."""
        return float(wrapped(self.seen.turned[0] - self.way.turned[self.at]))

    def close(self) -> None:
        """See ``Endpoint.close``."""
        self.endpoint.close()


def _sizes(actors: list[Any]) -> tuple[FloatArray, FloatArray]:
    """Half length and width (N, 2) and height (N,) [m]."""
    sizes = np.array([(b.extent.x, b.extent.y, 2.0 * b.extent.z) for b in (actor.bounding_box for actor in actors)])
    return sizes[:, :2], sizes[:, 2]


def _car(actor: Any) -> Car:  # noqa: ANN401 -- carla.Vehicle
    wheels = actor.get_physics_control().wheels
    along = [wheel.position.x / _CM for wheel in wheels]
    return Car(max(max(along) - min(along), 1.0), np.radians(max(wheel.max_steer_angle for wheel in wheels)))


def _control(command: Command) -> Any:  # noqa: ANN401 -- carla.VehicleControl
    wheel, pedals = command
    return carla.VehicleControl(throttle=max(pedals, 0.0), steer=wheel, brake=max(-pedals, 0.0))
