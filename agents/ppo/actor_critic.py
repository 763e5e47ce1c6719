"""Our policy as the actor of stable-baselines3's PPO, with a critic and an action noise of its own."""

import math
from typing import Any, Literal

import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor, nn

from haltere.agents.weights import init_linear
from haltere.policies.base import Obs, Policy

Init = Literal["xavier", "orthogonal", "policy"]
_LOG_2PI = math.log(2.0 * math.pi)


class Critic(nn.Module):
    """Value of a flat observation: two hidden tanh layers over inputs brought to zero mean and unit variance.

    The moments run over everything seen in training, so tasks needn't scale their observations for the critic's sake.
    They move between updates only: a rollout's values and the update on it see the same ones.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, inputs: int, width: int) -> None:
        """Start with the inputs as they are."""
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1)
        )
        self.register_buffer("mean", torch.zeros(inputs, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(inputs, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def forward(self, flat: Tensor) -> Tensor:
        """Value (B, 1) of observations (B, D)."""
        scale = (self.variance + 1e-8).rsqrt().float()
        value: Tensor = self.layers(((flat - self.mean.float()) * scale).clamp(-10.0, 10.0))
        return value

    def observe(self, flat: Tensor) -> None:
        """Merge the moments of a batch (n, D); Chan et al. 1979, equations 2.1."""
        batch = flat.double()
        variance, mean = torch.var_mean(batch, dim=0, correction=0)
        total = self.count + len(batch)
        shift = mean - self.mean
        between = shift.square() * (self.count * len(batch) / total)
        self.variance.copy_((self.variance * self.count + variance * len(batch) + between) / total)
        self.mean.add_(shift * (len(batch) / total))
        self.count.copy_(total)


class LaneActorCritic(ActorCriticPolicy):
    """Actor, critic and log-std over flat observations, one row a lane.

    The action is Gaussian with the actor's output as mean and one standard deviation per component. It is written out
    here, rather than taken from stable-baselines3, because theirs draws from torch's global generator and because
    the closed form costs a third of ``torch.distributions``.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        *,
        actor: Policy[Any],
        critic_width: int,
        log_std_init: float,
        learn_log_std: bool,
        init: Init,
        init_generator: torch.Generator,
        noise_generator: torch.Generator,
        **kwargs: Any,  # noqa: ANN401 - whatever else PPO hands to its policy class
    ) -> None:
        """Build around an actor.

        Args:
            observation_space: flat Box, the actor's observations side by side in the signature's order.
            action_space: Box of the actor's action size.
            lr_schedule: Adam's step size over training progress, from 1 down to 0.
            actor: the network to train; must be stateless.
            critic_width: units in each of the critic's two hidden layers.
            log_std_init: where the log-std starts.
            learn_log_std: whether it is trained; it otherwise stays as whoever holds this sets it.
            init: see ``PPOConfig.init``.
            init_generator: draws the initial weights.
            noise_generator: draws the action noise and nothing else.
            **kwargs: passed on to ``ActorCriticPolicy``.
        """
        # nn.Module's own __init__ runs inside super().__init__, which calls _build: no module may be set before that.
        self._parts = (actor, critic_width, init, init_generator, learn_log_std)
        self.noise_generator = noise_generator
        super().__init__(observation_space, action_space, lr_schedule, log_std_init=log_std_init, **kwargs)

    def _build(self, lr_schedule: Schedule) -> None:
        """Called by ``ActorCriticPolicy.__init__`` in place of its own networks."""
        actor, width, init, generator, learn_log_std = self._parts
        self.actor = actor
        self.critic = Critic(self.features_dim, width)
        self.log_std = nn.Parameter(torch.full((actor.signature.action,), float(self.log_std_init)), learn_log_std)
        if init != "policy":
            init_linear(self.actor, init, generator)
        init_linear(self.critic, "xavier" if init == "policy" else init, generator)
        # Where each named observation lies in a flat row.
        self._names = list(actor.signature.obs)
        self._shapes = list(actor.signature.obs.values())
        self._sizes = [math.prod(shape) for shape in self._shapes]
        # Fused: one call for some thirty small tensors, a tenth of the time of a loop over them.
        self.optimizer = torch.optim.Adam(self.parameters(), lr=lr_schedule(1), fused=True, **self.optimizer_kwargs)

    def unflatten(self, flat: Tensor) -> Obs:
        """Flat rows (B, D) as the actor's named observations, without a copy of the data."""
        columns = flat.split(self._sizes, dim=1)
        return {
            name: column.unflatten(1, shape) if len(shape) > 1 else column
            for name, shape, column in zip(self._names, self._shapes, columns, strict=True)
        }

    def mean_action(self, flat: Tensor) -> Tensor:
        """The actor's action without noise, (B, action)."""
        output, _ = self.actor(self.unflatten(flat), {})
        action: Tensor = output["action"]
        return action

    def forward(self, obs: Tensor, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Act: action (B, action), value (B, 1) and log-probability (B,) of flat observations (B, D)."""
        mean = self.mean_action(obs)
        noise = torch.zeros_like(mean)
        if not deterministic:
            noise.normal_(generator=self.noise_generator)
        return mean + noise * self.log_std.exp(), self.predict_values(obs), self._log_prob(noise)

    def _log_prob(self, noise: Tensor) -> Tensor:
        """Log-density (B,) of a diagonal Gaussian at ``noise`` (B, action) standard deviations from its mean."""
        return -0.5 * noise.square().sum(dim=1) - self.log_std.sum() - 0.5 * _LOG_2PI * noise.shape[1]

    def evaluate_actions(self, obs: PyTorchObs, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Value (B, 1), log-probability (B,) of actions (B, action), and entropy (), equal for all of the batch."""
        assert isinstance(obs, Tensor)
        noise = (actions - self.mean_action(obs)) * (-self.log_std).exp()
        # Of a diagonal Gaussian: sum over components of log sigma + (1 + log 2 pi) / 2.
        entropy = self.log_std.sum() + 0.5 * (1.0 + _LOG_2PI) * noise.shape[1]
        return self.predict_values(obs), self._log_prob(noise), entropy

    def predict_values(self, obs: PyTorchObs) -> Tensor:
        """Value (B, 1) of flat observations (B, D)."""
        value: Tensor = self.critic(obs)
        return value

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> Tensor:
        """Action alone, for stable-baselines3's ``predict``."""
        assert isinstance(observation, Tensor)
        action, _, _ = self.forward(observation, deterministic=deterministic)
        return action
