"""An 8-bit copy of an exported model for any stock engine, with ranges taken from recorded flight.

Constants are folded first; then matrices, and what goes into them, are rounded. What reads an observation and what
makes the action stays as it was: both have units, one scale for all of them would round the small ones away, and there
is little to gain. The copy holds standard operators alone (QuantizeLinear and DequantizeLinear, one scale for each
output of a matrix). Weights take 7 of the 8 bits, so that the sums of two
products, which processors without VNNI form in 16 bits, can't overflow: a flight that was accepted on one processor
holds on the others. Source: ONNX Runtime, "Quantize ONNX models", on U8S8 and reduce_range.
"""

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import onnx
from onnx import numpy_helper

from haltere.configs.errors import RequestError
from haltere.deploy.bench.contender import quiet
from haltere.deploy.contract import ACTION
from haltere.deploy.errors import first_line
from haltere.deploy.folding import folded
from haltere.deploy.parity import Arrays
from haltere.deploy.quantise.recording import count, cut

SMALLEST = 16
"""Rows and columns that a matrix has at least: smaller ones gain nothing from 8 bits."""
_MATRICES = ("MatMul", "Gemm")
_BATCH = 256


@dataclass(frozen=True)
class Int8:
    """A quantised graph, not yet sealed.

    Attributes:
        model: serialised.
        matrices: how many products with constant matrices were rounded.
        of: how many there are.
    """

    model: bytes
    matrices: int
    of: int


def quantised(model: bytes, rows: Arrays) -> Int8:
    """Round a model to 8 bits.

    Args:
        model: serialised, in float32; functions and metadata are fine.
        rows: recorded inputs, (rows, ...) by exported names; the ranges are those of these.

    Raises:
        RequestError: it has no matrix that could gain from it, nothing was recorded, or ONNX Runtime can't.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._parts = iter([cut(rows, begin, begin + _BATCH) for begin in range(0, count(rows), _BATCH)])

        def get_next(self) -> Arrays | None:
            return next(self._parts, None)

    if not count(rows):
        raise RequestError("nothing was recorded, so there are no ranges to quantise with")
    flat = folded(model)
    chosen, total = matrices(flat.graph)
    if not chosen:
        raise RequestError(
            f"none of its {total} matrices can be quantised: each reads an observation, makes the action, or has fewer "
            f"than {SMALLEST} rows or columns; --int8 is for larger networks"
        )
    with tempfile.TemporaryDirectory() as name, quiet():
        source, out = Path(name) / "folded.onnx", Path(name) / "int8.onnx"
        onnx.save(flat, source)
        try:
            quantize_static(
                source,
                out,
                Reader(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(_MATRICES),
                nodes_to_quantize=chosen,
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                # What comes out of a matrix stays as it is: fewer roundings, and what follows is in float anyway.
                extra_options={"OpTypesToExcludeOutputQuantization": list(_MATRICES)},
            )
        except Exception as error:  # whatever the quantiser and its checks raise
            raise RequestError(f"ONNX Runtime can't quantise it: {first_line(error)}") from error
        made = onnx.load(out)
    return Int8(_clean(made).SerializeToString(deterministic=True), len(chosen), total)


def matrices(graph: onnx.GraphProto) -> tuple[list[str], int]:
    """Names of the products with a constant matrix that may be rounded, and how many such products there are.

    Left out are those with an observation on a way in that holds no other matrix, those with the action on such a way
    out, and small ones.
    """
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    found = [node for node in graph.node if node.op_type in _MATRICES and len(shapes.get(node.input[1], ())) == 2]
    names = {node.name for node in found}
    between = [(node.input, node.output) for node in graph.node if node.name not in names]
    sensed = _reached([value.name for value in graph.input if value.name.startswith("obs.")], between)
    acting = _reached([ACTION], [(outputs, inputs) for inputs, outputs in reversed(between)])
    chosen = [
        node.name
        for node in found
        if node.input[0] not in sensed and node.output[0] not in acting and min(shapes[node.input[1]]) >= SMALLEST
    ]
    return chosen, len(found)


def weight_bytes(model: onnx.ModelProto) -> int:
    """Bytes of the constants that a graph reads."""
    read = {name for node in model.graph.node for name in node.input}
    return sum(numpy_helper.to_array(tensor).nbytes for tensor in model.graph.initializer if tensor.name in read)


def _reached(start: Iterable[str], steps: Iterable[tuple[Iterable[str], Iterable[str]]]) -> set[str]:
    """What can be reached by steps that come in an order in which one pass is enough."""
    reached = set(start)
    for sources, targets in steps:
        if reached.intersection(filter(None, sources)):
            reached.update(filter(None, targets))
    return reached


def _clean(model: onnx.ModelProto) -> onnx.ModelProto:
    """As our exporter writes files: standard operators alone, tensors as bytes, and no notes."""
    graph = model.graph
    kept: Mapping[str, int] = {entry.domain: entry.version for entry in model.opset_import}
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", kept[""]))
    del graph.value_info[:]
    for thing in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        thing.ClearField("metadata_props")
        thing.ClearField("doc_string")
    for node in graph.node:
        node.ClearField("name")
    for tensor in graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    model.producer_name, model.producer_version = "haltere", version("haltere")
    return model
