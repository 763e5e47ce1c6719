"""ONNX Runtime: as most people call it, as the flying actor does, from C, in 8 bits, and with our kernels in it."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from haltere.configs.errors import HaltereError
from haltere.deploy.bench.contender import Contender, Setup, Unavailable, native_contender, quiet
from haltere.deploy.bench.native import Buffers, address, library
from haltere.deploy.bench.ort_c import Session
from haltere.deploy.bench.roofline import Work, work_as_trained
from haltere.deploy.folding import folded
from haltere.deploy.kernels.library import library_path
from haltere.deploy.parity import Arrays
from haltere.deploy.rings import contract_for
from haltere.deploy.runtime.kernels import check_has_kernel
from haltere.deploy.runtime.session import BoundModel, open_session
from haltere.deploy.runtimes import Precision


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
    following = [(state.name, names.index(state.out_name)) for state in setup.contract.state]
    prepared = [dict(inputs) for inputs in setup.inputs]
    state = {name: setup.inputs[0][name] for name, _ in following}

    def step(index: int) -> None:
        inputs = prepared[index]
        inputs.update(state)
        given = session.run(names, inputs)
        for name, place in following:
            state[name] = given[place]

    return Contender(step, lambda index: dict(zip(names, session.run(names, setup.inputs[index]), strict=True)))


def ort_io_binding_python(setup: Setup) -> Contender:
    """On memory that is bound once, called from Python as ``OnnxActor`` does."""
    return _bound(setup, open_session(setup.model))


def ort_io_binding(setup: Setup) -> Contender:
    """On memory that is bound once, called from C."""
    return from_c(setup, setup.model, work=work_as_trained(setup.policy, setup.inputs[0]))


def ort_int8(setup: Setup) -> Contender:
    """A copy with dynamically quantised 8-bit weights, on memory that is bound once, called from C."""
    return from_c(setup, quantised(setup.model))


def ort_fused(setup: Setup) -> Contender:
    """The same file with our kernels registered, on memory that is bound once, called from C."""
    return with_kernels(setup, "fp32")


def with_kernels(setup: Setup, precision: Precision) -> Contender:
    """Our kernels in ONNX Runtime, with their large matrices in a precision, from C.

    Raises:
        Unavailable: there are none for this model, or not here.
    """
    try:
        check_has_kernel(setup.model)
        return from_c(setup, setup.model, operators=library_path(), precision=precision)
    except HaltereError as error:
        raise Unavailable(str(error)) from error


def from_c(
    setup: Setup,
    model: bytes,
    *,
    operators: Path | None = None,
    precision: Precision = "fp32",
    work: Work | None = None,
) -> Contender:
    """A model on memory that is bound once, called from C, or from Python where the C API isn't known.

    Args:
        setup: the contract and the inputs.
        model: the model itself, or another one of the same contract.
        operators: our kernels' library, to register it.
        precision: of those kernels' large matrices.
        work: what one call reads and computes at least.
    """
    if model is not setup.model:
        setup = replace(setup, contract=contract_for(setup.contract, model))
    buffers = Buffers.of(setup.contract)
    try:
        opened = Session(model, buffers, operators, precision)
    except Unavailable as error:
        session = open_session(model, fused=operators is not None, precision=precision)
        return _bound(setup, session, note=f"timed from Python: {error}", work=work)
    return native_contender(setup, buffers, address(library().haltere_bench_run_ort), opened.context, opened, work)


def _bound(
    setup: Setup, session: onnxruntime.InferenceSession, *, note: str = "", work: Work | None = None
) -> Contender:
    model = BoundModel(session, setup.contract, batch=1)
    places = {f"obs.{key}": buffer for key, buffer in model.obs.items()}
    pairs = [[(places[name], inputs[name]) for name in setup.moving] for inputs in setup.inputs]

    def begin(inputs: Arrays) -> None:
        for name, buffer in (places | model.state).items():
            np.copyto(buffer, inputs[name])

    def step(index: int) -> None:
        for buffer, array in pairs[index]:
            np.copyto(buffer, array)
        model.run()
        model.advance()

    def outputs(index: int) -> Arrays:
        begin(setup.inputs[index])
        model.run()
        return {name: array.copy() for name, array in (model.outputs | model.following).items()}

    begin(setup.inputs[0])
    return Contender(step, outputs, work=work, note=note)


def quantised(model: bytes) -> bytes:
    """A copy with 8-bit weights; what goes into them is rounded as it comes, so that nothing has to be calibrated."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as name, quiet():
        flat, small = Path(name) / "folded.onnx", Path(name) / "int8.onnx"
        onnx.save(folded(model), flat)
        quantize_dynamic(flat, small, weight_type=QuantType.QInt8)
        return small.read_bytes()
