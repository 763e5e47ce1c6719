"""Our kernels inside ONNX Runtime: the same numbers, really run, and every misuse is a sentence and not a crash."""

import ctypes
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from ctypes import CFUNCTYPE, c_char_p, c_int, c_uint32, c_void_p
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from haltere.configs.errors import HaltereError, IntegrityError, RequestError
from haltere.deploy.kernels import library as loader
from haltere.deploy.kernels.library import library, library_path, operators
from haltere.deploy.loading import resolve_actor
from haltere.deploy.runtime import OnnxActor, kernels
from haltere.deploy.runtime.kernels import kernel_bytes, kernel_calls, register_kernels

from .blocks import Blocks
from .hostile import resealed
from .kernel_oracles import (
    Array,
    Case,
    chunk_attention,
    denoiser_block,
    dense,
    glu_experts,
    steered_block,
    swarm,
    two_token,
)
from .ort_slots import places
from .toys import SWARM, ToyConfig, arrays, swarm_policy

CASES = [
    *(dense(name, 13, 7, 5) for name in ("Dense", "DenseTanh", "DenseGelu", "DenseSilu")),
    dense("Dense", 13, 7, 5, bias=False),
    two_token(16, 3),
    swarm(16, 2, 5),
    glu_experts((8, 12, 6), 4, 2, (3,), shared=False),
    chunk_attention(8, 2, 4, 3, 2, 3),
    chunk_attention(8, 2, 4, 3, 2, 3, mask="some"),
    denoiser_block((5, 2, 4), 12, 3),
    steered_block((5, 2, 4), 12, 3),
]


def model_of(case: Case, *, constant: bool = True) -> onnx.ModelProto:
    """One node with its weights as constants, or the first of them as an input, and without a function."""
    given = [f"in{index}" for index in range(len(case.inputs))]
    skipped = [""] * (len(operators()[case.name].inputs) - len(given))
    weights = [f"w{index}" for index in range(len(case.weights))]
    node_inputs = [*given, *skipped, *weights]
    outputs = [f"out{index}" for index in range(len(case.wanted))]
    node = helper.make_node(case.name, node_inputs, outputs, domain="haltere", **case.attributes)
    names = given if constant else [*given, weights[0]]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    tensors = [numpy_helper.from_array(array, name) for array, name in zip(case.weights, weights, strict=True)]
    graph = helper.make_graph([node], "g", inputs, results, tensors)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("haltere", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def session_of(model: onnx.ModelProto, **settings: object) -> onnxruntime.InferenceSession:
    """A session with the kernels, past our own checks."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    register_kernels(options, **settings)  # type: ignore[arg-type]
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(session: onnxruntime.InferenceSession, inputs: list[Array]) -> list[Array]:
    """All outputs."""
    return list(session.run(None, {f"in{index}": array for index, array in enumerate(inputs)}))


def test_every_place_in_onnx_runtimes_table_is_what_we_take_it_for() -> None:
    """On the pinned version each function is called at its place and says what it should.

    In a process of its own: a wrong place would crash it.
    """
    script = Path(__file__).with_name("ort_slots.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert set(done.stdout.split()) == set(places())
    assert library().haltere_ort_supports(onnxruntime.__version__.encode())


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{len(case.inputs)}-{len(case.weights)}")
def test_every_kernel_is_an_operator(case: Case) -> None:
    """Numbers of the oracle in double precision; the counter tells that a kernel ran; twice gives the same bits."""
    session = session_of(model_of(case))
    before = kernel_calls(case.name)
    got = run(session, case.inputs)
    assert kernel_calls(case.name) == before + 1
    for array, wanted in zip(got, case.wanted, strict=True):
        np.testing.assert_allclose(array, wanted, rtol=0, atol=2e-6)
    for array, again in zip(got, run(session, case.inputs), strict=True):
        np.testing.assert_array_equal(array, again)


def test_no_kernel_is_left_out() -> None:
    """A new kernel is tested here by adding one line."""
    assert {case.name for case in CASES} == set(operators())


@pytest.mark.parametrize("settings", [{"threads": 3}, {"precision": "fp32"}], ids=str)
def test_settings_change_no_bit_of_a_lane(settings: dict[str, object]) -> None:
    """Lanes are independent, whoever computes them, and whatever sessions there are beside."""
    case = swarm(16, 2, 257)
    plain = run(session_of(model_of(case)), case.inputs)
    for array, other in zip(plain, run(session_of(model_of(case), **settings), case.inputs), strict=True):
        np.testing.assert_array_equal(array, other)


def test_smaller_weights_are_used_where_they_are_asked_for() -> None:
    """Another precision gives other bits, and no wild ones."""
    case = glu_experts((64, 96, 64), 4, 2, (3,), shared=False)
    plain = run(session_of(model_of(case)), case.inputs)[0]
    for precision, bound in (("bf16", 0.05), ("int8", 0.05)):
        small = run(session_of(model_of(case), precision=precision), case.inputs)[0]
        assert 0.0 < np.abs(small - plain).max() < bound


def test_one_session_serves_many_threads() -> None:
    """Each gets the bits that it would get alone."""
    session = session_of(model_of(CASES[6]))
    inputs = [[np.float32(scale) * array for array in CASES[6].inputs] for scale in np.linspace(0.5, 2.0, 16)]
    alone = [run(session, each) for each in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for one, other in zip(alone, pool.map(lambda each: run(session, each), inputs), strict=True):
                np.testing.assert_array_equal(one[0], other[0])


def spoiled(kind: str) -> onnx.ModelProto:
    """A model with one thing wrong."""
    case = swarm(16, 2, 3)
    if kind == "not constant":
        return model_of(case, constant=False)
    if kind == "shape":
        case.weights[6] = case.weights[6][:, :-1].copy()
    elif kind == "nan":
        case.weights[0][3, 2] = np.nan
    elif kind == "attribute":
        case = chunk_attention(8, 2, 4, 3, 2, 3)
        del case.attributes["heads"]
    model = model_of(case)
    if kind == "few":
        del model.graph.node[0].input[-2:]
    elif kind == "output":
        model.graph.node[0].output[1] = ""
        del model.graph.output[1]
    elif kind == "axes":
        model.graph.initializer[1].dims[:] = [1, 1, 1, 1, 1, 1, 16]
    elif kind == "double":
        model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.zeros(16), "w1"))
    return model


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("not constant", "SwarmPolicy: self_w must be a constant of the model"),
        ("shape", r"SwarmPolicy: query must be \(16, 16\), got \(16, 15\)"),
        ("nan", "SwarmPolicy: weight 0 holds NaN"),
        ("attribute", "ChunkAttention: attribute 'heads' is missing"),
        ("few", "input size 17 not in range"),
        ("axes", "self_b has 7 axes, more than 6"),
        ("double", r"Type 'tensor\(double\)' of input parameter \(w1\)"),
    ],
)
def test_a_model_that_a_kernel_cant_take_fails_at_load(kind: str, message: str) -> None:
    """Which operator, which array, what it must be."""
    with pytest.raises(Exception, match=message):
        session_of(spoiled(kind))


def test_wrong_inputs_fail_with_a_sentence() -> None:
    """Each time, and the session goes on working; an output without a name is no place to write to."""
    case = swarm(16, 2, 3)
    session = session_of(model_of(case))
    good = run(session, case.inputs)
    none = [(0, 19), (0, 2, 6), (0, 9)]
    for shapes in ([(3, 18), (3, 2, 6), (3, 9)], [(3, 19), (2, 2, 6), (3, 9)], [(3, 19)] * 3, none):
        with pytest.raises(Exception, match="SwarmPolicy: "):
            run(session, [np.zeros(shape, np.float32) for shape in shapes])
    with pytest.raises(Exception, match="axes, more than 6"):
        run(session, [np.zeros((1,) * 7, np.float32)] * 3)
    for array, again in zip(good, run(session, case.inputs), strict=True):
        np.testing.assert_array_equal(array, again)
    with pytest.raises(Exception, match=r"every output must have a name|[Oo]utput"):
        run(session_of(spoiled("output")), case.inputs)


@pytest.mark.parametrize("batch", [1, 3, 17, 257])
def test_one_file_flies_stock_and_fast(swarm_folder: Path, batch: int) -> None:
    """The very file, with the kernels and without: close to each other, and the counter tells them apart."""
    obs = arrays(swarm_policy(), batch, seed=batch)
    before = kernel_calls("SwarmPolicy")
    stock = OnnxActor(swarm_folder).act(obs)
    assert kernel_calls("SwarmPolicy") == before
    fast = OnnxActor(swarm_folder, fused=True, threads=2)
    tried = kernel_calls("SwarmPolicy")
    assert tried == before + 1
    got = fast.act(obs)
    assert kernel_calls("SwarmPolicy") == tried + 1
    for key, array in stock.items():
        np.testing.assert_allclose(got[key], array, rtol=0, atol=1e-6)


def test_a_weight_that_was_changed_is_packed_anew() -> None:
    """One that lies where it lay, while a session still holds what was packed of it; three signs once hid it."""
    case = dense("Dense", 16, 16, 3, bias=False)
    weight = onnxruntime.OrtValue.ortvalue_from_numpy(case.weights[0].copy())
    floats = ctypes.cast(weight.data_ptr(), ctypes.POINTER(ctypes.c_float))
    there = np.ctypeslib.as_array(floats, case.weights[0].shape)

    def opened() -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.add_initializer("w0", weight)
        register_kernels(options)
        return onnxruntime.InferenceSession(model_of(case).SerializeToString(), options)

    first, before = opened(), kernel_bytes()
    second = opened()
    assert kernel_bytes() == before  # the same weight at the same place: shared
    there.reshape(-1)[1:4] *= -1
    third = opened()
    assert kernel_bytes() > before
    (changed,) = run(third, case.inputs)
    np.testing.assert_allclose(changed, case.inputs[0] @ there.T, atol=1e-5)
    for session in (first, second):
        np.testing.assert_allclose(run(session, case.inputs)[0], case.wanted[0], atol=1e-5)
    assert np.abs(changed - case.wanted[0]).max() > 0.01


def test_blocks_of_several_sizes_run_their_kernels(blocks: Path) -> None:
    """Those with a kernel run it, with or without an overload; the one without runs its function."""
    obs = arrays(Blocks(ToyConfig()), 3, seed=1)
    stock, fast = OnnxActor(blocks), OnnxActor(blocks, fused=True)
    for _ in range(4):
        before = kernel_calls("Dense")
        got = fast.act(obs)["action"]
        assert kernel_calls("Dense") == before + 3
        np.testing.assert_allclose(got, stock.act(obs)["action"], rtol=0, atol=1e-6)


def test_the_command_line_has_a_name_for_it(swarm_folder: Path) -> None:
    """``--runtime fused``."""
    actor = resolve_actor(str(swarm_folder), task="toy", signature=SWARM, runtime="fused")
    before = kernel_calls()
    actor.act(arrays(swarm_policy(), 2, seed=1))
    assert kernel_calls() == before + 1
    with pytest.raises(RequestError, match=r"no runtime named 'fusde'; did you mean 'fused'\?"):
        resolve_actor("random", task="toy", signature=SWARM, runtime="fusde")


def test_a_file_without_our_operators_isnt_called_fused(recurrent_file: Path, blocks: Path, tmp_path: Path) -> None:
    """Neither one with none, nor one whose only operator has no kernel here."""
    with pytest.raises(RequestError, match=r"toy\.onnx: holds no fused operator, so no kernel would run"):
        OnnxActor(recurrent_file, fused=True)

    def rename(model: onnx.ModelProto) -> None:
        for thing in (*model.graph.node, *model.functions):
            if thing.domain == "haltere" and isinstance(thing, onnx.NodeProto):
                thing.op_type = f"My{thing.op_type}"
            elif thing.domain == "haltere":
                thing.name = f"My{thing.name}"

    renamed = resealed(blocks, tmp_path / "mine.onnx", rename)
    OnnxActor(renamed)
    with pytest.raises(RequestError, match="holds only MyDense, MyMix, which no kernel computes"):
        OnnxActor(renamed, fused=True)


def damaged(kind: str, path: Path) -> Path:
    """A library that isn't one."""
    data = bytearray(library_path().read_bytes())
    if kind == "other processor":
        data[18:20] = (183 if data[18] == 62 else 62).to_bytes(2, "little")
    elif kind == "32 bits":
        data[4] = 1
    elif kind == "text":
        data = bytearray(b"not a library\n" * 100)
    elif kind == "empty":
        data = bytearray()
    elif kind.startswith("cut"):
        data = data[: int(float(kind[4:]) * len(data))]
    if kind != "missing":
        path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "No such file or directory; expected haltere's kernel library"),
        ("other processor", "is for aarch64, and this is x86-64|is for x86-64, and this is aarch64"),
        ("32 bits", "is for a processor of 32 bits or the other byte order"),
        ("text", "isn't a shared library"),
        ("empty", "isn't a shared library"),
        *((f"cut {part}", "is cut off|isn't a shared library") for part in (0.0001, 0.001, 0.1, 0.5, 0.9, 0.9999)),
    ],
)
def test_a_library_that_isnt_one_is_refused_unloaded(
    swarm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, message: str
) -> None:
    """The system's loader would kill the process at a file that is cut off."""
    path = damaged(kind, tmp_path / "libhaltere_kernels.so")
    monkeypatch.setattr(loader, "library_path", lambda: path)
    for loaded in (loader.library, loader.operators, kernels._native):  # as in a process that hasn't loaded any
        loaded.cache_clear()
    with pytest.raises(HaltereError, match=message) as caught:
        OnnxActor(swarm_folder, fused=True)
    assert str(path) in str(caught.value)
    OnnxActor(swarm_folder)


def test_an_unknown_onnx_runtime_is_refused_before_it_is_touched(
    swarm_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Python by its version, with what to do."""
    monkeypatch.setattr(onnxruntime, "__version__", "2.0.0")
    with pytest.raises(HaltereError, match=r"don't know ONNX Runtime 2\.0\.0; install the version that haltere needs"):
        OnnxActor(swarm_folder, fused=True)


GET_API, GET_VERSION = CFUNCTYPE(c_void_p, c_uint32), CFUNCTYPE(c_void_p)
CREATE_STATUS = CFUNCTYPE(c_void_p, c_int, c_char_p)


class Base(ctypes.Structure):
    """``OrtApiBase``."""

    _fields_ = (("api", GET_API), ("version", GET_VERSION))


@pytest.mark.parametrize("version", [b"1.31.2", b"9.9.9", b"", b"1.31.1-dev"])
def test_an_unknown_onnx_runtime_gets_a_status(version: bytes) -> None:
    """From C++: one function is called, the first of the first version's table; all others here would crash."""
    said: list[bytes] = []
    text = ctypes.create_string_buffer(version)
    create = CREATE_STATUS(lambda code, message: said.append(message) or 77)
    table = (c_void_p * 400)(ctypes.cast(create, c_void_p).value)
    asked: list[int] = []
    base = Base(
        GET_API(lambda number: asked.append(number) or ctypes.addressof(table)),
        GET_VERSION(lambda: ctypes.addressof(text)),
    )
    register = library().RegisterCustomOps
    register.restype, register.argtypes = c_void_p, [c_void_p, c_void_p]
    assert register(None, ctypes.addressof(base)) == 77
    assert asked == [1]
    assert said[0].decode() == f"haltere's operators know ONNX Runtime 1.31.1, and this is {version.decode()}"
    nothing = Base(GET_API(lambda number: None), GET_VERSION(lambda: ctypes.addressof(text)))
    assert register(None, ctypes.addressof(nothing)) is None


@pytest.mark.parametrize("threads", [0, -1, 100_000])
def test_impossible_settings_are_named(swarm_folder: Path, threads: int) -> None:
    """What is possible, what was got."""
    options = onnxruntime.SessionOptions()
    message = f"haltere.threads must be from 1 to 256, got '{threads}'"
    with pytest.raises(HaltereError, match=re.escape(message)):
        register_kernels(options, threads=threads)
    with pytest.raises(HaltereError, match=r"haltere\.precision must be fp32, bf16 or int8, got 'fp8'"):
        register_kernels(options, precision="fp8")  # type: ignore[arg-type]


def test_a_kernel_that_refuses_makes_the_file_unfit(swarm_folder: Path, tmp_path: Path) -> None:
    """Sealed and whole, but with a weight that no kernel takes: stock ONNX Runtime decides for itself."""

    def spoil(model: onnx.ModelProto) -> None:
        tensor = next(each for each in model.graph.initializer if each.name == "SwarmPolicy.query")
        tensor.CopyFrom(numpy_helper.from_array(np.full((10, 10), np.inf, np.float32), tensor.name))

    path = resealed(swarm_folder / "policy.onnx", tmp_path / "spoiled.onnx", spoil)
    with pytest.raises(IntegrityError, match=r"spoiled\.onnx: ONNX Runtime can't load it: .* holds NaN or infinity"):
        OnnxActor(path, fused=True)
