"""OpenVINO's C API: one model compiled and run. Needs the standard library alone.

Run as a program it does both once, which is a rehearsal: OpenVINO kills the process on some graphs, and that had better
not be the one in which everything else is measured. ::

    python openvino_c.py libopenvino_c.so model.onnx f32
"""

import ctypes
import sys
import weakref
from pathlib import Path
from typing import Any

COMPILED = "compiled"
"""What the rehearsal prints in between."""


class RefusedError(Exception):
    """OpenVINO can't be loaded, or refuses what it is asked for; the message has its own words."""


class Library:
    """``libopenvino_c``: the few functions that a model needs. Addresses in, addresses out."""

    def __init__(self, path: Path) -> None:
        """Load it.

        Raises:
            RefusedError: it can't be.
        """
        try:
            self._native = ctypes.CDLL(str(path))
        except OSError as error:
            raise RefusedError(f"OpenVINO can't be loaded: {error}") from error
        self.path = path
        self._native.ov_get_last_err_msg.restype = ctypes.c_char_p
        self.core = self.create("ov_core_create")

    def function(self, name: str) -> Any:  # noqa: ANN401 (ctypes has no common type for functions)
        """One function."""
        return getattr(self._native, name)

    def call(self, name: str, *arguments: Any) -> None:  # noqa: ANN401 (C)
        """Call a function that returns an error code.

        Raises:
            RefusedError: it failed.
        """
        code = self.function(name)(*(ctypes.c_int64(a) if isinstance(a, int) else a for a in arguments))
        if code:
            words = (self._native.ov_get_last_err_msg() or b"").decode(errors="replace").strip().splitlines()
            raise RefusedError(f"OpenVINO refuses it with error {code}: {(words or [name])[-1][:200]}")

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


class Request:
    """One compiled model, and the tensors that it reads and writes.

    Attributes:
        address: of the ``ov_infer_request_t``.
    """

    def __init__(self, native: Library, model: bytes, precision: str) -> None:
        """Compile a model for one lane on one thread.

        Args:
            native: the library.
            model: ONNX.
            precision: what it computes in, ``f32`` or ``bf16``.

        Raises:
            RefusedError: OpenVINO doesn't take the model.
        """
        self._native = native
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

    def infer(self) -> None:
        """Run it once on what lies in its tensors.

        Raises:
            RefusedError: it failed.
        """
        self._native.call("ov_infer_request_infer", ctypes.c_void_p(self.address))


def _rehearse(library: str, model: str, precision: str) -> None:
    request = Request(Library(Path(library)), Path(model).read_bytes(), precision)
    print(COMPILED, flush=True)
    request.infer()


if __name__ == "__main__":
    try:
        _rehearse(*sys.argv[1:])
    except RefusedError as refusal:
        sys.exit(str(refusal))
