"""Which states of an exported graph may be written in place: the graph is looked at, and nobody's word is taken.

ONNX says what a graph computes, not when. Input and output of a state may be one piece of memory only where every
order that an engine may choose gives the same: nothing but the write itself may read what was there before, unless
the write has to wait for it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import onnx

from haltere.deploy.contract import Contract
from haltere.deploy.fused import inlined

_SIZES = ("Shape", "Size")
"""Operators that read no element."""
_COPIES = ("Gather", "GatherND", "GatherElements")
"""Operators that hand on a copy of what they read, never a view of it."""


def rings_of(model: onnx.ModelProto, names: Sequence[str]) -> tuple[str, ...]:
    """Those of some states that an engine may write where it reads them, whether or not it has kernels for functions.

    Args:
        model: an export.
        names: of states, ``<key>``.
    """
    # Both: a function may hide a read, and a kernel in its place may write before it reads.
    return writable_in_place(model.graph, writable_in_place(inlined(model).graph, names))


def contract_for(contract: Contract, model: bytes) -> Contract:
    """The contract of an export, for another model that was made from it: only what is a ring there, too, is one."""
    names = [state.name.removeprefix("state.") for state in contract.state if state.ring]
    rings = {f"state.{name}" for name in rings_of(onnx.load_model_from_string(model), names)} if names else set()
    return replace(contract, state=tuple(replace(state, ring=state.name in rings) for state in contract.state))


def writable_in_place(graph: onnx.GraphProto, names: Sequence[str]) -> tuple[str, ...]:
    """Those of some states that an engine may write where it reads them, as far as a graph shows it.

    The graph has to scatter rows into the state and call the result the next state. Whatever else reads the state
    takes rows of it that what is written depends on, and is therefore done before the write. All else, such as a
    product with the ring as it was, is the state's next value and comes after.

    Args:
        graph: without functions, which would hide what is inside.
        names: of states, ``<key>``; ``state.<key>`` goes in and ``state_out.<key>`` comes out.
    """
    return tuple(name for name in names if _is_writable(graph, f"state.{name}", f"state_out.{name}"))


def _is_writable(graph: onnx.GraphProto, before: str, after: str) -> bool:
    makers = {output: node for node in graph.node for output in node.output}
    write = makers.get(after)
    if write is None or (write.domain, write.op_type) != ("", "ScatterND"):
        return False
    if [index for index, name in enumerate(write.input) if name == before] != [0]:
        return False
    if any(attribute.name != "reduction" or attribute.s != b"none" for attribute in write.attribute):
        return False
    needed = set(_behind(write, makers))
    for node in graph.node:
        if node == write or before not in _read(node):
            continue
        waits = node.op_type in _COPIES and needed.issuperset(node.output)
        if node.domain or not (waits or node.op_type in _SIZES):
            return False
    return True


def _read(node: onnx.NodeProto) -> Iterator[str]:
    """Names of what a node reads, in its branches and loops as well."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            yield from (output.name for output in graph.output)
            for inner in graph.node:
                yield from _read(inner)


def _behind(node: onnx.NodeProto, makers: dict[str, onnx.NodeProto]) -> Iterator[str]:
    """Names of all that a node can't be computed without."""
    seen: set[str] = set()
    waiting = [*_read(node)]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        yield name
        if name in makers:
            waiting += _read(makers[name])
