"""The actor on the robot: nothing but numpy and ONNX Runtime, and nothing wrong goes in or comes out."""

import random
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from haltere.configs.errors import HaltereError, IntegrityError, RequestError
from haltere.deploy.contract import Tensor
from haltere.deploy.errors import ContractError, NonFiniteError, ObservationError
from haltere.deploy.runtime import OnnxActor

from .hostile import KEYS, resealed, without
from .toys import Remembering, ToyConfig, arrays, swarm_policy

FORBIDDEN = ("torch", "gymnasium", "mujoco", "pydantic", "onnx", "yaml", "safetensors", "tyro", "rich")


def swarm_obs(batch: int = 3) -> dict[str, NDArray[Any]]:
    """Observations that fit."""
    return arrays(swarm_policy(), batch, seed=3)


@pytest.mark.parametrize("fused", [False, True])
def test_the_runtime_needs_only_numpy_and_onnxruntime(swarm_folder: Path, fused: bool) -> None:
    """A fresh process loads and flies a policy folder without importing anything that a robot lacks."""
    code = f"""
import sys
import numpy as np
from haltere.deploy.runtime import OnnxActor
actor = OnnxActor({str(swarm_folder)!r}, fused={fused})
obs = {{t.name.removeprefix("obs."): np.ones((1, *t.shape), np.float32) for t in actor.contract.inputs}}
assert actor.act(obs)["action"].shape == (1, 4)
print([name for name in {FORBIDDEN!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_robot_tells_nobody_where_it_flies(swarm_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime's telemetry is off before a session exists; a build without it has nothing to switch off."""
    order: list[str] = []
    session = onnxruntime.InferenceSession

    def opened(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        order.append("session")
        return session(*args, **kwargs)

    monkeypatch.setattr(onnxruntime, "disable_telemetry_events", lambda: order.append("off"), raising=False)
    monkeypatch.setattr(onnxruntime, "InferenceSession", opened)
    OnnxActor(swarm_folder)
    assert order == ["off", "session"]
    monkeypatch.delattr(onnxruntime, "disable_telemetry_events")
    OnnxActor(swarm_folder)


def test_what_an_actor_returns_is_the_callers(swarm_folder: Path) -> None:
    """A later step doesn't overwrite an earlier result, though the buffers inside are reused."""
    actor = OnnxActor(swarm_folder)
    first = actor.act(swarm_obs())
    kept = {key: array.copy() for key, array in first.items()}
    actor.act({key: -array for key, array in swarm_obs().items()})
    for key, array in first.items():
        np.testing.assert_array_equal(array, kept[key])


def test_any_number_of_lanes_and_any_memory_layout(swarm_folder: Path) -> None:
    """Lanes don't influence each other, and a strided or read-only view is as good as a copy."""
    actor = OnnxActor(swarm_folder)
    obs = swarm_obs(8)
    together = actor.act(obs)["action"]
    for lane in range(0, 8, 3):
        alone = actor.act({key: array[lane : lane + 1] for key, array in obs.items()})["action"]
        np.testing.assert_allclose(alone[0], together[lane], rtol=0, atol=1e-6)
    views = {key: np.repeat(array, 2, axis=0)[::2] for key, array in obs.items()}
    for view in views.values():
        view.flags.writeable = False
    np.testing.assert_array_equal(actor.act(views)["action"], together)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("obstacle", None, "no observation 'obstacle'; the contract has self, neighbour, obstacle"),
        ("wind", np.zeros((3, 1), np.float32), "unknown observation 'wind'"),
        ("self", np.zeros((3, 18), np.float32), r"'self' must be \(lanes, 19\) float32, got \(3, 18\)"),
        ("self", np.zeros((3, 19)), "got .* float64"),
        ("self", [[0.0] * 19] * 3, "must be an array .*, got list"),
        ("self", np.zeros((0, 19), np.float32), r"got \(0, 19\)"),
        ("self", np.float32(0.0), "must be an array"),
        ("neighbour", np.zeros((2, 2, 6), np.float32), r"got \(2, 2, 6\) float32 where the first .* has 3 lanes"),
        ("neighbour", np.zeros((3, 12), np.float32), r"must be \(lanes, 2, 6\)"),
    ],
)
def test_a_wrong_observation_is_named(swarm_folder: Path, key: str, value: Any, message: str) -> None:  # noqa: ANN401
    """What is wrong, what the contract wants, what was got."""
    obs = swarm_obs() | {key: value}
    if value is None:
        del obs[key]
    with pytest.raises(ObservationError, match=message):
        OnnxActor(swarm_folder).act(obs)


def test_a_misspelt_observation_gets_the_nearest(swarm_folder: Path) -> None:
    """The likely slip is named."""
    obs = swarm_obs()
    obs["neighbor"] = obs.pop("neighbour")
    with pytest.raises(ObservationError, match=r"no observation 'neighbour' \(is 'neighbor' meant\?\)"):
        OnnxActor(swarm_folder).act(obs)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_isnt_one_never_becomes_a_command(recurrent_file: Path, value: float) -> None:
    """Refused with its place, and the memory is as if the step hadn't been: the next step is unaffected."""
    policy = Remembering(ToyConfig())
    actor, untouched = OnnxActor(recurrent_file), OnnxActor(recurrent_file)
    for seed in (1, 2):
        obs = arrays(policy, 2, seed=seed)
        bad = {key: array.copy() for key, array in obs.items()}
        bad["x"][1, 2] = value
        with pytest.raises(NonFiniteError, match=r"observation 'x' at \(1, 2\) is -?(nan|inf)"):
            actor.act(bad)
        np.testing.assert_array_equal(actor.act(obs)["action"], untouched.act(obs)["action"])


def test_a_network_that_overflows_is_caught_at_the_output(recurrent_file: Path, tmp_path: Path) -> None:
    """Finite observations, finite weights, and still NaN: the action is refused."""

    def overflow(model: onnx.ModelProto) -> None:
        _rename_output(model, "action", "huge")
        model.graph.initializer.append(numpy_helper.from_array(np.float32(3e38), "big"))
        model.graph.node.append(helper.make_node("Mul", ["obs.unused", "big"], ["far"]))
        model.graph.node.append(helper.make_node("Mul", ["far", "big"], ["inf"]))
        model.graph.node.append(helper.make_node("Add", ["huge", "inf"], ["action"]))

    actor = OnnxActor(resealed(recurrent_file, tmp_path / "overflow.onnx", overflow))
    obs = arrays(Remembering(ToyConfig()), 2, seed=1)
    with pytest.raises(NonFiniteError, match="output 'action'"):
        actor.act(obs)
    obs["unused"][:] = 0.0
    assert actor.act(obs)["asked"].ravel().tolist() == [1.0, 1.0]


def test_lanes_cant_change_under_a_state(recurrent_file: Path) -> None:
    """Memory belongs to lanes; another number of lanes needs a reset first."""
    policy = Remembering(ToyConfig())
    actor = OnnxActor(recurrent_file)
    actor.act(arrays(policy, 2, seed=1))
    with pytest.raises(ObservationError, match=r"got 3 lanes, but the state has 2; call reset\(\) first"):
        actor.act(arrays(policy, 3, seed=1))
    with pytest.raises(ObservationError, match="reset mask"):
        actor.reset(np.array([True]))
    actor.reset()
    assert actor.act(arrays(policy, 3, seed=1))["asked"].ravel().tolist() == [1.0, 1.0, 1.0]


def test_actions_stay_within_the_contracts_bounds(recurrent_file: Path, tmp_path: Path) -> None:
    """Whatever the network says, the actuator gets what the task allows."""
    obs = arrays(Remembering(ToyConfig()), 64, seed=1)
    free = OnnxActor(recurrent_file).act(obs)["action"]
    low, high = np.quantile(free, [0.25, 0.75], axis=0).astype(np.float32)
    bounds = {"action_low": tuple(map(float, low)), "action_high": tuple(map(float, high))}
    bounded = OnnxActor(resealed(recurrent_file, tmp_path / "b.onnx", **bounds)).act(obs)["action"]
    np.testing.assert_array_equal(bounded, np.minimum(np.maximum(free, low), high))


def _rename_output(model: onnx.ModelProto, old: str, new: str) -> None:
    for node in model.graph.node:
        for index, name in enumerate(node.output):
            if name == old:
                node.output[index] = new


def test_damage_is_noticed_wherever_it_is(swarm_folder: Path, tmp_path: Path) -> None:
    """A lone file: each of 200 flipped bits, and each of 50 lengths, is refused by digest before it is parsed."""
    data = (swarm_folder / "policy.onnx").read_bytes()
    rng = random.Random(1)
    path = tmp_path / "alone.onnx"
    for at in [0, len(data) - 1, *(rng.randrange(len(data)) for _ in range(198))]:
        flipped = bytearray(data)
        flipped[at] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        with pytest.raises(IntegrityError):
            OnnxActor(path)
    for length in [0, 1, len(data) - 1, *(rng.randrange(len(data)) for _ in range(47))]:
        path.write_bytes(data[:length])
        with pytest.raises(IntegrityError):
            OnnxActor(path)


def test_a_folder_with_another_file_in_it_is_refused(swarm_folder: Path, tmp_path: Path) -> None:
    """A file that is whole but isn't the one that the manifest vouches for."""
    for path in swarm_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    OnnxActor(tmp_path)
    resealed(swarm_folder / "policy.onnx", tmp_path / "policy.onnx", task="toy/Other-v0")
    with pytest.raises(IntegrityError):
        OnnxActor(tmp_path)
    OnnxActor((tmp_path / "policy.onnx").rename(tmp_path / "alone.onnx"))


@pytest.mark.parametrize("key", KEYS)
def test_a_file_without_contract_or_digest_is_refused(swarm_folder: Path, tmp_path: Path, key: str) -> None:
    """A plain ONNX file isn't a policy."""
    model = onnx.load(swarm_folder / "policy.onnx")
    without(key)(model)
    onnx.save(model, tmp_path / "plain.onnx")
    with pytest.raises(IntegrityError, match=r"contract inside|changed after export|damaged"):
        OnnxActor(tmp_path / "plain.onnx")


def test_weights_outside_the_file_are_refused(swarm_folder: Path, tmp_path: Path) -> None:
    """A tensor that points at another file could read any file, and no digest covers it."""
    (tmp_path / "secret").write_bytes(bytes(4096))

    def externalise(model: onnx.ModelProto) -> None:
        tensor = next(t for t in model.graph.initializer if len(t.dims) == 2)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="secret")

    path = resealed(swarm_folder / "policy.onnx", tmp_path / "external.onnx", externalise)
    with pytest.raises(IntegrityError, match=r"external data|outside the file"):
        OnnxActor(path)


def test_unbounded_and_unknown_operators_are_refused(swarm_folder: Path, tmp_path: Path) -> None:
    """A loop has no deadline, and an operator outside the standard ties the file to one engine."""
    for node, message in (
        (helper.make_node("Loop", ["", ""], ["out"], body=helper.make_graph([], "b", [], [])), "Loop"),
        (helper.make_node("Gelu", ["obs.self"], ["out"], domain="com.microsoft"), "an operator of domain"),
        (helper.make_node("Relu", ["obs.self"], ["out"], domain="ai.onnx"), None),
    ):

        def add(model: onnx.ModelProto, node: onnx.NodeProto = node) -> None:
            model.graph.node.append(node)

        path = resealed(swarm_folder / "policy.onnx", tmp_path / "op.onnx", add)
        with pytest.raises(IntegrityError, match=message) if message else nullcontext():
            OnnxActor(path)


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": (Tensor("obs.self", (20,)), Tensor("obs.neighbour", (2, 6)), Tensor("obs.obstacle", (9,)))},
        {"inputs": (Tensor("obs.neighbour", (2, 6)), Tensor("obs.self", (19,)), Tensor("obs.obstacle", (9,)))},
        {"inputs": (Tensor("obs.self", (19,)), Tensor("obs.neighbour", (2, 6)))},
        {"outputs": (Tensor("action", (4,)), Tensor("aux.other", (2,)))},
        {"outputs": (Tensor("action", (4,)), Tensor("aux.attention", (2,), "int64"))},
        {"outputs": (Tensor("action", (5,)),), "action_low": (-1.0,) * 5, "action_high": (1.0,) * 5},
    ],
)
def test_a_contract_that_contradicts_the_graph_is_refused(
    swarm_folder: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    """Other shapes, names, order, types or counts than the graph has."""
    path = resealed(swarm_folder / "policy.onnx", tmp_path / "c.onnx", **change)
    with pytest.raises(ContractError, match="the contract promises"):
        OnnxActor(path)


def test_a_graph_that_hides_its_shapes_is_caught_by_a_run(swarm_folder: Path, tmp_path: Path) -> None:
    """Declared (batch, 4), computed (batch, 8): found before the flight, and no buffer is overrun."""

    def widen(model: onnx.ModelProto) -> None:
        _rename_output(model, "action", "narrow")
        del model.graph.value_info[:]
        model.graph.initializer.append(numpy_helper.from_array(np.array([1, 2], np.int64), "twice"))
        model.graph.node.append(helper.make_node("Tile", ["narrow", "twice"], ["action"]))

    with pytest.raises(IntegrityError):
        OnnxActor(resealed(swarm_folder / "policy.onnx", tmp_path / "w.onnx", widen))


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.onnx", "none.onnx: no such file"), ("folder", "{place}/folder: a folder without policy.onnx")],
)
def test_a_missing_file_is_a_wrong_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    """Exit code 2, where it was looked for, and what would make one."""
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError) as caught:
        OnnxActor(name)
    assert str(caught.value) == f"{message.format(place=tmp_path.resolve())}; haltere export makes one"


def test_an_oversized_file_is_refused_unread(tmp_path: Path) -> None:
    """A sparse file of a terabyte costs nothing."""
    with (tmp_path / "huge.onnx").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(IntegrityError, match="a policy has at most"):
        OnnxActor(tmp_path / "huge.onnx")


def test_every_refusal_is_ours() -> None:
    """The command line prints these without a traceback."""
    assert issubclass(ObservationError, RequestError)
    assert issubclass(ContractError, IntegrityError)
    assert issubclass(NonFiniteError, HaltereError)
