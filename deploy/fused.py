"""Fused operators in an exported file: one node each, and beside them a function of the same name that any engine runs.

An engine that knows the operator runs its kernel; any other runs the function, which is the block as torch computes it.
One file serves both. ONNX: a node whose domain and type are those of a FunctionProto in the model, IR 10.
"""

import inspect
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import onnx
import torch
from onnx import helper, inliner
from torch import Tensor, nn

from haltere.configs.errors import RequestError
from haltere.deploy.onnx_file import DOMAIN
from haltere.policies.fused import FusedCall, Tensors, heard_by

VERSION = 1
"""Of the operators in the domain; one whose meaning changes gets another name instead."""
_CALL = "haltere.call"

Export = Callable[[nn.Module, Tensors, Sequence[str], int], onnx.ModelProto]
"""Exports a module of tensors: its arguments, the names of its inputs, and how many of them have lanes."""


@dataclass(frozen=True)
class Heard:
    """A call of ``fused`` with real numbers, and what came out of it.

    Attributes:
        call: name, body, inputs, weights.
        outputs: (B, ...) each.
    """

    call: FusedCall
    outputs: Tensors


@contextmanager
def recorded() -> Iterator[list[Heard]]:
    """Collect every call of ``fused`` in the order in which a network makes them; it computes what it always does."""
    heard: list[Heard] = []

    def listen(call: FusedCall) -> Tensors:
        with heard_by(FusedCall.compute):  # a fused block within a fused block is part of it
            heard.append(Heard(call, call.compute()))
        return heard[-1].outputs

    with heard_by(listen):
        yield heard


@contextmanager
def as_nodes(heard: Sequence[Heard]) -> Iterator[None]:
    """While torch traces the network, put a node in the place of each call, with the recorded weights as constants.

    Raises:
        RequestError: from the network, where it makes other calls than were recorded.
    """
    order = iter(enumerate(heard))
    constants: dict[int, Tensor] = {}

    def constant(weight: Tensor) -> Tensor:
        # A weight of several calls stays one constant. Those heard keep their weights alive, so that ids stay theirs.
        if id(weight) not in constants:
            constants[id(weight)] = weight.detach().clone()
        return constants[id(weight)]

    def listen(call: FusedCall) -> Tensors:
        index, known = next(order, (0, None))
        if known is None or known.call.name != call.name:
            raise RequestError(f"calls the operator {call.name} while it is exported and not otherwise")
        lanes = next(tensor.shape[0] for tensor in call.inputs if tensor is not None)
        outputs = torch.onnx.ops.symbolic_multi_out(
            f"{DOMAIN}::{call.name}",
            (*call.inputs, *map(constant, known.call.weights)),
            dict(call.attributes),
            dtypes=[output.dtype for output in known.outputs],
            shapes=[(lanes, *output.shape[1:]) for output in known.outputs],
            version=VERSION,
            metadata_props={_CALL: str(index)},
        )
        return tuple(outputs)

    with heard_by(listen):
        yield


def add_functions(model: onnx.ModelProto, heard: Sequence[Heard], export: Export) -> None:
    """Give every fused node of a model its function, and its weights the names that the body has for them.

    Args:
        model: as traced within ``as_nodes``; changed in place.
        heard: the recorded calls.
        export: turns a body into a graph.
    """
    functions: list[onnx.FunctionProto] = []
    known: dict[Hashable, onnx.FunctionProto] = {}
    named: set[str] = set()
    for node in (node for node in model.graph.node if node.domain == DOMAIN):
        index = next(int(entry.value) for entry in node.metadata_props if entry.key == _CALL)
        call = heard[index].call
        parameters, key = _parameters(call), _key(call)
        if key not in known:
            known[key] = _kept(_function(call, parameters, export), functions)
        node.overload = known[key].overload
        node.name = call.name if len(heard) == 1 else f"{call.name}.{index}"
        lanes = len(call.inputs)
        names = {old: f"{node.name}.{new}" for old, new in zip(node.input[lanes:], parameters[lanes:], strict=True)}
        _rename(model.graph, {old: new for old, new in names.items() if old not in named})
        named.update(node.input[lanes:])
    model.functions.extend(functions)


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with each fused node replaced by what is in its function, for engines that know neither."""
    flat = inliner.inline_local_functions(model)
    kept = [entry for entry in flat.opset_import if entry.domain != DOMAIN]
    del flat.opset_import[:]
    flat.opset_import.extend(kept)
    return flat


def _parameters(call: FusedCall) -> list[str]:
    """The body's own names of its inputs and weights."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [name for name, parameter in inspect.signature(call.body).parameters.items() if parameter.kind in kinds]
    wanted = len(call.inputs) + len(call.weights)
    if len(names) < wanted:
        raise RequestError(f"the body of {call.name} names {len(names)} tensors, but is given {wanted}")
    return names[:wanted]


class _Body(nn.Module):
    """A fused block as a module of its own, of those tensors that are given."""

    def __init__(self, call: FusedCall) -> None:
        super().__init__()
        self.body, self.attributes = call.body, call.attributes
        self.given = [tensor is not None for tensor in (*call.inputs, *call.weights)]

    def forward(self, *tensors: Tensor) -> Tensors:
        """The block's outputs."""
        rest = iter(tensors)
        return self.body(*(next(rest) if given else None for given in self.given), **self.attributes)


def _function(call: FusedCall, parameters: Sequence[str], export: Export) -> onnx.FunctionProto:
    """The block as a function of its inputs and weights."""
    tensors = (*call.inputs, *call.weights)
    given = {name: tensor.detach() for name, tensor in zip(parameters, tensors, strict=True) if tensor is not None}
    lanes = sum(tensor is not None for tensor in call.inputs)
    model = export(_Body(call), tuple(given.values()), list(given), lanes)
    graph = model.graph
    for thing in (*graph.node, *graph.initializer):  # notes of the tracer, which differ between equal blocks
        thing.ClearField("metadata_props")
        thing.ClearField("doc_string")
    function = helper.make_function(
        DOMAIN,
        call.name,
        parameters,
        [value.name for value in graph.output],
        [helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in graph.initializer],
        list(model.opset_import),
        attributes=list(call.attributes),
    )
    function.node.extend(graph.node)
    return function


def _key(call: FusedCall) -> Hashable:
    """What two calls have in common that lead to the same function."""
    shapes = (None if tensor is None else tensor.shape for tensor in (*call.inputs, *call.weights))
    return call.name, call.body, tuple(shapes), tuple(call.attributes.items())


def _kept(function: onnx.FunctionProto, functions: list[onnx.FunctionProto]) -> onnx.FunctionProto:
    """The function among those of the file: one that is the same already, or itself, told apart from its namesakes.

    Blocks of one name but of other sizes may need other functions. The first goes without an overload, which is what
    every engine understands.
    """
    namesakes = [other for other in functions if other.name == function.name]
    for other in namesakes:
        function.overload = other.overload
        if function == other:
            return other
    function.overload = str(len(namesakes)) if namesakes else ""
    functions.append(function)
    return function


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Give tensors other names wherever they occur."""
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = names.get(name, name)
    for value in (*graph.initializer, *graph.value_info):
        value.name = names.get(value.name, value.name)
