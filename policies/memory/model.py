"""A policy that acts on what it has seen: encoders, layers with a memory each, one score for each choice.

The memories and their sources are in the modules of their names. What a robot runs is ``forward``, one step; what a
trainer differentiates is ``sequence``, the same for many, or its halves ``encode`` and ``remember``.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from haltere.configs.errors import ConfigError
from haltere.policies.base import Obs, Output, Policy, ReadPlaces, Signature, State
from haltere.policies.memory.config import MemoryConfig
from haltere.policies.memory.encoders import Encoder
from haltere.policies.memory.hcam import Hcam
from haltere.policies.memory.layers import Layer, part_of
from haltere.policies.memory.module import projection

SCORE_GAIN = 0.1  # small first scores: an untrained policy should choose at random


class Sequence(NamedTuple):
    """What a sequence of T steps comes to.

    Attributes:
        features: (B, T, width), what heads of a trainer's own may start from.
        scores: (B, T, action), without bounds: logits of a choice.
        state: after the last step.
        read: (B, T, layers, R) as ``Recalled.read``, where it was wanted and there is any.
    """

    features: Tensor
    scores: Tensor
    state: State
    read: Tensor | None


class MemoryPolicy(Policy[MemoryConfig]):
    """Scores of choices from all that was sensed since the episode began.

    Observations: any number of images (B, H, W, 3) or (B, 3, H, W), colours in [0, 1], and of vectors (B, n).

    Output:
        action (B, action)  score s of each choice as s / (1 + |s|), in [-1, 1]: the order is kept however large s
        read   (B, R)       share of the attention on each place of the memory, mean over layers. hcam: slots of chunks;
                            trxl and attention: rows of the ring, step n in row n modulo R; the others have none

    State: each layer's memories', by ``layer<i>_<memory>_<name>``; see there.
    """

    def __init__(self, config: MemoryConfig, signature: Signature) -> None:
        """Build for the signature's observations.

        Raises:
            ConfigError: settings don't go together.
            ValueError: an observation is neither a vector nor an image.
        """
        super().__init__(config, signature)
        check(config)
        width = config.width
        self.encoder = Encoder(dict(signature.obs), config.channels, width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.bounds = self._layers()[0].memories["memory"].bounds
        self.norm = nn.LayerNorm(width)
        self.head = projection(width, signature.action, bias=True)
        with torch.no_grad():
            self.head.weight *= SCORE_GAIN

    @property
    def rings(self) -> tuple[str, ...]:
        """See ``Policy``, and each memory's own."""
        return tuple(f"layer{i}_{name}" for i, layer in enumerate(self._layers()) for name in layer.rings())

    @property
    def read_places(self) -> ReadPlaces:
        """See ``Policy``: all layers' memories are alike."""
        return self._layers()[0].memories["memory"].read_places

    def initial_state(self, batch: int) -> State:
        """Nothing remembered."""
        return {
            f"layer{i}_{name}": tensor
            for i, layer in enumerate(self._layers())
            for name, tensor in layer.initial_state(batch).items()
        }

    def forward(self, obs: Obs, state: State) -> tuple[Output, State]:
        """One control step; see the class for names, shapes and units."""
        return self.step(obs, state)

    def step(self, obs: Obs, state: State, *, reuse: bool = False) -> tuple[Output, State]:
        """One control step.

        Args:
            obs: (B, ...) each.
            state: what ``initial_state`` or the last step returned.
            reuse: write into the state that is given, rather than copy it: for rollouts, without gradients.
        """
        done = self.advance(self.encode(obs), state, reuse=reuse)
        output = {"action": done.scores / (1.0 + done.scores.abs())}
        if done.read is not None:
            output["read"] = done.read.mean(dim=1)
        return output, done.state

    def advance(self, x: Tensor, state: State, *, reuse: bool = False) -> Sequence:
        """All of a step but the encoders; what it returns has no time axis.

        Args:
            x: (B, width) as ``encode`` gives it.
            state: see ``step``.
            reuse: see ``step``.
        """
        following: State = {}
        reads: list[Tensor] = []
        for i, layer in enumerate(self._layers()):
            x, own, read = layer.step(x, part_of(state, f"layer{i}"), reuse=reuse)
            following |= {f"layer{i}_{name}": tensor for name, tensor in own.items()}
            reads += [] if read is None else [read]
        features: Tensor = self.norm(x)
        return Sequence(features, self.score(features), following, torch.stack(reads, dim=1) if reads else None)

    def encode(self, obs: Obs) -> Tensor:
        """Embeddings (..., width) of observations (..., *shape), each step by itself."""
        name, shape = next(iter(self.signature.obs.items()))
        steps = obs[name].shape[: obs[name].dim() - len(shape)]
        flat = {name: obs[name].flatten(0, len(steps) - 1) for name in self.signature.obs}
        embedding: Tensor = self.encoder(flat)
        return embedding if len(steps) == 1 else embedding.unflatten(0, steps)

    def remember(
        self, x: Tensor, state: State, starts: Tensor, *, reading: bool = False, at: Tensor | None = None
    ) -> Sequence:
        """All but the encoders.

        Args:
            x: (B, T, width) as ``encode`` gives it.
            state: before the first step. Gradients go into it where it has any: detach it to cut them.
            starts: (B, T) bool, true where a step is the first of an episode, whatever the state.
            reading: whether ``read`` is wanted.
            at: (B, Q) int64, at which steps features, scores and ``read`` are wanted, which spares the last layer the
                others; at all T of them where None. Only the last layer's part of ``read`` is then given.
        """
        following: State = {}
        reads: list[Tensor] = []
        layers = self._layers()
        for i, layer in enumerate(layers):
            part = part_of(state, f"layer{i}")
            if at is None:
                x, own, read = layer.sequence(x, part, starts, reading=reading)
            elif layer is layers[-1]:
                x, own, read = layer.sequence_at(x, part, starts, at, reading=reading)
            else:
                x, own, read = layer.sequence(x, part, starts)
            following |= {f"layer{i}_{name}": tensor for name, tensor in own.items()}
            reads += [] if read is None else [read]
        features: Tensor = self.norm(x)
        return Sequence(features, self.score(features), following, torch.stack(reads, dim=2) if reads else None)

    def fitted(self, state: State, steps: int) -> State:
        """The state with no more empty rows than these many further steps need: for who copies it often.

        ``remember`` needs none for its own steps, and returns as many as it was given or has filled.
        """
        return {
            f"layer{i}_{name}": tensor
            for i, layer in enumerate(self._layers())
            for name, tensor in layer.fitted(part_of(state, f"layer{i}"), steps).items()
        }

    def sequence(self, obs: Obs, state: State, starts: Tensor, *, reading: bool = False) -> Sequence:
        """What ``forward`` computes step by step, for T steps at once.

        Args:
            obs: (B, T, ...) each.
            state: see ``remember``.
            starts: see ``remember``.
            reading: see ``remember``.
        """
        return self.remember(self.encode(obs), state, starts, reading=reading)

    def read_at_most(self, chunks: int | None) -> None:
        """Read no more chunks in each step than so many, nor than are configured; for training.

        Args:
            chunks: None for as many as are configured. Other memories than ``hcam`` have none.
        """
        for layer in self._layers():
            memory = layer.memories["memory"]
            if isinstance(memory, Hcam):
                memory.top_k = min(self.config.top_k, chunks or self.config.top_k)

    def score(self, features: Tensor) -> Tensor:
        """Scores (..., action) of features (..., width)."""
        scores: Tensor = self.head(features)
        return scores

    def _layers(self) -> list[Layer]:
        return [layer for layer in self.layers if isinstance(layer, Layer)]


def check(config: MemoryConfig) -> None:
    """See that settings go together.

    Raises:
        ConfigError: they don't.
    """
    if config.width % 2:
        raise ConfigError(f"policy.width: must be even, got {config.width}")
    if config.convolution == 1:
        raise ConfigError("policy.convolution: must be 0, or at least 2 to see any motion, got 1")
    if config.memory == "hcam" and config.convolution and not config.memory_grad:
        raise ConfigError("policy.convolution: would never be trained with policy.no-memory-grad; set it to 0")
    if config.memory != "lstm" and config.width % config.heads:
        raise ConfigError(f"policy.heads: must divide policy.width {config.width}, got {config.heads}")
    if config.memory == "attention" and config.width // config.heads % 2:
        size = config.width // config.heads
        raise ConfigError(f"policy.heads: must leave an even width to each head of attention, got {size}")
    if config.memory == "hcam" and config.top_k > config.slots:
        raise ConfigError(f"policy.top_k: must be at most policy.slots {config.slots}, got {config.top_k}")
