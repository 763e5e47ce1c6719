"""A model file that proves itself: the contract and a digest sealed into an ONNX file, and a look inside before use.

ONNX is a protocol buffer, and a protocol buffer may be extended by appending fields. ``seal`` appends two metadata
entries: the contract, then, as the file's last bytes, the SHA-256 of everything before it. A flipped or missing byte
is therefore noticed before any parser sees the file, wherever it was copied to. Field numbers: onnx.proto, IR 10.
Standard library only.
"""

import hashlib
from pathlib import Path

from haltere.configs.errors import IntegrityError, RequestError
from haltere.deploy.contract import METADATA_KEY, Contract
from haltere.deploy.errors import ContractError
from haltere.deploy.inspection import DOMAIN as DOMAIN
from haltere.deploy.inspection import inspect
from haltere.deploy.wire import fields

DIGEST_KEY = "haltere.digest"
MAX_FILE_BYTES = 512 << 20

_GRAPH_FIELD = 7
_METADATA_FIELD = 14
_BYTES = 2


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
        if not _is_model(data):
            raise IntegrityError(f"is no whole ONNX file ({len(data):,} bytes): copy it again")
        raise ContractError("no haltere contract inside; haltere export writes one")
    if not sealed:
        raise IntegrityError("the file is cut off or was changed after export; export or copy it again")
    metadata = inspect(body).metadata
    if METADATA_KEY not in metadata:
        raise ContractError("no haltere contract inside; haltere export writes one")
    return Contract.from_json(metadata[METADATA_KEY])


def _is_model(data: bytes) -> bool:
    """Whether it has the outline of a whole ONNX model: fields from end to end, and a graph among them."""
    try:
        return any([number == _GRAPH_FIELD for number, _, _ in fields(memoryview(data))])  # all of them are read
    except IntegrityError:
        return False


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
