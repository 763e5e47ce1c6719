"""The ten scenes: where each one's object is placed and sensed, and when it is where it should be.

Source: metaworld 3.1.1, ``envs/sawyer_*_v3.py``: ``reset_model``, ``_get_pos_objects``, ``evaluate_state``.
"""

import numpy as np

from haltere.sims.mujoco.mt10.benches import Bench, length
from haltere.sims.mujoco.mt10.constants import SubTask, SubTaskName
from haltere.sims.mujoco.mt10.draws import FloatArray

_FREE_JOINT, _FREE_RATES = 9, slice(9, 15)
"""Of an object that lies freely: its place in the joints' positions, and its joints' rates."""


def _xyz(x: float, y: float, z: float) -> FloatArray:
    return np.array([x, y, z])


class _Puck(Bench):
    """A puck on the table. Nothing of the scene depends on the episode until the hand is at its start."""

    _at: FloatArray

    def __init__(self, sub_task: SubTask) -> None:
        super().__init__(sub_task)
        self._at, self._turned = self.data.body("obj").xpos, self.data.geom("objGeom").xmat
        self._lying_m = 0.0
        self._led: FloatArray | None = None

    def _lead_hand(self) -> None:
        if self._led is None:
            super()._lead_hand()
            self._lying_m = float(self._at[2])
            self._led = np.zeros(self.state_size)
            self.take(self._led)
        else:
            self.put(np.zeros(6), np.zeros(3), self._led)

    def _lay(self, place: FloatArray) -> None:
        self._set_joints(_FREE_JOINT, place, _FREE_RATES)

    def _arrange(self, drawn: FloatArray) -> FloatArray:
        self._lay(drawn[:3])
        return drawn[3:]

    def _object(self) -> FloatArray:
        return self._at

    def _orientation(self, quaternion: FloatArray, turned: FloatArray) -> None:
        turned[:] = self._turned


class _Reach(_Puck):
    def __init__(self, sub_task: SubTask) -> None:
        super().__init__(sub_task)
        self._tips = [self.data.site(f"{side}EndEffector").xpos for side in ("right", "left")]

    def _solved(self, at: FloatArray, target: FloatArray) -> bool:
        return length((self._tips[0] + self._tips[1]) / 2.0 - target) <= 0.05


class _Push(_Puck):
    def _arrange(self, drawn: FloatArray) -> FloatArray:
        self._lay(np.array([drawn[0], drawn[1], self._lying_m]))
        return np.array([drawn[3], drawn[4], self._lying_m])

    def _solved(self, at: FloatArray, target: FloatArray) -> bool:
        return length(at - target) <= 0.05


class _PickPlace(_Puck):
    def _solved(self, at: FloatArray, target: FloatArray) -> bool:
        return length(at - target) <= 0.07


class _Door(Bench):
    fixture = "door"
    _at: FloatArray

    def __init__(self, sub_task: SubTask) -> None:
        super().__init__(sub_task)
        joint, handle = self.model.joint("doorjoint"), self.data.geom("handle")
        self._joint, self._rate = int(joint.qposadr[0]), int(joint.dofadr[0])
        self._at, self._turned = handle.xpos, handle.xmat

    def _arrange(self, drawn: FloatArray) -> FloatArray:
        self._set_joints(self._joint, 0.0, slice(self._rate, self._rate + 1))
        return drawn + _xyz(-0.3, -0.45, 0.0)

    def _object(self) -> FloatArray:
        return self._at

    def _orientation(self, quaternion: FloatArray, turned: FloatArray) -> None:
        turned[:] = self._turned

    def _solved(self, at: FloatArray, target: FloatArray) -> bool:
        return bool(abs(at[0] - target[0]) <= 0.08)


class _Drawer(Bench):
    fixture = "drawer"
    _at: FloatArray
    _handle: FloatArray

    def __init__(self, sub_task: SubTask) -> None:
        super().__init__(sub_task)
        self._link = self.data.body("drawer_link")
        self._at, self._quaternion = self._link.xpos, self._link.xquat

    def _object(self) -> FloatArray:
        return self._at + self._handle


class _DrawerOpen(_Drawer):
    _handle = _xyz(0.0, -0.16, 0.0)

    def _arrange(self, drawn: FloatArray) -> FloatArray:
        return drawn + _xyz(0.0, -0.16 - 0.2, 0.09)

    def _orientation(self, quaternion: FloatArray, turned: FloatArray) -> None:
        quaternion[:] = self._quaternion

    def _solved(self, at: FloatArray, target: FloatArray) -> bool:
        return length(at - target) <= 0.03


class _DrawerClose(_Drawer):
    _handle = _xyz(0.0, -0.16, 0.05)

    def _arrange(self, drawn: FloatArray) -> FloatArray:
        self._set_joints(_FREE_JOINT, -0.15, slice(0, 0))
        return drawn + _xyz(0.0, -0.16, 0.09)

    def _solved(self, at: FloatArray, target: FloatArray) -> bool:
        return length(at - target) <= 0.05 + 0.015


class _Button(Bench):
    fixture = "box"
    _at: FloatArray

    def __init__(self, sub_task: SubTask) -> None:
        super().__init__(sub_task)
        button = self.data.body("button")
        self._at, self._quaternion = button.xpos, button.xquat
        self._hole: FloatArray = self.data.site("hole").xpos

    def _arrange(self, drawn: FloatArray) -> FloatArray:
        self._set_joints(0, np.zeros(0), slice(0, 0))
        return self._hole.copy()

    def _object(self) -> FloatArray:
        return self._at + _xyz(0.0, 0.0, 0.193)

    def _orientation(self, quaternion: FloatArray, turned: FloatArray) -> None:
        quaternion[:] = self._quaternion

    def _solved(self, at: FloatArray, target: FloatArray) -> bool:
        return bool(abs(target[2] - at[2]) <= 0.024)


class _Peg(Bench):
    fixture = "box"
    _at: FloatArray

    def __init__(self, sub_task: SubTask) -> None:
        super().__init__(sub_task)
        grasp = self.data.site("pegGrasp")
        self._at, self._turned, self._head = grasp.xpos, grasp.xmat, self.data.site("pegHead").xpos

    def _arrange(self, drawn: FloatArray) -> FloatArray:
        self._set_joints(_FREE_JOINT, drawn[:3], _FREE_RATES)
        return drawn[3:] + _xyz(0.03, 0.0, 0.13)

    def _object(self) -> FloatArray:
        return self._at

    def _orientation(self, quaternion: FloatArray, turned: FloatArray) -> None:
        turned[:] = self._turned

    def _solved(self, at: FloatArray, target: FloatArray) -> bool:
        return length((self._head - target) * _xyz(1.0, 2.0, 2.0)) <= 0.07


class _Window(Bench):
    fixture = "window"
    _at: FloatArray
    _site: str
    _slid_m: float
    _way_m: float

    def __init__(self, sub_task: SubTask) -> None:
        super().__init__(sub_task)
        self._at = self.data.site(self._site).xpos
        self._slide = self.data.joint("window_slide").qpos

    def _arrange(self, drawn: FloatArray) -> FloatArray:
        self._slide[:] = self._slid_m  # what is sensed first is from before, as Meta-World's is
        return drawn + _xyz(self._way_m, 0.0, 0.0)

    def _object(self) -> FloatArray:
        return self._at

    def _solved(self, at: FloatArray, target: FloatArray) -> bool:
        return bool(abs(at[0] - target[0]) <= 0.05)


class _WindowOpen(_Window):
    _site, _slid_m, _way_m = "handleOpenStart", 0.0, 0.2


class _WindowClose(_Window):
    _site, _slid_m, _way_m = "handleCloseStart", 0.2, 0.0


SCENES: dict[SubTaskName, type[Bench]] = {
    "reach": _Reach,
    "push": _Push,
    "pick-place": _PickPlace,
    "door-open": _Door,
    "drawer-open": _DrawerOpen,
    "drawer-close": _DrawerClose,
    "button-press-topdown": _Button,
    "peg-insert-side": _Peg,
    "window-open": _WindowOpen,
    "window-close": _WindowClose,
}
"""The bench of each sub-task."""
