"""Finding and loading ``libhaltere_kernels.so``; the interface is ``include/haltere/kernels.h``, mirrored here."""

import ctypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from haltere.configs.errors import HaltereError, unknown_name
from haltere.deploy.elf import check_library
from haltere.deploy.errors import NoKernelLibraryError
from haltere.deploy.kernels import __path__ as package_folders

LIBRARY_NAME = "libhaltere_kernels.so"
ABI = 1
MAX_RANK = 6


class Tensor(ctypes.Structure):
    """``haltere_tensor``."""

    _fields_ = (("data", ctypes.c_void_p), ("dim", ctypes.c_int64 * MAX_RANK), ("rank", ctypes.c_int32))


class Attribute(ctypes.Structure):
    """``haltere_attribute``."""

    _fields_ = (("name", ctypes.c_char_p), ("value", ctypes.c_int64))


_INFO = ("name", "weights", "inputs", "outputs", "attributes", "summary")


class _Info(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_char_p) for name in _INFO)


@dataclass(frozen=True)
class Operator:
    """One row of the table of operators; a name in [brackets] may be left out."""

    name: str
    weights: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[str, ...]
    summary: str


def library_path() -> Path:
    """Where the library lies, for whoever loads it by himself, such as ONNX Runtime.

    Raises:
        NoKernelLibraryError: it isn't installed.
    """
    # An editable install has two folders for one package: the sources, and what was built.
    found = [path for folder in package_folders for path in Path(folder).glob(LIBRARY_NAME)]
    if not found:
        raise NoKernelLibraryError(f"{LIBRARY_NAME} is missing, so there are no fused kernels; reinstall haltere")
    return found[0]


@cache
def library() -> ctypes.CDLL:
    """The installed library, loaded once.

    Raises:
        NoKernelLibraryError: it is missing, or was built for another processor.
        HaltereError: it is damaged, or of another version of haltere.
    """
    return load(library_path())


def load(path: Path) -> ctypes.CDLL:
    """Load a library and check that it is the one that this module describes.

    Raises:
        NoKernelLibraryError: there is none, or it is for another processor.
        HaltereError: it is damaged, or has another interface.
    """
    check_library(path)
    try:
        native = ctypes.CDLL(str(path))
    except OSError as error:
        raise HaltereError(f"the fused kernels can't be loaded ({error}); reinstall haltere") from error
    try:
        found = native.haltere_abi()
    except AttributeError as error:
        raise HaltereError(f"{path} isn't haltere's kernel library; reinstall haltere") from error
    if found != ABI:
        raise HaltereError(f"{path} has interface {found}, this haltere needs {ABI}; reinstall haltere")
    _declare(native)
    return native


def _declare(native: ctypes.CDLL) -> None:
    pointer, number, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    tensors, attributes = ctypes.POINTER(Tensor), ctypes.POINTER(Attribute)
    arrays: list[Any] = [tensors, number, tensors, number]
    native.haltere_isa.restype = text
    native.haltere_isa_name.restype = text
    native.haltere_isa_name.argtypes = [number]
    native.haltere_use_isa.argtypes = [text]
    native.haltere_error.restype = text
    native.haltere_op_at.restype = ctypes.POINTER(_Info)
    native.haltere_op_at.argtypes = [number]
    native.haltere_op_create.restype = pointer
    native.haltere_op_create.argtypes = [text, tensors, number, attributes, number, number]
    native.haltere_op_destroy.restype = None
    native.haltere_op_destroy.argtypes = [pointer]
    native.haltere_op_bytes.restype = ctypes.c_int64
    native.haltere_op_bytes.argtypes = [pointer]
    native.haltere_op_shapes.argtypes = [pointer, *arrays]
    native.haltere_op_run.argtypes = [pointer, *arrays, number]
    native.haltere_call_create.restype = pointer
    native.haltere_call_create.argtypes = [pointer, *arrays, number]
    # No argument types: converting them costs a quarter of what a call does. It is given a c_void_p.
    native.haltere_call_run.restype = None
    native.haltere_call_destroy.restype = None
    native.haltere_call_destroy.argtypes = [pointer]
    native.haltere_reserve_threads.argtypes = [number]


@cache
def operators() -> dict[str, Operator]:
    """The table of operators, by name."""
    found: dict[str, Operator] = {}
    while row := library().haltere_op_at(len(found)):
        texts = {key: getattr(row.contents, key).decode() for key in _INFO}
        lists = {key: tuple(texts[key].split()) for key in ("weights", "inputs", "outputs", "attributes")}
        found[texts["name"]] = Operator(name=texts["name"], summary=texts["summary"], **lists)
    return found


def instruction_sets() -> tuple[str, ...]:
    """The instruction sets of this processor that there are kernels for, the best one last."""
    found: list[str] = []
    while name := library().haltere_isa_name(len(found)):
        found.append(name.decode())
    return tuple(found)


def instruction_set() -> str:
    """The one that the next op will use."""
    return str(library().haltere_isa().decode())


def use_instruction_set(name: str) -> None:
    """Make later ops with another instruction set than the best; for tests and benchmarks.

    Raises:
        RequestError: this processor hasn't got it, or no kernels are built for it.
    """
    if library().haltere_use_isa(name.encode()):
        raise unknown_name("instruction set", name, instruction_sets())


def reserve_threads(threads: int) -> int:
    """Have threads ready for runs that ask for several; they sleep while there is nothing to do.

    Returns:
        How many a run can use, the caller's own among them.
    """
    return int(library().haltere_reserve_threads(threads))
