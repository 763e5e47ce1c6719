"""Diffusion Policy (Chi et al. 2023, arXiv:2303.04137) with a network that what is sensed steers."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from haltere.configs.errors import ConfigError
from haltere.policies.base import Chunking, Obs, Output, Signature
from haltere.policies.chunking.base import ChunkPolicy, perceptron, vector_size, vectors_of
from haltere.policies.chunking.schedule import ddim, ddpm, squared_cosine
from haltere.policies.chunking.transformer import ChunkTransformer, sinusoids
from haltere.policies.chunking.unet import ChunkUnet
from haltere.policies.diffusion.config import DiffusionConfig

SAMPLERS = {"ddim": ddim, "ddpm": ddpm}
Number = Tensor | float


class DiffusionPolicy(ChunkPolicy[DiffusionConfig]):
    """Plans a chunk by taking noise out of it, ``refinements`` times. See ``ChunkPolicy`` for inputs and outputs."""

    bounds = ("refinements", "executed", "sampler", "unrolled")

    def __init__(self, config: DiffusionConfig, signature: Signature) -> None:
        """Build for the signature's vectors and images.

        Raises:
            ConfigError: settings don't go together.
            ValueError: an observation is neither a vector nor an image.
        """
        check(config)
        draws = 2 if config.sampler == "ddpm" else 1
        calls = 1 if config.unrolled else config.refinements
        loop = Chunking(config.observed, config.horizon, config.executed, calls, draws)
        super().__init__(config, signature, loop)
        # What steers a U-Net is as wide as its coarsest level.
        self.steering = config.width if config.network == "transformer" else config.channels[-1]
        self.sense = perceptron([vector_size(signature, config.observed), 2 * self.steering, self.steering])
        self.level = perceptron([self.steering, 2 * self.steering, self.steering])
        self.network = network(config, signature.action, self.steering)
        kept = torch.cumprod(1.0 - squared_cosine(config.levels), dim=0)
        self.register_buffer("signal", kept.sqrt().float(), persistent=False)
        self.register_buffer("noise", (1.0 - kept).sqrt().float(), persistent=False)
        table = SAMPLERS[config.sampler](config.levels, config.refinements)
        self.register_buffer("table_level", table.level, persistent=False)
        # Side by side, for one lookup of all: an engine takes longer to begin with one than to do it.
        self.register_buffer("table", torch.stack(table[1:], dim=1), persistent=False)
        # As numbers for refinements that are known ahead: a graph has them as constants, with nothing to look up.
        self._rows: list[list[float]] = self.get_buffer("table").tolist()

    def estimate(self, obs: Obs, noisy: Tensor, level: Tensor) -> Tensor:
        """What the network takes for the target in a noisy chunk.

        Args:
            obs: (B, observed, n) each, normalised.
            noisy: (B, horizon, action).
            level: (B,) int64, the level of its noise.
        """
        return self._estimate(obs, noisy, self._embedded(level))

    def _embedded(self, level: Tensor) -> Tensor:
        """(B,) int64 -> (B, steering)."""
        embedded: Tensor = self.level(sinusoids(level, self.steering))
        return embedded

    def _estimate(self, obs: Obs, noisy: Tensor, level: Tensor) -> Tensor:
        """As ``estimate``, for levels that are embedded (B, steering)."""
        estimated: Tensor = self.network(noisy, self.sense(vectors_of(obs)) + level)
        return estimated

    def _next_level(self, done: Tensor) -> Tensor:
        """The level of the refinement after ``done`` (B,) of them, embedded (B, steering)."""
        levels = self.get_buffer("table_level")
        # In a graph, those of all refinements: they depend on weights alone, so that an engine computes them once.
        return self._embedded(levels)[done] if torch.compiler.is_exporting() else self._embedded(levels[done])

    def refine(self, obs: Obs, chunk: Tensor, done: Tensor, added: Tensor | None) -> tuple[Tensor, Output]:
        """See ``ChunkPolicy``: one step of the sampler, or all of them."""
        if self.config.unrolled:
            return self._refined_throughout(obs, chunk), {}
        *row, fresh = self.get_buffer("table")[done][:, :, None].split(1, dim=1)
        refined = self._refined(self._estimate(obs, chunk, self._next_level(done)), chunk, row)
        return refined if added is None else refined + fresh * added, {}

    def _refined_throughout(self, obs: Obs, chunk: Tensor) -> Tensor:
        levels = self._embedded(self.get_buffer("table_level"))
        steers = self.network.steers(self.sense(vectors_of(obs))[:, None] + levels)
        for steer, (*row, _) in zip(steers, self._rows, strict=True):
            chunk = self._refined(self.network.steered(chunk, steer), chunk, row)
        return chunk

    def _refined(self, estimated: Tensor, chunk: Tensor, row: Iterable[Number]) -> Tensor:
        """A step of the sampler by a row of its table, but for fresh noise."""
        signal, share, to_chunk, to_noise, to_same = row
        clean = self._clean(estimated, chunk, signal, share).clamp(-1.0, 1.0)
        taken = (chunk - signal * clean) / share
        return to_chunk * clean + to_noise * taken + to_same * chunk

    def loss(self, obs: Obs, chunk: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """See ``ChunkPolicy``: squared errors at even levels (Ho et al. 2020, arXiv:2006.11239, section 3.4)."""
        clean, sensed = self.normaliser.chunk(chunk), self.sensed(obs)
        level = torch.randint(self.config.levels, (len(clean),), generator=generator)
        noise = torch.randn(clean.shape, generator=generator)
        signal, share = (self.get_buffer(name)[level][:, None, None] for name in ("signal", "noise"))
        estimated = self.estimate(sensed, signal * clean + share * noise, level)
        target = signal * noise - share * clean if self.config.target == "velocity" else clean
        return {"loss": mse_loss(estimated, target)}

    def _clean(self, estimated: Tensor, noisy: Tensor, signal: Number, share: Number) -> Tensor:
        """The chunk that an estimate of the target stands for; ``loss`` has the reverse."""
        return signal * noisy - share * estimated if self.config.target == "velocity" else estimated


def network(config: DiffusionConfig, action: int, steering: int) -> ChunkTransformer | ChunkUnet:
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
    if config.unrolled and config.sampler == "ddpm":
        raise ConfigError("policy.unrolled: is for policy.sampler ddim; ddpm draws noise for each refinement")
    if config.refinements > levels:
        raise ConfigError(f"policy.refinements: must be at most policy.levels {levels}, got {config.refinements}")
    if config.network == "unet":
        count = len(config.channels)
        if config.horizon % 2 ** (count - 1):
            multiple = f"a multiple of {2 ** (count - 1)}, as there are {count} policy.channels"
            raise ConfigError(f"policy.horizon: must be {multiple}, got {config.horizon}")
    elif width % 2 or width % heads:
        raise ConfigError(f"policy.width: must be even and a multiple of policy.heads {heads}, got {width}")
