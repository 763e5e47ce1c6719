"""One operator of the kernel library: made from its weights once, run on numpy arrays as often as wanted."""

import ctypes
from collections.abc import Sequence
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError, unknown_name
from haltere.deploy.kernels.library import MAX_RANK, Attribute, Tensor, library, operators

FloatArray: TypeAlias = NDArray[np.float32]
PRECISIONS = ("fp32", "bf16", "int8")


class Op:
    """A network or a block of one, packed for this processor.

    Attributes:
        name: which operator.
        precision: of the large matrices.
        bytes: packed weights that a run reads.
    """

    def __init__(self, name: str, weights: Sequence[FloatArray], precision: str = "fp32", **attributes: int) -> None:
        """Check, fold and pack the weights, which aren't needed afterwards.

        Args:
            name: one of ``operators()``.
            weights: float32, in the order of the operator's table row; shapes in ``include/haltere/kernels.h``.
            precision: one of ``PRECISIONS``.
            **attributes: the operator's whole numbers, such as ``heads=4``.

        Raises:
            RequestError: no such operator, precision or attribute, a shape that doesn't fit, or a weight that isn't
                finite.
            HaltereError: the kernel library is missing or doesn't fit.
        """
        self._native, self._handle = library(), None
        if name not in operators():
            raise unknown_name("operator", name, operators())
        if precision not in PRECISIONS:
            raise unknown_name("precision", precision, PRECISIONS)
        for key in attributes:
            if key not in operators()[name].attributes:
                raise unknown_name(f"attribute of {name}", key, operators()[name].attributes)
        self.name, self.precision = name, precision
        kept = [np.ascontiguousarray(_checked("weight", index, each)) for index, each in enumerate(weights)]
        given = (Attribute * len(attributes))(*(Attribute(key.encode(), value) for key, value in attributes.items()))
        self._handle = self._native.haltere_op_create(
            name.encode(), _tensors(kept), len(kept), given, len(given), PRECISIONS.index(precision)
        )
        if not self._handle:
            raise self._refusal()
        self.bytes = int(self._native.haltere_op_bytes(self._handle))

    def __del__(self) -> None:
        """Free the packed weights."""
        if getattr(self, "_handle", None):
            self._native.haltere_op_destroy(self._handle)

    def _refusal(self) -> RequestError:
        return RequestError(f"{self.name}: {self._native.haltere_error().decode()}")

    def shapes(self, inputs: Sequence[FloatArray]) -> list[tuple[int, ...]]:
        """Shapes of the outputs that these inputs lead to.

        Raises:
            RequestError: the inputs don't fit.
        """
        given = [_checked("input", index, each) for index, each in enumerate(inputs)]
        filled = (Tensor * len(operators()[self.name].outputs))()
        if self._native.haltere_op_shapes(self._handle, _tensors(given), len(given), filled, len(filled)):
            raise self._refusal()
        return [tuple(tensor.dim[: tensor.rank]) for tensor in filled]

    def run(self, inputs: Sequence[FloatArray], outputs: Sequence[FloatArray], *, threads: int = 1) -> None:
        """Run once; writes ``outputs``.

        Args:
            inputs: float32, contiguous, shapes as in ``include/haltere/kernels.h``.
            outputs: the same, of ``shapes(inputs)``; none may overlap an input.
            threads: over which the batch is cut, as far as ``reserve_threads`` has made them.

        Raises:
            RequestError: an array doesn't fit.
        """
        given, wanted = _arrays(inputs, outputs)
        arrays = (_tensors(given), len(given), _tensors(wanted), len(wanted))
        if self._native.haltere_op_run(self._handle, *arrays, threads):
            raise self._refusal()

    def __call__(self, *inputs: FloatArray, threads: int = 1) -> list[FloatArray]:
        """Run once into new arrays; see ``run``."""
        given = [np.ascontiguousarray(_checked("input", index, each)) for index, each in enumerate(inputs)]
        outputs = [np.empty(shape, np.float32) for shape in self.shapes(given)]
        self.run(given, outputs, threads=threads)
        return outputs

    def bind(self, inputs: Sequence[FloatArray], outputs: Sequence[FloatArray], *, threads: int = 1) -> "Call":
        """Check these arrays once and keep them; see ``run`` for what they must be."""
        return Call(self, inputs, outputs, threads)


class Call:
    """An op with its arrays: fill the inputs, call ``run()``, read the outputs. The shortest way from Python.

    Attributes:
        run: takes no arguments and can't fail.
        inputs: the very arrays that are read.
        outputs: the very arrays that are written.
    """

    def __init__(self, op: Op, inputs: Sequence[FloatArray], outputs: Sequence[FloatArray], threads: int) -> None:
        """Check the arrays; ``Op.bind`` is the way to make one.

        Raises:
            RequestError: an array doesn't fit.
        """
        self.inputs, self.outputs = _arrays(inputs, outputs)
        arrays = (_tensors(self.inputs), len(self.inputs), _tensors(self.outputs), len(self.outputs))
        handle = _CallHandle(op._native.haltere_call_create(op._handle, *arrays, threads))
        if not handle:
            raise op._refusal()
        handle.needs = (op, self.inputs, self.outputs)
        self.run = partial(op._native.haltere_call_run, handle)


class _CallHandle(ctypes.c_void_p):
    """``haltere_call *`` with all that it points to, so that ``run`` alone keeps everything alive."""

    needs: tuple[Op, tuple[FloatArray, ...], tuple[FloatArray, ...]]

    def __del__(self) -> None:
        """Free what was prepared; the arrays stay."""
        if self:
            self.needs[0]._native.haltere_call_destroy(self)


def _arrays(
    inputs: Sequence[FloatArray], outputs: Sequence[FloatArray]
) -> tuple[tuple[FloatArray, ...], tuple[FloatArray, ...]]:
    """The arrays as they are, if native code can use them as they are."""
    for kind, arrays in (("input", inputs), ("output", outputs)):
        for index, array in enumerate(arrays):
            if not _checked(kind, index, array).flags.c_contiguous:
                raise RequestError(f"{kind} {index} must be contiguous; np.ascontiguousarray makes it so")
            if kind == "output" and not array.flags.writeable:
                raise RequestError(f"output {index} is read-only")
    return tuple(inputs), tuple(outputs)


def _checked(kind: str, index: int, array: object) -> FloatArray:
    if not isinstance(array, np.ndarray) or array.dtype != np.float32:
        got = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise RequestError(f"{kind} {index} must be a float32 array, got {got}")
    if array.ndim > MAX_RANK:
        raise RequestError(f"{kind} {index} may have at most {MAX_RANK} dimensions, got {array.shape}")
    return array


def _tensors(arrays: Sequence[FloatArray]) -> ctypes.Array[Tensor]:
    filled = (Tensor * len(arrays))()
    for tensor, array in zip(filled, arrays, strict=True):
        tensor.data, tensor.rank = array.ctypes.data, array.ndim
        tensor.dim[: array.ndim] = array.shape
    return filled
