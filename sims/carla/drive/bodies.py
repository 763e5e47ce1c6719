"""The layout that Python and ``libhaltere_drive`` share: one row a body, and one of parameters beside it."""

from enum import IntEnum

import numpy as np

GEARS, CURVE = 8, 16
"""Most gears, and most points of a curve."""


class Kind(IntEnum):
    """What a row holds."""

    FREE = 0
    VEHICLE = 1
    WALKER = 2
    PROP = 3


_VECTORS = ("location", "turn", "velocity", "spin", "acceleration", "extent")
BODY = np.dtype(
    [
        *((name, "<f8", (3,)) for name in _VECTORS),
        *((name, "<f8") for name in ("mass", "inertia", "steer", "rpm", "shifting", "falls")),
        *((name, "<f8", (3,)) for name in ("force", "torque", "held", "walk")),
        *((name, "<f8") for name in ("throttle", "steering", "brake")),
        *((name, "<i8") for name in ("kind", "gear", "hand_brake", "reverse", "manual", "wished_gear", "jump")),
        *((name, "<i8") for name in ("physics", "gravity", "solid", "holds", "grounded")),
    ]
)
"""``location`` [m] of the middle of the footprint, ``turn`` yaw, pitch and roll [rad], ``velocity`` [m/s] and
``acceleration`` [m/s2] in the world, ``spin`` [rad/s] about its axes (yaw is the third), ``extent`` half sizes [m],
``mass`` [kg], ``inertia`` about the vertical [kg m2], ``steer`` of the front wheels now [rad], ``rpm`` of the engine,
``shifting`` seconds until a gear is in, ``falls`` seconds until a walker who was run down walks again, ``force`` [N]
and ``torque`` [N m] for the next tick, ``held`` velocity in its own frame while ``holds``, ``walk`` of a walker [m/s];
the rest are controls as CARLA has them, and flags."""

PARAMS = np.dtype(
    [
        *((name, "<f8") for name in ("mass", "inertia", "front", "rear", "track", "height")),
        *((name, "<f8") for name in ("front_stiffness", "rear_stiffness", "friction", "drag", "rolling")),
        *((name, "<f8") for name in ("most_steer", "steer_rate", "radius", "final_ratio", "efficiency")),
        *((name, "<f8") for name in ("idle_rpm", "most_rpm", "switch_time", "brake_torque", "hand_brake_torque")),
        *((name, "<f8") for name in ("gear_count", "automatic", "reverse_ratio")),
        *((name, "<f8", (GEARS,)) for name in ("ratio", "up", "down")),
        *(("torque_points", "<f8"), ("torque_rpm", "<f8", (CURVE,)), ("torque", "<f8", (CURVE,))),
        *(("steer_points", "<f8"), ("steer_kmh", "<f8", (CURVE,)), ("steer_share", "<f8", (CURVE,))),
    ]
)
"""Of a vehicle: ``front`` and ``rear`` from the centre of mass to the axles [m], ``height`` of that [m], stiffness
of an axle under its own load [N/rad], ``drag`` [N s2/m2], ``rolling`` as a share of the weight, angles [rad], torques
of all wheels together [N m], gears changed at shares of ``most_rpm``, curves over rpm and km/h."""

CONTACT = np.dtype(
    [("first", "<i8"), ("second", "<i8"), ("thing", "<i8"), ("impulse", "<f8", (3,)), ("point", "<f8", (3,))]
)
"""Rows of two bodies, or of a body and a thing (the other is -1), the impulse on the first [N s] and where [m]."""
