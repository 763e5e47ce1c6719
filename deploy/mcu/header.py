"""``policy.h``: the contract as a firmware engineer reads it, in comments, constants and two structs."""

import math
from collections.abc import Sequence

from haltere.configs.errors import RequestError
from haltere.deploy.contract import ACTION, Contract, Tensor
from haltere.deploy.mcu.c_text import comment, is_name, number, numbers, string, template

LARGEST = 1e6
"""Largest magnitude of an observation, in its own unit: more is a broken sensor, and up to it no sum overflows."""


def header(contract: Contract) -> str:
    """The text of ``policy.h``.

    Raises:
        RequestError: the policy has state, an observation isn't named as a field can be, or isn't float32.
    """
    if contract.state:
        raise RequestError("a policy with state can't be written as C yet; this one keeps " + contract.state[0].name)
    parity = contract.parity
    about = (
        f"Policy '{contract.policy}' for {contract.task}, written by haltere {contract.haltere}. Don't edit: export "
        "it anew."
    )
    proof = (
        f"Compiled for the host, it was within {parity.max_error:.1e} of the trained network (at most "
        f"{parity.tolerance:.0e} is allowed) on {parity.inputs:,} random observations, relative to max(1, its output)."
    )
    return template(
        "policy.h",
        about=comment(about),
        proof=comment(proof),
        task=string(contract.task),
        policy=string(contract.policy),
        version=string(contract.haltere),
        weights=string(contract.weights),
        period=number(contract.ctrl_dt_s),
        largest=number(LARGEST),
        actions=len(contract.action_low),
        low=numbers(contract.action_low),
        high=numbers(contract.action_high),
        observation=_fields(contract.inputs),
        output=_fields(contract.outputs),
    )


def key(tensor: Tensor) -> str:
    """The name of a tensor's field.

    Raises:
        RequestError: C has no such name.
    """
    name = tensor.name if tensor.name == ACTION else tensor.name.split(".", 1)[1]
    if not is_name(name):
        raise RequestError(f"{tensor.name}: '{name}' can't be the name of a field in C; rename the observation")
    return name


def count(tensors: Sequence[Tensor]) -> int:
    """Numbers in the struct of these tensors; it has no gaps, because all of them are float."""
    return sum(math.prod(tensor.shape) for tensor in tensors)


def _fields(tensors: Sequence[Tensor]) -> str:
    lines = []
    for tensor in tensors:
        if tensor.dtype != "float32":
            raise RequestError(f"{tensor.name}: must be float32 to be written as C, got {tensor.dtype}")
        lines += [comment(tensor.unit, 2)] if tensor.unit else []
        sizes = "".join(f"[{size}]" for size in tensor.shape or (1,))
        lines.append(f"  float {key(tensor)}{sizes};")
    return "\n".join(lines)
