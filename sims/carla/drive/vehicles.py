"""Vehicles that can be driven. Sizes and masses are the makers' round figures, the rest ours, and none CARLA's."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from haltere.sims.carla.drive.bodies import CURVE, GEARS, PARAMS
from haltere.sims.carla.geometry import Vector
from haltere.sims.carla.scene import Label

AIR_KG_M3 = 1.2
FILLED = 0.85
"""Share of its box that a vehicle shows to the wind."""
ROLLING = 0.012
EFFICIENCY = 0.9
FRONT = 0.8
"""Stiffness of the front axle beside the rear one: a car that understeers, as they are made to; a round figure."""
STEER_RATE = 3.0
"""[rad/s] of the front wheels."""
IDLE_RPM = 800.0
MOST_GEARS, MOST_POINTS = GEARS, CURVE
"""That a vehicle may be given."""


@dataclass(frozen=True)
class VehicleKind:
    """A vehicle as it leaves the works.

    Attributes:
        name: its blueprint's.
        shape: as it is drawn.
        size: length, width and height [m].
        mass_kg: ready to drive.
        wheel_base_m: from axle to axle.
        torque_nm: the engine's most.
        most_rpm: of the engine.
        gears: ratios; a single one where there is no gear box.
        final_ratio: behind it.
        drag: coefficient.
        most_steer_deg: of the front wheels.
        wheels: how many.
        base_type: CARLA's word: ``car``, ``truck``, ``van``, ``motorcycle``, ``bicycle`` or ``bus``.
        special_type: ``emergency``, ``taxi``, ``electric`` or empty.
        labels: what a semantic camera sees.
    """

    name: str
    shape: str
    size: tuple[float, float, float]
    mass_kg: float
    wheel_base_m: float
    torque_nm: float
    most_rpm: float = 6500.0
    gears: tuple[float, ...] = (3.6, 2.1, 1.45, 1.1, 0.87, 0.7)
    final_ratio: float = 3.7
    drag: float = 0.30
    most_steer_deg: float = 38.0
    wheels: int = 4
    base_type: str = "car"
    special_type: str = ""
    labels: tuple[Label, ...] = (Label.CAR,)

    @property
    def extent(self) -> Vector:
        """Half of its size [m]."""
        length, width, height = self.size
        return Vector(length / 2, width / 2, height / 2)

    @property
    def radius_m(self) -> float:
        """Of a wheel: about a fifth of the height, and no less than a small car's."""
        return min(max(0.21 * self.size[2], 0.3), 0.5)


_ELECTRIC = {"gears": (1.0,), "final_ratio": 9.0, "most_rpm": 16000.0, "special_type": "electric"}
_HEAVY = {"gears": (6.5, 3.9, 2.4, 1.5, 1.0, 0.75), "final_ratio": 4.2, "most_rpm": 3200.0, "most_steer_deg": 42.0}
_RIDDEN = {"wheels": 2, "base_type": "motorcycle", "labels": (Label.MOTORCYCLE, Label.RIDER), "drag": 0.6}
_CYCLED = {
    **_RIDDEN,
    "base_type": "bicycle",
    "labels": (Label.BICYCLE, Label.RIDER),
    "gears": (1.0,),
    # Pedals: the wheel turns 2.6 times as fast.
    "final_ratio": 1 / 2.6,
    "most_rpm": 100.0,
}


def _kind(
    name: str,
    shape: str,
    size: tuple[float, float, float],
    mass_kg: float,
    base_m: float,
    torque_nm: float,
    **rest: object,
) -> VehicleKind:
    return VehicleKind(f"vehicle.{name}", shape, size, mass_kg, base_m, torque_nm, **rest)  # type: ignore[arg-type]


VEHICLES = (
    _kind("tesla.model3", "car", (4.69, 1.85, 1.44), 1845.0, 2.88, 420.0, drag=0.23, **_ELECTRIC),
    _kind("audi.a2", "car", (3.83, 1.67, 1.55), 990.0, 2.41, 126.0, drag=0.29),
    _kind("audi.tt", "car", (4.18, 1.83, 1.34), 1410.0, 2.51, 370.0),
    _kind("audi.etron", "suv", (4.90, 1.94, 1.63), 2490.0, 2.93, 560.0, drag=0.28, **_ELECTRIC),
    _kind("bmw.grandtourer", "car", (4.56, 1.80, 1.61), 1500.0, 2.78, 270.0),
    _kind("chevrolet.impala", "car", (5.11, 1.85, 1.50), 1690.0, 2.84, 350.0, drag=0.31),
    _kind("citroen.c3", "car", (4.00, 1.75, 1.47), 1050.0, 2.54, 205.0, drag=0.31),
    _kind("dodge.charger_2020", "car", (5.10, 1.91, 1.47), 1890.0, 3.05, 530.0, drag=0.33),
    _kind("dodge.charger_police", "car", (5.10, 1.91, 1.60), 1990.0, 3.05, 530.0, drag=0.36, special_type="emergency"),
    _kind("ford.crown", "car", (5.39, 1.99, 1.55), 1880.0, 2.91, 370.0, drag=0.36, special_type="taxi"),
    _kind("ford.mustang", "car", (4.62, 1.73, 1.30), 1280.0, 2.74, 380.0, drag=0.46),
    _kind("jeep.wrangler_rubicon", "suv", (4.24, 1.87, 1.84), 1900.0, 2.46, 350.0, drag=0.45),
    _kind("lincoln.mkz_2020", "car", (4.93, 1.86, 1.48), 1690.0, 2.85, 370.0),
    _kind("mercedes.coupe_2020", "car", (4.67, 1.81, 1.41), 1580.0, 2.84, 400.0, drag=0.26),
    _kind("mini.cooper_s", "car", (3.82, 1.73, 1.41), 1230.0, 2.50, 280.0, drag=0.31),
    _kind("nissan.micra", "car", (3.64, 1.67, 1.50), 980.0, 2.43, 130.0, drag=0.32),
    _kind("nissan.patrol", "suv", (5.14, 2.00, 1.94), 2700.0, 3.08, 560.0, drag=0.38),
    _kind("seat.leon", "car", (4.28, 1.82, 1.46), 1270.0, 2.64, 250.0),
    _kind("toyota.prius", "car", (4.54, 1.76, 1.47), 1390.0, 2.70, 250.0, drag=0.24),
    _kind("tesla.cybertruck", "truck", (5.68, 2.03, 1.79), 3000.0, 3.63, 900.0, drag=0.34, **_ELECTRIC),
    _kind("volkswagen.t2", "van", (4.51, 1.72, 1.94), 1280.0, 2.40, 140.0, drag=0.44, base_type="van"),
    _kind("mercedes.sprinter", "van", (5.93, 2.02, 2.65), 2200.0, 3.67, 440.0, drag=0.35, base_type="van"),
    _kind(
        "ford.ambulance",
        "van",
        (6.36, 2.35, 2.43),
        3600.0,
        3.80,
        750.0,
        drag=0.45,
        base_type="van",
        special_type="emergency",
    ),
    _kind(
        "carlamotors.carlacola",
        "truck",
        (5.20, 2.61, 2.47),
        5500.0,
        3.20,
        900.0,
        drag=0.6,
        base_type="truck",
        labels=(Label.TRUCK,),
        **_HEAVY,
    ),
    _kind(
        "carlamotors.firetruck",
        "truck",
        (8.47, 2.89, 3.83),
        15000.0,
        4.80,
        2200.0,
        drag=0.65,
        base_type="truck",
        special_type="emergency",
        labels=(Label.TRUCK,),
        **_HEAVY,
    ),
    _kind(
        "mitsubishi.fusorosa",
        "bus",
        (10.27, 3.05, 3.10),
        9000.0,
        5.20,
        1300.0,
        drag=0.6,
        base_type="bus",
        labels=(Label.BUS,),
        **_HEAVY,
    ),
    _kind("yamaha.yzf", "motorcycle", (2.05, 0.69, 1.45), 270.0, 1.38, 112.0, most_rpm=11000.0, **_RIDDEN),
    _kind("kawasaki.ninja", "motorcycle", (2.03, 0.76, 1.45), 260.0, 1.40, 65.0, most_rpm=10500.0, **_RIDDEN),
    _kind("harley-davidson.low_rider", "motorcycle", (2.35, 0.90, 1.50), 370.0, 1.63, 145.0, **_RIDDEN),
    _kind("vespa.zx125", "motorcycle", (1.80, 0.70, 1.45), 190.0, 1.30, 11.0, most_rpm=8500.0, **_RIDDEN),
    _kind("bh.crossbike", "bicycle", (1.75, 0.60, 1.60), 90.0, 1.05, 55.0, **_CYCLED),
    _kind("diamondback.century", "bicycle", (1.70, 0.50, 1.55), 85.0, 1.00, 60.0, **_CYCLED),
    _kind("gazelle.omafiets", "bicycle", (1.85, 0.60, 1.65), 95.0, 1.10, 45.0, **_CYCLED),
)


@dataclass(frozen=True)
class Wheels:
    """What all wheels of a vehicle come to.

    Attributes:
        friction: of the tyres.
        stiffness: sideways, in loads per radian.
        most_steer_deg: of the front ones.
        radius_m: of one.
        brake_torque_nm: of all.
        hand_brake_torque_nm: of the rear ones.
    """

    friction: float
    stiffness: float
    most_steer_deg: float
    radius_m: float
    brake_torque_nm: float
    hand_brake_torque_nm: float


@dataclass(frozen=True)
class Engine:
    """What drives a vehicle, in CARLA's terms.

    Attributes:
        torque: (rpm, N m).
        most_rpm: of the engine.
        final_ratio: behind the gear box.
        gears: ratio, and at which shares of ``most_rpm`` to change down and up.
        switch_time_s: of a change.
        automatic: whether it changes by itself.
    """

    torque: tuple[tuple[float, float], ...]
    most_rpm: float
    final_ratio: float
    gears: tuple[tuple[float, float, float], ...]
    switch_time_s: float = 0.3
    automatic: bool = True


@dataclass(frozen=True)
class Setup:
    """What of a vehicle can be changed once it is there.

    Attributes:
        mass_kg: of the whole.
        drag: coefficient.
        engine: see there.
        wheels: likewise.
        steering: (km/h, share of the most).
    """

    mass_kg: float
    drag: float
    engine: Engine
    wheels: Wheels
    steering: tuple[tuple[float, float], ...] = field(default=((0.0, 1.0), (20.0, 0.95), (60.0, 0.8), (120.0, 0.65)))


def setup_of(kind: VehicleKind) -> Setup:
    """As it leaves the works."""
    flat: tuple[tuple[float, float], ...] = ((0.0, 0.6), (0.2, 0.9), (0.35, 1.0), (0.7, 1.0), (1.0, 0.75))
    if len(kind.gears) == 1:
        # An electric motor, or legs: all of it at once, and less and less with speed.
        flat = ((0.0, 1.0), (0.35, 1.0), (1.0, 0.3))
    torque = tuple((share * kind.most_rpm, of * kind.torque_nm) for share, of in flat)
    gears = tuple((ratio, 0.4, 0.8) for ratio in kind.gears)
    brake_nm = 1.2 * kind.mass_kg * 9.81 * kind.radius_m
    wheels = Wheels(1.0, 17.0, kind.most_steer_deg, kind.radius_m, brake_nm, 0.5 * brake_nm)
    return Setup(kind.mass_kg, kind.drag, Engine(torque, kind.most_rpm, kind.final_ratio, gears), wheels)


def params_of(kind: VehicleKind, setup: Setup) -> NDArray[np.void]:
    """What the native step needs, () ``PARAMS``.

    The centre of mass lies midway between the axles, at a third of the height; the inertia is that of a solid box.
    """
    row = np.zeros((), PARAMS)
    length, width, height = kind.size
    wheels, engine, weight = setup.wheels, setup.engine, setup.mass_kg * 9.81
    row["mass"], row["inertia"] = setup.mass_kg, setup.mass_kg * (length**2 + width**2) / 12
    row["front"] = row["rear"] = kind.wheel_base_m / 2
    row["track"], row["height"] = 0.85 * width, height / 3
    row["rear_stiffness"] = wheels.stiffness * weight / 2
    row["front_stiffness"] = FRONT * row["rear_stiffness"]
    row["friction"] = wheels.friction
    row["drag"], row["rolling"] = 0.5 * AIR_KG_M3 * setup.drag * FILLED * width * height, ROLLING
    row["most_steer"], row["steer_rate"] = np.radians(wheels.most_steer_deg), STEER_RATE
    row["radius"], row["final_ratio"], row["efficiency"] = wheels.radius_m, engine.final_ratio, EFFICIENCY
    row["idle_rpm"], row["most_rpm"] = min(IDLE_RPM, 0.2 * engine.most_rpm), engine.most_rpm
    row["switch_time"], row["automatic"] = engine.switch_time_s, engine.automatic
    row["brake_torque"], row["hand_brake_torque"] = wheels.brake_torque_nm, wheels.hand_brake_torque_nm
    row["gear_count"], row["reverse_ratio"] = len(engine.gears), engine.gears[0][0]
    for name, column in (("ratio", 0), ("down", 1), ("up", 2)):
        row[name][: len(engine.gears)] = [gear[column] for gear in engine.gears]
    curves: tuple[tuple[str, tuple[tuple[float, float], ...], tuple[str, str]], ...] = (
        ("torque_points", engine.torque, ("torque_rpm", "torque")),
        ("steer_points", setup.steering, ("steer_kmh", "steer_share")),
    )
    for points, curve, names in curves:
        row[points] = len(curve)
        for name, column in zip(names, (0, 1), strict=True):
            row[name][: len(curve)] = [point[column] for point in curve]
    return row
