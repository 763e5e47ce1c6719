"""A fused block is one node with its function beside it, and whoever runs the file, it computes what torch computes."""

import gc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from haltere.configs.errors import RequestError
from haltere.deploy.export import Manifest, export
from haltere.deploy.loading import TorchActor
from haltere.deploy.runtime import OnnxActor
from haltere.deploy.runtime.kernels import kernel_bytes
from haltere.policies.base import Obs, Output, Policy, Signature, State
from haltere.policies.chunking.transformer import denoiser_block as body
from haltere.policies.diffusion.config import DiffusionConfig
from haltere.policies.fused import fused
from haltere.policies.registry import build_policy
from haltere.policies.swarm.config import SwarmConfig

from .blocks import Blocks, dense
from .kernel_oracles import denoiser_block
from .toys import FACTS, SWARM, ToyConfig, arrays, stirred, swarm_policy


def test_each_block_is_one_node(blocks: Path) -> None:
    """Named weights, one function for equal blocks, and an overload only where the sizes need one."""
    model = onnx.load(blocks)
    ours = [node for node in model.graph.node if node.domain == "haltere"]
    assert [node.op_type for node in ours] == ["Dense", "Dense", "Mix", "Dense"]
    assert [list(node.input)[1:] for node in ours[:2]] == [["Dense.0.w", "Dense.0.b"], ["Dense.1.w", "Dense.1.b"]]
    assert ours[2].input[1:] == ["state.memory", "", "Mix.2.w"]
    assert [(attribute.name, attribute.i) for attribute in ours[2].attribute] == [("power", 3)]
    names = [(function.name, function.overload) for function in model.functions]
    assert sorted(names) == sorted({(node.op_type, node.overload) for node in ours})
    assert ("Dense", "") in names and ("Mix", "") in names
    mixed = next(function for function in model.functions if function.name == "Mix")
    assert list(mixed.input) == ["x", "memory", "bonus", "w"]
    assert all(node.domain == "" for function in model.functions for node in function.node)


def test_products_of_constants_are_in_the_file_as_one(blocks: Path) -> None:
    """The scale is folded into the matrix, to the bit as torch does it; nothing of it is left in the graph."""
    policy = Blocks(ToyConfig())
    model = onnx.load(blocks)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    folded = (policy.layers[0].weight * policy.get_buffer("scale")).detach().numpy()
    np.testing.assert_array_equal(weights["Dense.0.w"], folded)
    assert "Mul" not in {node.op_type for node in model.graph.node}


@pytest.mark.parametrize("name", ["blocks.onnx", "inline.onnx"])
def test_both_files_fly_like_torch(blocks: Path, name: str) -> None:
    """Over steps, at batches that weren't traced, with one contract and each a seal of its own."""
    policy = Blocks(ToyConfig())
    for batch in (1, 3, 17):
        torch_actor, actor = TorchActor(policy), OnnxActor(blocks.with_name(name))
        for step in range(5):
            obs = arrays(policy, batch, seed=step)
            wanted, got = torch_actor.act(obs), actor.act(obs)
            np.testing.assert_allclose(got["action"], wanted["action"], rtol=0, atol=1e-6)
    assert OnnxActor(blocks).contract == OnnxActor(blocks.with_name("inline.onnx")).contract


def test_the_copy_is_for_engines_that_know_no_functions(blocks: Path) -> None:
    """Nothing of ours is left in it, and the ONNX project's own evaluator agrees."""
    model = onnx.load(blocks.with_name("inline.onnx"))
    assert not model.functions
    assert {node.domain for node in model.graph.node} == {entry.domain for entry in model.opset_import} == {""}
    policy = Blocks(ToyConfig())
    obs = arrays(policy, 4, seed=3)
    given = {"obs.x": obs["x"], "state.memory": np.zeros((4, 8), np.float32)}
    got = ReferenceEvaluator(model).run(["action"], given)
    np.testing.assert_allclose(np.asarray(got[0]), TorchActor(policy).act(obs)["action"], rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The swarm's policy with its copy."""
    folder = tmp_path_factory.mktemp("swarm")
    return export(swarm_policy(), folder / "policy.onnx", facts=FACTS, inline=folder / "inline.onnx")


def test_openvino_runs_the_copy(swarm: Manifest) -> None:
    """Another vendor's engine, in float32, on the swarm's policy; the file with functions it refuses."""
    openvino = pytest.importorskip("openvino", reason="OpenVINO isn't installed")
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(swarm.inline), "CPU", options)
    for batch in (1, 5):
        obs = arrays(swarm_policy(), batch, seed=9)
        got = compiled({f"obs.{key}": array for key, array in obs.items()})
        wanted = TorchActor(swarm_policy()).act(obs)
        for key, name in (("action", "action"), ("attention", "aux.attention")):
            np.testing.assert_allclose(got[name], wanted[key], rtol=0, atol=1e-6)
    with pytest.raises(RuntimeError):
        openvino.Core().compile_model(str(swarm.path), "CPU", options)


def test_the_swarm_is_one_operator(swarm: Manifest) -> None:
    """Its weights in the kernel's order, with the encoders' scales in them; torch, function and kernel agree."""
    policy, model = swarm_policy(), onnx.load(swarm.path)
    assert swarm.fused == ("SwarmPolicy",) and swarm.nodes > 50
    (node,) = model.graph.node
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    encoders = (policy.self_encoder, policy.neighbour_encoder, policy.obstacle_encoder)
    attention, fuse, head = policy.attention, policy.fuse[0], policy.head[0]
    wanted = [part for each in encoders for part in (each.linear.weight * each.scale, each.linear.bias)]
    wanted += [getattr(attention, name).weight for name in ("query", "key", "value", "out")]
    wanted += [attention.norm.weight, attention.norm.bias, fuse.weight, fuse.bias, head.weight, head.bias]
    for name, tensor in zip(node.input[3:], wanted, strict=True):
        np.testing.assert_array_equal(weights[name], tensor.detach().numpy())
    assert swarm.no_kernel == "" and swarm.kernel_error is not None and swarm.kernel_error <= 1e-6


def test_a_denoisers_block_is_what_is_published() -> None:
    """In double precision, against the oracle of the kernel; no gradient is lost on the way."""
    case = denoiser_block((7, 3, 4), 10, 2)
    inputs, weights = ([torch.from_numpy(each).double() for each in kind] for kind in (case.inputs, case.weights))
    for tensor in (*inputs, *weights):
        tensor.requires_grad_()
    (got,) = body(*inputs, *weights, **case.attributes)
    np.testing.assert_allclose(got.detach().numpy(), case.wanted[0], rtol=0, atol=1e-12)
    got.square().sum().backward()
    assert all(tensor.grad is not None and bool(tensor.grad.any()) for tensor in (*inputs, *weights))


def test_a_denoisers_blocks_are_one_operator_each(tmp_path: Path) -> None:
    """With the layers' own weights, none of them at rest; torch, function and kernel agree."""
    config = DiffusionConfig(width=24, heads=3, layers=2, horizon=7, executed=3, refinements=2)
    policy = build_policy(config, Signature({"state": (5,)}, 3), seed=0)
    stirred(policy, seed=1)
    made = export(policy, tmp_path / "policy.onnx", facts=FACTS)
    assert made.fused == ("DenoiserBlock",) * 2
    assert made.no_kernel == "" and made.kernel_error is not None and made.kernel_error <= 1e-5
    model, kept = onnx.load(made.path), {name: tensor.numpy() for name, tensor in policy.state_dict().items()}
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    layers = ("steer.1", "attention.into", "attention.out", "feed_forward.0", "feed_forward.2")
    nodes = [node for node in model.graph.node if node.domain == "haltere"]
    for index, node in enumerate(nodes):
        names = [f"network.blocks.{index}.{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
        for name, mine in zip(node.input[2:], names, strict=True):
            np.testing.assert_array_equal(weights[name], kept[mine])
    stock, fast, trained = OnnxActor(made.path), OnnxActor(made.path, fused=True), TorchActor(policy)
    for step in range(4):
        obs = arrays(policy, 3, seed=step)
        wanted = trained.act(obs)["action"]
        for actor in (stock, fast):
            np.testing.assert_allclose(actor.act(obs)["action"], wanted, rtol=0, atol=1e-5)


def unrolled(refinements: int) -> Policy[Any]:
    """A diffusion policy of two blocks whose call makes all refinements, with weights that let something through."""
    config = DiffusionConfig(width=24, heads=3, layers=2, horizon=7, executed=3, refinements=refinements, unrolled=True)
    policy = build_policy(config, Signature({"state": (5,)}, 3), seed=0)
    stirred(policy, seed=1)
    return policy


def test_unrolled_refinements_share_their_weights(tmp_path: Path) -> None:
    """A block's are in the file once, and packed once, however often it runs; torch, function and kernel agree."""
    sizes, packs = {}, {}
    for refinements in (2, 6):
        policy = unrolled(refinements)
        made = export(policy, tmp_path / f"{refinements}.onnx", facts=FACTS)
        assert made.fused == ("Dense",) * 3 + ("SteeredBlock",) * 2 * refinements
        assert made.no_kernel == "" and made.kernel_error is not None and made.kernel_error <= 1e-5
        sizes[refinements] = sum(len(tensor.raw_data) for tensor in onnx.load(made.path).graph.initializer)
        gc.collect()
        before = kernel_bytes()
        stock, fast, trained = OnnxActor(made.path), OnnxActor(made.path, fused=True), TorchActor(policy)
        packs[refinements] = kernel_bytes() - before
        for step in range(3):
            obs = arrays(policy, 3, seed=step)
            wanted = trained.act(obs)["chunk"]
            np.testing.assert_allclose(stock.act(obs)["chunk"], wanted, rtol=0, atol=1e-5)
            np.testing.assert_allclose(fast.act(obs)["chunk"], wanted, rtol=0, atol=1e-5)
        other = OnnxActor(made.path, fused=True, precision="int8")  # other packs of the same weights
        assert packs[refinements] < kernel_bytes() - before < 2 * packs[refinements]
        del stock, fast, other
        assert kernel_bytes() == before
    assert packs[6] == packs[2] > 0
    assert sizes[6] - sizes[2] < 0.05 * sizes[2]


def test_the_ablation_has_no_operator_of_ours(tmp_path: Path) -> None:
    """It runs everywhere as it is, and asking for kernels gets a sentence."""
    mean = build_policy(SwarmConfig(width=10, attention="mean"), SWARM, 0)
    made = export(mean, tmp_path / "mean.onnx", facts=FACTS)
    assert made.fused == () and made.kernel_error is None
    with pytest.raises(RequestError, match=r"mean\.onnx: holds no fused operator, so no kernel would run"):
        OnnxActor(made.path, fused=True)


class Fickle(Blocks):
    """Uses another operator once it is exported."""

    def forward(self, obs: Obs, state: State) -> tuple[Output, State]:
        """As its parent, by another name."""
        name = "Other" if torch.compiler.is_exporting() else "Dense"
        layer = self.layers[0]
        x = fused(name, dense, (obs["x"],), (layer.weight, layer.bias))[0]
        return {"action": x[:, :2].tanh()}, state


def test_a_policy_that_changes_its_mind_is_refused(tmp_path: Path) -> None:
    """The weights that were recorded would go to the wrong operator."""
    with pytest.raises(RequestError, match="Fickle can't be exported: calls the operator Other while it is exported"):
        export(Fickle(ToyConfig()), tmp_path / "toy.onnx", facts=FACTS)


def test_equal_networks_give_equal_files(blocks: Path, tmp_path: Path) -> None:
    """To the byte, functions included, and without a word about the machine."""
    again = tmp_path / "again.onnx"
    export(Blocks(ToyConfig()), again, facts=FACTS, inline=tmp_path / "inline.onnx")
    for one, other in ((again, blocks), (tmp_path / "inline.onnx", blocks.with_name("inline.onnx"))):
        assert one.read_bytes() == other.read_bytes()
        for secret in (str(Path(__file__).parents[2]), "site-packages", "stack_trace", ".py"):
            assert secret.encode() not in one.read_bytes()


def test_a_body_must_name_its_tensors(tmp_path: Path) -> None:
    """Names become those of the weights in the file."""

    class Nameless(Blocks):
        def forward(self, obs: Obs, state: State) -> tuple[Output, State]:
            layer = self.layers[0]
            (x,) = fused("Dense", lambda *tensors: dense(*tensors), (obs["x"],), (layer.weight, layer.bias))
            return {"action": x[:, :2].tanh()}, state

    with pytest.raises(RequestError, match="the body of Dense names 0 tensors, but is given 3"):
        export(Nameless(ToyConfig()), tmp_path / "toy.onnx", facts=FACTS)
