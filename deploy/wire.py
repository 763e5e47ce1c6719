"""Protocol buffers, read field by field as a parser in C++ reads them. Standard library only.

Source: the Protocol Buffers encoding, protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator

from haltere.configs.errors import IntegrityError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Field = tuple[int, int, int | memoryview]
"""Number, wire type, value: a number where the wire type is VARINT, and bytes where it isn't."""


def fields(data: memoryview) -> Iterator[Field]:
    """Every field of one message.

    Raises:
        IntegrityError: it isn't a protocol buffer.
    """
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        if tag >> 32:  # a parser in C++ would drop these bits and see another field than we do
            raise IntegrityError("not an ONNX file: a field number of more than 32 bits")
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, at = _varint(data, at)
            yield number, wire, value
            continue
        if wire == BYTES:
            length, at = _varint(data, at)
        elif wire in (FIXED64, FIXED32):
            length = 8 if wire == FIXED64 else 4
        else:
            raise IntegrityError(f"not an ONNX file: wire type {wire}")
        if length > len(data) - at:
            raise IntegrityError("not an ONNX file: a field runs past its end")
        yield number, wire, data[at : at + length]
        at += length


def varints(data: memoryview) -> Iterator[int]:
    """The numbers of a packed field."""
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def signed(value: int) -> int:
    """A number as a parser takes it for an int64: the lowest 64 bits, in two's complement."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def text(value: memoryview) -> str:
    """A text field.

    Raises:
        IntegrityError: it isn't UTF-8.
    """
    try:
        return bytes(value).decode()
    except UnicodeDecodeError as error:
        raise IntegrityError(f"not an ONNX file: a text that isn't one: {error}") from error


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise IntegrityError("not an ONNX file: a number runs past its end")
