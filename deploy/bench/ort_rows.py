"""ONNX Runtime: as most people call it, as the flying actor does, from C, in 8 bits, and with our kernels in it."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from haltere.configs.errors import HaltereError
from haltere.deploy.bench.contender import Contender, Setup, Unavailable, native_contender, quiet
from haltere.deploy.bench.native import Buffers, Program, address, library
from haltere.deploy.bench.ort_c import Session
from haltere.deploy.bench.roofline import Work, work_as_trained
from haltere.deploy.kernels.library import library_path
from haltere.deploy.parity import Arrays
from haltere.deploy.runtime.kernels import check_has_kernel
from haltere.deploy.runtime.session import BoundModel, open_session


def load(setup: Setup) -> None:
    """Have the library of the C API loaded and run once, as that of Python's has been by the export."""
    try:
        Session(setup.model, Buffers.of(setup.contract))
    except Unavailable:
        return  # the rows that need it say why


def ort(setup: Setup) -> Contender:
    """``session.run`` as most people call it: numpy arrays in, numpy arrays out."""
    session = open_session(setup.model)
    names = [node.name for node in session.get_outputs()]

    def step(index: int) -> Any:  # noqa: ANN401 (a list of arrays, but ONNX Runtime has no types)
        return session.run(names, setup.inputs[index])

    return Contender(step, lambda index: dict(zip(names, step(index), strict=True)))


def ort_io_binding_python(setup: Setup) -> Contender:
    """On memory that is bound once, called from Python as ``OnnxActor`` does."""
    return _bound(setup, open_session(setup.model))


def ort_io_binding(setup: Setup) -> Contender:
    """On memory that is bound once, called from C."""
    return _from_c(setup, setup.model, work=work_as_trained(setup.policy, setup.inputs[0]))


def ort_int8(setup: Setup) -> Contender:
    """A copy with dynamically quantised 8-bit weights, on memory that is bound once, called from C."""
    return _from_c(setup, quantised(setup.model))


def ort_fused(setup: Setup) -> Contender:
    """The same file with our kernels registered, on memory that is bound once, called from C."""
    try:
        check_has_kernel(setup.model)
        return _from_c(setup, setup.model, operators=library_path())
    except HaltereError as error:
        raise Unavailable(str(error)) from error


def _from_c(setup: Setup, model: bytes, *, operators: Path | None = None, work: Work | None = None) -> Contender:
    """From C, or from Python where the C API isn't known."""
    buffers = Buffers.of(setup.contract)
    try:
        opened = Session(model, buffers, operators)
    except Unavailable as error:
        session = open_session(model, fused=operators is not None)
        return _bound(setup, session, note=f"timed from Python: {error}", work=work)
    places = {name: array.ctypes.data for name, array in buffers.inputs.items()}
    run = address(library().haltere_bench_run_ort)
    return native_contender(Program(setup.inputs, places, run, opened.context, (opened, buffers)), buffers, work)


def _bound(
    setup: Setup, session: onnxruntime.InferenceSession, *, note: str = "", work: Work | None = None
) -> Contender:
    model = BoundModel(session, setup.contract, batch=1)
    pairs = [
        [(buffer, inputs[f"obs.{key}"]) for key, buffer in model.obs.items()]
        + [(buffer, inputs[name]) for name, buffer in model.state.items()]
        for inputs in setup.inputs
    ]

    def step(index: int) -> None:
        for buffer, array in pairs[index]:
            np.copyto(buffer, array)
        model.run()

    def outputs(index: int) -> Arrays:
        step(index)
        return {name: array.copy() for name, array in (model.outputs | model.following).items()}

    return Contender(step, outputs, work=work, note=note)


def quantised(model: bytes) -> bytes:
    """A copy with 8-bit weights.

    Constants are folded first, since weights hide from the quantiser behind a Transpose, and the shapes that are
    noted in the graph are dropped, since it would trust those of tensors that it changes.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as name, quiet():
        folded, small = Path(name) / "folded.onnx", Path(name) / "int8.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(folded)
        options.log_severity_level = 4
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        graph = onnx.load(folded)
        del graph.graph.value_info[:]
        onnx.save(graph, folded)
        quantize_dynamic(folded, small, weight_type=QuantType.QInt8)
        return small.read_bytes()
