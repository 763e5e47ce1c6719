"""What a file with functions may hold: the exporter's, and nothing that hides, recurs or swells."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from haltere.configs.errors import IntegrityError, RequestError
from haltere.deploy import zoo
from haltere.deploy.export import export
from haltere.deploy.inspection import MAX_NODES, Findings, inspect
from haltere.deploy.onnx_file import seal
from haltere.deploy.runtime import OnnxActor
from haltere.deploy.tracing import OPSET
from haltere.deploy.vocabulary import OPERATORS
from haltere.policies.base import Obs, Output, State

from .hostile import body_of, resealed
from .toys import FACTS, Remembering, ToyConfig

GRAPH, GRAPHS = onnx.defs.OpSchema.AttrType.GRAPH, onnx.defs.OpSchema.AttrType.GRAPHS
Change = Callable[[onnx.ModelProto], object]


def node(kind: str, domain: str = "", output: str = "new", **attributes: object) -> onnx.NodeProto:
    """A node of the graph's own input."""
    return helper.make_node(kind, ["obs.self"], [output], domain=domain, **attributes)


def function(name: str, *nodes: onnx.NodeProto, domain: str = "haltere") -> onnx.FunctionProto:
    """A function of one input."""
    made = helper.make_function(domain, name, ["obs.self"], ["obs.self"], [], [helper.make_opsetid("", 20)])
    made.node.extend(nodes)
    return made


def add(*functions: onnx.FunctionProto, nodes: tuple[onnx.NodeProto, ...] = ()) -> Change:
    """An edit that adds functions to a model, and nodes to its graph."""

    def change(model: onnx.ModelProto) -> None:
        model.functions.extend(functions)
        model.graph.node.extend(nodes)

    return change


def secret() -> onnx.NodeProto:
    """A constant that lies in another file."""
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    return helper.make_node("Constant", [], ["c"], value=tensor)


def gather(**attributes: int) -> onnx.NodeProto:
    """A GatherND by the observation."""
    return helper.make_node("GatherND", ["obs.self", "obs.self"], ["new"], **attributes)


def twice(made: onnx.NodeProto, **attributes: int) -> onnx.NodeProto:
    """The same node with attributes that it has already."""
    made.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    return made


def call_itself(model: onnx.ModelProto) -> None:
    """The exported function, with a node that is the function again."""
    model.functions[0].node.append(model.graph.node[0])


def lose_function(model: onnx.ModelProto) -> None:
    """Only a library could run what is left."""
    del model.functions[:]


def rename_function(model: onnx.ModelProto) -> None:
    """It computes another operator now."""
    model.functions[0].name = "Other"


def overload_call(model: onnx.ModelProto) -> None:
    """The node asks for a variant that isn't there."""
    model.graph.node[0].overload = "2"


def double_function(model: onnx.ModelProto) -> None:
    """Which of the two counts is the engine's choice."""
    model.functions.append(model.functions[0])


def tensor(change: Callable[[TensorProto], object]) -> Change:
    """An edit of the largest weight."""
    return lambda model: change(max(model.graph.initializer, key=lambda each: len(each.raw_data)))


def stretch(weight: TensorProto) -> None:
    """A shape for which the bytes don't suffice."""
    weight.dims[0] += 1


def retype(weight: TensorProto) -> None:
    """A type of twice the size."""
    weight.data_type = TensorProto.DOUBLE


def turn(weight: TensorProto) -> None:
    """Two negative sizes, whose product fits."""
    weight.dims[0], weight.dims[1] = -weight.dims[0], -weight.dims[1]


def spell_out(weight: TensorProto) -> None:
    """The numbers in another field."""
    weight.float_data.extend(numpy_helper.to_array(weight).ravel())
    weight.ClearField("raw_data")


def double_name(model: onnx.ModelProto) -> None:
    """Two weights of one name."""
    model.graph.initializer[1].name = model.graph.initializer[0].name


def weight_as_input(model: onnx.ModelProto) -> None:
    """A weight that the caller might replace."""
    weight = model.graph.initializer[0]
    model.graph.input.append(helper.make_tensor_value_info(weight.name, TensorProto.FLOAT, weight.dims))


def double_parameter(model: onnx.ModelProto) -> None:
    """A function with a parameter named as a tensor inside it; ONNX Runtime crashes at those that aren't given."""
    model.functions[0].input.append(model.functions[0].node[-1].output[0])


def turn_round(model: onnx.ModelProto) -> None:
    """The function's nodes in the wrong order."""
    nodes = list(model.functions[0].node)
    del model.functions[0].node[:]
    model.functions[0].node.extend(reversed(nodes))


def promise(model: onnx.ModelProto) -> None:
    """An output that nothing gives."""
    model.functions[0].output[0] = "nothing"


def refer(model: onnx.ModelProto) -> None:
    """An attribute that is to be the caller's."""
    model.functions[0].node[-1].attribute[0].ref_attr_name = "axis"


def train(model: onnx.ModelProto) -> None:
    """A graph for training."""
    model.training_info.add().algorithm.name = "sgd"


def sparse(model: onnx.ModelProto) -> None:
    """A sparse weight."""
    model.graph.sparse_initializer.add().dims.extend([1])


LOOP = helper.make_node("Loop", ["", ""], ["out"], body=helper.make_graph([], "b", [], []))
IF = node("If", output="y", then_branch=helper.make_graph([node("SwarmPolicy", "haltere")], "b", [], []))
RELUS = [node("Relu", output=f"new{index}") for index in range(200)]
HOPS = tuple(node("Hop", "haltere", f"hop{index}") for index in range(50))
CHAIN = tuple(node("Relu", output=f"new{index}") for index in range(MAX_NODES))
EQUATION = "a...b,...->" + 1000 * "c"
GRAMS = {"min_gram_length": 1, "max_gram_length": 1, "max_skip_count": 0, "ngram_counts": [0], "mode": "TF"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lose_function, "holds the operator 'SwarmPolicy' without the function that computes it"),
        (rename_function, "holds the operator 'SwarmPolicy' without the function"),
        (overload_call, "holds the operator 'SwarmPolicy' without the function"),
        (double_function, "holds the function 'SwarmPolicy' twice"),
        (call_itself, "holds a function that calls the operator 'SwarmPolicy'; a function calls none"),
        (add(function("Hop", node("Hop", "haltere"))), "a function that calls the operator 'Hop'"),
        (add(function("Hop", IF)), "holds a graph within the operator 'If'"),
        (add(nodes=(IF,)), "holds a graph within the operator 'If'"),
        (add(function("Relu", domain="")), "a function of domain ''; only 'haltere' has functions"),
        (add(function("Relu", domain="ai.onnx")), "a function of domain 'ai.onnx'"),
        (add(function("Gelu", domain="com.microsoft")), "a function of domain 'com.microsoft'"),
        (add(function("Hop", node("Gelu", "com.microsoft"))), "an operator of domain 'com.microsoft'"),
        (add(function("Hop", LOOP)), "holds a Loop, whose cost has no bound"),
        (add(function("Hop", secret())), "outside the file|external data"),
        (add(nodes=(node("Fast", "haltere"),)), "holds the operator 'Fast' without the function"),
        (add(function("Hop", *RELUS), nodes=HOPS), "holds more than 10,000 operators"),
        (add(nodes=CHAIN), "holds more than 10,000 operators"),
        (add(function("Hop", *CHAIN, node("Relu"))), "holds more than 10,000 operators"),
        (add(*(function(f"Hop{index}", *RELUS) for index in range(50))), "holds more than 10,000 operators"),
        (add(nodes=(helper.make_node("Einsum", ["obs.self"] * 2, ["new"], equation=EQUATION),)), "operator 'Einsum'"),
        (add(nodes=(node("SplitToSequence", axis=1),)), "operator 'SplitToSequence', which isn't one of the"),
        (add(nodes=(node("TfIdfVectorizer", ngram_indexes=[1 << 30], pool_int64s=[1], **GRAMS),)), "'TfIdfVectorizer'"),
        (add(function("Hop", node("RegexFullMatch", pattern="(a*)*"))), "operator 'RegexFullMatch'"),
        (add(nodes=(node("GridSample", domain="ai.onnx"),)), "'GridSample'.*vocabulary lists them and says how"),
        (add(nodes=(node("Cast", to=TensorProto.STRING),)), "a Cast to something other than numbers"),
        (add(nodes=(node("Cast"),)), "a Cast to something other than numbers"),
        (add(nodes=(helper.make_node("Constant", [], ["c"], value_string="x"),)), "a Constant of text"),
        (add(nodes=(helper.make_node("Constant", [], ["c"], value_strings=["x"]),)), "a Constant of text"),
        (add(nodes=(twice(node("Cast", to=8), to=1),)), "gives 'to' of the operator 'Cast' twice"),
        (add(nodes=(helper.make_node("LayerNormalization", ["obs.self"] * 2 + [""], ["new"]),)), "of a LayerNormal"),
        (add(nodes=(helper.make_node("Max", ["obs.self", ""], ["new"]),)), "leaves out an input of a Max"),
        (add(nodes=(helper.make_node("Min", ["obs.self", ""], ["new"]),)), "leaves out an input of a Min"),
        (add(nodes=(gather(batch_dims=-2),)), "a GatherND with a negative number of batch axes"),
        (add(nodes=(gather(batch_dims=-(2**63)),)), "gives the operator 'GatherND' a number that no exporter writes"),
        (add(nodes=(node("Transpose", perm=[0, 1 << 40]),)), "'Transpose' a number that no exporter writes"),
        (add(nodes=(node("Relu"), node("Relu"))), "'Relu' gives 'new', which is given already"),
        (add(nodes=(helper.make_node("Split", ["obs.self"], ["a", "b"], num_outputs=3),)), "a Split into 3 with 2"),
        (add(nodes=(helper.make_node("Relu", ["later"], ["now"]),)), "'Relu' uses 'later' before anything gives it"),
        (tensor(stretch), "bytes, which isn't what its type and shape need"),
        (tensor(retype), "bytes, which isn't what its type and shape need"),
        (tensor(turn), "bytes, which isn't what its type and shape need"),
        (tensor(spell_out), "a tensor that isn't written as the exporter writes it"),
        (double_name, "holds a name that is given twice"),
        (weight_as_input, "holds a name that is given twice"),
        (double_parameter, r"gives 'stack_\d', which is given already"),
        (turn_round, "before anything gives it"),
        (promise, "promises 'nothing', which nothing gives"),
        (refer, "holds a reference within the operator 'Concat'"),
        (train, "holds training data"),
        (sparse, "holds sparse data"),
        (lambda model: model.graph.node[0].input.append("obs.self"), "more than its function takes"),
        (lambda model: model.graph.node[0].output.append("third"), "more than its function takes"),
    ],
)
def test_what_the_exporter_never_writes_is_refused(
    swarm_folder: Path, tmp_path: Path, change: Change, message: str
) -> None:
    """Under a valid seal, before ONNX Runtime sees it, with kernels and without."""
    path = resealed(swarm_folder / "policy.onnx", tmp_path / "hostile.onnx", change)
    for fused in (False, True):
        with pytest.raises(IntegrityError, match=message):
            OnnxActor(path, fused=fused)


def test_an_inspection_tells_what_is_inside(swarm_folder: Path, blocks: Path) -> None:
    """Operators with their overloads, the size of each function, and the contract's entry."""
    findings = inspect((swarm_folder / "policy.onnx").read_bytes())
    assert findings.calls == {("SwarmPolicy", ""): 1}
    model = onnx.load(swarm_folder / "policy.onnx")
    (function,) = findings.functions.values()
    assert [item.kind for item in function.nodes] == [item.op_type for item in model.functions[0].node]
    assert [item.inputs for item in findings.graph.nodes] == [list(item.input) for item in model.graph.node]
    assert {entry.key: entry.value for entry in model.metadata_props} == findings.metadata
    calls = inspect(blocks.read_bytes()).calls
    assert sum(count for (name, _), count in calls.items() if name == "Dense") == 3
    assert {overload for name, overload in calls if name == "Dense"} == {"", "1"}
    assert inspect(b"") == Findings()


def test_files_without_functions_are_as_good_as_ever() -> None:
    """The zoo's, whenever they were exported."""
    for entry in zoo.zoo_entries():
        OnnxActor(entry.path)


def varint(value: int, at_least: int = 1) -> bytes:
    """A number, in more bytes than it needs if asked."""
    out = bytearray()
    while value > 0x7F or len(out) < at_least - 1:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def disguised(tag: bytes) -> bytes:
    """A graph with one node whose type is given as Identity, then under some tag as Loop."""
    text = b"\x22\x08Identity" + tag + b"\x04Loop"
    inside = b"\x0a" + varint(len(text)) + text
    return b"\x3a" + varint(len(inside)) + inside


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        (b"\x22", "holds a Loop"),  # given twice: the last one counts
        (varint(0x22, 3), "holds a Loop"),  # in more bytes than needed
        (varint(0x22 | 1 << 32), "more than 32 bits"),  # a parser in C++ sees 0x22
        (varint(0x22 | 1 << 34), "more than 32 bits"),
    ],
)
def test_a_field_is_seen_as_a_parser_sees_it(swarm_folder: Path, tmp_path: Path, tag: bytes, message: str) -> None:
    """A protocol buffer can say one thing in several ways."""
    graph, contract = body_of(swarm_folder / "policy.onnx")
    path = tmp_path / "disguised.onnx"
    path.write_bytes(seal(graph + disguised(tag), contract))
    with pytest.raises(IntegrityError, match=message):
        OnnxActor(path)


def test_a_text_field_of_another_kind_hides_nothing(swarm_folder: Path, tmp_path: Path) -> None:
    """A parser skips a fixed-width number in the place of a text; the text before it counts."""
    graph, contract = body_of(swarm_folder / "policy.onnx")
    text = b"\x22\x04Loop" + b"\x21" + b"Identity"
    inside = b"\x0a" + varint(len(text)) + text
    path = tmp_path / "disguised.onnx"
    path.write_bytes(seal(graph + b"\x3a" + varint(len(inside)) + inside, contract))
    with pytest.raises(IntegrityError, match="holds a Loop"):
        OnnxActor(path)


def test_a_constant_within_a_function_is_looked_at(swarm_folder: Path, tmp_path: Path) -> None:
    """Its size may not contradict its shape; ONNX Runtime says so when the kernel isn't there to hide it."""

    def stretch(model: onnx.ModelProto) -> None:
        constant = next(each for each in model.functions[0].node if each.op_type == "Constant")
        tensor = numpy_helper.from_array(np.zeros(3, np.int64))
        tensor.dims[0] = 1 << 40
        constant.attribute[0].t.CopyFrom(tensor)

    with pytest.raises(IntegrityError):
        OnnxActor(resealed(swarm_folder / "policy.onnx", tmp_path / "stretched.onnx", stretch))


def test_no_more_than_ten_thousand_operators_are_read(swarm_folder: Path, tmp_path: Path) -> None:
    """Where there are more, the ones that follow aren't looked at: a file may be half a gigabyte of them."""
    graph, contract = body_of(swarm_folder / "policy.onnx")
    block = b"\x0a" + varint(len(text := b"\x22\x04Relu")) + text
    nodes = b"\x3a" + varint(MAX_NODES * len(block)) + MAX_NODES * block
    path = tmp_path / "long.onnx"
    path.write_bytes(seal(graph + nodes + disguised(b"\x22"), contract))
    with pytest.raises(IntegrityError, match="holds more than 10,000 operators"):
        OnnxActor(path)


def test_the_vocabulary_has_no_word_that_onnx_hasnt() -> None:
    """Each is an operator of the standard domain at the exporter's opset, without text, sequences or graphs."""
    assert len(OPERATORS) > 90
    for kind in OPERATORS:
        schema = onnx.defs.get_schema(kind, OPSET)
        assert not any(each.type in (GRAPH, GRAPHS) for each in schema.attributes.values()), kind
        assert not any("seq(" in name for each in (*schema.inputs, *schema.outputs) for name in each.types) or (
            kind == "Identity"
        ), kind
        assert not schema.deprecated
    assert not OPERATORS & {"Einsum", "If", "Loop", "Scan", "RandomNormal", "GridSample", "DeformConv", "Resize"}


def test_a_policy_that_needs_another_operator_is_told_at_its_export(tmp_path: Path) -> None:
    """Before parity is measured, with the operator and where the others are listed; no file is left."""

    class Summing(Remembering):
        def forward(self, obs: Obs, state: State) -> tuple[Output, State]:
            out, state = super().forward(obs, state)
            return out | {"action": torch.einsum("bi,bi->bi", out["action"], out["action"])}, state

    with pytest.raises(RequestError, match=r"it needs the operator 'Einsum'.*haltere\.deploy\.vocabulary lists them"):
        export(Summing(ToyConfig()), tmp_path / "toy.onnx", facts=FACTS)
    assert not list(tmp_path.iterdir())
