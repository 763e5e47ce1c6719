"""stable-baselines3's PPO with whole episodes as minibatches."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.utils import FloatSchedule, explained_variance
from torch import Tensor
from torch.nn.functional import mse_loss

from haltere.agents.optimiser import linear
from haltere.agents.recurrent_ppo.buffer import EpisodeBuffer, Part
from haltere.agents.recurrent_ppo.config import RecurrentPPOConfig
from haltere.agents.recurrent_ppo.network import SequenceActorCritic
from haltere.agents.recurrent_ppo.sights import Sights
from haltere.policies.base import State

_EPS = 1e-8


class Scale(NamedTuple):
    """What the parts of a minibatch have in common.

    Attributes:
        actions: how many there are.
        episodes: in how many.
        mean: of the actions' advantages; 0 where tries are compared, whose advantages have a size of their own.
        deviation: their standard deviation; 1 then.
    """

    actions: int
    episodes: int
    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, parts: Sequence[Part], *, compare: bool) -> "Scale":
        """Of the parts of a minibatch; ``compare`` as for the buffer."""
        advantage = torch.cat([part.advantage for part in parts])
        episodes = sum(len(part.lengths) for part in parts)
        if compare:
            return cls(len(advantage), episodes, torch.zeros(()), torch.ones(()))
        deviation = advantage.std() if len(advantage) > 1 else torch.ones(())
        return cls(len(advantage), episodes, advantage.mean(), deviation + _EPS)


class EpisodePPO(PPO):
    """PPO whose rollouts are collected elsewhere, and whose update runs through each episode's memory from its start.

    The losses are stable-baselines3's. A minibatch is taken in parts of nearly equal length whose gradients add up, so
    that episodes of all lengths share a step of the optimiser and little is filled up.
    """

    rollout_buffer: EpisodeBuffer

    def __init__(
        self,
        network: SequenceActorCritic,
        sights: Sights,
        buffer: EpisodeBuffer,
        config: RecurrentPPOConfig,
        steps_generator: np.random.Generator,
    ) -> None:
        """Set up without an environment.

        Args:
            network: what is trained.
            sights: what the buffer's numbers stand for.
            buffer: filled before each ``train``.
            config: the trainer's.
            steps_generator: draws the steps that the reconstruction is asked for.
        """
        self._network = network
        self._sights = sights
        self._buffer = buffer
        self._config = config
        self._steps_generator = steps_generator
        super().__init__(
            SequenceActorCritic,  # type: ignore[arg-type] # never built from its type: _setup_model takes the network
            None,  # type: ignore[arg-type] # as when stable-baselines3 loads a model
            learning_rate=linear(config.learning_rate, config.learning_rate_final),
            n_epochs=config.epochs,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            clip_range=config.clip_range,
            clip_range_vf=config.clip_range_vf,
            vf_coef=config.vf_coef,
            max_grad_norm=config.max_grad_norm,
            target_kl=config.target_kl,
            device="cpu",
            _init_setup_model=False,
        )
        self._setup_model()

    def _setup_model(self) -> None:
        """Take the parts that are there, rather than build stable-baselines3's own."""
        self._setup_lr_schedule()
        self.action_space: spaces.Discrete = spaces.Discrete(self._network.actor.signature.action)
        self.rollout_buffer = self._buffer
        self.policy = self._network  # type: ignore[assignment] # a module with an optimiser, which is all that is used
        self.clip_range = FloatSchedule(self.clip_range)
        self.clip_range_vf = None if self.clip_range_vf is None else FloatSchedule(self.clip_range_vf)

    def train(self) -> None:
        """Update on the buffer's episodes."""
        config, remaining = self._config, self._current_progress_remaining
        self._update_learning_rate(self._network.optimizer)
        self.ent_coef = linear(config.ent_coef, config.ent_coef_final)(remaining)
        logged: list[dict[str, float]] = []
        for _ in range(self.n_epochs):
            for parts in self.rollout_buffer.minibatches(config.batch_episodes):
                if parts:
                    logged.append(self._update(parts))
                if logged and config.target_kl is not None and logged[-1]["approx_kl"] > 1.5 * config.target_kl:
                    break
            else:
                self._n_updates += 1
                continue
            break
        buffer = self.rollout_buffer
        for name in logged[0] if logged else ():
            self.logger.record(f"train/{name}", float(np.mean([row[name] for row in logged])))
        explained = explained_variance(buffer.values[buffer.valid], buffer.returns[buffer.valid])
        self.logger.record("train/explained_variance", float(explained))
        self.logger.record("train/ent_coef", self.ent_coef)

    def _update(self, parts: Sequence[Part]) -> dict[str, float]:
        """One step of the optimiser, unless the policy has moved too far; means over the minibatch's actions."""
        scale, optimizer = Scale.of(parts, compare=self._config.baseline == "tries"), self._network.optimizer
        optimizer.zero_grad()
        total: dict[str, float] = {}
        for part in parts:
            losses = self._losses(part, scale)
            objective = losses["policy_loss"] + self.ent_coef * losses["entropy_loss"]
            objective = objective + self.vf_coef * losses["value_loss"]
            for name, loss in losses.items():
                if name.startswith("reconstruction"):
                    objective = objective + self._config.reconstruction * loss
            objective.backward()
            for name, value in losses.items():
                total[name] = total.get(name, 0.0) + float(value.detach())
        if self.target_kl is not None and total["approx_kl"] > 1.5 * self.target_kl:
            return total | {"grad_norm": 0.0}
        norm = torch.nn.utils.clip_grad_norm_(self._network.parameters(), self.max_grad_norm)
        optimizer.step()
        return total | {"grad_norm": float(norm)}

    def _losses(self, part: Part, scale: Scale) -> dict[str, Tensor]:
        """Each loss's share that this part has in the minibatch's mean, and what else is worth logging."""
        network = self._network
        embeddings = network.policy.encode(self._sights.of(part.sights))
        asked = self._asked(part)
        state, told = self._remember_stem(part, embeddings, asked)
        own = part.at if asked is None or told is not None else torch.cat([part.at, asked], dim=1)
        x = _spread(embeddings, part.sensed)
        features = network.policy.remember(x, state, part.starts, at=own).features
        judged = network.judge(features[part.episode, part.place], part.choice)
        advantage = (part.advantage - scale.mean) / scale.deviation
        log_ratio = judged.log_prob - part.old_log_prob
        ratio, clip = log_ratio.exp(), float(self.clip_range(1.0))  # type: ignore[operator] # a schedule by now
        gain = torch.min(advantage * ratio, advantage * ratio.clamp(1.0 - clip, 1.0 + clip))
        value = judged.value
        if self.clip_range_vf is not None:
            most = float(self.clip_range_vf(1.0))  # type: ignore[operator] # a schedule by now
            value = part.old_value + (value - part.old_value).clamp(-most, most)
        share = {
            "policy_loss": -gain.sum(),
            "value_loss": mse_loss(value, part.returns, reduction="sum"),
            "entropy_loss": -judged.entropy.sum(),
            "approx_kl": (ratio - 1.0 - log_ratio).detach().sum(),
            "clip_fraction": ((ratio - 1.0).abs() > clip).detach().float().sum(),
        }
        losses = {name: loss / scale.actions for name, loss in share.items()}
        if asked is None:
            return losses
        told = features[:, -asked.shape[1] :] if told is None else told
        return losses | self._reconstruction(part, asked, told, len(part.lengths) / scale.episodes)

    def _remember_stem(self, part: Part, embeddings: Tensor, asked: Tensor | None) -> tuple[State, Tensor | None]:
        """The state that each episode goes on from, and features of the stems' steps that are asked."""
        network, stem = self._network, part.stem
        if stem is None:
            return network.actor.initial_state(len(part.lengths)), None
        at = torch.zeros(len(stem.lengths), 1, dtype=torch.int64) if asked is None else asked
        x = _spread(embeddings, stem.sensed)
        done = network.policy.remember(x, network.actor.initial_state(len(x)), stem.starts, at=at)
        state = network.policy.fitted(done.state, 0)
        return {name: tensor.index_select(0, stem.of) for name, tensor in state.items()}, done.features

    def _asked(self, part: Part) -> Tensor | None:
        """Steps (B, k) of each episode, or (G, k) of each stem, at which is asked what was sensed; None for none."""
        if self._network.reconstruction is None:
            return None
        lengths = part.lengths if part.stem is None else part.stem.lengths
        wanted = (len(lengths), self._config.reconstruction_steps)
        asked = self._steps_generator.integers(0, np.maximum(lengths, 1)[:, None], size=wanted)
        spare = 0 if part.stem is None else part.stem.sensed.shape[1] - lengths[:, None]
        return torch.from_numpy(asked + spare)

    def _reconstruction(self, part: Part, asked: Tensor, features: Tensor, share: float) -> dict[str, Tensor]:
        """This part's share of what it costs to reconstruct these steps (B, k) from their features (B, k, width)."""
        heads = self._network.reconstruction
        assert heads is not None
        sensed = part.sensed if part.stem is None else part.stem.sensed
        sights = self._sights.of(part.sights[sensed.gather(1, asked).flatten().numpy()])
        losses = heads.losses(features.flatten(0, 1), sights)
        return {f"reconstruction_{name}": share * loss for name, loss in losses.items()}


def _spread(rows: Tensor, index: Tensor) -> Tensor:
    """Rows (F, D) by number (B, T): (B, T, D). The gradient of this costs a fraction of that of ``rows[index]``."""
    spread: Tensor = rows.index_select(0, index.flatten()).unflatten(0, tuple(index.shape))
    return spread
