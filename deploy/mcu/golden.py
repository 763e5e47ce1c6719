"""Golden vectors: observations with the answers that the trained network gives in float64, and the test around them."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from haltere.configs.errors import ParityError
from haltere.deploy.contract import Contract
from haltere.deploy.mcu.c_text import number, numbers, template
from haltere.deploy.parity import difference, torch_model
from haltere.policies.base import Policy

_SEED = 20_260_601
_SCALES = (1.0,) * 16 + (0.1,) * 4 + (10.0,) * 4
"""Of the random observations: typical ones, and some that leave the middle of every tanh and some that end it."""


@dataclass(frozen=True)
class Golden:
    """Observations and answers by their names in the contract, (N, ...) float32 each."""

    inputs: Mapping[str, NDArray[np.float32]]
    outputs: Mapping[str, NDArray[np.float32]]


def golden(policy: Policy[Any], tol: float) -> Golden:
    """Random observations through the network in float64.

    Args:
        policy: the trained network, in evaluation mode; left as it is.
        tol: how far the network in float32 may be from itself in float64.

    Raises:
        ParityError: it is further away: nobody could tell an error of the C code from one of the rounding.
    """
    generator = torch.Generator().manual_seed(_SEED)
    obs = policy.random_obs(len(_SCALES), generator)
    scaled = {name: tensor * torch.tensor(_SCALES).view(-1, *[1] * (tensor.ndim - 1)) for name, tensor in obs.items()}
    inputs = {f"obs.{name}": tensor.numpy() for name, tensor in scaled.items()}
    doubled = {name: array.astype(np.float64) for name, array in inputs.items()}
    exact = torch_model(copy.deepcopy(policy).double())(doubled)
    outputs = {name: array.astype(np.float32) for name, array in exact.items()}
    error = difference(outputs, torch_model(policy)(inputs))
    if not error <= tol:
        raise ParityError(
            f"in float32 the network itself is off by {error:.1e} from float64, more than the {tol:.0e} allowed"
        )
    return Golden(inputs, outputs)


def golden_test(vectors: Golden, contract: Contract) -> str:
    """The text of ``test_policy.c``."""
    rows = []
    for index in range(len(vectors.outputs[contract.outputs[0].name])):
        sensed = ", ".join(numbers(vectors.inputs[tensor.name][index]) for tensor in contract.inputs)
        wanted = ", ".join(numbers(vectors.outputs[tensor.name][index]) for tensor in contract.outputs)
        rows.append(f"    {{{{{sensed}}},\n     {{{wanted}}}}},")
    return template(
        "test_policy.c", tolerance=number(contract.parity.tolerance), vectors="\n".join(rows), task=contract.task
    )
