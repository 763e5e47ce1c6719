"""A folder loads as what was saved, or not at all; a name on the command line becomes an actor or a sentence."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from haltere.configs.errors import IntegrityError, RequestError
from haltere.deploy import zoo
from haltere.deploy.card import read_card
from haltere.deploy.contract import Parity
from haltere.deploy.export import TaskFacts, contract_of
from haltere.deploy.loading import TorchActor, load_policy, policy_folder, resolve_actor
from haltere.deploy.runtime import OnnxActor
from haltere.deploy.store import write_folder
from haltere.deploy.weights import read_weights, save_arrays, save_weights, weights_digest
from haltere.policies.base import Signature
from haltere.policies.memory.config import MemoryConfig
from haltere.policies.registry import build_policy
from haltere.sims.actor import RandomActor
from haltere.sims.mujoco.swarm.task import SwarmForest
from haltere.sims.task import TaskSpec, task

from .toys import CONFIG, SWARM, Remembering, ToyConfig, arrays, swarm_policy


def policy_at(folder: Path, seed: int, config: str = CONFIG) -> Path:
    """A policy folder without an exported file, as training writes it."""

    def fill(inside: Path) -> None:
        save_weights(swarm_policy(seed), inside / "policy.safetensors")
        (inside / "config.yaml").write_text(config, encoding="utf-8")

    write_folder(folder, fill)
    return folder


def test_a_policy_comes_back_bit_for_bit(swarm_folder: Path) -> None:
    """Weights, signature and configuration, without building the task."""
    policy = load_policy(swarm_folder)
    assert weights_digest(policy) == weights_digest(swarm_policy())
    assert (policy.signature, policy.config) == (swarm_policy().signature, swarm_policy().config)
    assert not policy.training


def test_the_digest_of_weights_is_of_all_of_them() -> None:
    """One changed bit in one weight is another policy; the same weights again are not."""
    policy = swarm_policy()
    before = weights_digest(policy)
    assert weights_digest(swarm_policy()) == before
    with torch.no_grad():
        bias = next(iter(policy.parameters()))
        bias[0] = torch.nextafter(bias[0], torch.tensor(9.0))
    assert weights_digest(policy) != before


def test_a_damaged_folder_is_refused_before_it_is_parsed(swarm_folder: Path, tmp_path: Path) -> None:
    """Each file in turn, one byte changed."""
    for name in ("policy.safetensors", "config.yaml", "card.json", "policy.onnx", "manifest.json"):
        folder = tmp_path / name
        shutil.copytree(swarm_folder, folder)
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 0x10
        (folder / name).write_bytes(data)
        with pytest.raises(IntegrityError):
            load_policy(folder)


@pytest.mark.parametrize("change", ["missing", "unknown", "reshaped", "unsigned"])
def test_weights_of_another_network_are_refused(tmp_path: Path, change: str) -> None:
    """Whole files whose tensors aren't the network's: named, not half loaded."""
    weights = {name: tensor.numpy() for name, tensor in swarm_policy().state_dict().items()}
    first = next(iter(weights))
    if change == "missing":
        del weights[first]
    elif change == "unknown":
        weights["extra"] = np.zeros(3, np.float32)
    elif change == "reshaped":
        weights[first] = np.zeros((1, 1), np.float32)

    def fill(inside: Path) -> None:
        path = inside / "policy.safetensors"
        save_arrays(weights, SWARM, path)
        if change == "unsigned":
            path.write_bytes(path.read_bytes().replace(b"haltere.signature", b"haltere.signaturf"))
        (inside / "config.yaml").write_text(CONFIG, encoding="utf-8")

    write_folder(tmp_path / "p", fill)
    with pytest.raises(IntegrityError, match="no signature inside" if change == "unsigned" else "aren't those of"):
        load_policy(tmp_path / "p")


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"{}", b"\x08\0\0\0\0\0\0\0{}      "])
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """Never a traceback of the parser."""
    (tmp_path / "policy.safetensors").write_bytes(content)
    with pytest.raises(IntegrityError):
        read_weights(tmp_path / "policy.safetensors")


def test_a_run_stands_for_its_policy(tmp_path: Path) -> None:
    """A finished run for its policy, an unfinished one for its newest checkpoint, by number and not by name."""
    for step in (900, 10_000, 2_000):
        policy_at(tmp_path / "checkpoints" / str(step), seed=step)
    (tmp_path / "checkpoints" / ".tmp-20000").mkdir()
    assert policy_folder(tmp_path) == tmp_path / "checkpoints" / "10000"
    assert weights_digest(load_policy(tmp_path)) == weights_digest(swarm_policy(10_000))
    policy_at(tmp_path / "policy", seed=1)
    assert policy_folder(tmp_path) == tmp_path / "policy"


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path) -> None:
    """The newest that is whole stands for the run; where none is, the damage is named."""
    for step in (1, 2):
        policy_at(tmp_path / "checkpoints" / str(step), seed=step)
    (tmp_path / "checkpoints" / "2" / "policy.safetensors").write_bytes(b"short")
    assert weights_digest(load_policy(tmp_path)) == weights_digest(swarm_policy(1))
    (tmp_path / "checkpoints" / "1" / "manifest.json").unlink()
    with pytest.raises(IntegrityError, match=r"none of its 2 checkpoints is whole; the newest: .*damaged: 5 bytes"):
        policy_folder(tmp_path)


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_a_folder_without_a_policy_is_a_wrong_request(tmp_path: Path, name: str) -> None:
    """What was expected there."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match=r"expected a policy or a run|neither a policy folder .* nor a run"):
        load_policy(tmp_path / name)


@pytest.mark.parametrize(("runtime", "kind"), [("torch", TorchActor), ("onnx", OnnxActor)])
def test_a_path_becomes_an_actor(swarm_folder: Path, runtime: str, kind: type) -> None:
    """Both runtimes from one folder, and the same actions to 1e-5."""
    actor = resolve_actor(str(swarm_folder), task="toy", signature=SWARM, runtime=runtime)
    assert isinstance(actor, kind)
    obs = arrays(swarm_policy(), 5, seed=4)
    np.testing.assert_allclose(
        actor.act(obs)["action"], TorchActor(swarm_policy()).act(obs)["action"], rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("memory", ["hcam", "trxl", "attention", "lstm", "aaren", "titans"])
def test_a_memory_written_in_place_is_the_memory(memory: str) -> None:
    """Bit for bit what the network gives as a function of its state, whichever lanes begin anew and when."""
    config = MemoryConfig(memory=memory, width=8, heads=2, layers=2, chunk=2, slots=3, top_k=2, window=4, span=9)  # type: ignore[arg-type]
    policy = build_policy(config, Signature({"x": (5,)}, 3), seed=1).eval()
    actor, state, generator = TorchActor(policy), policy.initial_state(4), torch.Generator().manual_seed(2)
    answers: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for _ in range(24):
        obs = policy.random_obs(4, generator)
        with torch.no_grad():
            out, following = policy(obs, state)
        got = actor.act({name: tensor.numpy() for name, tensor in obs.items()})
        answers.append((got, {name: tensor.numpy().copy() for name, tensor in out.items()}))
        begin = torch.rand(4, generator=generator) < 0.2
        fresh = policy.initial_state(4)
        state = {
            name: torch.where(begin.view(-1, *[1] * (tensor.dim() - 1)), fresh[name], tensor)
            for name, tensor in following.items()
        }
        actor.reset(begin.numpy())
    for got, wanted in answers:  # after the last step: what was answered earlier isn't written over
        assert got.keys() == wanted.keys()
        for name, array in wanted.items():
            np.testing.assert_array_equal(got[name], array)


def test_an_ablation_changes_the_network_and_not_the_weights(swarm_folder: Path) -> None:
    """Attention off gives other actions from the same weights; what needs other weights, or no torch, is refused."""
    whole, ablated = load_policy(swarm_folder), load_policy(swarm_folder, {"attention": "mean"})
    assert weights_digest(whole) == weights_digest(ablated)
    obs = whole.random_obs(5, torch.Generator().manual_seed(0))
    with torch.no_grad():
        (out, _), (without, _) = whole(obs, {}), ablated(obs, {})
    assert not torch.allclose(out["action"], without["action"])
    assert torch.equal(without["attention"], torch.full((5, 2), 0.5))
    with pytest.raises(RequestError, match="needs other weights than those"):
        load_policy(swarm_folder, {"width": 32})
    with pytest.raises(RequestError, match="only --runtime torch can do"):
        resolve_actor(str(swarm_folder), task="t", signature=SWARM, runtime="onnx", changes={"attention": "mean"})


def test_an_ablation_is_judged_by_the_actors_own_memory(tmp_path: Path) -> None:
    """Whatever the task's own policy remembers with: its settings fit, those of another memory don't."""
    memory = MemoryConfig(memory="attention", width=8, heads=2, span=9)
    policy = build_policy(memory, Signature({"x": (3,)}, 2), seed=0)

    def fill(inside: Path) -> None:
        save_weights(policy, inside / "policy.safetensors")
        config = CONFIG.replace("{type: swarm, width: 10, attention: softmax}", json.dumps(asdict(memory)))
        (inside / "config.yaml").write_text(config, encoding="utf-8")

    write_folder(tmp_path / "p", fill)
    assert load_policy(tmp_path / "p", {"span": 1000}).config == replace(memory, span=1000)
    reasons = {
        "slots": r"--policy\.slots: belongs to memory 'hcam'; this policy's memory is 'attention'",
        "memory_grad": r"--policy\.memory-grad: belongs to memory 'hcam'",
    }
    for name, reason in reasons.items():
        with pytest.raises(RequestError, match=f"^{reason}"):
            load_policy(tmp_path / "p", {name: getattr(memory, name)})  # also the value that it has: it was typed


def test_an_exported_file_and_a_random_actor_need_no_folder(swarm_folder: Path) -> None:
    """The lone file runs on ONNX Runtime; random actions depend on the seed alone."""
    path = str(swarm_folder / "policy.onnx")
    assert isinstance(resolve_actor(path, task="toy", signature=SWARM, runtime="onnx"), OnnxActor)
    with pytest.raises(RequestError, match="runs with --runtime onnx or fused, not torch"):
        resolve_actor(path, task="toy", signature=SWARM, runtime="torch")
    first, second = (resolve_actor("random", task="toy", signature=SWARM, seed=3) for _ in range(2))
    assert isinstance(first, RandomActor)
    obs = arrays(swarm_policy(), 5, seed=4)
    np.testing.assert_array_equal(first.act(obs)["action"], second.act(obs)["action"])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("zo", {}, "no actor 'zo'; did you mean 'zoo'? (zoo, zoo:NAME, expert, random, or"),
        ("runs/none", {}, "no actor 'runs/none' (zoo, zoo:NAME"),
        ("zoo", {}, "toy has no zoo policy of its own"),
        ("zoo:swrm", {}, "no zoo entry named 'swrm'; did you mean 'swarm'?"),
        ("random", {"runtime": "onx"}, "no runtime named 'onx'; did you mean 'onnx'?"),
    ],
)
def test_a_wrong_name_gets_a_sentence(
    name: str, options: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What, got, and the nearest that exists."""
    (tmp_path / "swarm").mkdir()
    (tmp_path / "swarm" / "card.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(zoo, "HERE", tmp_path)
    with pytest.raises(RequestError) as caught:
        resolve_actor(name, task="toy", signature=SWARM, **options)  # type: ignore[arg-type]
    assert message in str(caught.value)


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_a_policy_of_another_task_is_refused(swarm_folder: Path, runtime: str) -> None:
    """Not a shape error from deep inside: which shapes it has and which the task gives."""
    other = Signature({"self": (19,), "neighbour": (6, 6), "lidar": (64,)}, 2)
    with pytest.raises(RequestError) as caught:
        resolve_actor(str(swarm_folder), task="toy", signature=other, runtime=runtime)
    message = str(caught.value)
    assert "neighbour (2, 6) instead of (6, 6)" in message
    assert "lidar nothing instead of (64,)" in message
    assert "4 action components instead of 2" in message


def test_a_checkpoint_has_no_exported_file_yet(tmp_path: Path) -> None:
    """The way out is named."""
    folder = policy_at(tmp_path / "p", seed=0)
    with pytest.raises(RequestError, match=r"has no policy\.onnx; haltere export makes one"):
        resolve_actor(str(folder), task="toy", signature=SWARM, runtime="onnx")


def test_a_configuration_of_another_version_is_named(tmp_path: Path) -> None:
    """The file, the key, and what it must be."""
    folder = policy_at(tmp_path / "p", seed=0, config=CONFIG.replace("width: 10", "widht: 10"))
    with pytest.raises(RequestError, match=r"config\.yaml: policy\.widht.*width"):
        load_policy(folder)


def test_torch_forgets_the_lanes_that_it_is_told_to() -> None:
    """A reset lane acts as a fresh one, the others go on; inputs are left alone."""
    policy = Remembering(ToyConfig(start=0.5))
    actor, fresh = TorchActor(policy), TorchActor(policy)
    first, second = arrays(policy, 2, seed=1), arrays(policy, 2, seed=2)
    actor.act(first)
    actor.reset(np.array([True, False]))
    again = actor.act(second)
    start = fresh.act(second)
    np.testing.assert_array_equal(again["action"][0], start["action"][0])
    assert not np.array_equal(again["action"][1], start["action"][1])
    actor.reset()
    np.testing.assert_array_equal(actor.act(second)["action"], start["action"])


def test_the_zoo_is_read_from_the_package(swarm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only folders with a card are entries; a damaged card is an error and not a missing entry."""
    monkeypatch.setattr(zoo, "HERE", tmp_path)
    (tmp_path / "__pycache__").mkdir()
    shutil.copytree(swarm_folder, tmp_path / "swarm")
    assert [(entry.name, entry.card.policy) for entry in zoo.zoo_entries()] == [("swarm", "swarm")]
    actor = resolve_actor("zoo", task="toy", signature=SWARM, runtime="onnx", zoo="swarm")
    assert isinstance(actor, OnnxActor)
    (tmp_path / "swarm" / "card.json").write_text('{"task": 1}', encoding="utf-8")
    with pytest.raises(IntegrityError, match="damaged"):
        zoo.zoo_entries()
    with pytest.raises(RequestError, match="no such file"):
        read_card(tmp_path / "none.json")


CARD = {"task": "t", "policy": "p", "parameters": 1, "weights": "w", "command": "c", "seed": 0, "steps": 1, "wall_s": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"task": []},
        {"parameters": "many"},
        {"seed": True},
        {"wall_s": None},
        {"evaluation": []},
        {"evaluation": {"success": [1, 2, 3]}},
        {"evaluation": {"success": {"mean": "high"}}},
        {"evaluation": {"success": {"mean": float("nan"), "low": 0, "high": 1}}},
        {"more": 1},
    ],
    ids=str,
)
def test_a_card_of_other_types_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    """What isn't a card is an error where it is read, and not where it is shown."""
    path = tmp_path / "card.json"
    good = {**CARD, "evaluation": {"success": {"mean": 0.5, "low": 0.25, "high": 1}}}
    path.write_text(json.dumps(good))
    assert read_card(path).evaluation["success"]["mean"] == 0.5
    for text in (json.dumps({**CARD, **change}), "[1]", "[" * 100_000):
        path.write_text(text)
        with pytest.raises(IntegrityError, match="not a policy's card"):
            read_card(path)


@pytest.mark.parametrize("entry", zoo.zoo_entries(), ids=lambda entry: entry.name)
def test_every_zoo_entry_is_what_its_card_says(entry: zoo.ZooEntry) -> None:
    """One set of weights in torch, in the exported file and on the card; the two runtimes agree on it."""
    policy, actor = load_policy(entry.path), OnnxActor(entry.path)
    assert entry.card.weights == actor.contract.weights == weights_digest(policy)
    assert (entry.card.task, entry.card.policy) == (actor.contract.task, actor.contract.policy)
    assert entry.card.parameters == sum(parameter.numel() for parameter in policy.parameters())
    success = entry.card.evaluation["success"]
    if entry.name == "manip-fork-mlp":  # it is there to fail: what it gives is the mean of two ways
        assert success["mean"] == 0.0 and entry.card.evaluation["metrics"]["broke"]["mean"] == 1.0
    else:
        assert success["mean"] >= success["low"] > 0.0
    obs = arrays(policy, 8, seed=12)
    np.testing.assert_allclose(actor.act(obs)["action"], TorchActor(policy).act(obs)["action"], rtol=0, atol=1e-5)


def test_facts_come_from_the_tasks_declaration() -> None:
    """Period, units, safe action and id are the task's own; the safe action reaches the contract, one a component."""
    spec = TaskSpec("toy/Toy-v0", ("success",), ("success",), 0.02, "mujoco", {"self": "m"})
    assert TaskFacts.of(spec) == TaskFacts("toy/Toy-v0", 0.02, {"self": "m"}, -1.0, 1.0)
    facts = TaskFacts.of(replace(spec, safe_action=0.25))
    assert facts == TaskFacts("toy/Toy-v0", 0.02, {"self": "m"}, -1.0, 1.0, 0.25)
    policy = swarm_policy()
    obs, state = policy.random_obs(1, torch.Generator()), policy.initial_state(1)
    out, _ = policy(obs, state)
    for given, carried in ((facts, (0.25,) * 4), (TaskFacts.of(spec), ())):
        assert contract_of(policy, given, obs, state, out, Parity(1e-5, 0.0, 1, (1,))).safe_action == carried


def test_a_drone_that_knows_nothing_switches_its_motors_off() -> None:
    """What -1 is for the swarm's motors is in its units; a safe action beyond the bounds is refused at once."""
    spec = SwarmForest.spec_
    assert spec.safe_action == -1.0 and "-1 off" in spec.units["action"]
    rates: Any = {"metrics": ("success",), "rates": ("success",)}
    with pytest.raises(RequestError, match="safe_action must be from -1 to 1, got 2"):
        task("toy/Toy-v1", config=ToyConfig, **rates, ctrl_dt_s=0.1, sim="numpy", units={}, safe_action=2.0)
