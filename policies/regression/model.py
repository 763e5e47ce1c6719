"""Behaviour cloning (Pomerleau 1988), a command or a chunk of them at a time (Zhao et al. 2023, arXiv:2304.13705)."""

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from haltere.policies.base import Chunking, Obs, Output, Signature
from haltere.policies.chunking.base import ChunkPolicy, perceptron, vector_size, vectors_of
from haltere.policies.regression.config import RegressionConfig


class RegressionPolicy(ChunkPolicy[RegressionConfig]):
    """Plans a chunk in one go: the mean of what was demonstrated. See ``ChunkPolicy`` for inputs and outputs."""

    bounds = ("executed",)

    def __init__(self, config: RegressionConfig, signature: Signature) -> None:
        """Build for the signature's vectors and images.

        Raises:
            ConfigError: more is to be executed than is planned.
            ValueError: an observation is neither a vector nor an image.
        """
        super().__init__(config, signature, Chunking(config.observed, config.horizon, config.executed))
        sizes = [vector_size(signature, config.observed), *[config.width] * config.layers]
        self.network = perceptron([*sizes, config.horizon * signature.action])

    def estimate(self, obs: Obs) -> Tensor:
        """The mean chunk (B, horizon, action) in normalised units."""
        chunk: Tensor = self.network(vectors_of(obs)).unflatten(1, self.chunk_shape)
        return chunk

    def refine(self, obs: Obs, chunk: Tensor, done: Tensor, added: Tensor | None) -> tuple[Tensor, Output]:
        """See ``ChunkPolicy``: there is nothing to refine."""
        return self.estimate(obs), {}

    def loss(self, obs: Obs, chunk: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """See ``ChunkPolicy``: the squared error."""
        return {"loss": mse_loss(self.estimate(self.sensed(obs)), self.normaliser.chunk(chunk))}
