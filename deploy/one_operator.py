"""A policy that is one fused operator: what a kernel needs of its file, read without the onnx package.

Field numbers: onnx.proto, IR 10. Numpy and the standard library only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from haltere.configs.errors import IntegrityError
from haltere.deploy.errors import NoFusedOperatorError
from haltere.deploy.inspection import DOMAIN, inspect
from haltere.deploy.kernels.op import FloatArray
from haltere.deploy.wire import BYTES, fields, text, varints

_FLOAT32 = 1


@dataclass(frozen=True)
class OneOperator:
    """The one fused operator that a whole policy is.

    Attributes:
        name: of the operator.
        inputs: names of the model's inputs, in the operator's order.
        outputs: names of the model's outputs, likewise.
        weights: in the operator's order.
        attributes: whole numbers by name.
    """

    name: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    weights: Sequence[FloatArray]
    attributes: dict[str, int]


def one_operator(model: bytes) -> OneOperator:
    """The operator that computes all of a model.

    Args:
        model: serialised, sealed or not.

    Raises:
        NoFusedOperatorError: it is none, or several.
        IntegrityError: it isn't a model that an exporter writes.
    """
    graph = inspect(model).graph
    fused = [node for node in graph.nodes if node.domain == DOMAIN]
    if len(graph.nodes) != 1 or not fused:
        raise NoFusedOperatorError(
            f"needs a policy that is one fused operator; this one is {len(graph.nodes)} operators"
        )
    (node,) = fused
    weights = _weights(model)
    given = [name for name in node.inputs if name not in weights]
    return OneOperator(
        node.kind, given, node.outputs, [weights[name] for name in node.inputs if name in weights], node.numbers
    )


def _weights(model: bytes) -> dict[str, FloatArray]:
    """The graph's initialisers by name; ``inspect`` has seen that each has just the bytes that it needs."""
    found = (_tensor(data) for graph in _inside(memoryview(model), 7) for data in _inside(graph, 5))
    return dict(found)


def _inside(data: memoryview, wanted: int) -> Iterator[memoryview]:
    """The messages in one field of a message."""
    for number, wire, value in fields(data):
        if number == wanted and wire == BYTES and not isinstance(value, int):
            yield value


def _tensor(data: memoryview) -> tuple[str, FloatArray]:
    name, raw, kind = "", memoryview(b""), 0
    dims: list[int] = []
    for number, _, value in fields(data):
        if number == 1:
            dims += [value] if isinstance(value, int) else varints(value)
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 8 and not isinstance(value, int):
            name = text(value)
        elif number == 9 and not isinstance(value, int):
            raw = value
    if kind != _FLOAT32:
        raise IntegrityError(f"keeps {name[:60]!r} in another type than float32, which no kernel takes")
    return name, np.frombuffer(raw, dtype="<f4").reshape(dims).astype(np.float32)
