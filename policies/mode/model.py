"""MoDE, a mixture of denoising experts (Reuss et al. 2024, arXiv:2412.12953)."""

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from haltere.configs.errors import ConfigError
from haltere.policies.base import Chunking, Obs, Output, Signature
from haltere.policies.chunking.base import ChunkPolicy, perceptron, steps_of, vector_size
from haltere.policies.mode.config import ModeConfig
from haltere.policies.mode.folding import Folded, Level, estimate, fold
from haltere.policies.mode.noise import Scalings, Table, ancestral, ddim, drawn_levels, noise_input, target
from haltere.policies.mode.transformer import Denoiser

SAMPLERS = {"ddim": ddim, "ancestral": ancestral}


class ModePolicy(ChunkPolicy[ModeConfig]):
    """Plans a chunk by taking noise out of it, ``refinements`` times. See ``ChunkPolicy`` for inputs and outputs.

    With ``routing`` cached, all lanes of a call have to be at the same refinement, as they are in ``ChunkActor``: a
    lane that isn't where the first one is gets NaN for a chunk, in torch and in an exported file alike. What is folded
    follows the weights: it is made anew where one of them has changed, and whenever the policy is put into evaluation
    mode. In training mode every call is routed, and gradients flow.
    """

    bounds = ("sampler", "refinements", "executed", "routing", "unrolled")

    def __init__(self, config: ModeConfig, signature: Signature) -> None:
        """Build for the signature's vectors and images.

        Raises:
            ConfigError: settings don't go together.
            ValueError: an observation is neither a vector nor an image.
        """
        check(config)
        calls = 1 if config.unrolled else config.refinements
        draws = 2 if config.sampler == "ancestral" else 1
        super().__init__(config, signature, Chunking(config.observed, config.horizon, config.executed, calls, draws))
        self.sense = perceptron([vector_size(signature, 1), 2 * config.width, config.width])
        self.denoiser = Denoiser(config, signature.action)
        table = SAMPLERS[config.sampler](config.refinements, config.sigma_min, config.sigma_max, config.sigma_data)
        for name, column in table._asdict().items():
            self.register_buffer(f"table_{name}", column, persistent=False)
        self._folded: Folded | None = None
        self._folded_of: tuple[tuple[int, int], ...] = ()

    def train(self, mode: bool = True) -> "ModePolicy":
        """See ``nn.Module``; what is folded is forgotten, and made anew for evaluation."""
        super().train(mode)
        self._folded = None
        if not mode:
            self.folded()
        return self

    def folded(self) -> Folded:
        """The denoiser at each refinement's noise level, from the weights as they are now."""
        # While a graph is traced there are no weights to look at; whoever traces has called eval() before.
        if self._folded is None or not torch.compiler.is_compiling():
            made_of = tuple((weight.data_ptr(), weight._version) for weight in self.denoiser.parameters())
            if self._folded is None or made_of != self._folded_of:
                self._folded = fold(self.denoiser, noise_input(self.get_buffer("table_sigma")))
                self._folded_of = made_of
        return self._folded

    def refine(self, obs: Obs, chunk: Tensor, done: Tensor, added: Tensor | None) -> tuple[Tensor, Output]:
        """See ``ChunkPolicy``: one step of the sampler, or all of them."""
        sensed = self._sense(obs)
        cached = self.config.routing == "cached" and not self.training
        if self.config.unrolled:
            for number in range(self.config.refinements):
                chunk = self._step(sensed, chunk, number if cached else torch.full_like(done, number), cached, None)
            return chunk, {}
        if not cached:
            return self._step(sensed, chunk, done, cached, added), {}
        level: Level = done[:1] if torch.compiler.is_compiling() else int(done[0])
        refined = self._step(sensed, chunk, level, cached, added)
        return torch.where((done == done[:1])[:, None, None], refined, torch.nan), {}

    def _step(self, sensed: Tensor, chunk: Tensor, level: Level, cached: bool, added: Tensor | None) -> Tensor:
        """One step of the sampler.

        Args:
            sensed: (B, observed, width).
            chunk: (B, horizon, action).
            level: number of the refinement; of each lane (B,) where it isn't ``cached``.
            cached: whether to use what is folded.
            added: (B, horizon, action) standard normal, where the sampler adds noise.
        """
        table = Table(*(self._column(name, level) for name in Table._fields))
        scaled = table.into * chunk
        if cached:
            estimated = estimate(self.denoiser, self.folded(), sensed, scaled, level)
        else:
            estimated, _ = self.denoiser(sensed, scaled, noise_input(table.sigma.flatten()))
        refined: Tensor = table.same * chunk + table.out * estimated
        return refined if added is None else refined + table.fresh * added

    def _column(self, name: str, level: Level) -> Tensor:
        column = self.get_buffer(f"table_{name}")
        return column[level] if isinstance(level, int) else column.index_select(0, level)[:, None, None]

    def denoised(self, obs: Obs, noisy: Tensor, sigma: Tensor) -> Tensor:
        """The chunk that is expected behind noise, D of EDM, equation 7; routed.

        Args:
            obs: (B, observed, n) each, normalised.
            noisy: (B, horizon, action).
            sigma: (B,) standard deviation of its noise.
        """
        same, out, into = Scalings.of(sigma[:, None, None], self.config.sigma_data)
        estimated, _ = self.denoiser(self._sense(obs), into * noisy, noise_input(sigma))
        clean: Tensor = same * noisy + out * estimated
        return clean

    def loss(self, obs: Obs, chunk: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """See ``ChunkPolicy``: EDM, equation 8, weighted as there, and the balance of experts.

        In training mode experts are drawn by their probabilities, unless ``drawn`` is off; in evaluation mode the most
        probable ones are taken.
        """
        config = self.config
        clean, sensed = self.normaliser.chunk(chunk), self._sense(self.sensed(obs))
        levels = drawn_levels(len(clean), config.sigma_min, config.sigma_max, config.sigma_data, generator)
        noise, sigma = torch.randn(clean.shape, generator=generator), levels[:, None, None]
        scaled = Scalings.of(sigma, config.sigma_data).into * (clean + sigma * noise)
        drawing = generator if self.training and config.drawn else None
        estimated, choices = self.denoiser(sensed, scaled, noise_input(levels), drawing)
        denoising = mse_loss(estimated, target(clean, noise, sigma, config.sigma_data))
        balance = torch.stack([choice.balance() for choice in choices]).mean()
        return {"loss": denoising + config.balance * balance, "denoising": denoising, "balance": balance}

    def _sense(self, obs: Obs) -> Tensor:
        """A token for each observed step, (B, observed, width)."""
        tokens: Tensor = self.sense(steps_of(obs))
        return tokens


def check(config: ModeConfig) -> None:
    """See that settings go together.

    Raises:
        ConfigError: they don't.
    """
    for name, most in (("active", "experts"), ("sigma_min", "sigma_max")):
        value, bound = getattr(config, name), getattr(config, most)
        if value > bound:
            raise ConfigError(f"policy.{name}: must be at most policy.{most} {bound}, got {value}")
    if config.unrolled and config.sampler == "ancestral":
        raise ConfigError("policy.unrolled: is for policy.sampler ddim; ancestral draws noise for each refinement")
    if config.width % config.heads:
        raise ConfigError(f"policy.width: must be a multiple of policy.heads {config.heads}, got {config.width}")
