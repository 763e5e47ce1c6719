"""Model files that lie: changed after export, and sealed again as an attacker would."""

import contextlib
import dataclasses
import random
from collections.abc import Callable, Iterator, MutableSequence
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from haltere.deploy.contract import METADATA_KEY, Contract
from haltere.deploy.onnx_file import DIGEST_KEY, seal


def unsealed(path: Path) -> tuple[onnx.ModelProto, Contract]:
    """The model without its seal, and its contract."""
    model = onnx.load(path)
    entries = {entry.key: entry.value for entry in model.metadata_props}
    del model.metadata_props[:]
    return model, Contract.from_json(entries[METADATA_KEY])


def resealed(
    path: Path, out: Path, change: Callable[[onnx.ModelProto], object] = lambda model: None, **contract: object
) -> Path:
    """A copy of a file with a changed graph or contract under a valid digest."""
    model, original = unsealed(path)
    change(model)
    changes: dict[str, Any] = contract
    out.write_bytes(seal(model.SerializeToString(), dataclasses.replace(original, **changes)))
    return out


def mutate(data: bytes, rng: random.Random) -> bytes:
    """One to four random edits, and more until something differs: bits, bytes, pieces cut out, doubled or moved."""
    out = bytearray(data)
    edits = rng.randint(1, 4)
    while edits > 0 or out == data:
        edits -= 1
        at = rng.randrange(len(out))
        end = min(len(out), at + rng.choice([1, 2, 4, 16, 256]))
        kind = rng.randrange(5)
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
        elif kind == 2 and len(out) > 512:
            del out[at:end]
        elif kind == 3:
            out[at:at] = out[at:end]
        else:
            piece, to = out[at:end], rng.randrange(len(out))
            out[to : to + len(piece)] = piece
    return bytes(out)


EDGES = (0, 1, -1, 2, 7, 16, 255, 2**31 - 1, -(2**31), 2**40, 2**63 - 1, -(2**63))
FLOATS = (0.0, -0.0, 1.0, float("nan"), float("inf"), -float("inf"), 3e38, 1e-45)


def restructure(model: onnx.ModelProto, rng: random.Random) -> None:
    """One to four random edits of what the file means: any field of any node, tensor, shape, function or opset.

    Numbers become edge cases, texts become other texts of the same file, and messages are dropped, doubled, swapped
    or replaced by their like. The file stays one that any parser reads.
    """
    for _ in range(rng.randint(1, 4)):
        messages = list(_messages(model))
        # Nodes, functions and types are few beside the tensors' and strings' messages, and say more.
        message = rng.choice(messages)
        present = [field for field, _ in message.ListFields()]
        fields = present if present and rng.random() < 0.8 else list(message.DESCRIPTOR.fields)
        _edit_field(message, rng.choice(fields), messages, rng)


def _messages(message: Message) -> Iterator[Message]:
    yield message
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for inside in value if field.is_repeated else [value]:
                yield from _messages(inside)


def _edit_field(message: Message, field: FieldDescriptor, messages: list[Message], rng: random.Random) -> None:
    if field.is_repeated:
        _edit_list(getattr(message, field.name), field, messages, rng)
    elif field.type == field.TYPE_MESSAGE:
        like = [other for other in messages if other.DESCRIPTOR is field.message_type]
        if like and rng.random() < 0.5:
            copy = type(like[0])()
            copy.CopyFrom(rng.choice(like))
            getattr(message, field.name).CopyFrom(copy)
        else:
            message.ClearField(field.name)
    elif rng.random() < 0.15:
        message.ClearField(field.name)
    else:
        with contextlib.suppress(ValueError):  # an edge that this type of number doesn't hold
            setattr(message, field.name, _scalar(field, messages, rng))


def _edit_list(
    items: MutableSequence[Any], field: FieldDescriptor, messages: list[Message], rng: random.Random
) -> None:
    at, kind = rng.randrange(len(items) + 1), rng.randrange(4)
    if kind == 0 and at < len(items):
        del items[at]
    elif kind == 1 and at < len(items):
        items.append(items[at])
    elif field.type == field.TYPE_MESSAGE:
        like = [other for other in messages if other.DESCRIPTOR is field.message_type]
        if like:
            copy = type(like[0])()
            copy.CopyFrom(rng.choice(like))
            items.append(copy) if kind == 2 or at == len(items) else items[at].CopyFrom(copy)
    else:
        with contextlib.suppress(ValueError):
            value = _scalar(field, messages, rng)
            if at == len(items):
                items.append(value)
            else:
                items[at] = value


def _scalar(field: FieldDescriptor, messages: list[Message], rng: random.Random) -> object:
    if field.type == field.TYPE_STRING:
        texts = [text for message in messages for text in _texts(message)]
        return rng.choice([*texts, "", "Identity", "Shape", "Expand", "Reshape", "haltere", "com.microsoft"])
    if field.type == field.TYPE_BYTES:
        return rng.choice([b"", bytes(4), b"\xff" * 16, rng.randbytes(64)])
    if field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return rng.choice(FLOATS)
    return rng.choice(EDGES)


def _texts(message: Message) -> Iterator[str]:
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING:
            yield from value if field.is_repeated else [value]


def body_of(path: Path) -> tuple[bytes, Contract]:
    """The serialised graph alone, and the contract to seal a changed one with."""
    model, contract = unsealed(path)
    return model.SerializeToString(), contract


def without(key: str) -> Callable[[onnx.ModelProto], None]:
    """An edit of a sealed model that drops one metadata entry."""

    def change(model: onnx.ModelProto) -> None:
        kept = [entry for entry in model.metadata_props if entry.key != key]
        del model.metadata_props[:]
        model.metadata_props.extend(kept)

    return change


KEYS = (METADATA_KEY, DIGEST_KEY)
