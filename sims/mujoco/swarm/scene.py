"""The forest as a MuJoCo model: one model for every world, since cylinders are mocap bodies that an episode places."""

import mujoco

from haltere.sims.mujoco.swarm.config import SwarmForestConfig
from haltere.sims.mujoco.swarm.constants import FOREST, GRAVITY_MPS2, QUADROTOR, Forest, Quadrotor


def obstacle_count(config: SwarmForestConfig, forest: Forest = FOREST) -> int:
    """Number of cylinders: the density's share of the cells, rounded down as published."""
    cells = round(forest.forest_m / forest.cell_m) ** 2
    return int(cells * config.density)


def forest_xml(config: SwarmForestConfig, forest: Forest = FOREST, quadrotor: Quadrotor = QUADROTOR) -> str:
    """MJCF of the room, N drones as free bodies with a sphere each, and the cylinders.

    Geoms are numbered floor, walls, ceiling, drones, cylinders: the native step relies on that order. Cylinders and
    room never meet each other (contype 1, conaffinity 0); contacts are frictionless but for the floor's.
    """
    half = forest.room_m / 2
    walls = [("1 0 0", f"{-half} 0 0"), ("-1 0 0", f"{half} 0 0"), ("0 1 0", f"0 {-half} 0"), ("0 -1 0", f"0 {half} 0")]
    faces = [*walls, ("0 0 -1", f"0 0 {forest.room_m}")]
    planes = "".join(f'<geom class="still" type="plane" zaxis="{z}" pos="{at}" size="0 0 1"/>' for z, at in faces)
    inertia = " ".join(str(moment) for moment in quadrotor.inertia_kgm2)
    drone = (
        f'<freejoint/><inertial pos="0 0 0" mass="{quadrotor.mass_kg}" diaginertia="{inertia}"/>'
        f'<geom type="sphere" size="{quadrotor.arm_m}" condim="1" friction="0 0 0"/>'
    )
    drones = "".join(f'<body pos="{i} 0 1">{drone}</body>' for i in range(config.drones))
    cylinder = f'size="{config.obstacle_diameter_m / 2} {forest.room_m / 2}"'
    cylinders = "".join(
        f'<body mocap="true" pos="0 0 {half}"><geom class="still" type="cylinder" {cylinder}/></body>'
        for _ in range(obstacle_count(config))
    )
    solref = f"{forest.contact_time_constant_s} {forest.contact_damping_ratio}"
    return f"""
    <mujoco model="swarm_forest">
      <compiler autolimits="true" inertiafromgeom="false"/>
      <option timestep="{forest.sim_dt_s}" gravity="0 0 {-GRAVITY_MPS2}" integrator="Euler" jacobian="sparse">
        <flag passive="disable" sensor="disable" actuation="disable" equality="disable" limit="disable"
              frictionloss="disable"/>
      </option>
      <visual><global offwidth="1280" offheight="720"/></visual>
      <default>
        <geom solref="{solref}"/>
        <default class="still"><geom contype="1" conaffinity="0" condim="1" friction="0 0 0"/></default>
      </default>
      <worldbody>
        <geom class="still" type="plane" size="0 0 1" condim="3" friction="{forest.friction} 0 0"/>
        {planes}{drones}{cylinders}
      </worldbody>
    </mujoco>"""


def build_model(config: SwarmForestConfig) -> mujoco.MjModel:
    """Compile the forest."""
    return mujoco.MjModel.from_xml_string(forest_xml(config))
