"""Fewer bits: recorded evenly, rounded as the oracle rounds, measured, and kept only where the flight overlaps."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import nn

from haltere.agents.cli.eval import measure
from haltere.agents.recipe import resolve
from haltere.configs.errors import IntegrityError, RequestError
from haltere.deploy.export import export
from haltere.deploy.inspection import inspect
from haltere.deploy.loading import load_policy
from haltere.deploy.onnx_file import read_sealed
from haltere.deploy.parity import Arrays, split, torch_model
from haltere.deploy.quantise.acceptance import Fly, check_seeds, overlap, quantise, refused_below
from haltere.deploy.quantise.int8 import quantised
from haltere.deploy.quantise.recording import SEEDS, Recorder, record
from haltere.deploy.quantise.report import QuantReport, refusal
from haltere.deploy.runtime import OnnxActor
from haltere.deploy.runtime.files import check_accepted
from haltere.deploy.runtimes import Precision, Runtime
from haltere.deploy.store import write_folder
from haltere.deploy.zoo import zoo_folder
from haltere.policies.base import Obs, Output, Policy, Signature, State
from haltere.policies.registry import build_policy
from haltere.sims.evaluate import EvalReport
from haltere.sims.lanes import signature_shapes
from haltere.sims.statistics import Interval, wilson
from haltere.sims.task import FIRST_HELD_OUT_SEED

from .toys import FACTS, Remembering, ToyConfig, leftovers, swarm_policy

WIDTH = 32


class Deep(Policy[ToyConfig]):
    """Three layers, of which the one in the middle is worth rounding."""

    def __init__(self, config: ToyConfig) -> None:
        """Draw weights of its own, seeded."""
        super().__init__(config, Signature({"x": (20,)}, 2))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(3)
            self.first, self.middle, self.last = nn.Linear(20, WIDTH), nn.Linear(WIDTH, 24), nn.Linear(24, 2)

    def forward(self, obs: Obs, state: State) -> tuple[Output, State]:
        """A perceptron."""
        return {"action": self.last(self.middle(self.first(obs["x"]).tanh()).tanh()).tanh()}, {}


@pytest.fixture(scope="module")
def deep() -> bytes:
    """The same as a graph, with its weights behind a Transpose, as exporters leave them."""
    policy, x, nodes, tensors = Deep(ToyConfig()), "obs.x", [], []
    for name, out in (("first", "a"), ("middle", "b"), ("last", "action")):
        layer = getattr(policy, name)
        for part in ("weight", "bias"):
            tensors.append(numpy_helper.from_array(getattr(layer, part).detach().numpy(), f"{name}.{part}"))
        nodes += [
            helper.make_node("Transpose", [f"{name}.weight"], [f"{name}.turned"], perm=[1, 0]),
            helper.make_node("MatMul", [x, f"{name}.turned"], [f"{name}.product"]),
            helper.make_node("Add", [f"{name}.product", f"{name}.bias"], [f"{name}.sum"]),
            helper.make_node("Tanh", [f"{name}.sum"], [out]),
        ]
        x = out
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])]
        for name, size in (("obs.x", 20), ("action", 2))
    ]
    graph = helper.make_graph(nodes, "deep", *ends, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


def drawn(policy: Policy[Any], rows: int, seed: int = 0) -> Arrays:
    """Random observations in the place of recorded ones."""
    obs = policy.random_obs(rows, torch.Generator().manual_seed(seed))
    return {f"obs.{name}": tensor.numpy() for name, tensor in obs.items()}


# ---- acceptance -----------------------------------------------------------------------------------------------------

ends = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted)


@given(first=ends, second=ends)
def test_intervals_overlap_where_they_share_a_number(first: list[int], second: list[int]) -> None:
    """Against the plain meaning of it, number by number; in both orders."""
    share = bool(set(range(first[0], first[1] + 1)) & set(range(second[0], second[1] + 1)))
    one, other = (Interval(low, low / 60, high / 60) for low, high in (first, second))
    assert overlap(one, other) is overlap(other, one) is share


@given(successes=st.integers(0, 50), episodes=st.integers(1, 50))
def test_the_report_tells_what_would_have_been_refused(successes: int, episodes: int) -> None:
    """Below the figure nothing overlaps, at it and above it everything does."""
    reference = wilson(np.arange(episodes) < min(successes, episodes))
    least = refused_below(reference, episodes)
    assert 0.0 <= least <= reference.mean
    assert overlap(wilson(np.full(episodes, least)), reference)
    if least > 1e-3:
        assert not overlap(wilson(np.full(episodes, least - 1e-3)), reference)


def test_nothing_is_judged_on_what_it_was_calibrated_on() -> None:
    """The recorded seeds belong to the training's, and a flight on one of them is refused."""
    assert max(SEEDS) < FIRST_HELD_OUT_SEED
    check_seeds(range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + 100))
    with pytest.raises(RequestError, match=r"--seed: episode 899990 is among those .*899984 to 899999"):
        check_seeds(range(899_990, 900_010))


# ---- recording ------------------------------------------------------------------------------------------------------


def test_every_step_is_as_likely_to_be_kept() -> None:
    """Rows are steps that were made, none twice, from all of the flight; what stands beside them is theirs."""
    recorder = Recorder(Deep(ToyConfig()), 300)
    steps, lanes = 200, 50
    for step in range(steps):
        numbers = np.arange(step * lanes, (step + 1) * lanes, dtype=np.float32)
        recorder.act({"x": np.repeat(numbers[:, None], 20, axis=1)})
    rows = recorder.rows()["obs.x"]
    assert rows.shape == (300, 20) and (rows == rows[:, :1]).all()
    kept = np.unique(rows[:, 0])
    assert len(kept) == 300 and kept.max() < steps * lanes
    counts, _ = np.histogram(kept, bins=4, range=(0, steps * lanes))
    assert (np.abs(counts - 75) < 30).all()  # four standard deviations
    assert (np.diff(rows[:, 0]) < 0).mean() > 0.3  # in no order, so that any part of it is as good


def test_the_state_is_recorded_with_the_observation() -> None:
    """As it was before the step; a lane that forgets starts again."""
    recorder = Recorder(Remembering(ToyConfig()), 1000)
    for step in range(6):
        if step == 4:
            recorder.reset(np.array([True, False]))
        obs = {"x": np.full((2, 3), step, np.float32), "unused": np.zeros((2, 2), np.float32)}
        recorder.act(obs)
    rows = recorder.rows()
    pairs = sorted(zip(rows["obs.x"][:, 0].tolist(), rows["state.count"].tolist(), strict=True))
    assert pairs == sorted([(s, s) for s in range(4)] * 2 + [(4, 0), (5, 1), (4, 4), (5, 5)])
    assert rows["state.memory"].shape == (12, 8) and np.unique(rows["state.memory"], axis=0).shape[0] > 6


# ---- 8 bits ---------------------------------------------------------------------------------------------------------


def rounded_by_hand(policy: Deep, x: NDArray[Any], ranges: NDArray[Any]) -> NDArray[np.float64]:
    """The same network with its middle layer in 8 bits, by the definition, in float64."""
    first, middle, last = (
        (layer.weight.detach().numpy().astype(np.float64), layer.bias.detach().numpy())
        for layer in (policy.first, policy.middle, policy.last)
    )
    seen = np.tanh(ranges @ first[0].T + first[1])
    low, high = min(seen.min(), 0.0), max(seen.max(), 0.0)
    step = (high - low) / 255.0
    zero = np.round(-low / step)
    hidden = np.tanh(x @ first[0].T + first[1])
    hidden = (np.clip(np.round(hidden / step) + zero, 0, 255) - zero) * step
    scale = np.abs(middle[0]).max(axis=1, keepdims=True) / 64.0
    weight = np.round(middle[0] / scale) * scale
    hidden = np.tanh(hidden @ weight.T + middle[1])
    return np.tanh(hidden @ last[0].T + last[1])


def test_the_middle_is_rounded_as_by_hand(deep: bytes) -> None:
    """7-bit weights by output, 8-bit inputs over what was recorded; the first and last layers as they were."""
    policy = Deep(ToyConfig())
    ranges, inputs = drawn(policy, 500), drawn(policy, 400, seed=9)
    made = quantised(deep, ranges)
    assert (made.matrices, made.of) == (1, 3)
    wanted = rounded_by_hand(policy, inputs["obs.x"].astype(np.float64), ranges["obs.x"].astype(np.float64))
    exact = torch_model(policy)(inputs)["action"]
    evaluator = ReferenceEvaluator(onnx.load_model_from_string(made.model))
    for got in (evaluator.run(["action"], inputs)[0], run(made.model, inputs)):
        error = np.abs(np.asarray(got) - wanted)
        # A number in the middle between two steps may go either way; one step of one input is worth about this much.
        assert np.quantile(error, 0.9) < 1e-5 and error.max() < 1e-3
        assert np.abs(got - exact).max() > 10 * np.quantile(error, 0.9)


def run(model: bytes, inputs: Arrays) -> NDArray[Any]:
    """Its action on ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["action"], inputs)[0])


def test_a_wrong_range_shows(deep: bytes) -> None:
    """Calibrated on a thousandth of what is met, everything saturates."""
    policy = Deep(ToyConfig())
    inputs = drawn(policy, 400, seed=9)
    exact = torch_model(policy)(inputs)["action"]
    good = np.abs(run(quantised(deep, drawn(policy, 500)).model, inputs) - exact).max()
    tiny = {name: array * 1e-3 for name, array in drawn(policy, 500).items()}
    bad = np.abs(run(quantised(deep, tiny).model, inputs) - exact).max()
    assert good < 0.01 and bad > 10 * good


def test_the_file_is_what_our_exporter_writes(deep: bytes) -> None:
    """Standard operators, tensors as bytes, no trace of the tools; and the same rows give the same file."""
    rows = drawn(Deep(ToyConfig()), 300)
    made = quantised(deep, rows)
    model = onnx.load_model_from_string(made.model)
    onnx.checker.check_model(model, full_check=True)
    assert not inspect(made.model).metadata and not model.functions
    assert {node.domain for node in model.graph.node} == {entry.domain for entry in model.opset_import} == {""}
    (weight,) = (t for t in model.graph.initializer if t.data_type == TensorProto.INT8 and len(t.dims) == 2)
    assert set(weight.dims) == {24, WIDTH} and np.abs(numpy_helper.to_array(weight)).max() == 64
    assert made.model == quantised(deep, rows).model
    assert len(made.model) < len(deep)


def test_small_networks_have_nothing_to_round(swarm_folder: Path) -> None:
    """And the sentence says why."""
    data, _ = read_sealed(swarm_folder / "policy.onnx")
    with pytest.raises(RequestError, match=r"none of its 10 matrices can be quantised: .* fewer than 16 rows"):
        quantised(data, drawn(swarm_policy(), 8))
    with pytest.raises(RequestError, match="nothing was recorded"):
        quantised(data, drawn(swarm_policy(), 0))


# ---- the whole of it ------------------------------------------------------------------------------------------------

Rates = Callable[[str], float]


def flights(rates: Rates, flown: list[str]) -> Fly:
    """A simulator that needs no time: forty episodes, of which a share succeeds."""

    def fly(runtime: Runtime, precision: Precision, path: Path) -> EvalReport:
        name = f"{runtime} {precision}"
        flown.append(name)
        OnnxActor(path, fused=runtime == "fused", precision=precision)  # what is flown can be loaded
        values = (np.arange(40) < 40 * rates(name)).astype(float)
        return EvalReport(
            *("toy", str(path), name, 40, 900_000, wilson(values), {}, 1.0, 40, "0" * 64, "0.1.0"),
            *(list(range(900_000, 900_040)), {"success": values.tolist()}),
        )

    return fly


def swarm_export(folder: Path) -> Policy[Any]:
    """The zoo's swarm policy, and its export in a folder."""
    shutil.copy(zoo_folder("swarm") / "policy.onnx", folder)
    return load_policy(zoo_folder("swarm"))


def flown_folder(folder: Path, rates: Rates, flown: list[str]) -> QuantReport:
    """A policy folder with what ``quantise`` made of it."""
    made: list[QuantReport] = []

    def fill(inside: Path) -> None:
        policy = swarm_export(inside)
        made.append(
            quantise(
                policy,
                inside,
                task="toy",
                precisions=("int8", "bf16"),
                rows=drawn(policy, 400),
                fly=flights(rates, flown),
                calls=100,
            )
        )

    write_folder(folder, fill)
    return made[0]


def test_what_flies_as_well_is_kept(tmp_path: Path) -> None:
    """The file with a contract of its own, the report beside it, and every figure in both."""
    flown: list[str] = []
    report = flown_folder(tmp_path / "p", lambda name: 0.9 if name == "onnx fp32" else 0.8, flown)
    assert flown == ["onnx fp32", "onnx int8", "fused int8", "fused bf16"] and not report.refused
    stored = json.loads((tmp_path / "p" / "quantised.json").read_text())
    assert stored == json.loads(json.dumps(report.as_dict()))
    rows = stored["variants"]
    assert list(rows) == ["onnx fp32", "fused fp32", "onnx int8", "fused int8", "fused bf16"]
    for name, row in rows.items():
        assert row["file_bytes"] == (tmp_path / "p" / row["file"]).stat().st_size
        assert 0.0 < row["median_us"] <= row["p99_us"] and row["kept"] is True
        assert (row["error"] < 1e-6) is name.endswith("fp32") and row["error"] < 0.1
    assert rows["onnx int8"]["weight_bytes"] < rows["onnx fp32"]["weight_bytes"]
    assert rows["fused int8"]["weight_bytes"] < rows["fused bf16"]["weight_bytes"] < rows["fused fp32"]["weight_bytes"]
    assert rows["fused bf16"]["difference"]["mean"] == pytest.approx(-0.1)
    assert stored["matrices"] == [5, 10] and stored["recorded"] == 300 and stored["recorded_seeds"] == [899984, 899999]
    contract, other = (OnnxActor(tmp_path / "p", precision=each).contract for each in ("int8", "fp32"))
    assert contract.weights == other.weights and contract.inputs == other.inputs
    assert 1e-4 < contract.parity.max_error == contract.parity.tolerance < 0.1
    for name in ("onnx int8", "fused bf16"):
        assert name in report.as_text()


def test_what_flies_worse_leaves_no_file(tmp_path: Path) -> None:
    """The others stay, and the report and the sentence have the figures."""
    report = flown_folder(tmp_path / "p", lambda name: 0.3 if "int8" in name else 0.9, [])
    assert leftovers(tmp_path / "p") == ["manifest.json", "policy.onnx", "quantised.json"]
    assert [variant.name for variant in report.refused] == ["onnx int8", "fused int8"]
    assert report.refused_below == pytest.approx(0.63, abs=0.02)
    assert refusal(report) == (
        "not kept: onnx int8 succeeds 0.300 (0.181 to 0.454), fused int8 succeeds 0.300 (0.181 to 0.454), which "
        "doesn't overlap the 0.900 (0.769 to 0.960) of onnx fp32 on the same 40 episodes"
    )
    verdicts = [line.split()[-1] for line in report.as_text().splitlines() if " B " in line]
    assert verdicts == ["-", "-", "refused", "refused", "kept"]
    with pytest.raises(RequestError, match=r"has no policy\.int8\.onnx; haltere export --int8 makes one"):
        OnnxActor(tmp_path / "p", precision="int8")
    with pytest.raises(RequestError, match="kernels in int8 flew worse than fp32"):
        check_accepted(tmp_path / "p", fused=True, precision="int8")
    check_accepted(tmp_path / "p" / "policy.onnx", fused=True, precision="bf16")


def test_a_flight_with_fewer_bits_needs_a_report(tmp_path: Path) -> None:
    """None, one that was changed, and one that doesn't know the variant; in fp32 nobody asks."""
    swarm_export(tmp_path)
    with pytest.raises(RequestError, match=r"hasn't flown with kernels in bf16; haltere export --bf16 tries that"):
        check_accepted(tmp_path, fused=True, precision="bf16")
    check_accepted(tmp_path, fused=True, precision="fp32")
    report = tmp_path / "p" / "quantised.json"
    for text, words in (('{"variants": {}}', "haven't been tried"), ("[]", "not what haltere export writes")):
        write_folder(report.parent, lambda folder, text=text: (folder / "quantised.json").write_text(text))
        with pytest.raises((RequestError, IntegrityError), match=words):
            check_accepted(report.parent, fused=True, precision="bf16")
    report.write_text('{"variants": {"fused bf16": {"kept": true}}}')
    with pytest.raises(IntegrityError, match="damaged"):
        check_accepted(report.parent, fused=True, precision="bf16")


def test_a_policy_with_state_is_rounded_too(tmp_path: Path) -> None:
    """Without an operator of ours there is only the stock file; bf16 has nobody to run it."""

    class Larger(Remembering):
        def __init__(self, config: ToyConfig) -> None:
            super().__init__(config)
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(5)
                self.cell, self.head = nn.GRUCell(3, 24), nn.Linear(24, 2)

        def initial_state(self, batch: int) -> State:
            return {"memory": torch.zeros(batch, 24), "count": torch.zeros(batch, dtype=torch.int64)}

    policy = Larger(ToyConfig()).eval()
    recorder = Recorder(policy, 400)
    generator = torch.Generator().manual_seed(1)
    for _ in range(100):
        recorder.act({name: tensor.numpy() for name, tensor in policy.random_obs(4, generator).items()})
    export(policy, tmp_path / "policy.onnx", facts=FACTS)
    arguments: dict[str, Any] = {"task": "toy", "rows": recorder.rows(), "calls": 100}
    report = quantise(policy, tmp_path, precisions=("int8",), fly=flights(lambda name: 0.5, []), **arguments)
    assert [variant.name for variant in report.variants] == ["onnx fp32", "onnx int8"]
    assert "holds no fused operator" in report.skipped["fused int8"]
    assert report.matrices is not None and 1 <= report.matrices[0] < report.matrices[1]
    actor = OnnxActor(tmp_path / "policy.int8.onnx")
    assert actor.contract.parity.recurrent_steps == 500 and 0.0 < actor.contract.parity.recurrent_error < 0.1
    with pytest.raises(RequestError, match="--bf16: fused bf16: holds no fused operator"):
        quantise(policy, tmp_path, precisions=("bf16",), fly=flights(lambda name: 0.5, []), **arguments)


@pytest.mark.parametrize(("sampler", "draws"), [("ddim", 1), ("ddpm", 2)])
def test_a_policy_that_plans_chunks_is_recorded_a_call_at_a_time(sampler: str, draws: int) -> None:
    """In its loop: each refinement of a plan with what it was given, as often as the others."""
    small = {"policy.sampler": sampler, "policy.width": 16, "policy.layers": 1, "policy.refinements": 4}
    recipe = resolve("manip-fork", small)
    env = recipe.make_env(1)
    policy = build_policy(recipe.policy, Signature(*signature_shapes(env)), seed=0).eval()
    rows = record(policy, lambda worlds: recipe.make_env(worlds), seeds=range(3))
    shapes = {name: array.shape[1:] for name, array in rows.items()}
    assert shapes == {"obs.state": (1, 12), "obs.noise": (draws, 16, 2), "state.chunk": (16, 2), "state.done": (1,)}
    calls, counts = np.unique(rows["state.done"], return_counts=True)
    assert calls.tolist() == [0.0, 1.0, 2.0, 3.0] and len(set(counts.tolist())) == 1
    begun = rows["state.done"][:, 0] == 0.0
    assert not rows["state.chunk"][begun].any() and rows["state.chunk"][~begun].all()
    with torch.no_grad():
        assert torch.isfinite(policy(*split(rows))[0]["chunk"]).all()


@pytest.mark.slow
def test_garbage_doesn_t_get_past_the_simulator(tmp_path: Path) -> None:
    """The trained swarm flies in 8 bits; calibrated on a thousandth of what it meets it flies worse, and isn't kept.

    Every activation of this network is bounded, so a wrong range costs it a quarter of its flights, and not all.
    """
    recipe = resolve("swarm")
    policy = load_policy(zoo_folder("swarm"))
    rows = record(policy, lambda worlds: recipe.make_env(worlds, threads=1), seeds=SEEDS[:4], rows=1000)
    seeds = range(900_000, 900_100)

    def fly(runtime: Runtime, precision: Precision, path: Path) -> EvalReport:
        return measure(recipe, actor=str(path), runtime=runtime, precision=precision, seeds=seeds, threads=1)

    kept = {}
    for name, factor in (("good", 1.0), ("garbage", 1e-3)):
        folder = tmp_path / name
        folder.mkdir()
        swarm_export(folder)
        scaled = {key: (array * factor).astype(np.float32) for key, array in rows.items()}
        quantise(policy, folder, task="swarm", precisions=("int8",), rows=scaled, fly=fly, calls=100)
        kept[name] = "policy.int8.onnx" in leftovers(folder)
    assert kept == {"good": True, "garbage": False}
