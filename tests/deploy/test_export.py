"""An exported file is the policy, proves it, says so, and is whole or absent."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from haltere.configs.errors import ParityError, RequestError
from haltere.deploy.card import Card
from haltere.deploy.contract import METADATA_KEY, Contract
from haltere.deploy.export import export, export_folder
from haltere.deploy.loading import TorchActor
from haltere.deploy.runtime import OnnxActor
from haltere.deploy.store import verify_folder
from haltere.deploy.weights import weights_digest

from .toys import (
    CONFIG,
    FACTS,
    Drifting,
    LooksAtData,
    Remembering,
    ToyConfig,
    TwoFaced,
    arrays,
    leftovers,
    swarm_policy,
)


@pytest.mark.parametrize("batch", [1, 3, 17])
def test_a_file_gives_the_networks_actions(swarm_folder: Path, batch: int) -> None:
    """On inputs that the export has never seen, at batches that it wasn't traced at."""
    obs = arrays(swarm_policy(), batch, seed=99)
    wanted, got = TorchActor(swarm_policy()).act(obs), OnnxActor(swarm_folder).act(obs)
    assert got.keys() == wanted.keys() == {"action", "attention"}
    for key in wanted:
        np.testing.assert_allclose(got[key], wanted[key], rtol=0, atol=1e-5)


def test_another_onnx_implementation_agrees(swarm_folder: Path) -> None:
    """The file follows the standard, not ONNX Runtime's reading of it: onnx's own evaluator gives the same."""
    obs = arrays(swarm_policy(), 4, seed=7)
    model = onnx.load(swarm_folder / "policy.onnx")
    got = ReferenceEvaluator(model).run(["action"], {f"obs.{key}": array for key, array in obs.items()})
    wanted = TorchActor(swarm_policy()).act(obs)["action"]
    np.testing.assert_allclose(np.asarray(got[0]), wanted, rtol=0, atol=1e-5)


def test_state_goes_in_and_comes_out(recurrent_file: Path) -> None:
    """Memory and counter of two lanes, one of them reset on the way, are those of torch."""
    policy = Remembering(ToyConfig(start=0.25))
    torch_actor, actor = TorchActor(policy), OnnxActor(recurrent_file)
    for step in range(12):
        if step == 7:
            torch_actor.reset(np.array([True, False]))
            actor.reset(np.array([True, False]))
        obs = arrays(policy, 2, seed=step)
        wanted, got = torch_actor.act(obs), actor.act(obs)
        np.testing.assert_allclose(got["action"], wanted["action"], rtol=0, atol=1e-5)
        np.testing.assert_array_equal(got["asked"], wanted["asked"])
    assert got["asked"].ravel().tolist() == [5.0, 12.0]


def test_the_file_names_its_tensors_and_carries_its_contract(recurrent_file: Path) -> None:
    """Names as agreed, a free batch axis, and the contract where any ONNX tool finds it."""
    model = onnx.load(recurrent_file)
    assert [value.name for value in model.graph.input] == ["obs.x", "obs.unused", "state.memory", "state.count"]
    outputs = ["action", "state_out.memory", "state_out.count", "aux.asked"]
    assert [value.name for value in model.graph.output] == outputs
    for value in [*model.graph.input, *model.graph.output]:
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
    contract = Contract.from_json({entry.key: entry.value for entry in model.metadata_props}[METADATA_KEY])
    assert contract == OnnxActor(recurrent_file).contract
    assert contract.weights == weights_digest(Remembering(ToyConfig()))
    assert (contract.task, contract.ctrl_dt_s, contract.outputs[0].unit) == ("toy/Toy-v0", 0.01, "thrust fraction")
    assert [(state.name, state.dtype, state.initial) for state in contract.state] == [
        ("state.memory", "float32", 0.25),
        ("state.count", "int64", 0.0),
    ]
    assert contract.parity.max_error <= contract.parity.tolerance
    assert (contract.parity.inputs, contract.parity.batches) == (1000, (1, 3, 17))
    assert contract.parity.recurrent_steps == 500
    assert contract.parity.recurrent_error <= 1e-4


def test_the_file_tells_nothing_about_the_machine(swarm_folder: Path) -> None:
    """No source path and no stack trace of whoever exported it."""
    data = (swarm_folder / "policy.onnx").read_bytes()
    for secret in (str(Path(__file__).parents[2]), str(Path.home()), "site-packages", "stack_trace", ".py"):
        assert secret.encode() not in data


def test_equal_policies_give_equal_files_and_nothing_else_happens(
    swarm_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Byte for byte; torch's exporter isn't heard; training could go on, each layer's mode and chance as they were."""
    policy = swarm_policy().train()
    policy.head.eval()
    stream = torch.random.get_rng_state()
    export(policy, tmp_path / "again.onnx", facts=FACTS)
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / "again.onnx").read_bytes() == (swarm_folder / "policy.onnx").read_bytes()
    assert torch.equal(torch.random.get_rng_state(), stream)
    assert (policy.training, policy.fuse.training, policy.head.training) == (True, True, False)
    assert weights_digest(policy) == weights_digest(swarm_policy())
    assert all(parameter.requires_grad for parameter in policy.parameters())


@pytest.mark.parametrize("kind", [TwoFaced, Drifting])
def test_a_file_that_isnt_the_policy_is_refused(kind: type[Remembering], tmp_path: Path) -> None:
    """Off in a single step, or only after hundreds: an error, no file, and an older file untouched."""
    out = tmp_path / "toy.onnx"
    out.write_text("older")
    with pytest.raises(ParityError, match="off by"):
        export(kind(ToyConfig()), out, facts=FACTS)
    assert leftovers(tmp_path) == ["toy.onnx"]
    assert out.read_text() == "older"


def test_a_folder_is_whole_or_absent(tmp_path: Path, swarm_folder: Path) -> None:
    """Five files with their digests; after a failure, nothing."""
    names = ["card.json", "config.yaml", "manifest.json", "policy.onnx", "policy.safetensors"]
    assert leftovers(swarm_folder) == names
    verify_folder(swarm_folder)
    card = Card("toy/Toy-v0", "toy", 1, "0" * 64, "none", seed=0, steps=1, wall_s=1.0)
    with pytest.raises(RequestError, match="can't be exported"):
        export_folder(LooksAtData(ToyConfig()), tmp_path / "policy", facts=FACTS, config=CONFIG, card=card)
    assert leftovers(tmp_path) == []


def test_what_isnt_an_export_is_never_replaced(tmp_path: Path, swarm_folder: Path) -> None:
    """An earlier export is replaced; a folder of somebody's files, an export with notes in it or a file is kept."""
    policy, out = Remembering(ToyConfig()), tmp_path / "policy"
    card = Card("toy/Toy-v0", "toy", 1, "0" * 64, "none", seed=0, steps=1, wall_s=1.0)
    shutil.copytree(swarm_folder, out)
    made = export_folder(policy, out, facts=FACTS, config=CONFIG, card=card)
    assert made.path == out / "policy.onnx" and verify_folder(out)["policy.onnx"].stat().st_size == made.size_bytes
    (out / "notes.md").write_text("mine")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("mine")
    for kept in (out, tmp_path / "thesis", tmp_path / "thesis" / "chapter.tex"):
        before = leftovers(tmp_path / "thesis"), leftovers(out)
        with pytest.raises(RequestError) as caught:
            export_folder(policy, kept, facts=FACTS, config=CONFIG, card=card)
        assert caught.value.exit_code == 2 and str(caught.value).startswith(str(kept))
        assert (leftovers(tmp_path / "thesis"), leftovers(out)) == before
    assert leftovers(tmp_path) == ["policy", "thesis"]


def test_a_policy_that_no_graph_can_hold_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """Control flow on data: a request error that names the policy."""
    with pytest.raises(RequestError, match="LooksAtData can't be exported"):
        export(LooksAtData(ToyConfig()), tmp_path / "toy.onnx", facts=FACTS)
    assert leftovers(tmp_path) == []
