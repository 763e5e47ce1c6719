"""The native batch of swarm worlds: ctypes over ``libhaltere_swarm``, arrays in and out, no Python per drone."""

import ctypes
import hashlib
import os
from functools import cache
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError, IntegrityError, RequestError
from haltere.sims.libraries import opened
from haltere.sims.mujoco.swarm import __path__ as package_folders
from haltere.sims.mujoco.swarm.config import SwarmForestConfig
from haltere.sims.mujoco.swarm.constants import FOREST, NOISE, QUADROTOR
from haltere.sims.mujoco.swarm.scene import build_model, obstacle_count
from haltere.sims.task import FIRST_HELD_OUT_SEED

SCENARIOS = ("mix", "random", "shared", "swap", "pursuit", "moving")
METRICS = (
    "success",
    "collision",
    "drone_collision",
    "obstacle_collision",
    "room_contact",
    "deadlock",
    "goal_distance_m",
    "path_length_m",
)
SELF_SIZE, GRID_SIZE = 19, 9

_INTS = "drones obstacles neighbours scenario episode_steps substeps training replay_capacity".split()
_DOUBLES = (
    "sim_dt_s ctrl_dt_s mass_kg motor_offset_m arm_m motor_thrust_n torque_per_thrust_m motor_gain max_rate_rps "
    "gust_decay gust_std position_std_m velocity_std_mps gyro_std_rps downwash "
    "room_m forest_m cell_m obstacle_radius_m grid_pitch_m "
    "reward_distance reward_effort reward_floor reward_tilt reward_spin "
    "reward_contact reward_proximity reward_clearance reward_clip proximity_m clearance_m "
    "grace_s reached_m reached_shared_m replay_probability first_held_out_seed"
).split()
_STATE_HEAD = 32  # bytes: SHA-256 of the settings' names and values


class Settings(ctypes.Structure):
    """Mirror of ``Settings`` in settings.hpp, field by field; the names are compared when the library is loaded."""

    _fields_ = (*((name, ctypes.c_int) for name in _INTS), *((name, ctypes.c_double) for name in _DOUBLES))


def settings(config: SwarmForestConfig, training: bool) -> Settings:
    """Constants and configuration in the order in which the library reads them."""
    reward = config.reward
    values: dict[str, Any] = {
        **{name: getattr(QUADROTOR, name) for name in ("mass_kg", "motor_offset_m", "arm_m", "motor_thrust_n")},
        **{name: getattr(QUADROTOR, name) for name in ("torque_per_thrust_m", "max_rate_rps")},
        **{name: getattr(FOREST, name) for name in ("sim_dt_s", "ctrl_dt_s", "room_m", "forest_m", "cell_m")},
        **{name: getattr(FOREST, name) for name in ("grid_pitch_m", "proximity_m", "grace_s", "reached_m")},
        **{name: getattr(FOREST, name) for name in ("reached_shared_m", "reward_clip", "clearance_m")},
        **{f"reward_{name}": getattr(reward, name) for name in ("distance", "effort", "floor", "tilt", "spin")},
        **{f"reward_{name}": getattr(reward, name) for name in ("contact", "proximity", "clearance")},
        **{name: config.noise * getattr(NOISE, name) for name in ("gust_std", "position_std_m")},
        **{name: config.noise * getattr(NOISE, name) for name in ("velocity_std_mps", "gyro_std_rps")},
        "replay_capacity": FOREST.replay_capacity,
        "drones": config.drones,
        "obstacles": obstacle_count(config),
        "neighbours": config.neighbours,
        "scenario": SCENARIOS.index(config.scenario),
        "episode_steps": round(config.episode_s / FOREST.ctrl_dt_s),
        "substeps": round(FOREST.ctrl_dt_s / FOREST.sim_dt_s),
        "training": int(training),
        "motor_gain": 4.0 * FOREST.sim_dt_s / QUADROTOR.motor_settling_s,
        "gust_decay": NOISE.gust_decay,
        "downwash": float(config.downwash),
        "obstacle_radius_m": config.obstacle_diameter_m / 2,
        "replay_probability": config.replay_probability,
        "first_held_out_seed": float(FIRST_HELD_OUT_SEED),
    }
    return Settings(**values)


@cache
def library() -> ctypes.CDLL:
    """Load the native library beside this module and check that it fits this MuJoCo and this module.

    Raises:
        HaltereError: the library is missing, or was built for another MuJoCo or another version of haltere.
    """
    native = opened(package_folders, "libhaltere_swarm.so", "nothing flies")
    if native.haltere_swarm_mujoco_version() != mujoco.mj_version():
        built, found = native.haltere_swarm_mujoco_version(), mujoco.mj_version()
        raise HaltereError(f"the native swarm library was built for MuJoCo {built}, found {found}; reinstall haltere")
    native.haltere_swarm_settings.restype = ctypes.c_char_p
    if native.haltere_swarm_settings().decode().split() != [*_INTS, *_DOUBLES]:
        raise HaltereError("the native swarm library is of another version of haltere; reinstall haltere")
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    native.haltere_swarm_create.restype = pointer
    native.haltere_swarm_create.argtypes = [ctypes.POINTER(Settings), pointer, integer, integer]
    native.haltere_swarm_destroy.argtypes = [pointer]
    native.haltere_swarm_set_anneal.argtypes = [pointer, ctypes.c_double]
    native.haltere_swarm_reset.argtypes = [pointer, pointer, integer, pointer]
    native.haltere_swarm_step.argtypes = [pointer] * 7
    native.haltere_swarm_state_size.argtypes = [pointer]
    native.haltere_swarm_state_size.restype = ctypes.c_long
    native.haltere_swarm_state_get.argtypes = [pointer, pointer]
    native.haltere_swarm_state_set.argtypes = [pointer, pointer, ctypes.c_long]
    native.haltere_swarm_snapshot.argtypes = [pointer, integer, *([pointer] * 5)]
    native.haltere_swarm_place.argtypes = [pointer, integer, pointer, pointer]
    native.haltere_swarm_bare.argtypes = [pointer, integer]
    native.haltere_swarm_bare.restype = ctypes.c_double
    return native


class NativeSwarm:
    """W worlds of N drones behind plain arrays. W, N, K and C are worlds, drones, neighbours and cylinders."""

    def __init__(self, config: SwarmForestConfig, worlds: int, *, training: bool, threads: int) -> None:
        """Compile the scene and build the worlds; ``reset`` begins their episodes."""
        self._library = library()
        self._model = build_model(config)
        self._settings = settings(config, training)
        self.worlds, self.drones, self.obstacles = worlds, config.drones, self._settings.obstacles
        self.observation_size = SELF_SIZE + 6 * config.neighbours + GRID_SIZE
        self._owner = os.getpid()
        self._begun = False
        self._created = self._library.haltere_swarm_create(
            ctypes.byref(self._settings), self._model._address, worlds, threads
        )
        if not self._created:
            size = f"{worlds} worlds of {config.drones} drones on {threads} threads"
            raise HaltereError(f"this machine can't hold {size}")

    @property
    def _handle(self) -> int:
        """The native worlds.

        Raises:
            RequestError: they were closed, or belong to the process that this one was forked from.
        """
        if not self._created:
            raise RequestError("these worlds are closed; make new ones")
        if self._owner != os.getpid():
            raise RequestError("these worlds belong to another process, whose threads weren't forked; make new ones")
        return int(self._created)

    def _check_begun(self) -> None:
        if not self._begun:
            raise RequestError("call reset() first")

    def _check_world(self, world: int) -> None:
        self._check_begun()
        if not 0 <= world < self.worlds:
            raise RequestError(f"world must be from 0 to {self.worlds - 1}, got {world}")

    def close(self) -> None:
        """Free the worlds; calling it again does nothing."""
        created, self._created = self._created, None
        if created and self._owner == os.getpid():
            self._library.haltere_swarm_destroy(created)

    def __del__(self) -> None:
        """Free the worlds of a batch that nobody closed."""
        if getattr(self, "_created", None):
            self.close()

    def set_anneal(self, anneal: float) -> None:
        """Scale of the contact and proximity terms, 0 to 1."""
        self._library.haltere_swarm_set_anneal(self._handle, anneal)

    def reset(self, seeds: NDArray[np.uint64], stagger: bool, obs: NDArray[np.float32]) -> None:
        """Begin the episodes of ``seeds`` (W,), at random times of them if ``stagger``; writes ``obs`` (W, N, S)."""
        self._library.haltere_swarm_reset(self._handle, seeds.ctypes.data, int(stagger), obs.ctypes.data)
        self._begun = True

    def step(
        self,
        action: NDArray[np.float32],
        obs: NDArray[np.float32],
        reward: NDArray[np.float32],
        over: NDArray[np.uint8],
        final_obs: NDArray[np.float32],
        metrics: NDArray[np.float32],
    ) -> None:
        """One control step of every world.

        Args:
            action: (W, N, 4) float32, contiguous, finite.
            obs: written, (W, N, S).
            reward: written, (W, N).
            over: written, (W,): 0 goes on, 1 ended, 2 ended and counts (a whole episode that is no replay).
            final_obs: (W, N, S), written where a world ended.
            metrics: (W, N, len(METRICS)), written where a world ended.

        Raises:
            RequestError: the worlds are closed, or were never reset.
            HaltereError: MuJoCo met a state that it could not integrate; in training that world begins anew instead.
        """
        self._check_begun()
        arrays = (action, obs, reward, over, final_obs, metrics)
        if self._library.haltere_swarm_step(self._handle, *(array.ctypes.data for array in arrays)):
            raise HaltereError("MuJoCo could not integrate a world's state; its trajectory is lost, reset it")

    def _state_head(self) -> NDArray[np.uint8]:
        """What the state's bytes mean: SHA-256 of the settings' names and values."""
        names = " ".join([*_INTS, *_DOUBLES]).encode()
        return np.frombuffer(hashlib.sha256(names + bytes(self._settings)).digest(), np.uint8)

    def state(self) -> NDArray[np.uint8]:
        """Everything that the worlds' future depends on, as bytes.

        Raises:
            RequestError: the worlds are closed, or were never reset.
        """
        self._check_begun()
        out = np.empty(self._library.haltere_swarm_state_size(self._handle), np.uint8)
        self._library.haltere_swarm_state_get(self._handle, out.ctypes.data)
        return np.concatenate([self._state_head(), out])

    def load_state(self, state: NDArray[np.uint8]) -> None:
        """Go on from ``state``.

        Raises:
            IntegrityError: the bytes are of another configuration, number of worlds or version, or no possible state;
                the worlds stay as they were.
        """
        data = np.ascontiguousarray(state, np.uint8)
        head, body = data[:_STATE_HEAD], np.ascontiguousarray(data[_STATE_HEAD:])
        fits = np.array_equal(head, self._state_head())
        if not fits or self._library.haltere_swarm_state_set(self._handle, body.ctypes.data, body.size):
            raise IntegrityError("the saved state of the worlds doesn't fit this configuration and number of worlds")
        self._begun = True

    def snapshot(self, world: int) -> tuple[float, float, NDArray[Any], NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
        """One world as it is now.

        Returns:
            Time [s]; distance that counts as arrived [m]; poses (N, 13); goals (N, 3); cylinder axes (C, 2); and for
            each drone (N, 2) whether it touches something and whether it had a contact that excludes success. A pose
            is position [m], unit quaternion w x y z, velocity [m/s] and body rate [rad/s]; world frame but for the
            last.
        """
        self._check_world(world)
        pose = np.empty((self.drones, 13), np.float64)
        goal = np.empty((self.drones, 3), np.float32)
        obstacle = np.empty((self.obstacles, 2), np.float32)
        contact = np.empty((self.drones, 2), np.bool_)
        clock = np.empty(2, np.float64)
        arrays = (pose, goal, obstacle, contact, clock)
        self._library.haltere_swarm_snapshot(self._handle, world, *(array.ctypes.data for array in arrays))
        return float(clock[0]), float(clock[1]), pose, goal, obstacle, contact

    def place(self, world: int, pose: NDArray[np.float64], motor: NDArray[np.float32]) -> None:
        """Overwrite poses (N, 13), as ``snapshot`` gives them, and motors' sqrt of thrust fraction (N, 4).

        Raises:
            RequestError: no such world, or the arrays have other shapes or aren't finite.
        """
        self._check_world(world)
        pose = np.ascontiguousarray(pose, np.float64)
        motor = np.ascontiguousarray(motor, np.float32)
        wanted = ((self.drones, 13), (self.drones, 4))
        if (pose.shape, motor.shape) != wanted or not (np.isfinite(pose).all() and np.isfinite(motor).all()):
            got = (pose.shape, motor.shape)
            raise RequestError(f"poses and thrusts must be finite and of shapes {wanted}, got {got}")
        self._library.haltere_swarm_place(self._handle, world, pose.ctypes.data, motor.ctypes.data)

    def bare_cpu_s(self, steps: int) -> float:
        """CPU seconds of ``steps`` control steps of ``mj_step`` alone on every world's present scene, hovering."""
        self._check_begun()
        return float(self._library.haltere_swarm_bare(self._handle, steps))
