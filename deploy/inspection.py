"""A look into a serialised ONNX model before an engine parses it: what a policy never holds is refused.

Engines trust their input. ONNX Runtime 1.31.1 ends the process at a tensor with fewer bytes than its shape needs, at a
Split whose outputs aren't those that it announces, and at a function whose names aren't unique. So a policy may hold
what the exporter writes, and nothing else: straight lines of the operators in ``vocabulary.py``, each name given once
and before it is used, and no more of them than an engine opens within a second or two. Field numbers: onnx.proto,
IR 10. Standard library only.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from haltere.configs.errors import IntegrityError
from haltere.deploy.errors import ContractError
from haltere.deploy.vocabulary import OPERATORS, objection
from haltere.deploy.wire import BYTES, VARINT, fields, signed, text, varints

DOMAIN = "haltere"
STANDARD = frozenset({"", "ai.onnx"})
UNBOUNDED = frozenset({"Loop", "Scan"})
"""Operators whose cost depends on data: a runtime with a deadline doesn't take them; the exporter never emits them."""
MAX_NODES = 10_000
"""Operators that a file may hold, and may come to once each call is replaced by its function's body.

The largest network here has 135. ONNX Runtime's time grows faster than their number: on one core of a busy server a
chain of 10,000 was open after 0.9 s, one of 60,000 after 16 s.
"""
_LEAST, _MOST = -(1 << 10), 1 << 16
"""Axes, sizes, strides and types as attributes. Only a Constant may hold larger ones: they stand for "to the end"."""
_NONE_LEFT_OUT = frozenset({"Concat", "LayerNormalization", "Max", "Min"})
"""Operators at whose left-out input ONNX Runtime crashes, all but Concat; a trailing one needn't be written."""
_TEXT_VALUES = frozenset({"value_string", "value_strings"})

# Bytes of an element by TensorProto.DataType: numbers and truth values, but no text.
_ITEM_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
_TYPED_DATA = frozenset({3, 4, 5, 6, 7, 10, 11})
_EXTERNAL, _LOCATION = 13, 14

Name: TypeAlias = tuple[str, str]
"""Type and overload of an operator of ours."""


@dataclass
class Node:
    """One operator in its block.

    Attributes:
        kind: its type.
        domain: whose type that is.
        overload: which of several functions of one name.
        inputs: names.
        outputs: names.
        attributes: names.
        numbers: those attributes that are one whole number.
        whole: every whole number in its attributes, those in lists as well.
    """

    kind: str = ""
    domain: str = ""
    overload: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    attributes: set[str] = field(default_factory=set)
    whole: list[int] = field(default_factory=list)


@dataclass
class Block:
    """A graph or a function: names that come in, nodes in order, names that go out."""

    kind: str = ""
    overload: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)


@dataclass
class Findings:
    """What a model holds.

    Attributes:
        metadata: entries by key.
        graph: the model itself.
        functions: one for each operator of the domain ``haltere`` that the graph may use.
    """

    metadata: dict[str, str] = field(default_factory=dict)
    graph: Block = field(default_factory=Block)
    functions: dict[Name, Block] = field(default_factory=dict)

    @property
    def calls(self) -> "Counter[Name]":
        """How often the graph uses each operator of the domain ``haltere``."""
        return Counter((node.kind, node.overload) for node in self.graph.nodes if node.domain == DOMAIN)


def inspect(model: bytes) -> Findings:
    """Read a serialised model down to every node and tensor, and refuse what the exporter never writes.

    An operator of the domain ``haltere`` must bring its function, which any engine can run. Functions have no other
    domain and call no function, so that none can call itself.

    Raises:
        IntegrityError: it isn't a model, or holds what a policy never does.
        ContractError: its metadata contradicts itself.
    """
    findings = Findings()
    for number, message in _messages(memoryview(model), "model", (7, 14, 20, 25)):
        if number == 20:
            raise IntegrityError("holds training data, which a policy never does")
        if number == 14:
            _read_metadata(message, findings.metadata)
        elif number == 7:
            _read_graph(message, findings.graph)
        else:
            function = _read_function(message)
            if (function.kind, function.overload) in findings.functions:
                raise IntegrityError(f"holds the function {function.kind[:60]!r} twice")
            findings.functions[function.kind, function.overload] = function
            _check_size(sum(1 + len(each.nodes) for each in findings.functions.values()))
    _check_block(findings.graph)
    _check_calls(findings)
    return findings


def _messages(data: memoryview, kind: str, numbers: tuple[int, ...]) -> Iterator[tuple[int, memoryview]]:
    """The messages inside a message, of these fields."""
    for number, wire, value in fields(data):
        if number in numbers:
            if wire != BYTES or isinstance(value, int):
                raise IntegrityError(f"not an ONNX file: field {number} of a {kind} isn't a message")
            yield number, value


def _texts(data: memoryview, number: int) -> list[str]:
    """All texts of one field; where it should be one, the last counts. A number in their place is skipped."""
    return [
        text(value) for n, wire, value in fields(data) if n == number and wire == BYTES and not isinstance(value, int)
    ]


def _text(data: memoryview, number: int) -> str:
    return (_texts(data, number) or [""])[-1]


def _read_metadata(data: memoryview, metadata: dict[str, str]) -> None:
    key = _text(data, 1)
    if key in metadata:
        raise ContractError(f"metadata key {key[:60]!r} is given twice")
    metadata[key] = _text(data, 2)


def _read_graph(data: memoryview, graph: Block) -> None:
    """Add to the graph, as a parser adds where it is given twice."""
    for number, message in _messages(data, "graph", (1, 5, 11, 12, 15)):
        if number == 1:
            graph.nodes.append(_read_node(message))
            _check_size(len(graph.nodes))
        elif number == 5:
            graph.inputs.append(_read_tensor(message))
        elif number == 15:
            raise IntegrityError("holds sparse data, which a policy never does")
        else:
            (graph.inputs if number == 11 else graph.outputs).append(_text(message, 1))


def _read_function(data: memoryview) -> Block:
    function = Block(_text(data, 1), _text(data, 13), _texts(data, 4), _texts(data, 5))
    if _text(data, 10) != DOMAIN:
        raise IntegrityError(f"holds a function of domain {_text(data, 10)[:60]!r}; only {DOMAIN!r} has functions")
    for number, message in _messages(data, "function", (7, 11)):
        if number == 11:
            raise IntegrityError("holds a function with attributes of its own, which the exporter never writes")
        function.nodes.append(_read_node(message))
        _check_size(len(function.nodes))
    for node in function.nodes:
        if node.domain == DOMAIN:
            raise IntegrityError(f"holds a function that calls the operator {node.kind[:60]!r}; a function calls none")
    _check_block(function)
    return function


def _read_node(data: memoryview) -> Node:
    node = Node(_text(data, 4), _text(data, 7), _text(data, 8), _texts(data, 1), _texts(data, 2))
    if node.kind in UNBOUNDED:
        raise IntegrityError(f"holds a {node.kind}, whose cost has no bound")
    if node.domain not in STANDARD and node.domain != DOMAIN:
        raise IntegrityError(f"holds an operator of domain {node.domain[:60]!r}, which isn't known")
    for _, message in _messages(data, "node", (5,)):
        _read_attribute(message, node)
    if node.domain in STANDARD:
        _check_operator(node)
    return node


def _check_operator(node: Node) -> None:
    """See that it is in the vocabulary, and that its attributes aren't those that ONNX Runtime doesn't survive."""
    if node.kind not in OPERATORS:
        raise IntegrityError(f"holds {objection(node.kind)}")
    if node.kind == "Constant" and node.attributes & _TEXT_VALUES:
        raise IntegrityError("holds a Constant of text, which a policy never does")
    if node.kind != "Constant" and not all(_LEAST <= number <= _MOST for number in node.whole):
        raise IntegrityError(f"gives the operator {node.kind!r} a number that no exporter writes")
    if node.kind == "Cast" and node.numbers.get("to", -1) not in _ITEM_BYTES:
        raise IntegrityError("holds a Cast to something other than numbers")
    if node.kind in _NONE_LEFT_OUT and "" in node.inputs:
        raise IntegrityError(f"leaves out an input of a {node.kind}")
    if node.kind == "GatherND" and node.numbers.get("batch_dims", 0) < 0:
        raise IntegrityError("holds a GatherND with a negative number of batch axes")
    if node.kind == "Split" and node.numbers.get("num_outputs", len(node.outputs)) != len(node.outputs):
        raise IntegrityError(f"holds a Split into {node.numbers['num_outputs']} with {len(node.outputs)} outputs")


def _read_attribute(data: memoryview, node: Node) -> None:
    name = _text(data, 1)
    if name in node.attributes:  # which of the two counts is the engine's choice
        raise IntegrityError(f"gives {name[:60]!r} of the operator {node.kind[:60]!r} twice")
    node.attributes.add(name)
    for number, wire, value in fields(data):
        if number in (6, 11, 21, 22, 23):
            what = {6: "a graph", 11: "a graph", 21: "a reference"}.get(number, "sparse data")
            raise IntegrityError(f"holds {what} within the operator {node.kind[:60]!r}, which a policy never does")
        if number == 3 and wire == VARINT and isinstance(value, int):
            node.numbers[name] = signed(value)
            node.whole.append(signed(value))
        if number == 8:
            node.whole += [signed(each) for each in ([value] if isinstance(value, int) else varints(value))]
    for _, message in _messages(data, "attribute", (5, 10)):
        _read_tensor(message)


def _read_tensor(data: memoryview) -> str:
    """Name of a tensor that has just the bytes that its shape needs."""
    kind, given = 0, 0
    dims: list[int] = []
    for number, wire, value in fields(data):
        if number in (_EXTERNAL, _LOCATION) and value != 0:
            raise IntegrityError("keeps weights outside the file, which nothing vouches for")
        if number in _TYPED_DATA or wire not in (VARINT, BYTES):
            raise IntegrityError("holds a tensor that isn't written as the exporter writes it")
        if number == 1:
            dims += [value] if isinstance(value, int) else varints(value)
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 9 and not isinstance(value, int):
            given = len(value)
    if math.prod(dims) * _ITEM_BYTES.get(kind, -1) != given or any(dim >> 40 for dim in dims):
        raise IntegrityError(f"holds a tensor of {given} bytes, which isn't what its type and shape need")
    return _text(data, 8)


def _check_block(block: Block) -> None:
    """Every name is given once, and before it is used."""
    known = set(block.inputs)
    if len(known) != len(block.inputs) or "" in known:
        raise IntegrityError("holds a name that is given twice")
    for node in block.nodes:
        for name in node.inputs:
            if name and name not in known:
                raise IntegrityError(f"the operator {node.kind[:60]!r} uses {name[:60]!r} before anything gives it")
        for name in filter(None, node.outputs):
            if name in known:
                raise IntegrityError(f"the operator {node.kind[:60]!r} gives {name[:60]!r}, which is given already")
            known.add(name)
    for name in block.outputs:
        if name not in known:
            raise IntegrityError(f"promises {name[:60]!r}, which nothing gives")


def _check_calls(findings: Findings) -> None:
    for node in findings.graph.nodes:
        if node.domain != DOMAIN:
            continue
        function = findings.functions.get((node.kind, node.overload))
        if function is None:
            raise IntegrityError(f"holds the operator {node.kind[:60]!r} without the function that computes it")
        if len(node.inputs) > len(function.inputs) or len(node.outputs) > len(function.outputs):
            raise IntegrityError(f"gives the operator {node.kind[:60]!r} more than its function takes")
    inside = sum((len(findings.functions[name].nodes) - 1) * count for name, count in findings.calls.items())
    _check_size(len(findings.graph.nodes) + inside)


def _check_size(nodes: int) -> None:
    if nodes > MAX_NODES:
        raise IntegrityError(f"holds more than {MAX_NODES:,} operators, which an engine may never finish to open")
