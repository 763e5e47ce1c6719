"""A look at a shared library before it is loaded: the system's loader kills the process where one is cut off.

It maps the file and reads what should be there; past the file's end that is a SIGBUS and no error. Layout: Tool
Interface Standard, Executable and Linking Format 1.2, and its 64-bit edition. Standard library only.
"""

import struct
from pathlib import Path

from haltere.configs.errors import HaltereError, IntegrityError
from haltere.deploy.errors import NoKernelLibraryError

_IDENTITY = b"\x7fELF\x02\x01"  # 64 bits, little-endian
_HEADER_SIZE = 64
_EXTENT, _EXTENT_AT = struct.Struct("<QQIHHHHH"), 32  # where the tables of segments and sections are, and their sizes
_SEGMENT = struct.Struct("<IIQQQQQQ")
_LOADED = 1
_MACHINES = {62: "x86-64", 183: "aarch64", 243: "RISC-V"}


def check_library(path: Path) -> None:
    """See that a file is a whole shared library for this process's processor.

    Raises:
        NoKernelLibraryError: there is none, or it is for another processor.
        IntegrityError: it is no shared library, or cut off.
        HaltereError: it can't be read.
    """
    try:
        data = path.read_bytes()
        with open("/proc/self/exe", "rb") as program:
            ours = program.read(_HEADER_SIZE)
    except OSError as error:
        kind = NoKernelLibraryError if isinstance(error, FileNotFoundError) else HaltereError
        raise kind(f"{error.filename}: {error.strerror}; expected haltere's kernel library") from error
    if len(data) < _HEADER_SIZE or not data.startswith(b"\x7fELF"):
        raise IntegrityError(f"{path}: isn't a shared library; reinstall haltere")
    if data[:6] != _IDENTITY or data[18:20] != ours[18:20]:
        raise NoKernelLibraryError(f"{path}: is for {_machine(data)}, and this is {_machine(ours)}; reinstall haltere")
    if _needed(data) > len(data):
        raise IntegrityError(f"{path}: is cut off: {len(data)} of {_needed(data)} bytes; reinstall haltere")


def _machine(head: bytes) -> str:
    if head[:6] != _IDENTITY:
        return "a processor of 32 bits or the other byte order"
    number = int.from_bytes(head[18:20], "little")
    return _MACHINES.get(number, f"processor {number}")


def _needed(data: bytes) -> int:
    """Bytes that the headers promise; the table of sections, which tools put last, is among them."""
    segments, sections, _, _, _, count, size, sections_count = _EXTENT.unpack_from(data, _EXTENT_AT)
    ends: list[int] = [segments + count * _SEGMENT.size, sections + sections_count * size]
    for index in range(count):
        at = segments + index * _SEGMENT.size
        if at + _SEGMENT.size <= len(data):
            kind, _, offset, _, _, in_file, _, _ = _SEGMENT.unpack_from(data, at)
            ends.append(offset + in_file if kind == _LOADED else 0)
    return max(ends)
