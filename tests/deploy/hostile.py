"""Model files that lie: changed after export, and sealed again as an attacker would."""

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx

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
