"""``libhaltere_bench``: calls that C makes, times and counts, so that nobody pays for Python between two of them."""

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError
from haltere.deploy.bench import __path__ as package_folders
from haltere.deploy.contract import Contract
from haltere.deploy.parity import Arrays

_ABI = 1
_LOOP = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_void_p)
_FUNCTIONS: Mapping[str, tuple[Any, tuple[Any, ...]]] = {
    "program_step": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_int)),
    "each": (ctypes.c_int, _LOOP),
    "together": (ctypes.c_int, _LOOP),
    "mallocs_watch": (ctypes.c_int, ()),
    "mallocs_unwatch": (None, ()),
    "mallocs_start": (None, ()),
    "mallocs_stop": (ctypes.c_int64, ()),
    "mallocs_of": (ctypes.c_int, _LOOP),
    "isa": (ctypes.c_char_p, ()),
    "peak_gflops": (ctypes.c_double, ()),
    "peak_gbps": (ctypes.c_double, (ctypes.c_size_t,)),
    "cache_bytes": (ctypes.c_int64, (ctypes.c_int,)),
}


@cache
def library() -> ctypes.CDLL:
    """Load the library that lies beside this module.

    Raises:
        HaltereError: it is missing, or of another version.
    """
    # An editable install has two folders for one package: the sources, and what was built.
    found = [path for folder in package_folders for path in Path(folder).glob("libhaltere_bench.so")]
    if not found:
        raise HaltereError("haltere bench's native library is missing; reinstall haltere")
    try:
        native = ctypes.CDLL(str(found[0]))
    except OSError as error:
        raise HaltereError(f"haltere bench's native library can't be loaded ({error}); reinstall haltere") from error
    if native.haltere_bench_abi() != _ABI:
        raise HaltereError("haltere bench's native library is of another version of haltere; reinstall haltere")
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(native, f"haltere_bench_{name}")
        function.restype, function.argtypes = result, arguments
    return native


def address(function: Any) -> int:  # noqa: ANN401 (ctypes has no common type for functions)
    """Where a C function of a loaded library begins."""
    return ctypes.cast(function, ctypes.c_void_p).value or 0


@dataclass(frozen=True)
class NativeStep:
    """One call that C can make by itself: ``int function(void *context, int index)``.

    Attributes:
        function: address.
        context: address.
        inputs: how many indices there are.
        keep: whatever the two addresses point into.
    """

    function: int
    context: int
    inputs: int
    keep: object = field(default=None, repr=False)

    def each(self, calls: int) -> NDArray[np.int64]:
        """Latency of every one of ``calls`` calls [ns], what the clock takes included."""
        times = np.zeros(calls, dtype=np.int64)
        self._loop("each", calls, times)
        return times

    def together(self, calls: int) -> float:
        """Mean time of a call [ns] where the next one begins at once, without a look at the clock in between."""
        total = np.zeros(1, dtype=np.int64)
        self._loop("together", calls, total)
        return float(total[0]) / calls

    def mallocs(self, calls: int) -> float:
        """Heap allocations a call; only between ``mallocs_watch`` and ``mallocs_unwatch``."""
        count = np.zeros(1, dtype=np.int64)
        self._loop("mallocs_of", calls, count)
        return float(count[0]) / calls

    def _loop(self, name: str, calls: int, out: NDArray[np.int64]) -> None:
        loop = getattr(library(), f"haltere_bench_{name}")
        error = loop(self.function, self.context, self.inputs, calls, out.ctypes.data)
        if error:
            raise HaltereError(f"a runtime failed while it was timed, with error {error}")


def empty_step() -> NativeStep:
    """Does nothing; what timing it gives is what timing costs."""
    return NativeStep(address(library().haltere_bench_empty_step), 0, 1)


@dataclass(frozen=True)
class Buffers:
    """Memory for one lane that a runtime reads from and writes to, by exported names.

    A ring's output is its input.

    Attributes:
        inputs: observations and state.
        outputs: outputs and next state.
        following: name of each state's output, by its input's.
    """

    inputs: Arrays
    outputs: Arrays
    following: Mapping[str, str]

    @staticmethod
    def of(contract: Contract) -> "Buffers":
        """Zeros of the contract's shapes, and the initial state as the last call's next one."""
        inputs = {tensor.name: np.zeros((1, *tensor.shape), tensor.dtype) for tensor in contract.inputs}
        inputs |= {t.name: np.full((1, *t.shape), t.initial, t.dtype) for t in contract.state}
        outputs = {tensor.name: np.zeros((1, *tensor.shape), tensor.dtype) for tensor in contract.outputs}
        outputs |= {t.out_name: inputs[t.name] if t.ring else inputs[t.name].copy() for t in contract.state}
        return Buffers(inputs, outputs, {t.name: t.out_name for t in contract.state})

    def begin(self, given: Arrays) -> None:
        """Take over the state among some inputs, and all else that is there."""
        for name, array in self.inputs.items():
            np.copyto(array, given[name])
            if name in self.following:
                np.copyto(self.outputs[self.following[name]], given[name])

    def handed_over(self) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """What must be copied to where between two calls, (target, source): each state but the rings."""
        pairs = [(self.inputs[name], self.outputs[out]) for name, out in self.following.items()]
        return [(target, source) for target, source in pairs if target is not source]


class _Copy(ctypes.Structure):
    """``haltere_bench_copy``."""

    _fields_ = (("to", ctypes.c_void_p), ("source", ctypes.c_void_p), ("bytes", ctypes.c_size_t))


class _Program(ctypes.Structure):
    """``haltere_bench_program``."""

    _fields_ = (
        ("copies", ctypes.POINTER(_Copy)),
        ("copies_each", ctypes.c_int),
        ("run", ctypes.c_void_p),
        ("context", ctypes.c_void_p),
    )


class Program:
    """A runtime behind a C function, as a step: copy the inputs of one index to where it reads them, then run it.

    Attributes:
        native: the step, for C to call.
    """

    native: NativeStep

    def __init__(
        self,
        inputs: Sequence[Arrays],
        places: Mapping[str, int],
        run: int,
        context: int,
        keep: object,
        handed_over: Sequence[tuple[int, int, int]] = (),
    ) -> None:
        """Prepare the copies.

        Args:
            inputs: arrays by exported names, one dictionary an index.
            places: address that each of them is copied to; what isn't named isn't copied.
            run: address of ``int run(void *context)``.
            context: what it is given.
            keep: what these addresses point into.
            handed_over: what is copied before every call as well: to, from, bytes. The last call's next state.
        """
        arrays = [[np.ascontiguousarray(given[name]) for name in places] for given in inputs]
        rows: list[tuple[int, int, int]] = []
        for each in arrays:
            pairs = zip(places.values(), each, strict=True)
            rows += [(place, array.ctypes.data, array.nbytes) for place, array in pairs] + [*handed_over]
        copies = (_Copy * len(rows))(*(_Copy(*row) for row in rows))
        program = _Program(copies, len(places) + len(handed_over), run, context)
        function = address(library().haltere_bench_program_step)
        self.native = NativeStep(function, ctypes.addressof(program), len(inputs), (program, copies, arrays, keep))

    def step(self, index: int) -> None:
        """One call, from Python.

        Raises:
            HaltereError: the runtime failed.
        """
        error = library().haltere_bench_program_step(self.native.context, index)
        if error:
            raise HaltereError(f"a runtime failed with error {error}")


class _Kernel(ctypes.Structure):
    """``haltere_bench_kernel``."""

    _fields_ = (("run", ctypes.c_void_p), ("call", ctypes.c_void_p))


def kernel_context(run: int, call: int) -> tuple[int, object]:
    """Address of a ``haltere_bench_kernel`` for ``void run(const void *call)``, and what keeps it there."""
    kernel = _Kernel(run, call)
    return ctypes.addressof(kernel), kernel
