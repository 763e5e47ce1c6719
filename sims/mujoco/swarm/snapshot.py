"""What a picture of the swarm needs, and nothing that only the physics needs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]


@dataclass(frozen=True)
class SwarmSnapshot:
    """One world at one control step. N drones, C cylinders; the world frame's z points up and the floor is z = 0.

    Attributes:
        time_s: time since the episode began [s]. A smaller time than the last snapshot's starts a new episode.
        position: (N, 3) centres of mass, world [m].
        quaternion: (N, 4) attitudes, body to world, w first.
        velocity: (N, 3) world [m/s].
        goal: (N, 3) where each drone should be now, world [m].
        obstacle: (C, 2) axes of the cylinders, which stand on the floor and reach the ceiling, world [m].
        obstacle_radius_m: radius of every cylinder [m].
        room_m: side of the cubic room [m]; x and y run from minus to plus half of it, z from 0 to all of it.
        touching: (N,) bool, in contact with anything now.
        collided: (N,) bool, has had a contact in this episode that excludes success.
        goal_radius_m: distance within which a drone counts as being at its goal [m].
    """

    time_s: float
    position: FloatArray
    quaternion: FloatArray
    velocity: FloatArray
    goal: FloatArray
    obstacle: FloatArray
    obstacle_radius_m: float
    room_m: float
    touching: NDArray[np.bool_]
    collided: NDArray[np.bool_]
    goal_radius_m: float = 0.5
