"""Calls every function of ONNX Runtime's table that the kernels' operators use, at the place where they look for it.

A process of its own, because a wrong place crashes. It registers an operator written here, in Python, that is handed a
known tensor, weight and attribute, and compares what each function says. Prints the names that were called.
"""

import ctypes
from ctypes import CFUNCTYPE, POINTER, byref, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_void_p
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from haltere.deploy.kernels.library import library

CValue: TypeAlias = Any
# Of functions that only this test needs: onnxruntime_c_api.cc, ort_api_1_to_*.
GET_ERROR_MESSAGE, CREATE_ENV, CREATE_SESSION, RUN, CREATE_OPTIONS = 2, 3, 8, 9, 10
CREATE_TENSOR, CPU_MEMORY, ADD_CONFIG = 49, 69, 130
X, W = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([[1.5], [-2.5], [3.5]], np.float32)
N = 7

CREATE_KERNEL = CFUNCTYPE(c_void_p, c_void_p, c_void_p, c_void_p, POINTER(c_void_p))
COMPUTE = CFUNCTYPE(c_void_p, c_void_p, c_void_p)
DESTROY = CFUNCTYPE(None, c_void_p)
TEXT, NUMBER = CFUNCTYPE(c_void_p, c_void_p), CFUNCTYPE(c_int, c_void_p)
INDEXED, COUNT = CFUNCTYPE(c_int, c_void_p, c_size_t), CFUNCTYPE(c_size_t, c_void_p)
NAME, PROVIDER = ctypes.create_string_buffer(b"Probe"), ctypes.create_string_buffer(b"CPUExecutionProvider")


class Base(ctypes.Structure):
    """``OrtApiBase``."""

    _fields_ = (("api", CFUNCTYPE(c_void_p, c_uint32)), ("version", CFUNCTYPE(c_char_p)))


class Custom(ctypes.Structure):
    """``OrtCustomOp``, version 16."""

    _fields_ = (
        ("version", c_uint32),
        ("create", c_void_p),
        ("name", TEXT),
        ("provider", TEXT),
        ("input_type", INDEXED),
        ("inputs", COUNT),
        ("output_type", INDEXED),
        ("outputs", COUNT),
        ("compute", c_void_p),
        ("destroy", DESTROY),
        ("input_kind", INDEXED),
        ("output_kind", INDEXED),
        ("memory", INDEXED),
        *((f"variadic_{i}", NUMBER) for i in range(4)),
        ("create_v2", CREATE_KERNEL),
        ("compute_v2", COMPUTE),
    )


def to(thing: CValue) -> c_void_p:
    """A pointer to a C value, which it keeps alive."""
    return ctypes.cast(ctypes.pointer(thing), c_void_p)


def onnx_runtime() -> ctypes.CDLL:
    """The wheel's own library."""
    return ctypes.CDLL(str(next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))))


def places() -> dict[str, int]:
    """Place of each function that the operators use, as they have it."""
    native, found, name = library(), {}, c_char_p()
    while (place := native.haltere_ort_slot(len(found), byref(name))) >= 0:
        found[(name.value or b"").decode()] = place
    return found


class Table:
    """ONNX Runtime's table, through the operators' places; notes what is called."""

    def __init__(self, table: int) -> None:
        """Take the address of the table."""
        self.entries = ctypes.cast(table, POINTER(c_void_p))
        self.places, self.called = places(), set[str]()

    def at(self, place: int, *arguments: CValue, result: CValue = c_void_p) -> CValue:
        """Call what is in a place."""
        return CFUNCTYPE(result, *map(type, arguments))(self.entries[place] or 0)(*arguments)

    def __call__(self, name: str, *arguments: CValue, result: CValue = c_void_p) -> CValue:
        """Call by name, where it must succeed."""
        self.called.add(name)
        status = self.at(self.places[name], *arguments, result=result)
        assert not status, (name, self.at(GET_ERROR_MESSAGE, c_void_p(status), result=c_char_p))


def statuses(table: Table) -> None:
    """A status is made with its message, and let go."""
    table.called.add("CreateStatus")
    status = c_void_p(table.at(table.places["CreateStatus"], c_int(2), c_char_p(b"a sentence")))
    assert table.at(GET_ERROR_MESSAGE, status, result=c_char_p) == b"a sentence"
    table("ReleaseStatus", status, result=None)


def settings(table: Table, options: c_void_p) -> None:
    """A session's own setting is seen."""
    table.at(ADD_CONFIG, options, c_char_p(b"haltere.threads"), c_char_p(b"42"))
    for key, wanted in ((b"haltere.threads", 1), (b"haltere.other", 0)):
        has = c_int(-1)
        table("HasSessionConfigEntry", options, c_char_p(key), to(has))
        assert has.value == wanted
    text, size = ctypes.create_string_buffer(8), c_size_t(8)
    key = c_char_p(b"haltere.threads")
    table("GetSessionConfigEntry", options, key, to(text), to(size))
    assert (text.value, size.value) == (b"42", 3)


def array_of(table: Table, value: c_void_p) -> np.ndarray:
    """A tensor's numbers, its type and shape asked for on the way."""
    info, kind, rank = c_void_p(), c_int(), c_size_t()
    table("GetTensorTypeAndShape", value, to(info))
    table("GetTensorElementType", info, to(kind))
    table("GetDimensionsCount", info, to(rank))
    dims = (c_int64 * rank.value)()
    table("GetDimensions", info, to(dims), rank)
    table("ReleaseTensorTypeAndShapeInfo", info, result=None)
    assert kind.value == 1
    data = c_void_p()
    table("GetTensorMutableData", value, to(data))
    return np.ctypeslib.as_array(ctypes.cast(data, POINTER(ctypes.c_float)), tuple(dims))


def operator(table: Table, seen: list[str]) -> Custom:
    """An operator that adds its attribute to its input, once it has looked at all that it is given."""

    def create(op: int, api: int, info: int, kernel: CValue) -> None:
        count, number = c_size_t(), c_int64()
        table("KernelInfo_GetInputCount", c_void_p(info), to(count))
        table("KernelInfoGetAttribute_int64", c_void_p(info), c_char_p(b"n"), to(number))
        for index, wanted in ((0, 0), (1, 1)):
            constant, value = c_int(-1), c_void_p()
            where = (to(constant), to(value))
            table("KernelInfoGetConstantInput_tensor", c_void_p(info), c_size_t(index), *where)
            if (constant.value, bool(value.value)) != (wanted, bool(wanted)):
                seen.append(f"input {index} is constant: {constant.value}")
        asked = (c_void_p(info), c_char_p(b"m"), to(c_int64()))
        missing = c_void_p(table.at(table.places["KernelInfoGetAttribute_int64"], *asked))
        good = count.value == 2 and number.value == N and np.array_equal(array_of(table, value), W) and missing.value
        table("ReleaseStatus", missing, result=None)
        seen.append("created" if good else "created with something else")
        kernel[0] = 1

    def compute(kernel: int, context: int) -> None:
        value, result = c_void_p(), c_void_p()
        table("KernelContext_GetInput", c_void_p(context), c_size_t(0), to(value))
        given = array_of(table, value)
        dims = (c_int64 * 2)(*given.shape)
        where = (to(dims), c_size_t(2), to(result))
        table("KernelContext_GetOutput", c_void_p(context), c_size_t(0), *where)
        array_of(table, result)[:] = given + N

    fixed = [NUMBER(lambda op: 1)] * 4
    one, none = INDEXED(lambda op, index: 1), INDEXED(lambda op, index: 0)
    name, provider = TEXT(lambda op: ctypes.addressof(NAME)), TEXT(lambda op: ctypes.addressof(PROVIDER))
    types = (one, COUNT(lambda op: 2), one, COUNT(lambda op: 1))
    fixed = [NUMBER(lambda op: 1)] * 4
    callbacks = (CREATE_KERNEL(create), COMPUTE(compute))
    return Custom(16, None, name, provider, *types, None, DESTROY(lambda kernel: None), *[none] * 3, *fixed, *callbacks)


def model() -> bytes:
    """One node of that operator."""
    shape = helper.make_tensor_value_info
    node = helper.make_node("Probe", ["x", "w"], ["y"], domain="probe", n=N)
    x, y = shape("x", TensorProto.FLOAT, list(X.shape)), shape("y", TensorProto.FLOAT, list(X.shape))
    graph = helper.make_graph([node], "g", [x], [y], [numpy_helper.from_array(W, "w")])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("probe", 1)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())


def session(table: Table, options: c_void_p) -> np.ndarray:
    """Make a session with ONNX Runtime's C interface alone, and run it."""
    env, made, memory, x, y = (c_void_p() for _ in range(5))
    data, held = model(), X.copy()
    steps: list[tuple[CValue, ...]] = [
        (CREATE_ENV, c_int(4), c_char_p(b"probe"), to(env)),
        (CREATE_SESSION, lambda: env, c_char_p(data), c_size_t(len(data)), options, to(made)),
        (CPU_MEMORY, c_int(0), c_int(0), to(memory)),
        (CREATE_TENSOR, lambda: memory, c_void_p(held.ctypes.data), c_size_t(held.nbytes),
         to((c_int64 * 2)(*X.shape)), c_size_t(2), c_int(1), to(x)),
        (RUN, lambda: made, c_void_p(), to((c_char_p * 1)(b"x")), to(x), c_size_t(1),
         to((c_char_p * 1)(b"y")), c_size_t(1), to(y)),
    ]  # fmt: skip
    for place, *arguments in steps:
        status = table.at(place, *(each() if callable(each) else each for each in arguments))
        assert not status, (place, table.at(GET_ERROR_MESSAGE, c_void_p(status), result=c_char_p))
    return array_of(table, y).copy()


def main() -> None:
    """Every function once."""
    native = onnx_runtime()
    native.OrtGetApiBase.restype = POINTER(Base)
    table = Table(native.OrtGetApiBase().contents.api(16))
    statuses(table)
    options, domain, seen = c_void_p(), c_void_p(), []
    table.at(CREATE_OPTIONS, to(options))
    settings(table, options)
    custom = operator(table, seen)
    table("CreateCustomOpDomain", c_char_p(b"probe"), to(domain))
    table("CustomOpDomain_Add", domain, to(custom))
    table("AddCustomOpDomain", options, domain)
    result = session(table, options)
    assert seen == ["created"], seen
    np.testing.assert_array_equal(result, X + N)
    print(*sorted(table.called))


if __name__ == "__main__":
    main()
