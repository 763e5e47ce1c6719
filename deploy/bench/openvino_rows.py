"""OpenVINO, where it is installed, through its C API and on a copy that it understands."""

import ctypes
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from haltere.deploy.bench import openvino_c
from haltere.deploy.bench.contender import Contender, Setup, Unavailable
from haltere.deploy.bench.native import Program, address
from haltere.deploy.bench.openvino_c import Library, RefusedError, Request
from haltere.deploy.contract import Contract
from haltere.deploy.fused import inlined
from haltere.deploy.parity import Arrays

# By its path and isolated: a fresh interpreter that loads OpenVINO and nothing else, in a tenth of a second.
_REHEARSAL = (sys.executable, "-I", str(openvino_c.__file__))
_TIMEOUT_S = 300.0  # compiling takes a second or two; the machine may be busy


@contextmanager
def _in_its_words() -> Iterator[None]:
    """What OpenVINO refuses is a reason why there is no row."""
    try:
        yield
    except RefusedError as refusal:
        raise Unavailable(str(refusal)) from refusal


def openvino_f32(setup: Setup) -> Contender:
    """Computing in float32, as the others do."""
    with _in_its_words():
        return _contender(setup, "f32")


def openvino_bf16(setup: Setup) -> Contender:
    """Computing in bfloat16, as it does by itself where the processor can."""
    with _in_its_words():
        if "BF16" not in _library().cpu_capabilities():
            raise Unavailable("this processor has no bfloat16 arithmetic")
        return _contender(setup, "bf16")


def flat(model: bytes) -> bytes:
    """A copy that OpenVINO takes: for one lane, each local function in place of its call, no input that isn't read."""
    proto = inlined(onnx.load_model_from_string(model))
    del proto.graph.value_info[:]
    read = {name for node in proto.graph.node for name in node.input}
    inputs = [value for value in proto.graph.input if value.name in read]
    del proto.graph.input[:]
    proto.graph.input.extend(inputs)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    return bytes(proto.SerializeToString())


@cache
@_in_its_words()
def _library() -> Library:
    spec = find_spec("openvino")
    folders = [] if spec is None else [Path(place) / "libs" for place in spec.submodule_search_locations or ()]
    if not folders:
        raise Unavailable("needs the package openvino, which isn't installed")
    found = [path for folder in folders for path in folder.glob("libopenvino_c.so.*")]
    if not found:
        raise Unavailable("the installed openvino has no C library")
    return Library(found[0])


@_in_its_words()
def _compiled(model: bytes, precision: str) -> Request:
    """A flat model, compiled; rehearsed before.

    Raises:
        Unavailable: OpenVINO refuses it, or wouldn't live through it.
    """
    native = _library()
    _rehearse(native.path, model, precision)
    return Request(native, model, precision)


def _rehearse(library: Path, model: bytes, precision: str) -> None:
    """Have a process of its own compile the model and run it once; a crash then ends nothing but that process."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "flat.onnx"
        file.write_bytes(model)
        command = [*_REHEARSAL, str(library), str(file), precision]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise Unavailable(f"OpenVINO hasn't compiled and run this graph once in {_TIMEOUT_S:.0f} s") from late
    if done.returncode < 0:
        doing = "runs" if openvino_c.COMPILED in done.stdout.split() else "compiles"
        raise Unavailable(f"OpenVINO crashes while it {doing} this graph (signal {_signal_name(-done.returncode)})")
    if done.returncode > 0:
        words = done.stderr.strip().splitlines() or [f"OpenVINO fails on this graph with exit code {done.returncode}"]
        raise Unavailable(words[-1][:300])


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of the real-time signals, which have no names
        return str(number)


def _contender(setup: Setup, precision: str) -> Contender:
    model = flat(setup.model)
    request, contract = _compiled(model, precision), setup.contract
    names = [value.name for value in onnx.load_model_from_string(model).graph.input]
    run = address(_library().function("ov_infer_request_infer"))
    places = {name: request.place(name) for name in names}
    # It has no way to write a state where it reads it, so all of it is handed over between two calls.
    pairs = [
        (places[state.name], request.place(state.out_name), setup.inputs[0][state.name].nbytes)
        for state in contract.state
        if state.name in places
    ]

    def begin(inputs: Arrays) -> None:
        for name, place in places.items():
            ctypes.memmove(place, np.ascontiguousarray(inputs[name]).ctypes.data, inputs[name].nbytes)
        for place, source, size in pairs:
            ctypes.memmove(source, place, size)

    begin(setup.inputs[0])
    moving = {name: places[name] for name in setup.moving if name in places}
    program = Program(setup.inputs, moving, run, request.address, request, pairs)

    def outputs(index: int) -> Arrays:
        begin(setup.inputs[index])
        program.step(index)
        return {name: _read(request.place(name), shape, dtype) for name, shape, dtype in _outputs(contract)}

    return Contender(program.step, outputs, program.native)


def _outputs(contract: Contract) -> list[tuple[str, tuple[int, ...], str]]:
    tensors = [(tensor.name, tensor.shape, tensor.dtype) for tensor in contract.outputs]
    return tensors + [(state.out_name, state.shape, state.dtype) for state in contract.state]


def _read(place: int, shape: tuple[int, ...], dtype: str) -> Any:  # noqa: ANN401 (an array)
    size = int(np.prod((1, *shape))) * np.dtype(dtype).itemsize
    return np.frombuffer(ctypes.string_at(place, size), dtype=dtype).reshape(1, *shape)
