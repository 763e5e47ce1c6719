"""OpenVINO, where it is installed, through its C API and on a copy that it understands."""

import ctypes
import weakref
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from haltere.deploy.bench.contender import Contender, Setup, Unavailable
from haltere.deploy.bench.native import Program, address
from haltere.deploy.contract import Contract
from haltere.deploy.fused import inlined
from haltere.deploy.parity import Arrays


def openvino_f32(setup: Setup) -> Contender:
    """Computing in float32, as the others do."""
    return _contender(setup, "f32")


def openvino_bf16(setup: Setup) -> Contender:
    """Computing in bfloat16, as it does by itself where the processor can."""
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


class _Library:
    """``libopenvino_c``: the few functions that a model needs. Addresses in, addresses out."""

    def __init__(self, path: Path) -> None:
        try:
            self._native = ctypes.CDLL(str(path))
        except OSError as error:
            raise Unavailable(f"OpenVINO can't be loaded: {error}") from error
        self._native.ov_get_last_err_msg.restype = ctypes.c_char_p
        self.core = self.create("ov_core_create")

    def function(self, name: str) -> Any:  # noqa: ANN401 (ctypes has no common type for functions)
        """One function."""
        return getattr(self._native, name)

    def call(self, name: str, *arguments: Any) -> None:  # noqa: ANN401 (C)
        """Call a function that returns an error code.

        Raises:
            Unavailable: it failed; with OpenVINO's own words.
        """
        code = self.function(name)(*(ctypes.c_int64(a) if isinstance(a, int) else a for a in arguments))
        if code:
            words = (self._native.ov_get_last_err_msg() or b"").decode(errors="replace").strip().splitlines()
            raise Unavailable(f"OpenVINO refuses it with error {code}: {(words or [name])[-1][:200]}")

    def create(self, name: str, *arguments: Any, options: tuple[bytes, ...] = ()) -> int:  # noqa: ANN401
        """Call a function that puts what it made where its last argument before the options says."""
        made = ctypes.c_void_p()
        self.call(name, *arguments, ctypes.byref(made), *options)
        return made.value or 0

    def release(self, name: str, thing: int) -> None:
        """Call a function that takes one thing away."""
        self.function(name)(ctypes.c_void_p(thing))

    def cpu_capabilities(self) -> list[str]:
        """What the processor computes in, such as ``FP32`` and ``BF16``."""
        text = self.create("ov_core_get_property", self.core, b"CPU", b"OPTIMIZATION_CAPABILITIES")
        words = (ctypes.string_at(text) or b"").decode().split()
        self.release("ov_free", text)
        return words


@cache
def _library() -> _Library:
    spec = find_spec("openvino")
    folders = [] if spec is None else [Path(place) / "libs" for place in spec.submodule_search_locations or ()]
    if not folders:
        raise Unavailable("needs the package openvino, which isn't installed")
    found = [path for folder in folders for path in folder.glob("libopenvino_c.so.*")]
    if not found:
        raise Unavailable("the installed openvino has no C library")
    return _Library(found[0])


class _Request:
    """One compiled model, and the tensors that it reads and writes."""

    def __init__(self, model: bytes, precision: str) -> None:
        self._native = native = _library()
        core = native.core
        read = native.create("ov_core_read_model_from_memory_buffer", core, model, len(model), None)
        wanted = f"INFERENCE_PRECISION_HINT {precision} PERFORMANCE_HINT LATENCY INFERENCE_NUM_THREADS 1 NUM_STREAMS 1"
        options = tuple(wanted.encode().split())
        try:
            compiled = native.create("ov_core_compile_model", core, read, b"CPU", len(options), options=options)
        finally:
            native.release("ov_model_free", read)
        weakref.finalize(self, native.release, "ov_compiled_model_free", compiled)
        self.address = native.create("ov_compiled_model_create_infer_request", compiled)
        weakref.finalize(self, native.release, "ov_infer_request_free", self.address)

    def place(self, name: str) -> int:
        """Address of a tensor's data."""
        tensor = self._native.create("ov_infer_request_get_tensor", self.address, name.encode())
        try:
            return self._native.create("ov_tensor_data", tensor)
        finally:
            self._native.release("ov_tensor_free", tensor)


def _contender(setup: Setup, precision: str) -> Contender:
    model = flat(setup.model)
    request, contract = _Request(model, precision), setup.contract
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
