"""A rollout buffer with a generator of its own, and a PPO without work per lane."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import RolloutBufferSamples


class SeededRolloutBuffer(RolloutBuffer):
    """Minibatches in an order drawn from its own generator; stable-baselines3's uses numpy's global one."""

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        *,
        generator: np.random.Generator,
        **kwargs: Any,  # noqa: ANN401 - the options of RolloutBuffer, unchanged
    ) -> None:
        """Take the generator that draws every permutation; all else is ``RolloutBuffer``'s."""
        self.generator = generator
        super().__init__(buffer_size, observation_space, action_space, **kwargs)

    def get(self, batch_size: int | None = None) -> Iterator[RolloutBufferSamples]:  # type: ignore[override]
        """One epoch over all lane steps, shuffled, in equal minibatches of at most ``batch_size``.

        Equal parts, so that no update is taken on the noisy advantages of a small remainder.
        """
        count = self.buffer_size * self.n_envs
        order = torch.from_numpy(self.generator.permutation(count))
        columns = [
            torch.from_numpy(array.reshape(count, *array.shape[2:]))
            for array in (self.observations, self.actions, self.values, self.log_probs, self.advantages, self.returns)
        ]
        for part in order.tensor_split(-(-count // (batch_size or count))):
            yield RolloutBufferSamples(*(column.index_select(0, part) for column in columns))


class LanePPO(PPO):
    """stable-baselines3's PPO where episode statistics are the environment's affair, not a loop over lanes."""

    def _update_info_buffer(self, infos: list[dict[str, Any]], dones: NDArray[np.bool_] | None = None) -> None:
        """Nothing: ``LanesEnv`` keeps the statistics of all lanes at once."""


class SilentCallback(BaseCallback):
    """The callback that ``collect_rollouts`` insists on."""

    def _on_step(self) -> bool:
        """Always go on."""
        return True
