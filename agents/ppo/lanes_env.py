"""Every agent of every world as one lane of a stable-baselines3 vector environment."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from haltere.agents.episodes import EpisodeWindow
from haltere.sims.task import TaskVectorEnv

FloatArray = NDArray[np.float32]


def lane_space(env: TaskVectorEnv[Any], names: tuple[str, ...]) -> spaces.Box:
    """The flat Box of one lane: the named observations side by side, in that order."""
    parts = [env.agent_observation_space[name] for name in names]
    for name, part in zip(names, parts, strict=True):
        assert isinstance(part, spaces.Box), f"observation '{name}' must be a Box, got {part}"
    low = np.concatenate([np.ravel(part.low) for part in parts if isinstance(part, spaces.Box)])
    high = np.concatenate([np.ravel(part.high) for part in parts if isinstance(part, spaces.Box)])
    return spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)


class LanesEnv(VecEnv):
    """W worlds x agents as lanes; a lane's row is world * agents + agent.

    Where an episode is cut off by its time limit, the reward of its last step gets the discounted value of the final
    observation added, for all such lanes in one call. stable-baselines3 would do the same lane by lane from
    ``infos``, a forward pass each; here ``infos`` stays one list of empty dictionaries.
    """

    def __init__(self, env: TaskVectorEnv[Any], names: tuple[str, ...], window: int) -> None:
        """Wrap an environment.

        Args:
            env: the worlds, resetting in the same step.
            names: observations in the order of the policy's signature.
            window: agent episodes that the statistics run over.
        """
        self.task_env = env
        self.agents = env.agents or 1
        self._names = names
        self._sizes = [math.prod(env.agent_observation_space[name].shape or ()) for name in names]
        lanes = env.num_envs * self.agents
        self.episodes = EpisodeWindow(lanes, env.spec_.metrics, window)
        self.bootstrap: Callable[[FloatArray], FloatArray] | None = None
        self._infos: list[dict[str, Any]] = [{} for _ in range(lanes)]
        self._actions: FloatArray = np.zeros((lanes, 0), np.float32)
        action = env.agent_action_space
        per_world = () if env.agents is None else (env.agents,)
        self._action_shape = (env.num_envs, *per_world, *action.shape)
        super().__init__(lanes, lane_space(env, names), action)

    def flatten(self, obs: Mapping[str, NDArray[Any]]) -> FloatArray:
        """An observation tree (W, [agents,] ...) as flat rows (lanes, D) of its own memory."""
        flat = np.empty((self.num_envs, sum(self._sizes)), np.float32)
        start = 0
        for name, size in zip(self._names, self._sizes, strict=True):
            flat[:, start : start + size] = obs[name].reshape(self.num_envs, size)
            start += size
        return flat

    def reset(self) -> FloatArray:
        """Reset all worlds from the seed last given to ``seed``."""
        obs, _ = self.task_env.reset(seed=self._seeds[0])
        self._reset_seeds()
        return self.flatten(obs)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions (lanes, action) for ``step_wait``."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Advance all worlds: observations (lanes, D), rewards (lanes,), dones (lanes,) and empty infos."""
        obs, reward, terminated, truncated, infos = self.task_env.step(self._actions.reshape(self._action_shape))
        rewards = np.array(reward, np.float32).reshape(self.num_envs)
        dones = np.repeat(terminated | truncated, self.agents)
        self.episodes.step(rewards, dones, infos.get("episode", {}))
        cut = np.flatnonzero(np.repeat(truncated & ~terminated, self.agents))
        if cut.size and self.bootstrap is not None:
            rewards[cut] += self.bootstrap(self.flatten(infos["final_obs"])[cut])
        return self.flatten(obs), rewards, dones, self._infos

    def close(self) -> None:
        """Close the worlds."""
        self.task_env.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of the worlds, once per lane; ``None`` for the render mode, since lanes aren't filmed."""
        value = None if attr_name == "render_mode" else getattr(self.task_env, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:  # noqa: ANN401
        """Set an attribute of the worlds, shared by all lanes."""
        setattr(self.task_env, attr_name, value)

    def env_method(
        self,
        method_name: str,
        *method_args: Any,  # noqa: ANN401
        indices: VecEnvIndices = None,
        **method_kwargs: Any,  # noqa: ANN401
    ) -> list[Any]:
        """Call a method of the worlds once; its result for each lane."""
        result = getattr(self.task_env, method_name)(*method_args, **method_kwargs)
        return [result for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[Any], indices: VecEnvIndices = None) -> list[bool]:
        """Never: the worlds are one batch, not wrapped one by one."""
        return [False for _ in self._get_indices(indices)]
