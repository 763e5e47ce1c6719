"""ONNX Runtime through its C API, so that C can call it without Python in between.

The wheel brings the library and no headers. Its API is a table of function pointers that only ever grows at its end,
so the few that are used are taken by their place in it (onnxruntime_c_api.h: the order of struct OrtApi; the places of
the ends of versions 1 to 5, 101, 118, 124, 126 and 149, are asserted in onnxruntime_c_api.cc). Places are trusted on
the version that they were tested with and on no other.
"""

import ctypes
import weakref
from functools import cache
from pathlib import Path
from typing import Any

import onnxruntime

from haltere.deploy.bench.contender import Unavailable
from haltere.deploy.bench.native import Buffers
from haltere.deploy.runtimes import Precision

KNOWN_VERSION = "1.31.1"
_API_VERSION = 16
_SLOTS = {
    "GetErrorMessage": 2,
    "CreateEnv": 3,
    "DisableTelemetryEvents": 6,
    "CreateSessionFromArray": 8,
    "CreateSessionOptions": 10,
    "SetIntraOpNumThreads": 24,
    "SetInterOpNumThreads": 25,
    "RegisterCustomOpsLibrary": 29,
    "CreateTensorWithDataAsOrtValue": 49,
    "CreateCpuMemoryInfo": 69,
    "ReleaseStatus": 93,
    "ReleaseMemoryInfo": 94,
    "ReleaseSession": 95,
    "ReleaseValue": 96,
    "ReleaseSessionOptions": 100,
    "AddSessionConfigEntry": 130,
    "RunWithBinding": 133,
    "CreateIoBinding": 134,
    "ReleaseIoBinding": 135,
    "BindInput": 136,
    "BindOutput": 137,
}
_LOG_FATAL = 4
_ARENA, _DEFAULT_MEMORY = 1, 0
_ELEMENT = {"float32": 1, "int64": 7, "bool": 9}


class _ApiBase(ctypes.Structure):
    """``OrtApiBase``."""

    _fields_ = (
        ("get_api", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)),
        ("get_version", ctypes.CFUNCTYPE(ctypes.c_char_p)),
    )


class Api:
    """The functions of a known ONNX Runtime, and its environment."""

    def __init__(self, version: str, folder: Path) -> None:
        """Load the library in ``folder``.

        Raises:
            Unavailable: its version isn't the known one, or it isn't there.
        """
        if version != KNOWN_VERSION:
            raise Unavailable(f"ONNX Runtime is {version}, and its C API is known of {KNOWN_VERSION} alone")
        path = folder / f"libonnxruntime.so.{version}"
        try:
            native = ctypes.CDLL(str(path))
            native.OrtGetApiBase.restype = ctypes.POINTER(_ApiBase)
            base = native.OrtGetApiBase().contents
        except (OSError, AttributeError) as error:
            raise Unavailable(f"this build of ONNX Runtime has no C API: {error}") from error
        if base.get_version() != version.encode():
            raise Unavailable(f"{path.name} says that it is of version {base.get_version().decode(errors='replace')}")
        self._table = ctypes.cast(base.get_api(_API_VERSION), ctypes.POINTER(ctypes.c_void_p))
        self.env = self.create("CreateEnv", _LOG_FATAL, b"haltere bench")
        self.call("DisableTelemetryEvents", self.env)

    def function(self, name: str) -> int:
        """Address of one function."""
        return int(self._table[_SLOTS[name]])

    def call(self, name: str, *arguments: Any) -> None:  # noqa: ANN401 (C)
        """Call a function that returns a status.

        Raises:
            Unavailable: it failed; with ONNX Runtime's own words.
        """
        status = self._function(name, ctypes.c_void_p)(*map(_argument, arguments))
        if status:
            words = self._function("GetErrorMessage", ctypes.c_char_p)(_argument(status)) or b""
            self.release("ReleaseStatus", status)
            lines = words.decode(errors="replace").strip().splitlines() or [name]
            raise Unavailable(f"ONNX Runtime's C API: {lines[0][:200]}")

    def create(self, name: str, *arguments: Any) -> int:  # noqa: ANN401
        """Call a function whose last argument is where it puts what it made."""
        made = ctypes.c_void_p()
        self.call(name, *arguments, ctypes.byref(made))
        return made.value or 0

    def release(self, name: str, thing: int) -> None:
        """Call a function that takes one thing away."""
        self._function(name, None)(_argument(thing))

    def _function(self, name: str, result: Any) -> Any:  # noqa: ANN401
        return ctypes.CFUNCTYPE(result)(self.function(name))


def _argument(value: Any) -> Any:  # noqa: ANN401
    """Addresses and sizes are 64 bits wide, and so are the registers that every small number travels in."""
    return ctypes.c_int64(value) if isinstance(value, int) else value


@cache
def api() -> Api:
    """The installed ONNX Runtime's functions.

    Raises:
        Unavailable: see ``Api``.
    """
    return Api(onnxruntime.__version__, Path(onnxruntime.__file__).parent / "capi")


class _Run(ctypes.Structure):
    """``haltere_bench_ort``."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("run", "release", "session", "binding"))


class Session:
    """A model with the inputs and outputs of one lane bound to buffers; opened as ``open_session`` opens it.

    Attributes:
        context: address of a ``haltere_bench_ort``.
    """

    context: int

    def __init__(
        self, model: bytes, buffers: Buffers, operators: Path | None = None, precision: Precision = "fp32"
    ) -> None:
        """Open and bind.

        Args:
            model: an ONNX file.
            buffers: by the names of its inputs and outputs; they must stay where they are.
            operators: a library of custom operators to register.
            precision: of the large matrices of those that are ours.

        Raises:
            Unavailable: the C API isn't known, or it refuses the model.
        """
        self._api = api()
        self._buffers = buffers
        session = self._open(model, operators, precision)
        binding = self._api.create("CreateIoBinding", session)
        weakref.finalize(self, _close, self._api, session, binding)
        memory = self._api.create("CreateCpuMemoryInfo", _ARENA, _DEFAULT_MEMORY)
        for function, arrays in (("BindInput", buffers.inputs), ("BindOutput", buffers.outputs)):
            for name, array in arrays.items():
                shape = (ctypes.c_int64 * array.ndim)(*array.shape)
                layout = (array.ctypes.data, array.nbytes, shape, array.ndim, _ELEMENT[array.dtype.name])
                value = self._api.create("CreateTensorWithDataAsOrtValue", memory, *layout)
                self._api.call(function, binding, name.encode(), value)
                self._api.release("ReleaseValue", value)
        self._api.release("ReleaseMemoryInfo", memory)
        functions = (self._api.function("RunWithBinding"), self._api.function("ReleaseStatus"))
        self._run = _Run(*functions, session, binding)
        self.context = ctypes.addressof(self._run)

    def _open(self, model: bytes, operators: Path | None, precision: Precision) -> int:
        options = self._api.create("CreateSessionOptions")
        try:
            self._api.call("SetIntraOpNumThreads", options, 1)
            self._api.call("SetInterOpNumThreads", options, 1)
            self._api.call("AddSessionConfigEntry", options, b"session.intra_op.allow_spinning", b"0")
            if operators is not None:
                self._api.call("AddSessionConfigEntry", options, b"haltere.precision", precision.encode())
                self._api.create("RegisterCustomOpsLibrary", options, str(operators).encode())
            return self._api.create("CreateSessionFromArray", self._api.env, model, len(model), options)
        finally:
            self._api.release("ReleaseSessionOptions", options)


def _close(functions: Api, session: int, binding: int) -> None:
    functions.release("ReleaseIoBinding", binding)
    functions.release("ReleaseSession", session)
