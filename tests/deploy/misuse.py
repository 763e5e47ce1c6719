"""Edits of model files that leave them whole and are still wrong about a fused operator.

Random edits mostly end at the look into the file. These pass it: each leaves a file that a parser, ONNX's rules and the
seal have nothing against, so that ONNX Runtime or the kernel must say what is wrong.
"""

import dataclasses
import random
from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from haltere.deploy.contract import Contract, Tensor
from haltere.deploy.inspection import DOMAIN
from haltere.deploy.kernels.library import operators

from .hostile import EDGES, FLOATS

TYPES = (np.float64, np.float16, np.int8, np.uint8, np.int32, np.int64, np.bool_)
SIZES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 16, 24, 33, 36, 65)
MOST = 1 << 16  # elements of a weight
Edit = Callable[[onnx.ModelProto, onnx.NodeProto, random.Random], object]


def infos(tensors: Sequence[Tensor]) -> list[onnx.ValueInfoProto]:
    """Inputs or outputs of a graph that a contract speaks of, with a batch axis."""
    return [helper.make_tensor_value_info(each.name, TensorProto.FLOAT, ["batch", *each.shape]) for each in tensors]


def misuse(model: onnx.ModelProto, contract: Contract, rng: random.Random) -> Contract:
    """One to three edits of a fused operator's node, its weights or what is given to it; returns the contract."""
    for _ in range(rng.randint(1, 3)):
        node = rng.choice([each for each in model.graph.node if each.domain == DOMAIN])
        if rng.random() < 0.1:
            contract = resize_input(model, contract, rng)
        else:
            rng.choice(EDITS)(model, node, rng)
    return contract


def _weights(model: onnx.ModelProto, node: onnx.NodeProto) -> list[TensorProto]:
    """The weights of a node that are still plain ones."""
    return [each for each in model.graph.initializer if each.name in node.input]


def reshape_weight(model: onnx.ModelProto, node: onnx.NodeProto, rng: random.Random) -> None:
    """Another shape, and just as many numbers as it needs: an axis more or less, longer, shorter, empty or swapped."""
    weight = rng.choice(_weights(model, node) or [TensorProto()])
    shape, kind = list(weight.dims), rng.randrange(6)
    if kind == 0:
        shape = [rng.choice(SIZES) for _ in range(rng.randrange(8))]
    elif kind == 1:
        shape.insert(rng.randrange(len(shape) + 1), rng.choice(SIZES))
    elif kind == 2 and shape:
        del shape[rng.randrange(len(shape))]
    elif kind == 3:
        rng.shuffle(shape)
    elif kind == 4:
        shape = rng.choice([[0], [0, 1 << 39], [1 << 39, 0], [1] * 7, [1 << 20, 0, 1 << 20], [int(np.prod(shape))]])
    elif shape:
        at = rng.randrange(len(shape))
        shape[at] = rng.choice([max(0, shape[at] + rng.choice((-1, 1))), rng.choice(SIZES)])
    size = int(np.prod(np.array(shape, object)))
    if 0 <= size <= MOST:
        weight.dims[:] = shape
        weight.data_type = TensorProto.FLOAT
        weight.raw_data = np.full(size, 0.1, np.float32).tobytes()


def retype_weight(model: onnx.ModelProto, node: onnx.NodeProto, rng: random.Random) -> None:
    """The same shape in another type."""
    weight = rng.choice(_weights(model, node) or [TensorProto(data_type=TensorProto.FLOAT)])
    values = np.zeros(tuple(weight.dims), rng.choice(TYPES))
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))


def spoil_weight(model: onnx.ModelProto, node: onnx.NodeProto, rng: random.Random) -> None:
    """One number, or all of them, at the edge of what a float can be."""
    weight = rng.choice(_weights(model, node) or [TensorProto()])
    values = np.frombuffer(weight.raw_data, np.uint8).copy()
    values = values[: len(values) // 4 * 4].view(np.float32)
    if len(values) and weight.data_type == TensorProto.FLOAT:
        values[rng.choice([slice(None), rng.randrange(len(values))])] = rng.choice(FLOATS)
        weight.raw_data = values.tobytes()


def change_attribute(model: onnx.ModelProto, node: onnx.NodeProto, rng: random.Random) -> None:
    """Any number, another type, none, twice, or one that isn't known."""
    names = [each.name for each in node.attribute] or ["heads", "top_k"]
    name, kind = rng.choice(names), rng.randrange(8)
    if kind > 2:
        others = [each for each in node.attribute if each.name != name]
        del node.attribute[:]
        node.attribute.extend(others)
    value = rng.choice([*EDGES, *SIZES])
    if kind == 0:
        node.attribute.extend(list(node.attribute)[-1:])
    elif kind == 1:
        node.attribute.append(helper.make_attribute("unknown", value))
    elif kind == 4:
        other = rng.choice([1.5, "three", [1, 2], [0.5], numpy_helper.from_array(np.array([2], np.int64))])
        node.attribute.append(helper.make_attribute(name, other))
    elif kind != 3:
        node.attribute.append(helper.make_attribute(name, value))


def change_inputs(model: onnx.ModelProto, node: onnx.NodeProto, rng: random.Random) -> None:
    """Fewer, more, swapped, left out, or one in the place of another."""
    names, kind = list(node.input), rng.randrange(6)
    known = [*names, *(each.name for each in model.graph.input)]
    at = rng.randrange(len(names)) if names else 0
    if kind == 0:
        names = names[:at]
    elif kind == 1:
        names.insert(at, rng.choice([*known, ""]))
    elif kind == 2:
        names = [*names, rng.choice([*known, ""])]
    elif kind == 3:
        rng.shuffle(names)
    elif names:
        names[at] = "" if kind == 4 else rng.choice(known)
    node.input[:] = names


def change_outputs(model: onnx.ModelProto, node: onnx.NodeProto, rng: random.Random) -> None:
    """Fewer, unnamed, or swapped."""
    names, kind = list(node.output), rng.randrange(3)
    if kind == 0:
        names = names[:-1]
    elif kind == 1 and names:
        names[rng.randrange(len(names))] = ""
    else:
        rng.shuffle(names)
    node.output[:] = names


def rename_operator(model: onnx.ModelProto, node: onnx.NodeProto, rng: random.Random) -> None:
    """Another operator's kernel, under the same function."""
    new = rng.choice(sorted(operators()))
    for function in model.functions:
        if (function.name, function.overload) == (node.op_type, node.overload):
            function.name = new
    node.op_type = new


def compute_weight(model: onnx.ModelProto, node: onnx.NodeProto, rng: random.Random) -> None:
    """A weight that isn't a plain one: a result of other operators, folded or not."""
    weights = _weights(model, node)
    if weights:
        kind = rng.choice(["Identity", "Neg", "Transpose", "Constant", "RandomNormalLike"])
        weight = rng.choice(weights)
        made = helper.make_node(kind, [weight.name], [f"{weight.name}.{len(model.graph.node)}"])
        if kind == "Constant":
            del made.input[:]
            made.attribute.append(helper.make_attribute("value", weight))
        _put_before(model, node, [made])
        node.input[list(node.input).index(weight.name)] = made.output[0]


def reshape_input(model: onnx.ModelProto, node: onnx.NodeProto, rng: random.Random) -> None:
    """Something between the observation and the operator: other axes, no lanes, other lanes, other numbers."""
    given = [index for index, name in enumerate(node.input) if name in {each.name for each in model.graph.input}]
    if not given:
        return
    at, prefix = rng.choice(given), f"between{len(model.graph.node)}"
    kind, numbers, kinds = rng.choice(BETWEEN)
    constants = []
    for index, values in enumerate(numbers):
        array = np.array(values, np.float32 if kind in ("Mul", "Pow") else np.int64)
        value = numpy_helper.from_array(array)
        constants.append(helper.make_node("Constant", [], [f"{prefix}.{index}"], value=value))
    inputs = [node.input[at], *(each.output[0] for each in constants)]
    _put_before(model, node, [*constants, helper.make_node(kind, inputs, [prefix], **kinds)])
    node.input[at] = prefix


BETWEEN: tuple[tuple[str, list[object], dict[str, int]], ...] = (
    *(("Reshape", [shape], {}) for shape in ([-1], [-1, 2], [1, -1], [0, -1], [-1, 1, 1, 1, 1, 1, 1], [3, -1, 1])),
    *(("Slice", [[start], [end], [axis]], {}) for start, end, axis in ((0, 0, 0), (0, 1, 0), (0, 2, 1), (0, 0, 1))),
    *(("Mul", [factor], {}) for factor in (*FLOATS, [[1.0]] * 5)),
    ("Pow", [-2.0], {}),
    ("Unsqueeze", [[0]], {}),
    ("Tile", [[2, 1]], {}),
    ("Tile", [[1, 40_000]], {}),
    ("Transpose", [], {}),
    ("Flatten", [], {"axis": 0}),
    ("Identity", [], {}),
    ("Shape", [], {}),
    ("Cast", [], {"to": TensorProto.DOUBLE}),
)


def _put_before(model: onnx.ModelProto, node: onnx.NodeProto, new: list[onnx.NodeProto]) -> None:
    """Insert nodes; the one that they go before stays the same object for the caller."""
    after = list(model.graph.node)
    at = next(index for index, each in enumerate(after) if each is node or each == node)
    for each in reversed(new):
        model.graph.node.insert(at, each)


def resize_input(model: onnx.ModelProto, contract: Contract, rng: random.Random) -> Contract:
    """An observation of another size, as contract and graph both say."""
    at = rng.randrange(len(contract.inputs))
    tensor = contract.inputs[at]
    if not tensor.shape:
        return contract
    shape = list(tensor.shape)
    shape[rng.randrange(len(shape))] = rng.choice([size for size in SIZES if size])
    changed = [*contract.inputs[:at], dataclasses.replace(tensor, shape=tuple(shape)), *contract.inputs[at + 1 :]]
    for info in model.graph.input:
        if info.name == tensor.name:
            info.CopyFrom(infos([changed[at]])[0])
    return dataclasses.replace(contract, inputs=tuple(changed))


EDITS: tuple[Edit, ...] = (
    reshape_weight,
    reshape_weight,
    retype_weight,
    spoil_weight,
    change_attribute,
    change_inputs,
    change_outputs,
    rename_operator,
    compute_weight,
    reshape_input,
    reshape_input,
)
