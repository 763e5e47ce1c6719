"""What can be set about the MoDE policy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from pydantic import ConfigDict

_TRAINING = ("balance", "drawn")


@dataclass(frozen=True)
class ModeConfig:
    """MoDE: a denoising transformer whose feed-forward parts are experts, of which each noise level uses a few.

    ``experts=1, active=1`` with ``expansion`` times what was active is the dense network of equal active width.

    Attributes:
        type: discriminator in a task's YAML.
        observed: steps that are seen, the present one among them; a token each.
        horizon: commands of a chunk, the first one for now; a token each.
        executed: of those, how many are carried out before a new chunk is planned; at most ``horizon``.
        sampler: ``ddim``, as published, adds no noise but the first; ``ancestral`` adds fresh noise in each refinement
            but the last.
        refinements: steps of the sampler for a chunk. The same weights do with any number.
        width: units of each token; a multiple of ``heads``.
        layers: of the transformer.
        heads: of its attention.
        experts: of each layer.
        active: of those, how many are used at a time; at most ``experts``.
        expansion: an expert's hidden units, in multiples of ``width``.
        causal: whether a token attends to itself and those before it alone, as published, or to all. What the first
            command is to be shows in the noisy commands after it as well, hence the other default: docs/mode.md.
        sigma_min: standard deviation of the last noise that is taken out of a chunk, in normalised units of a command.
        sigma_max: of the first.
        sigma_data: of commands.
        balance: weight of the loss that has the experts used alike.
        drawn: whether training draws experts by their probabilities, as published, or takes the most probable ones as
            acting does.
        routing: ``cached`` folds the experts of each refinement into one feed-forward part ahead, ``routed`` asks the
            routers in every call; both give the same commands.
        unrolled: whether one call makes all refinements, and a chunk is planned in that call.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    type: Literal["mode"] = "mode"
    observed: Annotated[int, Ge(1), Le(16)] = 2
    horizon: Annotated[int, Ge(1), Le(256)] = 16
    executed: Annotated[int, Ge(1), Le(256)] = 8
    sampler: Literal["ddim", "ancestral"] = "ddim"
    refinements: Annotated[int, Ge(1), Le(100)] = 10
    width: Annotated[int, Ge(4), Le(1024)] = 128
    layers: Annotated[int, Ge(1), Le(16)] = 4
    heads: Annotated[int, Ge(1), Le(64)] = 4
    experts: Annotated[int, Ge(1), Le(16)] = 4
    active: Annotated[int, Ge(1), Le(16)] = 2
    expansion: Annotated[int, Ge(1), Le(16)] = 4
    causal: bool = False
    sigma_min: Annotated[float, Gt(0), Le(1)] = 0.001
    sigma_max: Annotated[float, Gt(0), Le(1000)] = 80.0
    sigma_data: Annotated[float, Gt(0), Le(10)] = 0.5
    balance: Annotated[float, Ge(0), Le(1)] = 0.01
    drawn: bool = True
    routing: Literal["cached", "routed"] = "cached"
    unrolled: bool = False

    def without_effect(self, training: bool) -> Mapping[str, str]:
        """Setting -> why it does nothing beside the others; see ``haltere.policies.registry``."""
        if not training:
            return dict.fromkeys(_TRAINING, "matters in training alone")
        chosen = self.active < self.experts
        return {} if chosen else dict.fromkeys(_TRAINING, "is for a choice of experts, and all of them are active")
