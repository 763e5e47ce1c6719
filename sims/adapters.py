"""Two more views of any task: one world as a ``gymnasium.Env``, and its agents as a ``pettingzoo.ParallelEnv``.

Both drive a ``TaskVectorEnv`` of one world, so that a task author writes neither. ``reset(seed=S)`` starts the same
episode as the evaluator's seed S; without a seed it draws one below ``FIRST_HELD_OUT_SEED``. Where the task has
``choices``, an action is the number of one, not a score for each.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from haltere.configs.errors import RequestError, short
from haltere.sims.lanes import choice_to_scores
from haltere.sims.registration import load_task, task_config
from haltere.sims.task import FIRST_HELD_OUT_SEED, ObsTree, TaskVectorEnv

FloatArray = NDArray[np.float32]
Action = FloatArray | NDArray[np.int64] | np.int64 | int
"""Commands; where the task has ``choices``, the number of one, or (agents,) numbers."""


@dataclass(frozen=True)
class _Step:
    """One control step of one world: ``reward`` and each metric (agents,) or (), ``metrics`` empty before the end."""

    obs: ObsTree
    reward: FloatArray
    terminated: bool
    truncated: bool
    metrics: dict[str, FloatArray]


class _OneWorld:
    """A task's vector environment with W = 1, without the world axis and without its automatic reset."""

    def __init__(self, task_id: str, render_mode: str | None, settings: dict[str, Any]) -> None:
        task_class = load_task(task_id)
        filmable = task_class.film is not TaskVectorEnv.film
        modes = ["rgb_array"] if filmable else []
        if render_mode is not None and render_mode not in modes:
            raise RequestError(f"task {task_class.spec_.id} has no render mode '{render_mode}' (valid: {modes})")
        self.env = task_class(task_config(task_class, settings), 1)
        self.metadata = {
            "name": task_class.spec_.id,
            "render_modes": modes,
            "render_fps": round(1.0 / task_class.spec_.ctrl_dt_s),
            "is_parallelizable": True,
        }
        self.running = False

    def reset(self, seed: int | None, generator: np.random.Generator) -> ObsTree:
        drawn = int(generator.integers(FIRST_HELD_OUT_SEED)) if seed is None else seed
        obs, _ = self.env.reset(seed=[drawn])
        self.running = True
        return {name: array[0] for name, array in obs.items()}

    def check_running(self) -> None:
        if not self.running:
            raise RequestError(f"task {self.env.spec_.id}: no episode is running; call reset() before step()")

    def action_space(self, agents: int | None) -> gymnasium.Space[Any]:
        """What one agent (None) or all of them together give: commands, or the numbers of choices."""
        choices = self.env.choices
        if choices is not None:
            return spaces.Discrete(choices) if agents is None else spaces.MultiDiscrete([choices] * agents)
        return deepcopy(self.env.agent_action_space if agents is None else self.env.single_action_space)

    def command(self, action: Any, agents: int | None) -> FloatArray:  # noqa: ANN401 -- whatever a user gives
        """What one agent (None) or all of them together command, shape unchecked; scores for a choice's number."""
        choices = self.env.choices
        if choices is None:
            return np.asarray(action, np.float32)
        number = np.asarray(action)
        fits = number.shape == (() if agents is None else (agents,)) and number.dtype.kind in "iu"
        if not fits or ((number < 0) | (number >= choices)).any():
            wanted = "a whole number" if agents is None else f"{agents} whole numbers"
            raise RequestError(
                f"task {self.env.spec_.id}: an action is {wanted} from 0 to {choices - 1}, got {short(action)}"
            )
        return choice_to_scores(number, choices)

    def step(self, action: FloatArray) -> _Step:
        self.check_running()
        wanted = self.env.single_action_space.shape
        if action.shape != wanted:
            raise RequestError(f"task {self.env.spec_.id}: an action has shape {wanted}, got {action.shape}")
        obs, reward, terminated, truncated, infos = self.env.step(action[None])
        ended = bool(terminated[0] or truncated[0])
        self.running = not ended
        last = infos["final_obs"] if ended else obs
        metrics = infos["episode"] if ended else {}
        return _Step(
            obs={name: array[0] for name, array in last.items()},
            reward=reward[0],
            terminated=bool(terminated[0]),
            truncated=bool(truncated[0]),
            metrics={name: values[0] for name, values in metrics.items()},
        )


class GymTask(gymnasium.Env[ObsTree, Action]):
    """One world of a task for ``gymnasium.make("haltere/SwarmForest-v0", drones=3)``.

    Where the task has ``agents``, each observation is (agents, ...), the action (agents, A), the reward the mean over
    agents and ``info["agent_reward"]`` the reward of each, (agents,). ``info["metrics"]`` of an episode's last step
    holds each declared metric, a number or (agents,). It isn't called ``"episode"``: Gymnasium's
    ``RecordEpisodeStatistics`` claims that key and refuses an environment that has it.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}  # noqa: RUF012 -- Gymnasium's own declaration

    def __init__(self, task_id: str, *, render_mode: str | None = None, **settings: object) -> None:
        """Build the world; ``reset`` seeds it.

        Args:
            task_id: Gymnasium id or short name.
            render_mode: ``"rgb_array"`` where the task can be filmed.
            settings: fields of the task's configuration.

        Raises:
            RequestError: no such task, setting or render mode.
        """
        self._world = _OneWorld(task_id, render_mode, settings)
        self.metadata = self._world.metadata
        self.render_mode = render_mode
        self.observation_space = self._world.env.single_observation_space
        self.action_space = self._world.action_space(self._world.env.agents)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObsTree, dict[str, Any]]:
        """Start an episode: number ``seed`` of the task, or one drawn from this environment's own generator."""
        super().reset(seed=seed, options=options)
        return self._world.reset(seed, self.np_random), {}

    def step(self, action: Action) -> tuple[ObsTree, float, bool, bool, dict[str, Any]]:
        """One control step.

        Raises:
            RequestError: no episode is running, the action has a wrong shape, or there is no such choice.
        """
        step = self._world.step(self._world.command(action, self._world.env.agents))
        info: dict[str, Any] = {} if self._world.env.agents is None else {"agent_reward": step.reward}
        if step.metrics:
            info["metrics"] = step.metrics
        return step.obs, float(step.reward.mean()), step.terminated, step.truncated, info

    def render(self) -> NDArray[np.uint8] | None:
        """The world as it is now, (H, W, 3) uint8, or None without a render mode."""
        return None if self.render_mode is None else self._world.env.film(0)

    def close(self) -> None:
        """Release the world."""
        self._world.env.close()


class ParallelTask(ParallelEnv[str, Any, Any]):
    """One world of a task as PettingZoo's parallel API: ``agent_0``, ``agent_1``, ..., all of which live to the end.

    Each agent's observation and action are those of ``agent_observation_space`` and ``agent_action_space``, or the
    number of a choice where the task has ``choices``. The infos of an episode's last step hold each agent's
    ``"metrics"``.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"]}  # noqa: RUF012 -- PettingZoo's own declaration

    def __init__(self, task_id: str, *, render_mode: str | None = None, **settings: object) -> None:
        """Build the world; the arguments and errors are ``GymTask``'s."""
        self._world = _OneWorld(task_id, render_mode, settings)
        self._generator = np.random.default_rng()
        self.metadata = self._world.metadata
        self.render_mode = render_mode
        env = self._world.env
        self.possible_agents = [f"agent_{i}" for i in range(env.agents or 1)]
        self.agents: list[str] = []
        # A space has a random stream of its own, so that each agent needs its own space.
        self.observation_spaces = {name: deepcopy(env.agent_observation_space) for name in self.possible_agents}
        self.action_spaces = {name: self._world.action_space(None) for name in self.possible_agents}

    def observation_space(self, agent: str) -> gymnasium.Space[Any]:
        """What one agent senses; the same object for every call."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> gymnasium.Space[Any]:
        """What one agent commands; the same object for every call."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, ObsTree], dict[str, dict[str, Any]]]:
        """Start an episode: number ``seed`` of the task, or one drawn from this environment's own generator."""
        del options  # PettingZoo's; no task of ours has any
        if seed is not None:
            self._generator = np.random.default_rng(seed)
        obs = self._world.reset(seed, self._generator)
        self.agents = list(self.possible_agents)
        return self._split(obs), {name: {} for name in self.agents}

    def step(
        self, actions: dict[str, Action]
    ) -> tuple[dict[str, ObsTree], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """One control step of every agent.

        Raises:
            RequestError: no episode is running, an agent's action is missing, has a wrong shape or is no choice.
        """
        self._world.check_running()
        if set(actions) != set(self.agents):
            raise RequestError(f"step() needs one action for each of {self.agents}, got {sorted(actions)}")
        names = list(self.agents)
        step = self._world.step(self._stack(actions))
        rewards = np.reshape(step.reward, -1)
        metrics = {name: np.reshape(values, -1) for name, values in step.metrics.items()}
        infos = {
            name: {"metrics": {key: float(values[i]) for key, values in metrics.items()}} if metrics else {}
            for i, name in enumerate(names)
        }
        if step.terminated or step.truncated:
            self.agents = []
        return (
            self._split(step.obs),
            {name: float(rewards[i]) for i, name in enumerate(names)},
            dict.fromkeys(names, step.terminated),
            dict.fromkeys(names, step.truncated),
            infos,
        )

    def render(self) -> NDArray[np.uint8] | None:
        """The world as it is now, (H, W, 3) uint8, or None without a render mode."""
        return None if self.render_mode is None else self._world.env.film(0)

    def close(self) -> None:
        """Release the world."""
        self._world.env.close()

    def _stack(self, actions: dict[str, Action]) -> FloatArray:
        """The world's action from each agent's."""
        rows = [self._world.command(actions[name], None) for name in self.agents]
        wanted = self._world.env.agent_action_space.shape
        for name, row in zip(self.agents, rows, strict=True):
            if row.shape != wanted:
                raise RequestError(f"the action of {name} has shape {wanted}, got {row.shape}")
        return rows[0] if self._world.env.agents is None else np.stack(rows)

    def _split(self, obs: ObsTree) -> dict[str, ObsTree]:
        """Each agent's part of a world's observation."""
        if self._world.env.agents is None:
            return {self.possible_agents[0]: obs}
        return {agent: {name: array[i] for name, array in obs.items()} for i, agent in enumerate(self.possible_agents)}
