"""What can be set about the ACT policy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import ConfigDict


@dataclass(frozen=True)
class ActConfig:
    """ACT: a conditional variational autoencoder of chunks, whose decoder acts with the latent at zero.

    Attributes:
        type: discriminator in a task's YAML.
        observed: steps that are seen, the present one among them; a token each. Published: 1.
        horizon: commands of a chunk, the first one for now; a learned query each. Published: 100 at 50 Hz.
        executed: of those, how many are carried out before a new chunk is planned; at most ``horizon``.
        width: units of each token; even, and a multiple of ``heads``. Published: 512.
        heads: of every attention. Published: 8.
        encoder_layers: of the transformer that reads a demonstrated chunk in training, and again of the one over latent
            and observations. Published: 4.
        decoder_layers: of the one that makes commands. Published: 7, of which the published code uses the first.
        latent: numbers that say what observations don't, such as which of several ways is gone. Published: 32.
        kl_weight: of the latent's divergence from what it is taken for when acting, in the loss. 0 makes it a plain
            autoencoder, and what its decoder does with a latent of zero is then left to chance. Published: 10.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    type: Literal["act"] = "act"
    observed: Annotated[int, Ge(1), Le(16)] = 1
    horizon: Annotated[int, Ge(1), Le(256)] = 16
    executed: Annotated[int, Ge(1), Le(256)] = 8
    width: Annotated[int, Ge(4), Le(1024)] = 128
    heads: Annotated[int, Ge(1), Le(64)] = 4
    encoder_layers: Annotated[int, Ge(1), Le(16)] = 4
    decoder_layers: Annotated[int, Ge(1), Le(16)] = 1
    latent: Annotated[int, Ge(1), Le(1024)] = 32
    kl_weight: Annotated[float, Ge(0), Le(10_000)] = 10.0

    def without_effect(self, training: bool) -> Mapping[str, str]:
        """Setting -> why it does nothing beside the others; see ``haltere.policies.registry``."""
        return {} if training else {"kl_weight": "matters in training alone"}
