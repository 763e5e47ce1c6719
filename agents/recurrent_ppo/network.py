"""What is trained: a policy with memory, a critic on its features, and heads that reconstruct what was sensed."""

from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from haltere.agents.recurrent_ppo.config import RecurrentPPOConfig
from haltere.agents.weights import init_linear
from haltere.configs.errors import ConfigError
from haltere.policies.base import Obs, Policy, State
from haltere.policies.memory.model import Sequence
from haltere.policies.memory.reconstruction import Reconstruction

_METHODS = ("encode", "advance", "remember", "fitted", "sequence")


class SequencePolicy(Protocol):
    """What a policy needs to be trained on whole sequences; ``MemoryPolicy`` says what each does."""

    def initial_state(self, batch: int) -> State:
        """Nothing remembered."""
        ...

    def encode(self, obs: Obs) -> Tensor:
        """Embeddings of observations, each step by itself."""
        ...

    def advance(self, x: Tensor, state: State, *, reuse: bool = False) -> Sequence:
        """One step from its embeddings."""
        ...

    def remember(
        self, x: Tensor, state: State, starts: Tensor, *, reading: bool = False, at: Tensor | None = None
    ) -> Sequence:
        """Many steps from their embeddings."""
        ...

    def fitted(self, state: State, steps: int) -> State:
        """The state with no more empty rows than these many further steps need."""
        ...

    def read_at_most(self, chunks: int | None) -> None:
        """Bound how many chunks are read; needed for ``narrowed`` alone."""
        ...

    def score(self, features: Tensor) -> Tensor:
        """Scores of choices from features."""
        ...


class Judged(NamedTuple):
    """What the network makes of n actions.

    Attributes:
        log_prob: (n,) of each.
        entropy: (n,) of the choice that each was drawn from.
        value: (n,) of the situation that it was taken in.
    """

    log_prob: Tensor
    entropy: Tensor
    value: Tensor


class SequenceActorCritic(nn.Module):
    """The actor and what only its training needs."""

    def __init__(self, actor: Policy[Any], config: RecurrentPPOConfig, init: torch.Generator) -> None:
        """Build around an actor.

        Args:
            actor: the network to train; a policy with the methods of ``SequencePolicy``.
            config: the trainer's.
            init: draws the critic's weights. Those of the reconstruction are drawn from torch's global generator, as
                any layer's are.

        Raises:
            ConfigError: the policy can't be trained on sequences.
        """
        super().__init__()
        methods = (*_METHODS, "read_at_most") if config.narrowed else _METHODS
        if missing := [name for name in methods if not callable(getattr(actor, name, None))]:
            got = f"the policy '{actor.config.type}' has none; ppo trains those"
            if actor.initial_state(1):
                got = f"{type(actor).__name__} lacks {', '.join(missing)}"
            raise ConfigError(f"trainer.type: recurrent_ppo trains policies with memory over sequences, and {got}")
        self.actor = actor
        with torch.no_grad():
            obs = {name: torch.zeros(1, *shape) for name, shape in actor.signature.obs.items()}
            width = self.policy.advance(self.policy.encode(obs), actor.initial_state(1)).features.shape[1]
        hidden = config.critic_width
        self.critic = nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        init_linear(self.critic, "orthogonal", init)
        self._detach = config.critic_detach
        self.reconstruction: Reconstruction | None = None
        if config.reconstruction:
            channels = getattr(actor.config, "channels", 32)
            self.reconstruction = Reconstruction(actor.signature, channels, width)
        self.optimizer = torch.optim.Adam(
            self.parameters(),
            lr=config.learning_rate,
            eps=config.adam_eps,
            betas=(0.9, config.adam_beta2),
            fused=True,
        )

    @property
    def policy(self) -> SequencePolicy:
        """The actor, as what is trained on sequences."""
        return cast("SequencePolicy", self.actor)

    def value(self, features: Tensor) -> Tensor:
        """Values (n,) of features (n, width)."""
        value: Tensor = self.critic(features.detach() if self._detach else features).squeeze(1)
        return value

    def judge(self, features: Tensor, choice: Tensor) -> Judged:
        """Log-probability of choices (n,) and so on, from features (n, width)."""
        log_probs = self.policy.score(features).log_softmax(dim=1)
        entropy = -(log_probs.exp() * log_probs).sum(dim=1)
        return Judged(log_probs.gather(1, choice[:, None]).squeeze(1), entropy, self.value(features))


def gumbel(count: int, choices: int, generator: torch.Generator) -> Tensor:
    """Standard Gumbel noise (count, choices)."""
    return -torch.empty(count, choices).exponential_(generator=generator).log()


def draw(scores: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Choices (n,) drawn with the probabilities that scores (n, choices) stand for, and their log-probabilities.

    Source: the Gumbel-max trick; Maddison et al. 2014, arXiv:1411.0030, section 2.

    Args:
        scores: logits.
        noise: (n, choices) as ``gumbel`` gives it.
    """
    choice = (scores + noise).argmax(dim=1)
    return choice, scores.log_softmax(dim=1).gather(1, choice[:, None]).squeeze(1)
