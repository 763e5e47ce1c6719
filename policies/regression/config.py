"""What can be set about the regression policy."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import ConfigDict


@dataclass(frozen=True)
class RegressionConfig:
    """Behaviour cloning: a perceptron that gives the mean of what was demonstrated.

    Attributes:
        type: discriminator in a task's YAML.
        observed: steps that are seen, the present one among them.
        horizon: commands of a chunk, the first one for now; 1 is plain behaviour cloning.
        executed: of those, how many are carried out before a new chunk is planned; at most ``horizon``.
        width: units of each hidden layer.
        layers: hidden layers.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    type: Literal["regression"] = "regression"
    observed: Annotated[int, Ge(1), Le(16)] = 2
    horizon: Annotated[int, Ge(1), Le(256)] = 16
    executed: Annotated[int, Ge(1), Le(256)] = 8
    width: Annotated[int, Ge(1), Le(4096)] = 256
    layers: Annotated[int, Ge(1), Le(16)] = 2
