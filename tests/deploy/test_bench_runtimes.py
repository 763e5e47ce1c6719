"""Each runtime of the bench computes the policy, by the way that it says, or says why it can't."""

import importlib.util
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from haltere.configs.errors import HaltereError
from haltere.deploy.bench import BenchReport, bench, kernel_rows, openvino_rows, ort_c, ort_rows
from haltere.deploy.bench.contender import Contender, Setup, Unavailable
from haltere.deploy.bench.measure import INPUTS, setup_of
from haltere.deploy.bench.native import Buffers
from haltere.deploy.bench.openvino_c import Library, RefusedError
from haltere.deploy.fused import recorded
from haltere.deploy.parity import difference, torch_model
from haltere.deploy.tracing import trace
from haltere.policies.base import Signature
from haltere.policies.memory.config import MemoryConfig
from haltere.policies.registry import build_policy
from haltere.policies.swarm.config import SwarmConfig

from .toys import FACTS, SWARM, Remembering, ToyConfig, swarm_policy

needs_openvino = pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino isn't installed")


@pytest.fixture(scope="module")
def setup(swarm_folder: Path) -> Setup:
    """The smallest swarm policy, which is one fused operator."""
    return setup_of(swarm_policy(), FACTS, swarm_folder / "policy.onnx")


@pytest.fixture(scope="module")
def recurrent(recurrent_file: Path) -> Setup:
    """A policy with state and without any fused operator."""
    return setup_of(Remembering(ToyConfig(start=0.25)), FACTS, recurrent_file)


def error_of(contender: Contender, setup: Setup) -> float:
    """Largest error on any input."""
    right = torch_model(setup.policy)
    return max(difference(right(inputs), contender.outputs(index)) for index, inputs in enumerate(setup.inputs))


def test_each_input_is_answered_by_its_own_output(setup: Setup) -> None:
    """In any order: nothing is left over from the call before."""
    contender = ort_rows.ort_io_binding(setup)
    right = torch_model(setup.policy)
    for index in (5, 0, INPUTS - 1, 5):
        assert difference(right(setup.inputs[index]), contender.outputs(index)) <= 1e-6


@pytest.mark.parametrize("which", ["setup", "recurrent"])
def test_onnx_runtime_from_c_is_the_one_from_python(which: str, request: pytest.FixtureRequest) -> None:
    """State of two types included."""
    given: Setup = request.getfixturevalue(which)
    native, python = ort_rows.ort_io_binding(given), ort_rows.ort_io_binding_python(given)
    assert native.native is not None and python.native is None
    assert native.note == ""
    for index in range(INPUTS):
        assert difference(python.outputs(index), native.outputs(index)) <= 1e-6


def test_the_places_in_the_table_are_those_of_the_pinned_version() -> None:
    """They were tried with one version, and that is the one that is installed and asked for."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert f"onnxruntime=={ort_c.KNOWN_VERSION}" in project["project"]["dependencies"]
    assert onnxruntime.__version__ == ort_c.KNOWN_VERSION


def test_another_onnx_runtime_is_called_from_python(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its table isn't touched: a wrong place in it would be a crash."""
    folder = Path(onnxruntime.__file__).parent / "capi"
    with pytest.raises(Unavailable, match=r"ONNX Runtime is 1\.99\.0, and its C API is known of"):
        ort_c.Api("1.99.0", folder)
    monkeypatch.setattr(ort_c, "api", lambda: ort_c.Api("1.99.0", folder))
    contender = ort_rows.ort_io_binding(setup)
    assert contender.native is None
    assert contender.note.startswith("timed from Python: ONNX Runtime is 1.99.0")
    assert error_of(contender, setup) <= 1e-6


def test_an_onnx_runtime_without_a_c_library_is_a_sentence(tmp_path: Path) -> None:
    """Other builds have it elsewhere, or not at all."""
    with pytest.raises(Unavailable, match="this build of ONNX Runtime has no C API"):
        ort_c.Api(ort_c.KNOWN_VERSION, tmp_path)


def test_what_onnx_runtime_refuses_is_said_in_its_words(setup: Setup) -> None:
    """Neither a crash nor silence."""
    with pytest.raises(Unavailable, match=r"ONNX Runtime's C API: .*(protobuf|model)"):
        ort_c.Session(b"not a model", Buffers.of(setup.contract))


def test_quantised_weights_are_small() -> None:
    """Weights mustn't hide from the quantiser: those of a wide network shrink to nearly a quarter."""
    policy = build_policy(SwarmConfig(width=256), SWARM, seed=0).eval()
    obs = policy.random_obs(2, torch.Generator().manual_seed(0))
    with torch.no_grad(), recorded() as heard:
        out, _ = policy(obs, {})
    model = trace(policy, obs, {}, out, heard).SerializeToString()
    assert len(ort_rows.quantised(model)) < 0.35 * len(model)


def test_the_kernels_compute_the_policy(setup: Setup) -> None:
    """The same file, the same weights: from C, from Python and within ONNX Runtime."""
    for build in (kernel_rows.fused_fp32, kernel_rows.fused_python, ort_rows.ort_fused):
        assert error_of(build(setup), setup) <= 1e-6
    for build in (kernel_rows.fused_bf16, kernel_rows.fused_int8):
        assert error_of(build(setup), setup) <= 0.02


def test_the_kernels_rows_run_the_kernels(setup: Setup) -> None:
    """A row that quietly ran something else would be right, and its latency a lie."""
    from haltere.deploy.runtime.kernels import kernel_calls

    stock, fused = ort_rows.ort_io_binding(setup), ort_rows.ort_fused(setup)
    before = kernel_calls("SwarmPolicy")
    stock.step(0)
    assert kernel_calls("SwarmPolicy") == before
    fused.step(0)
    assert kernel_calls("SwarmPolicy") == before + 1
    assert fused.native is not None


@pytest.fixture(scope="module")
def fused_report(swarm_folder: Path) -> BenchReport:
    """The kernels' rows as the bench prints them."""
    names = ("ort_io_binding", "ort_fused", "fused_python", "fused_fp32", "fused_bf16", "fused_int8")
    return bench(swarm_policy(), task="toy", facts=FACTS, exported=swarm_folder / "policy.onnx", calls=100, names=names)


def test_the_kernels_allocate_nothing(fused_report: BenchReport) -> None:
    """And ONNX Runtime, counted the same way in the same process, does."""
    mallocs = {name: timing.mallocs for name, timing in fused_report.runtimes.items()}
    assert [mallocs[f"fused_{name}"] for name in ("fp32", "bf16", "int8", "python")] == [0.0] * 4
    assert 0.0 < mallocs["ort_fused"] < mallocs["ort_io_binding"]


def test_the_kernels_stand_under_the_roofline(fused_report: BenchReport) -> None:
    """What they read is what they say that they read, and nobody is faster than the processor."""
    assert fused_report.roofline is not None
    limits = fused_report.roofline.runtimes
    assert set(limits) == {"ort_io_binding", "fused_fp32", "fused_bf16", "fused_int8"}
    assert all(0.0 < limit.share < 1.0 for limit in limits.values())
    assert limits["fused_bf16"].compute_us is None and limits["fused_fp32"].compute_us is not None
    shown = {line.split()[0]: line for line in fused_report.as_text().splitlines() if "of the roof" in line}
    unknown = [name for name, line in shown.items() if "(arithmetic peak not measured); took" in line]
    assert sorted(unknown) == ["fused_bf16", "fused_int8"] and len(shown) == 4


def test_a_kernel_whose_operations_arent_counted_says_so(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that is missing under the roofline has a reason."""
    assert not kernel_rows.fused_fp32(setup).note
    monkeypatch.setattr(kernel_rows, "FLOPS", {})
    contender = kernel_rows.fused_fp32(setup)
    assert contender.work is None
    assert contender.note == "operations of SwarmPolicy aren't counted: not under the roof"


def test_a_policy_that_isnt_one_operator_has_no_kernel_of_its_own(recurrent: Setup) -> None:
    """Said in one sentence; the bench goes on with the others."""
    with pytest.raises(Unavailable, match="needs a policy that is one fused operator; this one is"):
        kernel_rows.fused_fp32(recurrent)
    with pytest.raises(Unavailable, match="no fused operator"):
        ort_rows.ort_fused(recurrent)


def test_a_missing_kernel_library_is_a_reason(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the end of the bench."""

    def missing() -> None:
        raise HaltereError("libhaltere_kernels.so is missing")

    monkeypatch.setattr(kernel_rows.kernels, "operators", missing)
    with pytest.raises(Unavailable, match="is missing"):
        kernel_rows.fused_fp32(setup)


def test_the_flat_copy_is_the_same_network_without_functions(setup: Setup) -> None:
    """OpenVINO knows no local functions, and is faster where it needn't ask for the number of lanes."""
    model = onnx.load_model_from_string(openvino_rows.flat(setup.model))
    assert not model.functions
    assert {dim.dim_value for value in model.graph.input for dim in value.type.tensor_type.shape.dim[:1]} == {1}
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [node.name for node in session.get_outputs()]
    answer = dict(zip(names, session.run(names, setup.inputs[3]), strict=True))
    assert difference(torch_model(setup.policy)(setup.inputs[3]), answer) <= 1e-6


def test_an_openvino_that_isnt_there_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no dependency of ours."""
    find = openvino_rows._library.__wrapped__
    monkeypatch.setattr(openvino_rows, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="needs the package openvino"):
        find()
    folders = [str(tmp_path)]
    spec = importlib.util.spec_from_file_location("x", tmp_path / "__init__.py", submodule_search_locations=folders)
    monkeypatch.setattr(openvino_rows, "find_spec", lambda name: spec)
    with pytest.raises(Unavailable, match="has no C library"):
        find()
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "libopenvino_c.so.1").write_bytes(b"no library")
    with pytest.raises(Unavailable, match="OpenVINO can't be loaded"):
        find()


CRASH = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"


def rehearsal(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Have this done in place of OpenVINO's work, whether it is installed or not."""
    monkeypatch.setattr(openvino_rows, "_library", lambda: SimpleNamespace(path=Path("libopenvino_c.so")))
    monkeypatch.setattr(openvino_rows, "_REHEARSAL", (sys.executable, "-I", "-c", program))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (CRASH, r"^OpenVINO crashes while it compiles this graph \(signal SIGSEGV\)$"),
        (f"print('compiled', flush=True); {CRASH}", r"crashes while it runs this graph \(signal SIGSEGV\)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 1)", r"compiles this graph \(signal \d+\)"),
        ("import time; time.sleep(60)", r"hasn't compiled and run this graph once in \d+ s"),
        ("import sys; sys.exit('first\\nOpenVINO refuses it: no')", "^OpenVINO refuses it: no$"),
        ("import sys; sys.exit(3)", "OpenVINO fails on this graph with exit code 3"),
    ],
)
def test_what_openvino_does_not_live_through_is_a_reason(
    program: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash, a hang or a refusal in another process; this one doesn't try it then."""
    rehearsal(monkeypatch, program)
    if "sleep" in program:
        monkeypatch.setattr(openvino_rows, "_TIMEOUT_S", 0.3)
    with pytest.raises(Unavailable, match=message):
        openvino_rows._compiled(b"", "f32")


def test_the_rehearsal_is_of_the_same_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Library, file and precision are what this process would compile."""
    program = "import sys; sys.exit(' '.join([sys.argv[1], open(sys.argv[2]).read(), sys.argv[3]]))"
    rehearsal(monkeypatch, program)
    with pytest.raises(Unavailable, match=r"^libopenvino_c\.so the model bf16$"):
        openvino_rows._compiled(b"the model", "bf16")


def test_a_refusal_at_any_time_is_a_reason(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only where the model is compiled."""

    def refuse() -> list[str]:
        raise RefusedError("OpenVINO refuses it with error -17: no CPU")

    monkeypatch.setattr(openvino_rows, "_library", lambda: SimpleNamespace(cpu_capabilities=refuse))
    with pytest.raises(Unavailable, match=r"^OpenVINO refuses it with error -17: no CPU$"):
        openvino_rows.openvino_bf16(setup)


def test_the_bench_goes_on_where_openvino_crashes(swarm_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row is missing, and why is said."""
    rehearsal(monkeypatch, CRASH)
    names, file = ("openvino_f32", "ort"), swarm_folder / "policy.onnx"
    report = bench(swarm_policy(), task="toy", facts=FACTS, exported=file, calls=20, names=names)
    assert list(report.runtimes) == ["ort"]
    assert report.skipped["openvino_f32"] == "OpenVINO crashes while it compiles this graph (signal SIGSEGV)"
    assert "openvino_f32: OpenVINO crashes while" in report.as_text()


@needs_openvino
@pytest.mark.parametrize("row", [openvino_rows.openvino_f32, openvino_rows.openvino_bf16])
def test_plain_attention_is_timed_or_known_to_crash(row: Callable[[Setup], Contender]) -> None:
    """OpenVINO 2026.4 dies of this graph in float32; whatever yours does, this process is still there to say so."""
    config = MemoryConfig(memory="attention", width=64, heads=4, layers=1, span=1024)
    given = setup_of(build_policy(config, Signature({"x": (5,)}, 3), seed=1), FACTS, None, 3)
    try:
        contender = row(given)
    except Unavailable as error:
        assert "crashes while it" in str(error) or "no bfloat16" in str(error)
    else:
        assert error_of(contender, given) <= 0.05


@needs_openvino
@pytest.mark.parametrize("which", ["setup", "recurrent"])
def test_openvino_computes_the_policy(which: str, request: pytest.FixtureRequest) -> None:
    """In float32, called from C; on a processor with bfloat16, roughly in that too."""
    given: Setup = request.getfixturevalue(which)
    contender = openvino_rows.openvino_f32(given)
    assert contender.native is not None
    assert error_of(contender, given) <= 1e-5
    if "BF16" in openvino_rows._library().cpu_capabilities():
        assert 1e-5 < error_of(openvino_rows.openvino_bf16(given), given) < 0.05


@needs_openvino
def test_openvino_without_bfloat16_is_skipped(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Emulating it would time something that nobody runs."""
    monkeypatch.setattr(Library, "cpu_capabilities", lambda self: ["FP32"])
    with pytest.raises(Unavailable, match="no bfloat16"):
        openvino_rows.openvino_bf16(setup)


@needs_openvino
def test_what_openvino_refuses_is_said_in_its_words() -> None:
    """A model that it can't read."""
    with pytest.raises(Unavailable, match="OpenVINO refuses it with error"):
        openvino_rows._compiled(b"not a model", "f32")


def test_outputs_are_the_callers_own(setup: Setup) -> None:
    """The next call mustn't change what the last one gave."""
    for build in (ort_rows.ort_io_binding, kernel_rows.fused_fp32, kernel_rows.fused_python):
        contender = build(setup)
        first = contender.outputs(0)
        kept = {name: array.copy() for name, array in first.items()}
        contender.outputs(1)
        assert all(np.array_equal(first[name], kept[name]) for name in kept)
