"""ACT (Zhao et al. 2023, arXiv:2304.13705): a transformer that makes all commands of a chunk at once."""

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from haltere.configs.errors import ConfigError
from haltere.policies.act.config import ActConfig
from haltere.policies.act.posterior import Posterior
from haltere.policies.act.transformer import DecoderLayer, EncoderLayer
from haltere.policies.base import Chunking, Obs, Output, Signature
from haltere.policies.chunking.base import ChunkPolicy, steps_of, vector_size


class ActPolicy(ChunkPolicy[ActConfig]):
    """Plans a chunk in one call, with the latent at zero. See ``ChunkPolicy`` for inputs and outputs.

    After section IV-B and the published code. Here an image is a vector beside the others, where a published one is 300
    tokens; there is no dropout; places and queries are added to tokens once, where DETR adds them in every attention;
    and the commands after an episode's end, the last one again, count, where published ones are masked. Averaging the
    commands that several chunks have for one step (temporal ensembling) would be for the loop around a policy, and that
    has none.
    """

    bounds = ("executed",)

    def __init__(self, config: ActConfig, signature: Signature) -> None:
        """Build for the signature's vectors and images.

        Raises:
            ConfigError: settings don't go together.
            ValueError: an observation is neither a vector nor an image.
        """
        width, heads = config.width, config.heads
        if width % 2 or width % heads:
            raise ConfigError(f"policy.width: must be even and a multiple of policy.heads {heads}, got {width}")
        super().__init__(config, signature, Chunking(config.observed, config.horizon, config.executed))
        sensed = vector_size(signature, 1)
        self.posterior = Posterior(config, sensed, signature.action)
        self.latent, self.sense = nn.Linear(config.latent, width), nn.Linear(sensed, width)
        self.places = nn.Parameter(torch.randn(1 + config.observed, width))
        self.encoder = nn.ModuleList(EncoderLayer(width, heads) for _ in range(config.encoder_layers))
        self.queries = nn.Parameter(torch.randn(config.horizon, width))
        self.decoder = nn.ModuleList(DecoderLayer(width, heads) for _ in range(config.decoder_layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, signature.action)

    def decode(self, sensed: Tensor, latent: Tensor) -> Tensor:
        """The chunk (B, horizon, action) for observations (B, observed, n) and a latent (B, latent); all normalised."""
        known = torch.cat([self.latent(latent)[:, None], self.sense(sensed)], dim=1) + self.places
        for layer in self.encoder:
            known = layer(known)
        x = self.queries.expand(known.shape[0], -1, -1)
        for layer in self.decoder:
            x = layer(x, known)
        chunk: Tensor = self.out(self.norm(x))
        return chunk

    def refine(self, obs: Obs, chunk: Tensor, done: Tensor, added: Tensor | None) -> tuple[Tensor, Output]:
        """See ``ChunkPolicy``: there is nothing to refine."""
        return self._act(steps_of(obs)), {}

    def loss(self, obs: Obs, chunk: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """See ``ChunkPolicy``: the absolute error with the latent that the chunk stands for, and its divergence.

        As in the published code the error, ``l1``, is the mean over lanes, commands and components; the divergence,
        ``kl``, is summed over the latent's numbers, and is the mean over lanes. In evaluation mode there is also
        ``acted``, the error with the latent at zero.
        """
        clean = self.normaliser.chunk(chunk)
        sensed = steps_of(self.sensed(obs))
        latent = self.posterior(sensed, clean)
        error = l1_loss(self.decode(sensed, latent.drawn(generator)), clean)
        divergence = latent.divergence().mean()
        parts = {"loss": error + self.config.kl_weight * divergence, "l1": error, "kl": divergence}
        return parts if self.training else parts | {"acted": l1_loss(self._act(sensed), clean)}

    def _act(self, sensed: Tensor) -> Tensor:
        return self.decode(sensed, torch.zeros(sensed.shape[0], self.config.latent, dtype=sensed.dtype))
