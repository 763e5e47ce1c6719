"""Diffusion Policy (Chi et al. 2023, arXiv:2303.04137) with a network that what is sensed steers."""

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from haltere.configs.errors import ConfigError
from haltere.policies.base import Chunking, Obs, Output, Signature
from haltere.policies.chunking.base import ChunkPolicy, perceptron, vector_size, vectors_of
from haltere.policies.chunking.schedule import Table, ddim, ddpm, squared_cosine
from haltere.policies.chunking.transformer import ChunkTransformer, sinusoids
from haltere.policies.chunking.unet import ChunkUnet
from haltere.policies.diffusion.config import DiffusionConfig

SAMPLERS = {"ddim": ddim, "ddpm": ddpm}


class DiffusionPolicy(ChunkPolicy[DiffusionConfig]):
    """Plans a chunk by taking noise out of it, ``refinements`` times. See ``ChunkPolicy`` for inputs and outputs."""

    bounds = ("refinements", "executed", "sampler")

    def __init__(self, config: DiffusionConfig, signature: Signature) -> None:
        """Build for the signature's vectors.

        Raises:
            ConfigError: settings don't go together.
            ValueError: an observation isn't a vector.
        """
        check(config)
        draws = 2 if config.sampler == "ddpm" else 1
        loop = Chunking(config.observed, config.horizon, config.executed, config.refinements, draws)
        super().__init__(config, signature, loop)
        # What steers a U-Net is as wide as its coarsest level, which is the published 256 at the default channels.
        self.steering = config.width if config.network == "transformer" else config.channels[-1]
        self.sense = perceptron([vector_size(signature, config.observed), 2 * self.steering, self.steering])
        self.level = perceptron([self.steering, 2 * self.steering, self.steering])
        self.network = network(config, signature.action, self.steering)
        kept = torch.cumprod(1.0 - squared_cosine(config.levels), dim=0)
        self.register_buffer("signal", kept.sqrt().float(), persistent=False)
        self.register_buffer("noise", (1.0 - kept).sqrt().float(), persistent=False)
        for name, row in SAMPLERS[config.sampler](config.levels, config.refinements)._asdict().items():
            self.register_buffer(f"table_{name}", row, persistent=False)

    def estimate(self, obs: Obs, noisy: Tensor, level: Tensor) -> Tensor:
        """What the network takes for the target in a noisy chunk.

        Args:
            obs: (B, observed, n) each, normalised.
            noisy: (B, horizon, action).
            level: (B,) int64, the level of its noise.
        """
        steering = self.sense(vectors_of(obs)) + self.level(sinusoids(level, self.steering))
        estimated: Tensor = self.network(noisy, steering)
        return estimated

    def refine(self, obs: Obs, chunk: Tensor, done: Tensor, added: Tensor | None) -> tuple[Tensor, Output]:
        """See ``ChunkPolicy``: one step of the sampler."""
        table = Table(*(self.get_buffer(f"table_{name}")[done] for name in Table._fields))
        row = Table(table.level, *(column[:, None, None] for column in table[1:]))
        clean = self._clean(self.estimate(obs, chunk, row.level), chunk, row.signal, row.noise).clamp(-1.0, 1.0)
        taken = (chunk - row.signal * clean) / row.noise
        refined = row.to_chunk * clean + row.to_noise * taken + row.to_same * chunk
        return refined if added is None else refined + row.fresh * added, {}

    def loss(self, obs: Obs, chunk: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """See ``ChunkPolicy``: squared errors at even levels (Ho et al. 2020, arXiv:2006.11239, section 3.4)."""
        clean, sensed = self.normaliser.chunk(chunk), self.normaliser.obs(obs)
        level = torch.randint(self.config.levels, (len(clean),), generator=generator)
        noise = torch.randn(clean.shape, generator=generator)
        signal, share = (self.get_buffer(name)[level][:, None, None] for name in ("signal", "noise"))
        estimated = self.estimate(sensed, signal * clean + share * noise, level)
        target = signal * noise - share * clean if self.config.target == "velocity" else clean
        return {"loss": mse_loss(estimated, target)}

    def _clean(self, estimated: Tensor, noisy: Tensor, signal: Tensor, share: Tensor) -> Tensor:
        """The chunk that an estimate of the target stands for; ``loss`` has the reverse."""
        return signal * noisy - share * estimated if self.config.target == "velocity" else estimated


def network(config: DiffusionConfig, action: int, steering: int) -> nn.Module:
    """From a noisy chunk (B, horizon, action) and what steers (B, steering) to the estimate, a chunk as well."""
    if config.network == "unet":
        return ChunkUnet(action, config.channels, steering)
    return ChunkTransformer(action, config.horizon, steering, config.layers, config.heads)


def check(config: DiffusionConfig) -> None:
    """See that settings go together.

    Raises:
        ConfigError: they don't.
    """
    width, heads, levels = config.width, config.heads, config.levels
    if config.refinements > levels:
        raise ConfigError(f"policy.refinements: must be at most policy.levels {levels}, got {config.refinements}")
    if config.network == "unet":
        count = len(config.channels)
        if config.horizon % 2 ** (count - 1):
            multiple = f"a multiple of {2 ** (count - 1)}, as there are {count} policy.channels"
            raise ConfigError(f"policy.horizon: must be {multiple}, got {config.horizon}")
    elif width % 2 or width % heads:
        raise ConfigError(f"policy.width: must be even and a multiple of policy.heads {heads}, got {width}")
