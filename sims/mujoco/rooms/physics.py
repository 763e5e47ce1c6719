"""The body of the agent among boxes and walls: MuJoCo's dynamics and contacts, one model for every world.

Boxes are mocap bodies that an episode places, so that the model never changes. ``mujoco.rollout`` steps all worlds in
one call; each of them starts from its own state alone, on whichever thread it runs.
"""

import mujoco
import numpy as np
from mujoco import rollout
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError
from haltere.sims.mujoco.rooms.constants import BOXES, ROOM, Room

FloatArray = NDArray[np.float64]

POSE, MOTION = slice(0, 3), slice(3, 6)
"""Of a state (6,): x and y [m] and heading [rad]; their rates."""
STATE_SIZE = 6
_NOWHERE_M = 100.0
_TOUCH_MARGIN_M = 0.02
_SPEC = mujoco.mjtState.mjSTATE_CTRL | mujoco.mjtState.mjSTATE_MOCAP_POS


def room_xml(room: Room = ROOM) -> str:
    """MJCF of four walls, the agent on two slides and a hinge, and the boxes, each with a touch sensor around it.

    The agent neither falls nor rubs on the floor: its motors are velocity servos. Contacts are frictionless.
    """
    half, radius, tall = room.side_m / 2, room.agent_radius_m, room.box_height_m / 2
    walls = [("1 0 0", f"{-half} 0 0"), ("-1 0 0", f"{half} 0 0"), ("0 1 0", f"0 {-half} 0"), ("0 -1 0", f"0 {half} 0")]
    planes = "".join(f'<geom class="still" type="plane" zaxis="{z}" pos="{at}" size="0 0 1"/>' for z, at in walls)
    size = f"{room.box_half_m} {room.box_half_m} {tall}"
    around = " ".join(str(part + _TOUCH_MARGIN_M) for part in (room.box_half_m, room.box_half_m, tall))
    boxes = "".join(
        f'<body mocap="true" pos="0 {_NOWHERE_M} {tall}"><geom class="still" type="box" size="{size}"/>'
        f'<site name="box{i}" type="box" size="{around}"/></body>'
        for i in range(BOXES)
    )
    inertia = 0.4 * room.agent_kg * radius**2
    motors = "".join(
        f'<velocity joint="{joint}" kv="{mass / room.servo_s}"/>'
        for joint, mass in (("x", room.agent_kg), ("y", room.agent_kg), ("turn", inertia))
    )
    touch = "".join(f'<touch site="box{i}"/>' for i in range(BOXES))
    return f"""
    <mujoco model="memory_rooms">
      <option timestep="{room.sim_dt_s}" integrator="Euler" jacobian="dense">
        <flag gravity="disable" passive="disable" equality="disable" limit="disable" frictionloss="disable"
              midphase="disable"/>
      </option>
      <default>
        <geom condim="1" friction="0 0 0" solref="{2 * room.sim_dt_s} 1"/>
        <default class="still"><geom contype="1" conaffinity="0"/></default>
      </default>
      <worldbody>
        {planes}
        <body pos="0 0 {radius}">
          <joint name="x" type="slide" axis="1 0 0"/><joint name="y" type="slide" axis="0 1 0"/>
          <joint name="turn" type="hinge" axis="0 0 1"/>
          <geom type="sphere" size="{radius}" mass="{room.agent_kg}"/>
        </body>
        {boxes}
      </worldbody>
      <actuator>{motors}</actuator>
      <sensor>{touch}</sensor>
    </mujoco>"""


class Physics:
    """W rooms' dynamics. It keeps no state of theirs, only room to work in.

    Attributes:
        state: (W, 6) pose and rates of each agent; see ``POSE`` and ``MOTION``.
    """

    def __init__(self, num_envs: int, threads: int) -> None:
        """Compile the room."""
        self._model = mujoco.MjModel.from_xml_string(room_xml())
        workers = threads if threads > 1 else 0
        self._models = [self._model] * num_envs
        self._data = [mujoco.MjData(self._model) for _ in range(max(1, workers))]
        self._rollout = rollout.Rollout(nthread=workers)
        substeps, controls = ROOM.substeps, mujoco.mj_stateSize(self._model, int(_SPEC))
        self.state = np.zeros((num_envs, STATE_SIZE))
        self._initial = np.zeros((num_envs, 1 + STATE_SIZE))  # MuJoCo's begins with the time, which nothing depends on
        self._control = np.zeros((num_envs, substeps, controls))
        self._after = np.zeros((num_envs, substeps, 1 + STATE_SIZE))
        self._force = np.zeros((num_envs, substeps, BOXES))
        self._box = self._control[:, :, 3:].reshape(num_envs, substeps, BOXES, 3)  # a view
        self._box[..., 1], self._box[..., 2] = _NOWHERE_M, ROOM.box_height_m / 2

    def place(self, worlds: NDArray[np.int64], box: FloatArray, there: NDArray[np.bool_]) -> None:
        """Put the boxes of some worlds where they belong, or out of the room: (k, 8, 2) [m] and (k, 8)."""
        at = np.where(there[..., None], box, (0.0, _NOWHERE_M))
        self._box[worlds, :, :, :2] = at[:, None]

    def step(self, command: FloatArray) -> FloatArray:
        """Advance every world by one control period.

        Args:
            command: (W, 3) velocity along the room's x and y [m/s] and yaw rate [rad/s] that the servos aim at.

        Returns:
            (W, 8) the largest force on each box in any of the substeps [N]; 0 where nothing touches it.

        Raises:
            HaltereError: MuJoCo couldn't integrate a world's state.
        """
        self._initial[:, 1:] = self.state
        self._control[:, :, :3] = command[:, None]
        self._rollout.rollout(
            self._models,
            self._data,
            self._initial,
            self._control,
            control_spec=int(_SPEC),
            skip_checks=True,
            nstep=ROOM.substeps,
            state=self._after,
            sensordata=self._force,
        )
        self.state = self._after[:, -1, 1:].copy()
        if not np.isfinite(self.state).all():
            raise HaltereError("MuJoCo could not integrate a world's state; its trajectory is lost, reset it")
        force: FloatArray = self._force.max(axis=1)
        return force

    def bare_step(self) -> None:
        """MuJoCo's part of the next step, with the last one's commands, for a bench; the state stays as it is."""
        state = self.state
        self.step(self._control[:, 0, :3].copy())
        self.state = state

    def close(self) -> None:
        """End the threads."""
        self._rollout.close()
