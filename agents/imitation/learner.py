"""Learning from demonstrations, an iteration at a time, with all of its state in a value."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from haltere.agents.imitation.average import Average
from haltere.agents.imitation.config import ImitationConfig
from haltere.agents.imitation.demonstrations import Demonstrations, fit
from haltere.agents.optimiser import adam_arrays, load_adam, not_finite, under
from haltere.agents.streams import torch_seed
from haltere.agents.trainer import Arrays, TrainerState
from haltere.configs.errors import HaltereError, IntegrityError
from haltere.policies.base import Policy
from haltere.policies.chunking.base import ChunkPolicy

JUDGED = 512
"""Moments of the held-out episodes whose loss is logged, the same ones every time."""
Rollout = Callable[[Policy[Any]], dict[str, float]]


class Streams(NamedTuple):
    """The independent random streams of a run, spawned from its one root seed, in this order."""

    policy: np.random.SeedSequence
    order: np.random.SeedSequence
    noise: np.random.SeedSequence
    judging: np.random.SeedSequence

    @classmethod
    def spawn(cls, seed: int) -> "Streams":
        """From the root seed of a run."""
        return cls(*np.random.SeedSequence(seed).spawn(len(cls._fields)))


class Learner:
    """Policy, optimiser, moving average and random generators of one run. The policy that is kept is the average."""

    def __init__(
        self,
        policy: ChunkPolicy[Any],
        demonstrations: Demonstrations,
        config: ImitationConfig,
        streams: Streams,
        rollout: Rollout,
    ) -> None:
        """Build everything.

        Args:
            policy: to be trained, in place.
            demonstrations: what to learn from.
            config: the hyper-parameters.
            streams: the run's random streams.
            rollout: plays the averaged policy in the task and says how it went.
        """
        self._config, self._policy, self._rollout = config, policy, rollout
        self._digest = demonstrations.digest
        self._learned, self._judged = demonstrations.split(config.held_out)
        fit(policy.normaliser, demonstrations, self._learned.frames())
        self._optimizer = torch.optim.AdamW(
            policy.parameters(),
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            weight_decay=config.weight_decay,
        )
        self._average = Average(policy, config.average_power, config.average_most)
        self._order = np.random.default_rng(streams.order)
        self._noise = torch.Generator().manual_seed(torch_seed(streams.noise))
        self._judging = torch_seed(streams.judging)
        self.steps = 0

    def iterate(self) -> dict[str, float]:
        """Some updates, and what is worth logging of them.

        Raises:
            HaltereError: a loss or a weight is no longer finite.
        """
        config, before = self._config, self.steps
        self._policy.train()
        rows = []
        for _ in range(min(config.iteration, config.total_steps - self.steps)):
            rows.append(self._update())
            self.steps += 1
        row = {f"train/{name}": float(np.mean([each[name] for each in rows])) for name in rows[0]}
        row["train/learning_rate"] = self._rate()
        if bad := [name for name, value in row.items() if not math.isfinite(value)] + not_finite(self._policy):
            raise HaltereError(f"training diverged at update {self.steps:,}: {', '.join(bad[:4])} not finite")
        row |= {f"held_out/{name}": value for name, value in self._held_out().items()}
        every = config.rollout_every
        if every and (self.steps // every > before // every or self.steps >= config.total_steps):
            row |= {f"episode/{name}": value for name, value in self._rollout(self._average.policy).items()}
        return row

    def _update(self) -> dict[str, float]:
        which = self._order.integers(len(self._learned), size=self._config.batch_size)
        obs, chunk = self._learned.take(which, self._policy.chunking)
        losses = self._policy.loss(obs, chunk, self._noise)
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate()
        self._optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        norm = torch.nn.utils.clip_grad_norm_(self._policy.parameters(), self._config.max_grad_norm)
        self._optimizer.step()
        self._average.update(self._policy)
        return {name: float(loss.detach()) for name, loss in losses.items()} | {"grad_norm": float(norm)}

    def _rate(self) -> float:
        """AdamW's step size for the next update."""
        config = self._config
        warm = min(1.0, (self.steps + 1) / (config.warm_up + 1))
        left = (self.steps - config.warm_up) / max(1, config.total_steps - config.warm_up)
        return config.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * min(max(left, 0.0), 1.0)))

    def _held_out(self) -> dict[str, float]:
        """What the averaged policy makes of demonstrations that weren't learned from."""
        if not len(self._judged):
            return {}
        which = np.linspace(0, len(self._judged) - 1, min(JUDGED, len(self._judged))).astype(np.int64)
        obs, chunk = self._judged.take(which, self._policy.chunking)
        losses = self._average.policy.loss(obs, chunk, torch.Generator().manual_seed(self._judging))
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def state_dict(self) -> TrainerState:
        """See ``Trainer.state_dict``; taken between two iterations."""
        arrays: Arrays = {"noise_generator": self._noise.get_state().numpy().copy()}
        arrays |= {f"raw.{name}": value.numpy().copy() for name, value in self._policy.state_dict().items()}
        arrays |= {f"optimizer.{name}": value for name, value in adam_arrays(self._policy, self._optimizer).items()}
        policy = {name: value.numpy().copy() for name, value in self._average.policy.state_dict().items()}
        values = {
            "steps": self.steps,
            "demonstrations": self._digest,
            "held_out": self._config.held_out,
            "averaged": self._average.updates,
            "order_generator": self._order.bit_generator.state,
        }
        return TrainerState(policy, arrays, values)

    def load_state_dict(self, state: TrainerState) -> None:
        """See ``Trainer.load_state_dict``."""
        if state.values.get("demonstrations") != self._digest:
            raise IntegrityError("checkpoint: the demonstrations aren't those that the run began with")
        if state.values.get("held_out") != self._config.held_out:
            raise IntegrityError("checkpoint: other episodes were held out when the run began")
        arrays = state.arrays
        try:
            for policy, weights in ((self._policy, under("raw.", arrays)), (self._average.policy, state.policy)):
                policy.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in weights.items()})
            load_adam(self._policy, self._optimizer, under("optimizer.", arrays))
            self._noise.set_state(torch.from_numpy(arrays["noise_generator"].copy()))
            self._order.bit_generator.state = state.values["order_generator"]
            self.steps, self._average.updates = int(state.values["steps"]), int(state.values["averaged"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise IntegrityError(f"checkpoint: not a state of this configuration: {error}") from error
