"""Paddle, pane and block as bodies: MuJoCo's dynamics and contacts, one model a world.

Models differ in the pane's place and width and in the block's friction, which an episode sets. ``mujoco.rollout`` steps
all worlds in one call; each of them starts from its own state alone, on whichever thread it runs.
"""

from copy import copy

import mujoco
import numpy as np
from mujoco import rollout
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError
from haltere.sims.chance import IntArray
from haltere.sims.mujoco.fork.constants import GRAVITY_MPS2, TABLE, Table
from haltere.sims.mujoco.fork.draws import FloatArray, Scene

PADDLE, BLOCK, YAW, PADDLE_VELOCITY = slice(0, 2), slice(2, 4), 4, slice(5, 7)
"""Of a state (10,): x and y of both [m], yaw [rad]; then their rates in the same order."""
STATE_SIZE = 10
_BLOCK_JOINTS = slice(2, 5)
_EVERYWHERE_M = 100.0


def fork_xml(table: Table = TABLE) -> str:
    """MJCF of the paddle on two slides, the block on two slides and a hinge, and the pane with a touch sensor.

    Nothing falls or tips over: the table's friction is dry friction in the block's three joints.
    """
    side, tall = table.block_half_m, 2 * table.bar_radius_m
    kv = table.paddle_kg / table.servo_s
    low, high = table.reach_x_m
    return f"""
    <mujoco model="manip_fork">
      <option timestep="{table.sim_dt_s}" integrator="Euler" jacobian="dense">
        <flag gravity="disable" passive="disable" equality="disable" midphase="disable"/>
      </option>
      <default><geom condim="3" friction="{table.grip} 0 0" solref="{2 * table.sim_dt_s} 1"/></default>
      <worldbody>
        <body name="pane">
          <geom name="pane" type="box" size="{table.pane_thick_m} 0.1 {tall}" contype="2" conaffinity="0"/>
          <site name="pane" type="sphere" size="{_EVERYWHERE_M}"/>
        </body>
        <body name="paddle">
          <joint name="ahead" type="slide" axis="1 0 0" limited="true" range="{low} {high}"
                 solreflimit="{2 * table.sim_dt_s} 1"/>
          <joint name="left" type="slide" axis="0 1 0" limited="true" range="{-table.reach_y_m} {table.reach_y_m}"
                 solreflimit="{2 * table.sim_dt_s} 1"/>
          <geom type="capsule" fromto="0 {-table.bar_half_m} 0 0 {table.bar_half_m} 0" size="{table.bar_radius_m}"
                mass="{table.paddle_kg}" contype="1" conaffinity="2"/>
        </body>
        <body name="block">
          <joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 1 0"/><joint type="hinge" axis="0 0 1"/>
          <geom type="box" size="{side} {side} {tall}" mass="{table.block_kg}" contype="0" conaffinity="3"/>
        </body>
      </worldbody>
      <actuator>
        <velocity joint="ahead" kv="{kv}"/><velocity joint="left" kv="{kv}"/>
      </actuator>
      <sensor><touch site="pane"/></sensor>
    </mujoco>"""


class Physics:
    """W tables' dynamics. It keeps no state of theirs, only room to work in.

    Attributes:
        state: (W, 10) places and rates; see ``PADDLE``, ``BLOCK``, ``YAW`` and ``PADDLE_VELOCITY``.
    """

    def __init__(self, num_envs: int, threads: int) -> None:
        """Compile the table, and copy it for every world."""
        model = mujoco.MjModel.from_xml_string(fork_xml())
        workers = threads if threads > 1 else 0
        self._models = [copy(model) for _ in range(num_envs)]
        self._data = [mujoco.MjData(model) for _ in range(max(1, workers))]
        self._pane = int(mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, "pane"))
        self._rollout = rollout.Rollout(nthread=workers)
        self.state = np.zeros((num_envs, STATE_SIZE))
        self._initial = np.zeros((num_envs, 1 + STATE_SIZE))  # MuJoCo's begins with the time, which nothing depends on
        self._control = np.zeros((num_envs, TABLE.substeps, 2))
        self._after = np.zeros((num_envs, TABLE.substeps, 1 + STATE_SIZE))
        self._force = np.zeros((num_envs, TABLE.substeps, 1))

    def place(self, worlds: IntArray, scene: Scene) -> None:
        """Set what the models of some worlds differ in; ``scene`` is theirs, (k,)."""
        weight = TABLE.block_kg * GRAVITY_MPS2
        rubs = np.array([weight, weight, weight * TABLE.turning_m])
        for row, world in enumerate(worlds.tolist()):
            model = self._models[world]
            size = model.geom_size[self._pane]  # a view
            size[1] = scene.pane_half[row]
            model.body_pos[model.geom_bodyid[self._pane], 0] = scene.pane_x[row]
            model.geom_rbound[self._pane] = np.sqrt((size**2).sum())
            model.geom_aabb[self._pane, 3:] = size
            model.dof_frictionloss[_BLOCK_JOINTS] = scene.friction[row] * rubs

    def step(self, command: FloatArray) -> NDArray[np.bool_]:
        """Advance every world by one control period.

        Args:
            command: (W, 2) velocity along x and y that the paddle's servos aim at [m/s].

        Returns:
            (W,) whether anything pressed on the pane in any of the substeps.

        Raises:
            HaltereError: MuJoCo couldn't integrate a world's state.
        """
        self._initial[:, 1:] = self.state
        self._control[:] = command[:, None]
        self._rollout.rollout(
            self._models,
            self._data,
            self._initial,
            self._control,
            skip_checks=True,
            nstep=TABLE.substeps,
            state=self._after,
            sensordata=self._force,
        )
        self.state = self._after[:, -1, 1:].copy()
        if not np.isfinite(self.state).all():
            raise HaltereError("MuJoCo could not integrate a world's state; its trajectory is lost, reset it")
        force: FloatArray = self._force.max(axis=(1, 2))
        return force > 0.0

    def bare_step(self) -> None:
        """MuJoCo's part of the next step, with the last one's commands, for a bench; the state stays as it is."""
        state = self.state
        self.step(self._control[:, 0].copy())
        self.state = state

    def close(self) -> None:
        """End the threads."""
        self._rollout.close()
