"""A model file that proves itself: the contract and a digest sealed into an ONNX file, and a look inside before use.

ONNX is a protocol buffer, and a protocol buffer may be extended by appending fields. ``seal`` appends two metadata
entries: the contract, then, as the file's last bytes, the SHA-256 of everything before it. A flipped or missing byte
is therefore noticed before any parser sees the file, wherever it was copied to. Field numbers: onnx.proto, IR 10.
Standard library only.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from haltere.configs.errors import IntegrityError, RequestError
from haltere.deploy.contract import METADATA_KEY, Contract
from haltere.deploy.errors import ContractError

DIGEST_KEY = "haltere.digest"
MAX_FILE_BYTES = 512 << 20
DOMAINS = frozenset({"", "ai.onnx", "haltere"})
UNBOUNDED = frozenset({"Loop", "Scan"})
"""Operators whose cost depends on data: a runtime with a deadline doesn't take them; the exporter never emits them."""

_METADATA_FIELD = 14
_MAX_DEPTH = 16
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# message -> {field number: message inside}. What isn't listed holds neither tensors nor nodes and is skipped.
_NESTED: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 14: "metadata", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "external"},
}


@dataclass
class _Findings:
    metadata: dict[str, str] = field(default_factory=dict)


def seal(model: bytes, contract: Contract) -> bytes:
    """Append the contract and the digest to a serialised ONNX model."""
    body = model + _entry(METADATA_KEY, contract.to_json())
    return body + _entry(DIGEST_KEY, hashlib.sha256(body).hexdigest())


def read_sealed(path: Path) -> tuple[bytes, Contract]:
    """Read a model file, check its seal, look for what a policy never holds, and read its contract.

    Returns:
        The file's bytes, the very ones that were checked, and the contract.

    Raises:
        RequestError: there is no such file.
        IntegrityError: too large, damaged, or with weights outside the file.
        ContractError: whole but without a valid contract.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise IntegrityError(f"{path}: {size} bytes; a policy has at most {MAX_FILE_BYTES}")
        data = path.read_bytes()
    except OSError as error:
        raise RequestError(f"{path}: {error.strerror or error}; expected an exported policy") from error
    try:
        return data, _contract_of(data)
    except IntegrityError as error:
        raise type(error)(f"{path}: {error}") from error


def _contract_of(data: bytes) -> Contract:
    tail = len(_entry(DIGEST_KEY, "0" * 64))
    body, seal_entry = data[:-tail], data[-tail:]
    sealed = seal_entry == _entry(DIGEST_KEY, hashlib.sha256(body).hexdigest())
    if not sealed and seal_entry[:-64] == _entry(DIGEST_KEY, "0" * 64)[:-64]:
        raise IntegrityError("its digest isn't that of its content: the file is damaged; export or copy it again")
    if not sealed and DIGEST_KEY.encode() not in data:
        raise ContractError("no haltere contract inside; haltere export writes one")
    if not sealed:
        raise IntegrityError("the file is cut off or was changed after export; export or copy it again")
    findings = _Findings()
    _inspect(memoryview(body), "model", findings, 0)
    if METADATA_KEY not in findings.metadata:
        raise ContractError("no haltere contract inside; haltere export writes one")
    return Contract.from_json(findings.metadata[METADATA_KEY])


def _entry(key: str, value: str) -> bytes:
    """One ``metadata_props`` field of a ModelProto: a StringStringEntryProto with key (1) and value (2)."""
    inside = _string_field(1, key) + _string_field(2, value)
    return _tag(_METADATA_FIELD) + _varint(len(inside)) + inside


def _string_field(number: int, text: str) -> bytes:
    encoded = text.encode()
    return _tag(number) + _varint(len(encoded)) + encoded


def _tag(number: int) -> bytes:
    return _varint(number << 3 | _BYTES)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
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


def _fields(data: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Every field of one message: number, wire type, value."""
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        value: int | memoryview
        if wire == _VARINT:
            value, at = _read_varint(data, at)
        else:
            if wire == _BYTES:
                length, at = _read_varint(data, at)
            elif wire in (_FIXED64, _FIXED32):
                length = 8 if wire == _FIXED64 else 4
            else:
                raise IntegrityError(f"not an ONNX file: wire type {wire}")
            if length > len(data) - at:
                raise IntegrityError("not an ONNX file: a field runs past its end")
            value = data[at : at + length]
            at += length
        yield number, wire, value


def _inspect(data: memoryview, message: str, findings: _Findings, depth: int) -> None:
    """Walk down to every node and tensor; refuse what a policy never holds, collect the metadata."""
    if depth > _MAX_DEPTH:
        raise IntegrityError(f"nested deeper than {_MAX_DEPTH} messages")
    for number, wire, value in _fields(data):
        inside = _NESTED[message].get(number)
        if message == "tensor" and number == 14 and value != 0:
            raise IntegrityError("keeps weights outside the file, which nothing vouches for")
        if inside in ("external", "training"):
            raise IntegrityError(f"holds {inside} data, which a policy never does")
        if inside is None and message != "node":
            continue
        if inside is not None and (wire != _BYTES or isinstance(value, int)):
            raise IntegrityError(f"not an ONNX file: field {number} of a {message} isn't a message")
        if isinstance(value, int):
            continue
        if inside == "metadata":
            _collect(value, findings)
        elif inside is not None:
            _inspect(value, inside, findings, depth + 1)
        else:
            _check_node_field(number, value)


def _check_node_field(number: int, value: memoryview) -> None:
    text = bytes(value).decode(errors="replace") if number in (4, 7) else ""
    if number == 4 and text in UNBOUNDED:
        raise IntegrityError(f"holds a {text}, whose cost has no bound")
    if number == 7 and text not in DOMAINS:
        raise IntegrityError(f"holds an operator of domain {text[:60]!r}, which isn't known")


def _collect(entry: memoryview, findings: _Findings) -> None:
    try:
        text = {number: bytes(value).decode() for number, _, value in _fields(entry) if not isinstance(value, int)}
    except UnicodeDecodeError as error:
        raise IntegrityError(f"its metadata isn't text: {error}") from error
    key = text.get(1, "")
    if key in findings.metadata:
        raise ContractError(f"metadata key {key[:60]!r} is given twice")
    findings.metadata[key] = text.get(2, "")
