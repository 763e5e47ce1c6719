"""Edits of model files that put any operator that ONNX knows where the exporter writes one of a few."""

import math
import random
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.defs import OpSchema

from haltere.deploy.vocabulary import OPERATORS

from .hostile import EDGES, FLOATS

KINDS = sorted({schema.name for schema in onnx.defs.get_all_schemas()})
"""Of every domain: those of training and of classical learning as well."""
SCHEMAS = {name: onnx.defs.get_schema(name, 20) for name in KINDS if onnx.defs.has(name, 20)}
NAMES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    **{f"tensor({each.__name__})": each for each in (np.int64, np.int32, np.float16, np.int8, np.uint8)},
    "tensor(bool)": np.bool_,
    "tensor(double)": np.float64,
}
SHAPES = ((), (0,), (1,), (2,), (4,), (1, 1), (2, 3), (1, 2, 3), (1, 1, 4, 4), (2, 3, 3), (1, 4, 1, 1, 1))
TEXTS = ("", "constant", "reflect", "edge", "max", "add", "SAME_UPPER", "tanh", "a...b,...->" + "c" * 1000)


def strange(model: onnx.ModelProto, rng: random.Random) -> None:
    """One operator or two that aren't the exporter's: one of its own renamed, or a new one before the policy."""
    for _ in range(rng.choice((1, 1, 2))):
        if rng.random() < 0.25:
            rename(model, rng)
        else:  # mostly of a kind that gets as far as the engine
            insert(model, rng, rng.choice(sorted(OPERATORS if rng.random() < 0.8 else SCHEMAS)))


def rename(model: onnx.ModelProto, rng: random.Random) -> None:
    """Another type for one node of the graph or of a function."""
    node = rng.choice([node for block in (model.graph, *model.functions) for node in block.node])
    node.op_type, node.domain = rng.choice(KINDS), ""


def insert(model: onnx.ModelProto, rng: random.Random, kind: str) -> None:
    """A node with attributes and inputs as its schema has them, and any numbers in them; the action depends on it."""
    graph, schema = model.graph, SCHEMAS[kind]
    name = f"strange{len(graph.node)}"
    inputs = _inputs(model, schema, name, rng)
    most = max(1, len(schema.outputs))
    outputs = [f"{name}.out{index}" for index in range(rng.randint(min(max(1, schema.min_output), most), most))]
    node = helper.make_node(schema.name, inputs, outputs)
    count, tame = rng.choice((0, 1, 2, 2, 2, 4, 8)), rng.random() < 0.6
    for attribute in schema.attributes.values():
        if attribute.required or rng.random() < 0.4:
            node.attribute.extend(_attribute(attribute, count, tame, rng))
    action = next(index for each in graph.node for index, out in enumerate(each.output) if out == "action")
    last = next(each for each in graph.node if "action" in each.output)
    last.output[action] = f"{name}.action"
    zero = numpy_helper.from_array(np.array(0.0, np.float32), f"{name}.zero")
    graph.initializer.append(zero)
    # Of its shape alone, so that whatever type it gives, it has to be computed and harms no number.
    chain = [
        helper.make_node("Shape", [rng.choice(outputs)], [f"{name}.shape"]),
        helper.make_node("Cast", [f"{name}.shape"], [f"{name}.sizes"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", [f"{name}.sizes"], [f"{name}.size"], keepdims=0),
        helper.make_node("Mul", [f"{name}.size", zero.name], [f"{name}.nothing"]),
        helper.make_node("Add", [f"{name}.action", f"{name}.nothing"], ["action"]),
    ]
    nodes = [node, *graph.node, *chain]
    copies = [onnx.NodeProto.FromString(each.SerializeToString()) for each in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _inputs(model: onnx.ModelProto, schema: OpSchema, name: str, rng: random.Random) -> list[str]:
    """As many as it takes; those of one type variable mostly have one type, and all of them mostly one shape."""
    most = len(schema.inputs) + (2 if schema.max_input > len(schema.inputs) else 0)
    usual = rng.choice(SHAPES)
    types: dict[str, str] = {}
    names: list[str] = []
    for index in range(rng.randint(min(schema.min_input, most), most)):
        formal = schema.inputs[min(index, len(schema.inputs) - 1)]
        fitting = sorted(each for each in formal.types if each in NAMES)
        kind = types.setdefault(formal.type_str, rng.choice(fitting)) if fitting else "tensor(float)"
        if "tensor(float)" in fitting and rng.random() < 0.8:
            kind = "tensor(float)"
        if rng.random() < 0.05:
            names.append("")
        elif kind == "tensor(float)" and rng.random() < 0.3:
            names.append(rng.choice([each.name for each in model.graph.input]))
        else:
            values = _values(NAMES[kind], usual if rng.random() < 0.7 else rng.choice(SHAPES), rng)
            names.append(f"{name}.{index}")
            model.graph.initializer.append(numpy_helper.from_array(values, names[-1]))
    return names


def _values(kind: type[np.generic], shape: tuple[int, ...], rng: random.Random) -> NDArray[Any]:
    """Noughts and ones, or what lies at the edges of the type."""
    numbers: list[float] = [0, 1, 1, 2]
    if rng.random() < 0.5:
        numbers = list(FLOATS if issubclass(kind, np.floating) else EDGES)
    if issubclass(kind, np.integer):
        limits = np.iinfo(kind)
        numbers = [min(max(int(number), limits.min), limits.max) for number in numbers]
    with np.errstate(over="ignore"):
        return np.array([rng.choice(numbers) for _ in range(math.prod(shape))]).astype(kind).reshape(shape)


def _attribute(
    attribute: OpSchema.Attribute, count: int, tame: bool, rng: random.Random
) -> list[onnx.AttributeProto]:
    """Of the type that it should be, or none where that is a graph; pads go with twice as many numbers as axes."""
    kinds, numbers = OpSchema.AttrType, (0, 1, 1, 1, 2, 3) if tame else (0, 1, 2, *EDGES)
    value: object
    if attribute.type == kinds.INT:
        value = rng.choice(numbers)
    elif attribute.type == kinds.INTS:
        value = [rng.choice(numbers) for _ in range(2 * count if attribute.name == "pads" else count)]
    elif attribute.type == kinds.FLOAT:
        value = rng.choice(FLOATS)
    elif attribute.type == kinds.FLOATS:
        value = [rng.choice(FLOATS) for _ in range(count)]
    elif attribute.type == kinds.STRING:
        value = rng.choice(TEXTS)
    elif attribute.type == kinds.TENSOR:
        value = numpy_helper.from_array(np.array([rng.choice((0, 1, *FLOATS))] * count, np.float32))
    else:
        return []
    return [helper.make_attribute(attribute.name, value, attr_type=_PROTO[attribute.type])]


_PROTO = {
    OpSchema.AttrType.INT: onnx.AttributeProto.INT,
    OpSchema.AttrType.INTS: onnx.AttributeProto.INTS,
    OpSchema.AttrType.FLOAT: onnx.AttributeProto.FLOAT,
    OpSchema.AttrType.FLOATS: onnx.AttributeProto.FLOATS,
    OpSchema.AttrType.STRING: onnx.AttributeProto.STRING,
    OpSchema.AttrType.TENSOR: onnx.AttributeProto.TENSOR,
}
