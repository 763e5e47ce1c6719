"""Drones cross a forest to their goals: ``haltere/SwarmForest-v0``.

Source: Huang et al. 2023, arXiv:2309.13285, and its published code; docs/swarm-forest.md lists every deviation.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from haltere.configs.errors import IntegrityError, RequestError
from haltere.sims.mujoco.swarm.config import SwarmForestConfig
from haltere.sims.mujoco.swarm.constants import FOREST, QUADROTOR
from haltere.sims.mujoco.swarm.native import GRID_SIZE, METRICS, SELF_SIZE, NativeSwarm
from haltere.sims.mujoco.swarm.snapshot import SwarmSnapshot
from haltere.sims.task import Infos, ObsTree, TaskVectorEnv, task

UNITS = {
    "self": "position minus goal [m], velocity [m/s] and rotation matrix body to world by rows, in the world frame; "
    "body rate [rad/s] in the body frame; height above the floor [m]",
    "neighbour": "relative position [m] and velocity [m/s], world frame, most urgent first; 10 m where there is none",
    "obstacle": "distance to the nearest cylinder's surface [m] on a 3 x 3 grid of 0.1 m around the drone, world x and "
    "y, x slowest; at most 10 m",
    "action": "thrust of each motor, -1 off to +1 full: front right, back right, back left, front left, x forward",
}


@task(
    "haltere/SwarmForest-v0",
    config=SwarmForestConfig,
    metrics=METRICS,
    rates=METRICS[:6],
    ctrl_dt_s=FOREST.ctrl_dt_s,
    sim="mujoco",
    units=UNITS,
    safe_action=-1.0,  # motors off: a drone that no longer knows where it is should come down where it is
)
class SwarmForest(TaskVectorEnv[SwarmForestConfig]):
    """W forests with N drones each; every drone is an agent and all share one policy.

    Success of a drone: it came within 0.5 m of its goal (1 m where the goal is shared or moves), mean over five steps,
    and touched neither drone nor cylinder after the first 1.5 s. Training adds replays of clipped collisions, whose
    episodes give no metrics (NaN), and lets the contact costs grow from zero.
    """

    def __init__(self, config: SwarmForestConfig, num_envs: int, *, training: bool = False, threads: int = 1) -> None:
        """Build the worlds; the arguments are the base class's.

        Raises:
            RequestError: fewer than one world or thread is asked for.
            HaltereError: the machine can't hold that many.
        """
        super().__init__(config, num_envs, training=training, threads=threads)
        if num_envs < 1 or threads < 1:
            raise RequestError(f"worlds and threads must be at least 1, got {num_envs} and {threads}")
        self.agents = config.drones
        self._native = NativeSwarm(config, num_envs, training=training, threads=min(threads, num_envs))
        self._k = config.neighbours
        self._anneal_steps = config.reward.anneal_steps if training else 0
        self._obs = np.zeros((num_envs, config.drones, self._native.observation_size), np.float32)
        self._set_spaces()

    @property
    def agent_observation_space(self) -> spaces.Dict:
        """Self (19,), neighbour (K, 6), obstacle (9,); units in ``UNITS``."""
        unbounded = {
            "self": (SELF_SIZE,),
            "neighbour": (self.config.neighbours, 6),
            "obstacle": (GRID_SIZE,),
        }
        return spaces.Dict({name: spaces.Box(-np.inf, np.inf, shape, np.float32) for name, shape in unbounded.items()})

    @property
    def agent_action_space(self) -> spaces.Box:
        """Four motors, -1 off to +1 full."""
        return spaces.Box(-1.0, 1.0, (4,), np.float32)

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObsTree, Infos]:
        """Begin an episode in every world; see the base class."""
        seeds = self._episode_seeds(seed).astype(np.uint64)
        self._native.reset(seeds, self.training, self._obs)
        return self._tree(self._obs.copy()), {}

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[ObsTree, NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], Infos]:
        """One control step of 10 ms for every world; see the base class.

        Args:
            actions: (W, N, 4); values outside [-1, 1] are clipped.

        Raises:
            RequestError: ``reset`` was never called, or the actions have another shape or aren't finite.
            HaltereError: MuJoCo could not integrate a world's state; in training that world begins anew instead.
        """
        shape = (self.num_envs, self.config.drones, 4)
        actions = np.ascontiguousarray(actions, np.float32)
        if actions.shape != shape or not np.isfinite(actions).all():
            raise RequestError(f"actions must be finite and of shape {shape}, got shape {actions.shape}")
        worlds, drones = shape[:2]
        obs, final = np.empty_like(self._obs), np.empty_like(self._obs)
        reward, over = np.empty((worlds, drones), np.float32), np.empty(worlds, np.uint8)
        metrics = np.empty((worlds, drones, len(METRICS)), np.float32)
        self._native.step(actions, obs, reward, over, final, metrics)
        self._obs = obs
        truncated = over > 0
        infos: Infos = {}
        if truncated.any():
            metrics[over != 2] = np.nan
            infos["final_obs"] = self._tree(final)
            infos["episode"] = {name: metrics[..., i] for i, name in enumerate(METRICS)}
        return self._tree(obs.copy()), reward, np.zeros(worlds, np.bool_), truncated, infos

    def set_training_steps(self, steps: int) -> None:
        """Let the contact costs grow with the agent steps that training has taken."""
        self._native.set_anneal(min(1.0, steps / self._anneal_steps) if self._anneal_steps else 1.0)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Worlds with their random streams, clips and stored replays; and the observation, whose noise was drawn."""
        return {"worlds": self._native.state(), "obs": self._obs.copy(), "seeds": self._generator_state()}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> ObsTree:
        """Go on exactly; see the base class. Call ``set_training_steps`` after it."""
        if set(state) != {"worlds", "obs", "seeds"} or state["obs"].shape != self._obs.shape:
            raise IntegrityError("the saved state of the worlds doesn't fit this configuration and number of worlds")
        self._native.load_state(state["worlds"])
        self._set_generator_state(state["seeds"])
        self._obs = state["obs"].astype(np.float32, copy=True)
        return self._tree(self._obs.copy())

    def snapshot(self, world: int) -> SwarmSnapshot:
        """One world as it is now, for a picture."""
        time_s, reached_m, pose, goal, obstacle, contact = self._native.snapshot(world)
        return SwarmSnapshot(
            time_s=time_s,
            position=pose[:, :3],
            quaternion=pose[:, 3:7],
            velocity=pose[:, 7:10],
            goal=goal,
            obstacle=obstacle,
            obstacle_radius_m=self.config.obstacle_diameter_m / 2,
            room_m=FOREST.room_m,
            touching=contact[:, 0],
            collided=contact[:, 1],
            goal_radius_m=reached_m,
        )

    def place(self, world: int, pose: NDArray[np.float64], thrust: NDArray[np.float32]) -> None:
        """Put the drones of one world somewhere: to start an experiment from a known state.

        Args:
            world: which of the W worlds.
            pose: (N, 13) position [m], quaternion w x y z, velocity [m/s] in the world frame, body rate [rad/s].
            thrust: (N, 4) what each motor gives now, as a fraction of full thrust.
        """
        self._native.place(world, pose, np.sqrt(np.asarray(thrust, np.float32)))

    def bare_cpu_s(self, steps: int) -> float:
        """CPU seconds of ``steps`` control steps of ``mj_step`` alone from the worlds' present state, which stays."""
        return self._native.bare_cpu_s(steps)

    @classmethod
    def bench_sim(
        cls, config: SwarmForestConfig, progress: Callable[[int, int], None] | None = None
    ) -> dict[str, str | float]:
        """What ``haltere bench swarm --sim`` prints; see ``bench.measure``."""
        from haltere.sims.mujoco.swarm.bench import measure  # that module imports this one

        return {"task": cls.spec_.id, **measure(config, progress=progress)}

    def film(self, world: int, aux: Mapping[str, NDArray[Any]] | None = None) -> NDArray[np.uint8]:
        """Draw one world; see the base class."""
        from haltere.sims.mujoco.swarm.render import SwarmCamera  # renderers load OpenGL: only those who look pay

        if not hasattr(self, "_camera"):
            self._camera = SwarmCamera()
        return self._camera.frame(self.snapshot(world), (aux or {}).get("attention"))

    def close_extras(self, **kwargs: object) -> None:
        """Free the native worlds."""
        self._native.close()

    def _tree(self, flat: NDArray[np.float32]) -> ObsTree:
        """Views of (W, N, S) by name."""
        end = SELF_SIZE + 6 * self._k
        neighbour = flat[..., SELF_SIZE:end].reshape(*flat.shape[:2], self._k, 6)
        return {"self": flat[..., :SELF_SIZE], "neighbour": neighbour, "obstacle": flat[..., end:]}


HOVER = 2.0 / QUADROTOR.thrust_to_weight - 1.0
"""The action of every motor that carries the drone's weight."""
