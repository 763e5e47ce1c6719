"""Trained weights in one safetensors file that also says what shapes it was trained on.

The signature travels in the file's own metadata, so that a network is rebuilt without building its simulator.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import save
from torch import Tensor

from haltere.configs.errors import IntegrityError, RequestError
from haltere.deploy.contract import MAX_ELEMENTS
from haltere.policies.base import Policy, Signature

WEIGHTS_NAME = "policy.safetensors"
CONFIG_NAME = "config.yaml"
_SIGNATURE_KEY = "haltere.signature"


def save_weights(policy: Policy[Any], path: Path) -> None:
    """Write a policy's parameters and buffers with its signature. Equal weights give equal bytes."""
    save_arrays(_arrays(policy), policy.signature, path)


def save_arrays(arrays: Mapping[str, NDArray[Any]], signature: Signature, path: Path) -> None:
    """Write weights that are already arrays, named as in the policy's ``state_dict``.

    Raises:
        OSError: the file can't be written.
    """
    shapes = {"obs": {name: list(shape) for name, shape in signature.obs.items()}, "action": signature.action}
    whole = {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}
    # safetensors' own save_file makes it readable by its owner alone, and an installed zoo is read by others.
    path.write_bytes(save(whole, metadata={_SIGNATURE_KEY: json.dumps(shapes)}))


def read_weights(path: Path) -> tuple[dict[str, Tensor], Signature]:
    """Read what ``save_weights`` wrote.

    Raises:
        RequestError: there is no such file.
        IntegrityError: it isn't a safetensors file, or has no signature that a lane could have.
    """
    if not path.is_file():
        raise RequestError(f"{path}: no such file; a policy folder holds {WEIGHTS_NAME}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (safetensors.SafetensorError, OSError) as error:
        raise IntegrityError(f"{path}: not a safetensors file: {error}") from error
    try:
        return tensors, _signature(json.loads(metadata[_SIGNATURE_KEY]))
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError(f"{path}: no signature inside ({type(error).__name__}: {error})") from error


def _signature(data: Any) -> Signature:  # noqa: ANN401 -- whatever JSON holds
    """The signature in a file, bounded as a contract is: a network is built to its sizes before any weight is seen."""
    shapes = {name: tuple(shape) for name, shape in data["obs"].items()}
    sizes = {**shapes, "action": (data["action"],)}
    for name, shape in sizes.items():
        # Each dimension too, because a zero among them would make any product small.
        if not all(type(dim) is int and 0 <= dim <= MAX_ELEMENTS for dim in shape):
            raise ValueError(f"{name} {shape!r:.80} isn't a shape of at most {MAX_ELEMENTS} elements")
    if sum(map(math.prod, sizes.values())) > MAX_ELEMENTS:
        raise ValueError(f"more than {MAX_ELEMENTS} elements in a lane")
    return Signature(shapes, data["action"])


def load_into(policy: Policy[Any], tensors: Mapping[str, Tensor], source: str) -> None:
    """Put tensors into a policy, every name and shape accounted for.

    Raises:
        IntegrityError: a tensor is missing, unknown or of another shape.
    """
    try:
        policy.load_state_dict(dict(tensors), strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise IntegrityError(f"{source}: the weights aren't those of this policy: {reason[:300]}") from error


def weights_digest(policy: Policy[Any]) -> str:
    """SHA-256 over name, type, shape and bytes of every parameter and buffer, in the order of their names."""
    digest = hashlib.sha256()
    for name, array in sorted(_arrays(policy).items()):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _arrays(policy: Policy[Any]) -> dict[str, NDArray[Any]]:
    return {name: tensor.detach().cpu().numpy() for name, tensor in policy.state_dict().items()}
