"""What moves in a world: CARLA's words for what ``haltere.sims.carla.drive`` does."""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.sims.carla.drive.bodies import Kind as BodyKind
from haltere.sims.carla.drive.drive import FASTEST, Drive
from haltere.sims.carla.drive.road import Road
from haltere.sims.carla.drive.vehicles import (
    MOST_GEARS,
    MOST_POINTS,
    Engine,
    Setup,
    VehicleKind,
    Wheels,
    params_of,
    setup_of,
)
from haltere.sims.carla.geometry import Rotation, Transform, Vector
from haltere.sims.carla.scene import Scene
from haltere.sims.carla.server.wire import structs
from haltere.sims.carla.server.world.kinds import Category, Kind

WALKER_KG, PROP_KG, GRAVITY = 75.0, 50.0, 9.81
_KINDS = {Category.VEHICLE: BodyKind.VEHICLE, Category.WALKER: BodyKind.WALKER, Category.PROP: BodyKind.PROP}
IntArray = NDArray[np.int64]


class Motion:
    """All bodies of a world, by their rows."""

    def __init__(self, scene: Scene) -> None:
        """Nobody yet."""
        self._drive = Drive(scene.ground, scene.things)
        self._vehicles: dict[int, VehicleKind] = {}

    def add(self, kind: Kind, place: Transform, *, attached: bool) -> tuple[int, structs.PhysicsControl | None]:
        """Put one in; returns its row and, of a vehicle, its physics. A prop stands where it is put."""
        vehicle = kind.vehicle
        mass_kg = vehicle.mass_kg if vehicle else WALKER_KG if kind.category is Category.WALKER else PROP_KG
        row = self._drive.add(_KINDS[kind.category], place, kind.extent, mass_kg)
        if kind.category is Category.PROP or attached:
            self._drive.bodies["physics"][row] = 0
        if vehicle is None:
            return row, None
        self._vehicles[row] = vehicle
        physics = physics_of(vehicle)
        self._drive.params[row] = params_of(vehicle, setup_of(vehicle))
        return row, physics

    def remove(self, row: int) -> None:
        """Take one out."""
        self._drive.remove(row)
        self._vehicles.pop(row, None)

    def hide(self, things: Iterable[int]) -> None:
        """See ``Drive.hide``."""
        self._drive.hide(things)

    def is_taken(self, place: Transform, extent: Vector) -> bool:
        """Whether something is there already."""
        return self._drive.is_taken(place, extent)

    def step(self, delta_s: float, substeps: int) -> NDArray[np.void]:
        """Let time go by; returns what met."""
        return self._drive.step(delta_s, substeps)

    def control(self, row: int, control: structs.VehicleControl) -> None:
        """Of a vehicle; beyond what pedals do, it is what they do at most."""
        body = self._drive.bodies[row]
        body["throttle"], body["brake"] = min(max(control.throttle, 0.0), 1.0), min(max(control.brake, 0.0), 1.0)
        body["steering"] = min(max(control.steer, -1.0), 1.0)
        body["hand_brake"], body["reverse"] = control.hand_brake, control.reverse
        body["manual"], body["wished_gear"] = control.manual_gear_shift, control.gear

    def walk(self, row: int, control: structs.WalkerControl) -> None:
        """Of a walker, who turns to where he goes."""
        way, body = control.direction, self._drive.bodies[row]
        length = math.hypot(way.x, way.y)
        share = control.speed / length if length > 0.0 else 0.0
        body["walk"], body["jump"] = (way.x * share, way.y * share, 0.0), control.jump
        if length > 0.0:
            body["turn"][0] = math.atan2(way.y, way.x)

    def set_physics(self, row: int, physics: structs.PhysicsControl) -> None:
        """Of a vehicle.

        Raises:
            RequestError: nothing can be driven so.
        """
        setup = _setup_of(physics)
        self._drive.params[row] = params_of(self._vehicles[row], setup)
        self._drive.bodies["mass"][row] = setup.mass_kg
        self._drive.bodies["inertia"][row] = self._drive.params["inertia"][row]

    def set_velocity(self, row: int, velocity: Vector) -> None:
        """In the world [m/s]."""
        self._drive.bodies["velocity"][row] = _bounded((velocity.x, velocity.y, velocity.z))

    def set_angular_velocity(self, row: int, velocity: Vector) -> None:
        """In the world [degrees/s]."""
        self._drive.bodies["spin"][row] = _bounded(np.radians((velocity.x, velocity.y, velocity.z)))

    def hold_velocity(self, row: int, velocity: Vector | None) -> None:
        """In its own frame, until it is let go."""
        body = self._drive.bodies[row]
        body["holds"] = velocity is not None
        if velocity is not None:
            body["held"] = (velocity.x, velocity.y, velocity.z)

    def push(
        self,
        row: int,
        *,
        impulse: Vector | None = None,
        force: Vector | None = None,
        angular_impulse: Vector | None = None,
        torque: Vector | None = None,
    ) -> None:
        """At the centre of mass: impulses at once, forces over the next tick."""
        body = self._drive.bodies[row]
        if impulse is not None:
            given = np.array((impulse.x, impulse.y, impulse.z)) / body["mass"]
            body["velocity"] = _bounded(body["velocity"] + given)
        if angular_impulse is not None:
            body["spin"][2] = _bounded(body["spin"][2] + angular_impulse.z / body["inertia"])
        if force is not None:
            body["force"] += (force.x, force.y, force.z)
        if torque is not None:
            body["torque"] += (torque.x, torque.y, torque.z)

    def simulate(self, row: int, *, enabled: bool) -> None:
        """Whether it moves by itself."""
        self._drive.bodies["physics"][row] = enabled

    def gravity(self, row: int, *, enabled: bool) -> None:
        """Whether it falls."""
        self._drive.bodies["gravity"][row] = enabled

    def solid(self, row: int, *, enabled: bool) -> None:
        """Whether others meet it."""
        self._drive.bodies["solid"][row] = enabled

    def teleport(self, row: int, place: Transform) -> None:
        """At once; its velocity stays."""
        self._drive.put(row, place)

    def place_of(self, row: int) -> Transform:
        """Where it is."""
        body = self._drive.bodies[row]
        yaw, pitch, roll = np.degrees(body["turn"]).tolist()
        return Transform(Vector(*body["location"].tolist()), Rotation(pitch, yaw, roll))

    def steer_deg(self, row: int, wheel: int) -> float:
        """Of the front wheels, which come first, to the right; the others aren't steered."""
        fronts = self._vehicles[row].wheels // 2
        return math.degrees(float(self._drive.bodies["steer"][row])) if wheel < fronts else 0.0

    def speed(self, row: int) -> tuple[float, float, float]:
        """Along it [m/s], how that changed in the last tick [m/s2], and how far its wheels turn [rad]."""
        body = self._drive.bodies[row]
        ahead = np.array([math.cos(body["turn"][0]), math.sin(body["turn"][0])])
        most = float(self._drive.params["most_steer"][row])
        return float(body["velocity"][:2] @ ahead), float(body["acceleration"][:2] @ ahead), most

    def velocity(self, row: int) -> NDArray[np.float64]:
        """In the world, (3,) [m/s]."""
        return np.array(self._drive.bodies["velocity"][row])

    def feels(self, row: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Acceleration in the world, without gravity [m/s2], and turning about its axes [rad/s]."""
        body = self._drive.bodies[row]
        return np.array(body["acceleration"]), np.array(body["spin"])

    def fill(self, road: Road, pairs: IntArray, rows: NDArray[np.void]) -> None:
        """Write bodies into rows of a world's state; see ``Road.fill``."""
        road.fill(self._drive.bodies, pairs, rows)


def _bounded(values: Any) -> NDArray[np.float64]:  # noqa: ANN401 -- one or several numbers
    return np.clip(np.asarray(values, np.float64), -FASTEST, FASTEST)


def physics_of(kind: VehicleKind) -> structs.PhysicsControl:
    """As it leaves the works, in CARLA's structure; wheels stand where they do in its own frame [cm]."""
    setup = setup_of(kind)
    wheels, engine = setup.wheels, setup.engine
    across, along = 0.425 * kind.size[1] * 100.0, kind.wheel_base_m / 2 * 100.0
    wheel = structs.Wheel(
        tire_friction=wheels.friction,
        max_brake_torque=wheels.brake_torque_nm / kind.wheels,
        radius=wheels.radius_m * 100.0,
        lat_stiff_value=wheels.stiffness,
    )
    spots = [(along, -across), (along, across), (-along, -across), (-along, across)]
    if kind.wheels == 2:
        spots = [(along, 0.0), (-along, 0.0)]
    return structs.PhysicsControl(
        torque_curve=tuple(structs.Point(*point) for point in engine.torque),
        max_rpm=engine.most_rpm,
        use_gear_autobox=engine.automatic,
        gear_switch_time=engine.switch_time_s,
        final_ratio=engine.final_ratio,
        forward_gears=tuple(structs.Gear(*gear) for gear in engine.gears),
        mass=setup.mass_kg,
        drag_coefficient=setup.drag,
        steering_curve=tuple(structs.Point(*point) for point in setup.steering),
        wheels=tuple(
            replace(
                wheel,
                position=Vector(x, y, wheels.radius_m * 100.0),
                max_steer_angle=wheels.most_steer_deg if x > 0.0 else 0.0,
                max_handbrake_torque=0.0 if x > 0.0 else wheels.hand_brake_torque_nm / (kind.wheels / 2),
            )
            for x, y in spots
        ),
    )


def _setup_of(physics: structs.PhysicsControl) -> Setup:
    """What of CARLA's structure the step knows.

    Raises:
        RequestError: nothing can be driven so.
    """
    curves = (physics.torque_curve, physics.steering_curve)
    if not physics.wheels or not 1 <= len(physics.forward_gears) <= MOST_GEARS:
        got = f"{len(physics.wheels)} and {len(physics.forward_gears)}"
        raise RequestError(f"a vehicle needs wheels and 1 to {MOST_GEARS} forward gears, got {got}")
    if any(len(curve) > MOST_POINTS for curve in curves) or not physics.torque_curve:
        raise RequestError(f"a curve may have {MOST_POINTS} points at most, and that of the torque needs one")
    radii, wheels = [wheel.radius for wheel in physics.wheels], physics.wheels
    numbers = [
        ("mass", physics.mass, 1.0, 1e6),
        ("max_rpm", physics.max_rpm, 1.0, 1e6),
        ("final_ratio", physics.final_ratio, 1e-3, 1e3),
        ("drag_coefficient", physics.drag_coefficient, 0.0, 1e3),
        *(("a gear's ratio", gear.ratio, 1e-3, 1e3) for gear in physics.forward_gears),
        *(("a wheel's radius", radius, 1.0, 1e3) for radius in radii),
        *(("a wheel's tire_friction", wheel.tire_friction, 0.01, 1e2) for wheel in wheels),
        *(("a wheel's lat_stiff_value", wheel.lat_stiff_value, 0.1, 1e3) for wheel in wheels),
        *(("a torque", point.y, 0.0, 1e6) for point in physics.torque_curve),
    ]
    for name, value, least, most in numbers:
        if not least <= value <= most:
            raise RequestError(f"{name} must be {least:g} to {most:g}, got {value:g}")
    engine = Engine(
        torque=tuple((point.x, point.y) for point in physics.torque_curve),
        most_rpm=physics.max_rpm,
        final_ratio=physics.final_ratio,
        gears=tuple((gear.ratio, gear.down_ratio, gear.up_ratio) for gear in physics.forward_gears),
        switch_time_s=max(physics.gear_switch_time, 0.0),
        automatic=physics.use_gear_autobox,
    )
    whole = Wheels(
        friction=sum(wheel.tire_friction for wheel in wheels) / len(wheels),
        stiffness=sum(wheel.lat_stiff_value for wheel in wheels) / len(wheels),
        most_steer_deg=min(max(wheel.max_steer_angle for wheel in wheels), 80.0),
        radius_m=sum(radii) / len(radii) / 100.0,
        brake_torque_nm=max(sum(wheel.max_brake_torque for wheel in wheels), 0.0),
        hand_brake_torque_nm=max(sum(wheel.max_handbrake_torque for wheel in wheels), 0.0),
    )
    steering = tuple((point.x, point.y) for point in physics.steering_curve)
    return Setup(physics.mass, physics.drag_coefficient, engine, whole, steering)
