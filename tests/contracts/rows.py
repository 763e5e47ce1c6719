"""One row a policy: what it is tested on. A policy without a row fails the contract tests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from haltere.policies.base import Signature


@dataclass(frozen=True)
class Row:
    """What a task that suits the policy gives and takes, and settings that keep its network small.

    Attributes:
        signature: of that task.
        settings: of the policy.
        seeing: of another task, which shows images beside vectors, for a policy that takes both.
    """

    signature: Signature
    settings: Mapping[str, Any] = field(default_factory=dict)
    seeing: Signature | None = None


SMALL_MEMORY = {
    **{"width": 16, "layers": 1, "chunk": 4, "slots": 6, "top_k": 2, "window": 8, "span": 24, "channels": 4},
    "local": False,  # a case of its own; in every other one it would be exported beside what the case is about
}


STATE = Signature({"state": (12,)}, 2)
SEEING = Signature({"ahead": (3, 24, 20), "state": (3,), "below": (3, 16, 16)}, 2)

ROWS: dict[str, Row] = {
    "act": Row(STATE, {"width": 16, "encoder_layers": 1, "latent": 4, "horizon": 6, "executed": 3}, SEEING),
    "diffusion": Row(
        STATE,
        {"width": 16, "layers": 1, "channels": (16, 32), "horizon": 6, "executed": 3, "refinements": 4},
        SEEING,
    ),
    "mode": Row(STATE, {"width": 16, "layers": 1, "horizon": 6, "executed": 3, "refinements": 3}, SEEING),
    "ebt": Row(
        STATE, {"width": 16, "layers": 1, "horizon": 6, "executed": 3, "refinements": 4, "settled": 1e-3}, SEEING
    ),
    "regression": Row(STATE, {"width": 16, "horizon": 6, "executed": 3}, SEEING),
    "memory": Row(Signature({"image": (11, 11, 3), "instruction": (5,)}, 4), SMALL_MEMORY),
    "swarm": Row(Signature({"self": (19,), "neighbour": (2, 6), "obstacle": (9,)}, 4)),
}
