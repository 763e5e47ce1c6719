"""The fused kernels within ONNX Runtime: where they are registered, they run in the place of a model's functions."""

import ctypes
from functools import cache

import onnxruntime

from haltere.configs.errors import HaltereError
from haltere.deploy.errors import NoFusedOperatorError, first_line
from haltere.deploy.inspection import inspect
from haltere.deploy.kernels.library import library, library_path, operators
from haltere.deploy.runtimes import Precision


def register_kernels(options: onnxruntime.SessionOptions, *, threads: int = 1, precision: Precision = "fp32") -> None:
    """Let the sessions that are made with these options run haltere's kernels.

    Args:
        options: of ONNX Runtime.
        threads: over which a kernel cuts a batch.
        precision: of the kernels' large matrices.

    Raises:
        HaltereError: the library is missing, damaged or for another processor, or doesn't know this ONNX Runtime.
    """
    version = onnxruntime.__version__
    # Before ONNX Runtime hands out its table of functions, whose places another version may have changed.
    if not _native().haltere_ort_supports(version.encode()):
        raise HaltereError(
            f"the fused kernels don't know ONNX Runtime {version}; install the version that haltere needs, or run "
            "without them"
        )
    options.add_session_config_entry("haltere.threads", str(threads))
    options.add_session_config_entry("haltere.precision", precision)
    try:
        options.register_custom_ops_library(str(library_path()))
    except Exception as error:  # ONNX Runtime's errors have no base of their own but Exception
        raise HaltereError(f"ONNX Runtime doesn't take the fused kernels: {first_line(error)}") from error


@cache
def _native() -> ctypes.CDLL:
    """The library, with what ``include/haltere/ort.h`` adds to it."""
    native = library()
    native.haltere_ort_supports.argtypes = [ctypes.c_char_p]
    native.haltere_ort_calls.argtypes = [ctypes.c_char_p]
    native.haltere_ort_calls.restype = ctypes.c_int64
    native.haltere_ort_bytes.argtypes = []
    native.haltere_ort_bytes.restype = ctypes.c_int64
    return native


def kernel_bytes() -> int:
    """Bytes of packed weights that this process's sessions hold; nodes that name the same constants share theirs.

    Raises:
        HaltereError: the library is missing or doesn't fit.
    """
    return int(_native().haltere_ort_bytes())


def kernel_calls(name: str | None = None) -> int:
    """How often ONNX Runtime has run a kernel in this process.

    Args:
        name: which; None for all of them together.

    Raises:
        HaltereError: the library is missing or doesn't fit.
    """
    return int(_native().haltere_ort_calls(None if name is None else name.encode()))


def check_has_kernel(model: bytes) -> None:
    """See that at least one operator of a model has a kernel, so that "fused" isn't just a word.

    Raises:
        NoFusedOperatorError: none has.
        HaltereError: the library is missing or doesn't fit.
    """
    held = {name for name, _ in inspect(model).calls}
    if not held & operators().keys():
        if held:
            which = ", ".join(sorted(held))
            raise NoFusedOperatorError(
                f"holds only {which}, which no kernel computes; export it again, or run it without kernels"
            )
        raise NoFusedOperatorError("holds no fused operator, so no kernel would run; run it without them, as onnx")
