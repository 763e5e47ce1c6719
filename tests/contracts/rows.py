"""One row a policy: what it is tested on. A policy without a row fails the contract tests."""

from dataclasses import dataclass

from haltere.policies.base import Signature


@dataclass(frozen=True)
class Row:
    """What a task that suits the policy gives and takes."""

    signature: Signature


ROWS: dict[str, Row] = {
    "swarm": Row(Signature({"self": (19,), "neighbour": (2, 6), "obstacle": (9,)}, 4)),
}
