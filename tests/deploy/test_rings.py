"""Rings that are written where they are read: the same bits, and only where no order of the nodes could differ."""

import dataclasses
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from onnxruntime import InferenceSession

from haltere.deploy.contract import Contract, Parity
from haltere.deploy.errors import NonFiniteError
from haltere.deploy.export import contract_of
from haltere.deploy.fused import recorded
from haltere.deploy.onnx_file import seal
from haltere.deploy.rings import contract_for, rings_of, writable_in_place
from haltere.deploy.runtime.actor import OnnxActor
from haltere.deploy.runtime.session import BoundModel, open_session
from haltere.deploy.tracing import trace
from haltere.policies.base import Signature
from haltere.policies.memory.config import MemoryConfig
from haltere.policies.registry import build_policy

from .toys import FACTS

STEPS = 2000
SMALL = {"width": 8, "heads": 2, "layers": 1, "chunk": 3, "slots": 5, "top_k": 2, "window": 7, "span": 11}
"""Every ring comes round more than a hundred times."""
KINDS: dict[str, dict[str, Any]] = {
    "hcam": {"memory": "hcam"},
    "hcam-token": {"memory": "hcam", "summary": "token", "local": False},
    "trxl": {"memory": "trxl", "layers": 2},
    "attention": {"memory": "attention"},
    "lstm": {"memory": "lstm"},
    "aaren": {"memory": "aaren"},
    "titans": {"memory": "titans"},
}
HAS_RINGS = ("hcam", "hcam-token", "trxl", "attention")


@cache
def exported(name: str) -> tuple[bytes, Contract, tuple[str, ...]]:
    """A small policy's file and contract, without the proof that other tests are about; and the rings it promises."""
    config = MemoryConfig(**{**SMALL, **KINDS[name]})
    policy = build_policy(config, Signature({"x": (5,)}, 3), seed=1).eval()
    obs, state = policy.random_obs(2, torch.Generator().manual_seed(1)), policy.initial_state(2)
    with torch.no_grad(), recorded() as heard:
        out, _ = policy(obs, state)
    model = trace(policy, obs, state, out, heard)
    rings = rings_of(model, policy.rings)
    contract = contract_of(policy, FACTS, obs, state, out, Parity(1e-5, 0.0, 1, (1,)), rings)
    return model.SerializeToString(deterministic=True), contract, policy.rings


@pytest.mark.parametrize("name", KINDS)
def test_every_ring_that_a_policy_promises_is_one_in_its_file(name: str) -> None:
    """All of them, and nothing else."""
    _, contract, promised = exported(name)
    assert tuple(state.name for state in contract.state if state.ring) == tuple(f"state.{ring}" for ring in promised)
    assert bool(promised) is (name in HAS_RINGS)


@pytest.mark.parametrize("name", HAS_RINGS)
def test_the_graph_that_really_runs_keeps_the_order(name: str, tmp_path: Path) -> None:
    """What ONNX Runtime makes of the file before it runs it, functions in place, passes the same check."""
    model, _, promised = exported(name)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 4
    InferenceSession(model, options, providers=["CPUExecutionProvider"])
    assert writable_in_place(onnx.load(tmp_path / "optimised.onnx").graph, promised) == promised


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("name", "fused"), [*((name, False) for name in HAS_RINGS), ("hcam", True)])
def test_writing_in_place_changes_no_bit(name: str, fused: bool, batch: int) -> None:
    """2,000 steps with lanes that begin anew in between: all outputs and all states, to the bit."""
    model, contract, promised = exported(name)
    session = open_session(model, fused=fused)
    copied, in_place = (BoundModel(session, contract, batch, in_place=chosen) for chosen in (False, True))
    for state in contract.state:
        shared = in_place.following[state.out_name] is in_place.state[state.name]
        assert shared is (state.name.removeprefix("state.") in promised)
    rng = np.random.default_rng(3)
    for step in range(STEPS):
        obs, anew = rng.standard_normal((batch, 5)).astype(np.float32), rng.random(batch) < 0.004
        for bound in (copied, in_place):
            for state in contract.state:
                bound.state[state.name][anew] = state.initial
            bound.obs["x"][:] = obs
            bound.run()
        for out, wanted in copied.outputs.items():
            np.testing.assert_array_equal(in_place.outputs[out], wanted, err_msg=f"{out}, step {step}")
        for bound in (copied, in_place):
            bound.advance()
    for state_name, wanted in copied.state.items():
        np.testing.assert_array_equal(in_place.state[state_name], wanted, err_msg=state_name)


@pytest.mark.parametrize("name", HAS_RINGS)
def test_a_step_that_failed_is_forgotten(name: str, tmp_path: Path) -> None:
    """An observation that overflows raises; what comes after it is as if it had never been there, to the bit."""
    model, contract, _ = exported(name)
    path = tmp_path / "policy.onnx"
    path.write_bytes(seal(model, contract))
    shaken, calm = OnnxActor(path), OnnxActor(path)
    rng = np.random.default_rng(5)
    for step in range(60):
        if step % 4 == 1:  # before, at and after the step at which a chunk of three is full
            with pytest.raises(NonFiniteError, match="output 'action'"):
                shaken.act({"x": np.full((2, 5), 3e38, np.float32)})
        obs = {"x": rng.standard_normal((2, 5)).astype(np.float32)}
        got, wanted = shaken.act(obs), calm.act(obs)
        for key in wanted:
            np.testing.assert_array_equal(got[key], wanted[key])


def test_a_model_made_from_an_export_keeps_only_its_own_rings() -> None:
    """Here one that hands back the ring that it was given, and another that is the export itself."""
    model, contract, promised = exported("trxl")
    assert contract_for(contract, model) == contract
    other = onnx.load_model_from_string(model)
    write = next(node for node in other.graph.node if node.output[0] == f"state_out.{promised[0]}")
    write.CopyFrom(helper.make_node("Identity", [f"state.{promised[0]}"], [f"state_out.{promised[0]}"]))
    rings = [state.name for state in contract_for(contract, other.SerializeToString()).state if state.ring]
    assert rings == [f"state.{name}" for name in promised[1:]]


def test_a_contract_from_before_there_were_rings_is_read() -> None:
    """Where it says nothing, states are copied; whatever else is missing is still an error."""
    _, contract, _ = exported("lstm")
    data = json.loads(contract.to_json())
    for state in data["state"]:
        del state["ring"]
    assert Contract.from_json(json.dumps(data)) == contract
    _, contract, _ = exported("trxl")
    states = tuple(dataclasses.replace(state, ring=False) for state in contract.state)
    data = json.loads(contract.to_json())
    for state in data["state"]:
        del state["ring"]
    assert Contract.from_json(json.dumps(data)) == dataclasses.replace(contract, state=states)


def node(kind: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:  # noqa: ANN401 (ONNX)
    """One node, inputs and output as words."""
    return helper.make_node(kind, inputs.split(), output.split(), **attributes)


def branch() -> onnx.GraphProto:
    """The ring as it was, seen from within a branch."""
    value = helper.make_tensor_value_info("b", TensorProto.FLOAT, None)
    return helper.make_graph([node("Identity", "state.r", "b")], "then", [], [value])


WRITE = node("ScatterND", "state.r index row", "state_out.r")
GOOD: dict[str, list[onnx.NodeProto]] = {
    "written": [WRITE],
    "size": [node("Shape", "state.r", "shape"), WRITE],
    "old row kept": [node("GatherND", "state.r index", "old"), node("Where", "full new old", "row"), WRITE],
    "read after": [WRITE, node("MatMul", "state_out.r q", "action")],
}
BAD: dict[str, list[onnx.NodeProto]] = {
    "read beside": [node("MatMul", "state.r q", "action"), WRITE],
    "row taken beside": [node("GatherND", "state.r index", "action"), WRITE],
    "row taken beside as well": [
        node("GatherND", "state.r index", "old"),
        node("Where", "full new old", "row"),
        node("GatherND", "state.r other", "action"),
        WRITE,
    ],
    "view of it": [node("Reshape", "state.r shape", "flat"), node("GatherND", "flat index", "row"), WRITE],
    "all of it goes into the row": [node("MatMul", "state.r q", "row"), WRITE],
    "handed on": [node("Identity", "state.r", "state_out.r")],
    "added": [node("Add", "state.r row", "state_out.r")],
    "added into": [node("ScatterND", "state.r index row", "state_out.r", reduction="add")],
    "another's write": [node("ScatterND", "state.other index row", "state_out.r")],
    "its own row": [node("ScatterND", "state.r index state.r", "state_out.r")],
    "never written": [],
    "read in a branch": [node("If", "full", "action", then_branch=branch(), else_branch=branch()), WRITE],
    "another kind of write": [helper.make_node("ScatterND", ["state.r", "i", "row"], ["state_out.r"], domain="x")],
    "another kind of size": [helper.make_node("Shape", ["state.r"], ["action"], domain="x"), WRITE],
}


@pytest.mark.parametrize(("nodes", "good"), [*((n, True) for n in GOOD.values()), *((n, False) for n in BAD.values())])
def test_a_graph_is_taken_only_where_no_order_matters(nodes: list[onnx.NodeProto], good: bool) -> None:
    """The write alone, what it waits for, and what waits for it."""
    graph = helper.make_graph(nodes, "g", [], [])
    assert writable_in_place(graph, ["r", "unknown"]) == (("r",) if good else ())
