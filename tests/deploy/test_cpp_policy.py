"""A policy as one C++ header: linked to the kernel library alone, it is the policy."""

import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from haltere.configs.errors import RequestError
from haltere.deploy.cpp_contract import INCLUDE, check_header_replaceable, contract_header
from haltere.deploy.cpp_policy import policy_header
from haltere.deploy.errors import NoFusedOperatorError
from haltere.deploy.kernels.library import library_path
from haltere.deploy.one_operator import one_operator
from haltere.deploy.onnx_file import read_sealed
from haltere.deploy.runtime import OnnxActor
from haltere.deploy.zoo import zoo_folder

from .robots import toy_contract
from .test_loop_cpp import FLAGS, bits, run

LINES = 200


def compiled(folder: Path, source: str, *words: str) -> Path:
    """A driver of this folder with a header beside it, linked to the installed kernels."""
    library, program = library_path(), folder / "program"
    link = (str(library), f"-Wl,-rpath,{library.parent}", "-o", str(program))
    command = ["g++", *FLAGS, *words, f"-I{INCLUDE}", f"-I{folder}", str(Path(__file__).parent / source), *link]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return program


@pytest.fixture(scope="module")
def zoo_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zoo's policy in a C++ control loop."""
    folder = tmp_path_factory.mktemp("network")
    header = policy_header(*read_sealed(zoo_folder("swarm") / "policy.onnx"))
    assert not header.alone
    (folder / "policy_contract.hpp").write_text(header.text, encoding="utf-8")
    return compiled(folder, "network_linked.cpp")


def test_the_header_is_the_policy(zoo_program: Path) -> None:
    """ONNX Runtime's actions and attention to 1e-6 on 200 random observations, through the loop and by itself."""
    actor, generator = OnnxActor(zoo_folder("swarm")), np.random.default_rng(5)
    obs = {
        tensor.name.removeprefix("obs."): generator.normal(scale=2.0, size=(LINES, *tensor.shape)).astype(np.float32)
        for tensor in actor.contract.inputs
    }
    wanted = actor.act(obs)
    flat = np.concatenate([array.reshape(LINES, -1) for array in obs.values()], axis=1)
    told = run(zoo_program, script="".join(f"{bits(lane)}\n" for lane in flat)).splitlines()
    got = np.array([[int(word, 16) for word in line.split()] for line in told], np.uint32).view(np.float32)
    commanded, action, attention = np.split(got, [4, 8], axis=1)
    np.testing.assert_allclose(commanded, wanted["action"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(action, wanted["action"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(attention, wanted["attention"], rtol=0, atol=1e-6)
    assert np.ptp(commanded, axis=0).min() > 0.1, "a policy that always does the same proves nothing"


def test_it_flies_by_the_real_clock(zoo_program: Path) -> None:
    """A few ticks as loop.hpp's example has them, then the safe action. How late they are is the machine's matter."""
    ticks, good, at_rest = map(int, run(zoo_program, 0.5).split())
    assert ticks >= 50 and 0 < good <= 50 and at_rest


def one_op_model(kind: str, weights: dict[str, np.ndarray], **attributes: int) -> bytes:
    """A model of one fused operator from position and range to action; what its function computes doesn't matter."""
    inputs = [helper.make_tensor_value_info("obs.position", TensorProto.FLOAT, ["batch", 3])]
    output = helper.make_tensor_value_info("action", TensorProto.FLOAT, ["batch", 2])
    node = helper.make_node(kind, ["obs.position", *weights], ["action"], domain="haltere", **attributes)
    body = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    function = helper.make_function(
        "haltere", kind, ["x", "w", "b"][: 1 + len(weights)], ["y"], body, [helper.make_opsetid("", 20)]
    )
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph([node], "one", inputs, [output], stored)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("haltere", 1)]
    model = helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=10)
    return bytes(model.SerializeToString())


def test_an_operator_may_lack_a_weight(tmp_path: Path) -> None:
    """A dense layer without a bias, and with numbers that a text could lose: subnormal, negative zero, many digits."""
    weight = np.array([[1e-45, -0.0, 1.0], [0.1, 1 / 3, -7e37]], np.float32)
    contract = toy_contract(inputs=toy_contract().inputs[:1])
    header = policy_header(one_op_model("Dense", {"weight": weight}), contract)
    assert not header.alone, header.alone
    (tmp_path / "policy_contract.hpp").write_text(header.text, encoding="utf-8")
    (tmp_path / "bits.cpp").write_text(
        '#include "policy_contract.hpp"\n#include <cstdio>\n#include <cstring>\n'
        "int main() {\n"
        "  const policy::Network network;\n"
        "  float obs[3] = {0.0f, 1.0f, 1.0f}, action[2];\n"
        "  if (!network(obs, action)) return 1;\n"
        "  for (float value : policy::kW) {\n    unsigned word;\n    std::memcpy(&word, &value, sizeof word);\n"
        '    std::printf("%08x ", word);\n  }\n'
        '  std::printf("%d", action[0] == 1.0f);\n'
        "}\n"
    )
    program = compiled(tmp_path, str(tmp_path / "bits.cpp"))
    assert run(program) == f"{bits(weight.ravel())} 1"


@pytest.mark.parametrize(
    ("kind", "shape", "reason"),
    [
        ("Dense", (2, 4), "Dense"),
        ("Dense", (3, 3), "gives other shapes than the contract says"),
        ("Unheard", (2, 3), "no operator named 'Unheard'"),
    ],
)
def test_what_no_kernel_takes_gets_the_contract_alone(kind: str, shape: tuple[int, int], reason: str) -> None:
    """And a comment that says so; never C++ that fails on the robot."""
    contract = toy_contract(inputs=toy_contract().inputs[:1])
    header = policy_header(one_op_model(kind, {"weight": np.ones(shape, np.float32)}), contract)
    assert reason in header.alone
    assert "Network" not in header.text and "kContract" in header.text
    assert f"// The contract alone: {header.alone}" in header.text


def test_a_reason_stays_in_its_comment() -> None:
    """Names in a file are anybody's; none of them may become code."""
    contract = toy_contract(inputs=toy_contract().inputs[:1])
    hostile = "a\nint x;\\\nint y;"
    header = policy_header(one_op_model(hostile, {"weight": np.ones((2, 3), np.float32)}), contract)
    assert header.alone
    assert not any(line.startswith("int ") for line in header.text.splitlines())
    assert not any(line.endswith("\\") for line in header.text.splitlines())


def test_several_operators_are_no_policy_for_a_kernel() -> None:
    """The reader of files without onnx agrees with onnx about the zoo's policy, and refuses others."""
    data, _ = read_sealed(zoo_folder("swarm") / "policy.onnx")
    node, graph = one_operator(data), onnx.load_model_from_string(data).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    assert [node.name, *node.inputs] == [graph.node[0].op_type, *graph.node[0].input[:3]]
    assert list(node.outputs) == list(graph.node[0].output)
    for got, name in zip(node.weights, graph.node[0].input[3:], strict=True):
        np.testing.assert_array_equal(got, stored[name], strict=True)
    plain = helper.make_model(helper.make_graph([], "none", [], []), ir_version=10)
    with pytest.raises(NoFusedOperatorError, match="this one is 0 operators"):
        one_operator(plain.SerializeToString())


def test_no_file_but_our_own_is_replaced(tmp_path: Path) -> None:
    """By its first line; a binary one too long for a line is somebody else's as well."""
    path = tmp_path / "policy.hpp"
    check_header_replaceable(path)
    path.write_text(contract_header(toy_contract()), encoding="utf-8")
    check_header_replaceable(path)
    for content in (b"#pragma once\n", b"", b"\xff" * 10_000, b"\n" + contract_header(toy_contract()).encode()):
        path.write_bytes(content)
        with pytest.raises(RequestError, match="isn't a header that haltere wrote, and would be lost"):
            check_header_replaceable(path)
