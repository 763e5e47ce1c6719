"""Policies that plan a chunk of commands at a time, in one call or in several that refine it.

A call is one refinement: what such a policy remembers between two calls is the chunk as it stands, and how often it has
been refined. The loop around it (what was sensed in the last steps, when to plan anew, noise to begin with) is the same
for all of them, in torch and on a robot: ``haltere.deploy.runtime.chunks``.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from haltere.configs.errors import ConfigError
from haltere.policies.base import NOISE, Chunking, ConfigT, Obs, Output, Policy, Signature, State
from haltere.policies.chunking.eyes import FEATURES, Eyes
from haltere.policies.chunking.normaliser import Normaliser

CHUNK, DONE = "chunk", "done"


class ChunkPolicy(Policy[ConfigT]):
    """Base of policies that plan a chunk; a subclass brings ``refine`` and ``loss``.

    Observations of a call: each of the signature's (B, observed, ...), oldest first, vectors or images (3, H, W) in
    [0, 1]; and ``noise`` (B, draws, horizon, action), standard normal, where ``chunking.draws`` isn't 0.

    Output:
        action (B, action)           the chunk's first command, in [-1, 1]
        chunk  (B, horizon, action)  commands from now on, each within [-1, 1]
        and what else ``refine`` shows

    State, of policies that refine:
        chunk (B, horizon, action)   as it stands, in normalised units
        done  (B, 1)                 refinements so far; after the last one a new chunk is begun
    """

    def __init__(self, config: ConfigT, signature: Signature, chunking: Chunking) -> None:
        """Keep all three; a subclass builds its layers after calling this.

        Raises:
            ConfigError: more is to be executed than is planned.
            ValueError: an observation is neither a vector nor an image.
        """
        if chunking.executed > chunking.horizon:
            horizon = chunking.horizon
            raise ConfigError(f"policy.executed: must be at most policy.horizon {horizon}, got {chunking.executed}")
        super().__init__(config, signature)
        self._chunking = chunking
        vectors = {name: shape[0] for name, shape in signature.obs.items() if len(shape) == 1}
        self.normaliser = Normaliser(vectors, signature.action)
        self.eyes = Eyes(signature.obs)

    @property
    def chunking(self) -> Chunking:
        """See ``Policy``."""
        return self._chunking

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        """See ``Policy``."""
        seen = {name: (self._chunking.observed, *shape) for name, shape in self.signature.obs.items()}
        draws = self._chunking.draws
        return seen | {NOISE: (draws, *self.chunk_shape)} if draws else seen

    def random_obs(self, batch: int, generator: torch.Generator) -> Obs:
        """See ``Policy``; as widely spread as the demonstrations were, since nothing was learned anywhere else."""
        return self.normaliser.spread(super().random_obs(batch, generator))

    @property
    def chunk_shape(self) -> tuple[int, int]:
        """(horizon, action)."""
        return self._chunking.horizon, self.signature.action

    def initial_state(self, batch: int) -> State:
        """No refinement yet; empty where the first one is the last."""
        if self._chunking.refinements == 1:
            return {}
        return {CHUNK: torch.zeros(batch, *self.chunk_shape), DONE: torch.zeros(batch, 1)}

    def forward(self, obs: Obs, state: State) -> tuple[Output, State]:
        """One refinement; see the class for names, shapes and units."""
        sensed = self.sensed(obs)
        first = next(iter(sensed.values()))
        begun = obs[NOISE][:, 0] if self._chunking.draws else torch.zeros(first.shape[0], *self.chunk_shape)
        added = obs[NOISE][:, 1] if self._chunking.draws > 1 else None
        if state:
            done = torch.where(state[DONE] < self._chunking.refinements, state[DONE], 0.0)
            begun = torch.where(done[..., None] < 1.0, begun, state[CHUNK])
        else:
            done = torch.zeros(first.shape[0], 1)
        refined, shown = self.refine(sensed, begun, done[:, 0].long(), added)
        command = self.normaliser.command(refined).clamp(-1.0, 1.0)
        output = {"action": command[:, 0], CHUNK: command, **shown}
        return output, {CHUNK: refined, DONE: done + 1.0} if state else {}

    def sensed(self, obs: Obs) -> Obs:
        """Observations (B, observed, ...) as vectors (B, observed, n) in normalised units, images among them.

        In the signature's order, whatever theirs is: networks take them end to end.
        """
        looked: Obs = self.eyes(self.normaliser.obs({name: obs[name] for name in self.signature.obs}))
        return looked

    @abstractmethod
    def refine(self, obs: Obs, chunk: Tensor, done: Tensor, added: Tensor | None) -> tuple[Tensor, Output]:
        """One refinement in normalised units.

        Args:
            obs: (B, observed, n) each, as ``sensed`` gives them.
            chunk: (B, horizon, action) as it stands; noise, or zeros, where ``done`` is 0.
            done: (B,) int64, refinements of it so far, below ``chunking.refinements``.
            added: (B, horizon, action) standard normal, where ``chunking.draws`` is 2.

        Returns:
            The chunk, and further outputs (B, ...).
        """

    @abstractmethod
    def loss(self, obs: Obs, chunk: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """What a demonstration costs.

        Args:
            obs: (B, observed, ...) each, as they are sensed.
            chunk: (B, horizon, action) demonstrated commands.
            generator: of all that is drawn.

        Returns:
            ``loss``, the scalar to go down, and other scalars worth logging.
        """


def vectors_of(obs: Obs) -> Tensor:
    """All vectors (B, observed, n) of what ``ChunkPolicy.sensed`` gives end to end, (B, observed x sum of n)."""
    return torch.cat([array.flatten(1) for array in obs.values()], dim=1)


def steps_of(obs: Obs) -> Tensor:
    """All vectors (B, observed, n) of what ``ChunkPolicy.sensed`` gives side by side, (B, observed, sum of n)."""
    return torch.cat(list(obs.values()), dim=2)


def vector_size(signature: Signature, observed: int) -> int:
    """Length of what ``vectors_of`` gives."""
    return observed * sum(shape[0] if len(shape) == 1 else FEATURES for shape in signature.obs.values())


def perceptron(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers with SiLU between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.SiLU()]
    return nn.Sequential(*layers[:-1])
