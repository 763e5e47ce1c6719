"""The Crazyflie's controller gives the policy what it was trained on, and the motors what the policy says."""

import ctypes
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from haltere.deploy.loading import TorchActor
from haltere.deploy.mcu import cross
from haltere.deploy.mcu.export import CManifest
from haltere.deploy.mcu.host import compiler
from haltere.sims.mujoco.swarm.constants import QUADROTOR

from .mcu_policies import mcu_policy

FIRMWARE_FULL_N = 0.12
FORCE_MODE = 2
TWIN = Path(__file__).with_name("crazyflie_twin.c")
Floats = NDArray[np.float32]


class Firmware:
    """The controller of a written folder, with a little firmware around it."""

    def __init__(self, folder: Path, place: Path) -> None:
        """Compile and initialise."""
        sources = [folder / "crazyflie" / "src" / name for name in ("haltere_controller.c", "policy.c")]
        includes = [f"-I{folder / 'crazyflie' / name}" for name in ("stubs", "src")]
        library = place / "firmware.so"
        command = [compiler(), "-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", *includes]
        subprocess.run([*command, TWIN, *sources, "-o", library, "-lm"], check=True)
        self.c = ctypes.CDLL(str(library))
        self.c.twin_cylinder.argtypes = (ctypes.c_float,) * 3
        self.c.controllerOutOfTreeTest.restype = ctypes.c_bool
        self.c.controllerOutOfTreeInit()

    def tell(self, peer: int, position: Floats, velocity: Floats) -> None:
        """Another drone reports."""
        self.c.haltereTellPeer(ctypes.c_uint8(peer), *(floats(x) for x in (position, velocity)))

    def fly(self, state: Floats, goal: Floats, step: int, *, has_goal: bool = True) -> Floats:
        """The forces after one step of the stabilizer."""
        forces, mode = np.zeros(4, np.float32), ctypes.c_int()
        assert self.c.twin_fly(floats(state), floats(goal), has_goal, step, floats(forces), ctypes.byref(mode)) == 1
        assert mode.value == FORCE_MODE
        return forces


def floats(array: NDArray[np.floating]) -> ctypes.c_void_p:
    """A pointer to float32, which must outlive the call."""
    assert array.dtype == np.float32 and array.flags.c_contiguous
    return array.ctypes.data_as(ctypes.c_void_p)


class Scene(NamedTuple):
    """A drone, its goal, others, and one cylinder."""

    state: Floats
    goal: Floats
    others: Floats
    cylinder: tuple[float, float, float]


def scene(seed: int) -> Scene:
    """At random, with five others at distances where they matter."""
    generator = np.random.default_rng(seed)
    position = generator.uniform([-3, -3, 0.3], [3, 3, 3])
    gyro = np.degrees(generator.normal(0, 2, 3))
    quaternion = Rotation.random(random_state=seed).as_quat()
    state = np.concatenate([position, generator.normal(0, 1, 3), quaternion, gyro]).astype(np.float32)
    others = np.concatenate([position + generator.normal(0, 1.5, (5, 3)), generator.normal(0, 2, (5, 3))], axis=1)
    cylinder = (float(position[0] + generator.uniform(0.4, 1)), float(position[1]), 0.3)
    return Scene(state, generator.uniform(-3, 3, 3).astype(np.float32), others.astype(np.float32), cylinder)


def observation(now: Scene) -> dict[str, Floats]:
    """What the task's text says that the policy senses, computed with numpy and scipy alone."""
    state = now.state.astype(np.float64)
    position, velocity = state[:3], state[3:6]
    matrix = Rotation.from_quat(state[6:10]).as_matrix()  # from body to world
    own = np.concatenate([position - now.goal, velocity, matrix.ravel(), np.radians(state[10:13]), position[2:]])
    relative = now.others.astype(np.float64) - state[:6]
    distance = np.linalg.norm(relative[:, :3], axis=1)
    closing = (relative[:, :3] * relative[:, 3:]).sum(axis=1) / distance
    nearest = relative[np.argsort(distance + closing)[:2]]
    nearest[:, 3:] = nearest[:, 3:].clip(-6, 6)
    x, y, radius = now.cylinder
    offsets = [(0.1 * i, 0.1 * j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    grid = [min(np.hypot(position[0] + dx - x, position[1] + dy - y) - radius, 10.0) for dx, dy in offsets]
    parts = {"self": own, "neighbour": nearest, "obstacle": np.array(grid)}
    return {key: part[None].astype(np.float32) for key, part in parts.items()}


def thrusts(obs: dict[str, Floats]) -> Floats:
    """What the network commands, as a share of the firmware's full thrust."""
    action = TorchActor(mcu_policy(16)).act(obs)["action"][0]
    return (action + 1) / 2 * QUADROTOR.motor_thrust_n / FIRMWARE_FULL_N


@pytest.fixture
def firmware(mcu_exports: dict[int, CManifest], tmp_path: Path) -> Firmware:
    """A fresh one: it has static memory."""
    return Firmware(mcu_exports[16].path, tmp_path)


@pytest.mark.parametrize("seed", range(8))
def test_the_controller_flies_the_policy_in_its_units_and_frames(firmware: Firmware, seed: int) -> None:
    """Position error, quaternion, degrees, the two most urgent of five others, the grid, and thrusts in order."""
    now = scene(seed)
    firmware.c.twin_time(1000)
    for peer, other in enumerate(now.others):
        firmware.tell(peer, np.ascontiguousarray(other[:3]), np.ascontiguousarray(other[3:]))
    firmware.c.twin_cylinder(*now.cylinder)
    got = firmware.fly(now.state, now.goal, 10)
    np.testing.assert_allclose(got, thrusts(observation(now)), rtol=0, atol=2e-5)


def test_it_decides_once_a_period_and_commands_in_every_step(firmware: Firmware) -> None:
    """The stabilizer runs ten times as often as the policy was trained to."""
    first, second = scene(1), scene(2)
    before = firmware.fly(first.state, first.goal, 20)
    for step in range(21, 30):
        np.testing.assert_array_equal(firmware.fly(second.state, second.goal, step), before)
    assert np.abs(firmware.fly(second.state, second.goal, 30) - before).max() > 1e-3


def test_others_that_fall_silent_are_absent(firmware: Firmware) -> None:
    """Nobody, somebody, and somebody half a second ago; a drone beyond the table is left out, not written over."""
    now = scene(3)
    alone = firmware.fly(now.state, now.goal, 10)
    empty = observation(now) | {
        "neighbour": np.tile(np.float32([10, 10, 10, 0, 0, 0]), (1, 2, 1)),
        "obstacle": np.full((1, 9), 10, np.float32),
    }
    np.testing.assert_allclose(alone, thrusts(empty), rtol=0, atol=2e-5)
    near, still = np.ascontiguousarray(now.state[:3] + np.float32(0.2)), np.zeros(3, np.float32)
    firmware.c.twin_time(1000)
    firmware.tell(99, near, still)
    np.testing.assert_array_equal(firmware.fly(now.state, now.goal, 20), alone)
    firmware.tell(7, near, still)
    assert np.abs(firmware.fly(now.state, now.goal, 30) - alone).max() > 1e-3
    firmware.c.twin_time(1501)
    np.testing.assert_array_equal(firmware.fly(now.state, now.goal, 40), alone)


def test_without_a_goal_or_a_sensor_the_motors_stop(firmware: Firmware) -> None:
    """A broken estimate holds the last thrusts for three periods; no goal stops at once."""
    now = scene(4)
    assert firmware.c.controllerOutOfTreeTest()
    good = firmware.fly(now.state, now.goal, 10)
    assert good.max() > 0
    broken = now.state.copy()
    broken[4] = np.nan
    for step in (20, 30, 40):
        np.testing.assert_array_equal(firmware.fly(broken, now.goal, step), good)
    assert firmware.fly(broken, now.goal, 50).max() == 0
    np.testing.assert_array_equal(firmware.fly(now.state, now.goal, 60), good)
    assert firmware.fly(now.state, now.goal, 70, has_goal=False).max() == 0


def test_it_compiles_against_the_declared_headers(mcu_exports: dict[int, CManifest]) -> None:
    """For this machine and for the board, as its own Makefile does."""
    if reason := cross.absent():
        pytest.skip(reason)
    folder = mcu_exports[16].path / "crazyflie"
    done = subprocess.run(["make", "-C", folder, "check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "arm-none-eabi-gcc" in done.stdout
    text = " ".join((folder / "README.md").read_text().split())
    assert "It has not flown" in text and f"{QUADROTOR.motor_thrust_n:.4g} N" in text and "@" not in text
