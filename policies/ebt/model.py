"""EBT-Policy (Davies et al. 2025, arXiv:2510.27545): a chunk of commands by steps down the gradient of an energy."""

import copy
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from haltere.configs.errors import ConfigError
from haltere.policies.base import Chunking, Obs, Output, Policy, Signature
from haltere.policies.chunking.base import ChunkPolicy, perceptron, steps_of, vector_size
from haltere.policies.ebt.config import EbtConfig
from haltere.policies.ebt.energy import Energy, RMSNorm
from haltere.policies.ebt.slope import Slope, WrittenOut


class EbtPolicy(ChunkPolicy[EbtConfig]):
    """Plans a chunk by steps down an energy's gradient, from noise. See ``ChunkPolicy`` for inputs and outputs.

    Further outputs, of the chunk before the refinement:
        energy   (B, 1)  how ill it suits what is sensed; its zero means nothing
        gradient (B, 1)  root mean square of the energy's slope over the chunk; ``alpha`` times this is how far a whole
                         step would move a command, in normalised units
    """

    bounds = ("refinements", "executed", "settled", "pace")

    def __init__(self, config: EbtConfig, signature: Signature) -> None:
        """Build for the signature's vectors and images.

        Raises:
            ConfigError: settings don't go together.
            ValueError: an observation is neither a vector nor an image.
        """
        if config.width % config.heads:
            raise ConfigError(f"policy.width: must be a multiple of policy.heads {config.heads}, got {config.width}")
        loop = Chunking(config.observed, config.horizon, config.executed, config.refinements, 1, config.settled)
        super().__init__(config, signature, loop)
        width = config.width
        self.sense = perceptron([vector_size(signature, 1), 2 * width, width])
        self.places = torch.nn.Parameter(0.02 * torch.randn(config.observed, width))
        self.sense_norm = RMSNorm(width)
        sizes = (signature.action, config.horizon, width, config.layers, config.heads)
        # A step of this length down the bowl alone ends at its bottom, wherever it begins.
        network = Energy(*sizes, bowl=1.0 / config.alpha)
        self.slope: Slope | WrittenOut = Slope(network)

    def tokens(self, obs: Obs) -> Tensor:
        """What the energy knows of normalised observations (B, observed, n): a token (B, observed, width) a step."""
        sensed: Tensor = self.sense_norm(self.sense(steps_of(obs)) + self.places)
        return sensed

    def refine(self, obs: Obs, chunk: Tensor, done: Tensor, added: Tensor | None) -> tuple[Tensor, Output]:
        """See ``ChunkPolicy``: one step down."""
        slope, energy = self.slope(chunk, self.tokens(obs))
        steepness = slope.square().mean((1, 2)).sqrt()
        refined = chunk - self.config.alpha * self._share(done)[:, None, None] * slope
        return refined, {"energy": energy[:, None], "gradient": steepness[:, None]}

    def _share(self, done: Tensor) -> Tensor:
        """Of the way to where a whole step would lead, how much the refinement after ``done`` of them goes, (B,)."""
        if self.config.start == "noise":
            return torch.ones_like(done)
        left = self.config.refinements - done
        return 1.0 - ((left - 1) / left) ** self.config.pace

    def loss(self, obs: Obs, chunk: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """See ``ChunkPolicy``: the squared error after every step, each step learning for itself.

        Besides it ``last`` and ``first``, the errors after those two steps.
        """
        config = self.config
        clean, sensed = self.normaliser.chunk(chunk), self.tokens(self.sensed(obs))
        steps = config.inner_steps
        if config.inner_steps_extra:
            steps += int(torch.randint(config.inner_steps_extra + 1, (), generator=generator))
        alpha = self._alpha(clean, generator)

        def noise() -> Tensor:
            return torch.randn(clean.shape, generator=generator, dtype=clean.dtype)

        errors, at = [], noise()
        if config.start == "between":
            left = (1.0 - torch.rand(alpha.shape, generator=generator, dtype=clean.dtype)) ** config.near
            at = (1.0 - left) * clean + left * at
        for step in range(steps):
            if step:
                at = at.detach() + config.langevin * noise()
            at.requires_grad_()
            (slope,) = torch.autograd.grad(self.slope.energy(at, sensed).sum(), at, create_graph=True)
            at = at - alpha * slope
            errors.append(mse_loss(at, clean))
        return {"loss": torch.stack(errors).mean(), "first": errors[0].detach(), "last": errors[-1].detach()}

    def _alpha(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Length of each demonstration's steps (B, 1, 1): its logarithm is drawn evenly within the jitter's."""
        alpha = torch.full((len(clean), 1, 1), self.config.alpha, dtype=clean.dtype)
        if self.config.jitter == 1.0:
            return alpha
        drawn = torch.rand(alpha.shape, generator=generator, dtype=clean.dtype)
        return alpha * self.config.jitter ** (2.0 * drawn - 1.0)

    def exportable(self) -> Policy[Any]:
        """See ``Policy``: a copy with the gradient written out."""
        written = copy.deepcopy(self)
        sizes = {size for weight in self.parameters() for size in weight.shape}
        lanes = max(*sizes, *self.chunk_shape, self.config.observed) + 1
        chunk, sensed = torch.zeros(lanes, *self.chunk_shape), torch.zeros(lanes, *self.places.shape)
        written.slope = WrittenOut(written.slope.energy, chunk, sensed)
        return written
