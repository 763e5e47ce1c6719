"""Which file a runtime flies: the one that was named, or the one in a policy folder that has the wanted precision."""

import json
from pathlib import Path

from haltere.configs.errors import IntegrityError, RequestError
from haltere.deploy.runtimes import Precision
from haltere.deploy.store import MANIFEST_NAME, verify_folder

MODEL_NAME = "policy.onnx"
INLINE_NAME = "policy.inline.onnx"
"""The copy without functions, for engines that know none."""
INT8_NAME = "policy.int8.onnx"
"""The copy in 8 bits, for any engine."""
QUANTISED_NAME = "quantised.json"
"""What fewer bits cost and gain, and whether they were accepted."""
_IN_FOLDER = (MODEL_NAME, INLINE_NAME, INT8_NAME)


def check_accepted(path: Path, *, fused: bool, precision: Precision) -> None:
    """See that a policy with fewer bits has flown as well as before, as ``quantised.json`` beside it says.

    A file in 8 bits needs no more: it is only kept where it has. Kernels round ``policy.onnx`` as they load it.

    Args:
        path: an exported file, or a policy folder.
        fused: whether our kernels run.
        precision: of their large matrices.

    Raises:
        RequestError: nothing says that it has, or it has flown worse.
        IntegrityError: the folder is damaged.
    """
    if precision == "fp32" or not fused:
        return
    folder = path if path.is_dir() else path.parent
    if not (folder / QUANTISED_NAME).is_file():
        raise RequestError(f"{path}: hasn't flown with kernels in {precision}; haltere export --{precision} tries that")
    report = verify_folder(folder, need=[QUANTISED_NAME])[QUANTISED_NAME]
    try:
        kept = json.loads(report.read_text(encoding="utf-8"))["variants"].get(f"fused {precision}", {}).get("kept")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"{report}: not what haltere export writes: {type(error).__name__}") from error
    if kept is not True:
        why = "flew worse than fp32" if kept is False else "haven't been tried"
        raise RequestError(f"{path}: kernels in {precision} {why}, {QUANTISED_NAME} says; run it in fp32")


def model_file(path: Path, *, fused: bool, precision: Precision) -> Path:
    """The file to read, verified where it lies in a policy folder.

    Args:
        path: an exported file, or a policy folder.
        fused: whether our kernels run, which round the weights of ``policy.onnx`` themselves as they load it.
        precision: without kernels, a folder's ``policy.int8.onnx`` is in 8 bits, and nothing is in bfloat16.

    Raises:
        RequestError: there is no such file, or it isn't one of that precision.
        IntegrityError: the folder is damaged.
    """
    if precision == "bf16" and not fused:
        raise RequestError("bf16 needs our kernels (the runtime 'fused'); ONNX Runtime alone has fp32 and int8")
    wants_int8 = precision == "int8" and not fused
    if path.is_dir():
        folder, path = path, path / (INT8_NAME if wants_int8 else MODEL_NAME)
        if not (folder / MODEL_NAME).is_file():
            raise RequestError(f"{folder.resolve()}: a folder without {MODEL_NAME}; haltere export makes one")
        if not path.is_file():
            raise RequestError(f"{folder}: has no {INT8_NAME}; haltere export --int8 makes one if it flies as well")
    elif wants_int8 and path.name == MODEL_NAME:
        raise RequestError(f"{path}: is in fp32; the copy in int8, where there is one, is {INT8_NAME}")
    if not path.is_file():
        raise RequestError(f"{path}: no such file; haltere export makes one")
    if path.name in _IN_FOLDER and (path.parent / MANIFEST_NAME).is_file():
        path = verify_folder(path.parent, need=[path.name])[path.name]
    return path
