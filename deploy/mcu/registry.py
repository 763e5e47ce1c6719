"""Which policies can be written as C, and who writes them.

An emitter is a module of this package with ``emit(policy) -> Program``. A new one is that module and one line here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from haltere.configs.errors import RequestError
from haltere.policies.base import Policy


@dataclass(frozen=True)
class Program:
    """What an emitter writes of ``policy.c``; the rest is the same for every policy.

    Attributes:
        code: C99 that defines ``void haltere_policy(const haltere_observation *, haltere_output *)``. It may call
            ``hold_within_bounds(float *action)`` and ``sqrtf``, and nothing else. Everything but the entry is static.
        stack_bytes: bound on the stack of any single function on a 32-bit machine, which the cross build enforces.
    """

    code: str
    stack_bytes: int


Emit = Callable[[Any], Program]
_EMITTERS = {"swarm": "haltere.deploy.mcu.swarm"}


def emitter(policy: Policy[Any]) -> Emit:
    """Who writes a policy as C.

    Raises:
        RequestError: nobody; the message names those that can be written.
    """
    kind = str(policy.config.type)
    if kind not in _EMITTERS:
        raise RequestError(
            f"a policy of type '{kind}' can't be written as C yet; this can: {', '.join(sorted(_EMITTERS))} "
            "(any policy exports as ONNX with --target onnx)"
        )
    return cast(Emit, import_module(_EMITTERS[kind]).emit)
