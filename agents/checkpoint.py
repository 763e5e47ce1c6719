"""A checkpoint: one folder with the policy, the rest of the trainer's state and the configuration. No pickle.

    policy.safetensors    the policy's weights and signature
    config.yaml           the run's resolved configuration
    trainer.safetensors   every other array
    trainer.json          every other value
    manifest.json         SHA-256 and size of the others

It is a policy folder with two more files, so whatever takes a policy folder takes a checkpoint.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays_bytes

from haltere.agents.trainer import Arrays, TrainerState
from haltere.configs.errors import IntegrityError
from haltere.deploy.store import verify_folder, write_folder
from haltere.deploy.weights import CONFIG_NAME, WEIGHTS_NAME, save_arrays
from haltere.policies.base import Signature

ARRAYS_NAME = "trainer.safetensors"
VALUES_NAME = "trainer.json"


def write_policy(path: Path, policy: Arrays, signature: Signature, config: str) -> None:
    """Write a policy folder.

    Args:
        path: the folder to make or replace.
        policy: weights by name.
        signature: what the policy senses and commands.
        config: text of the resolved configuration.

    Raises:
        OSError: it couldn't be written; an older folder of that name is as before.
    """
    write_folder(path, lambda folder: _fill_policy(folder, policy, signature, config))


def write_checkpoint(path: Path, state: TrainerState, signature: Signature, config: str) -> None:
    """Write a checkpoint; arguments and errors as in ``write_policy``."""

    def fill(folder: Path) -> None:
        _fill_policy(folder, state.policy, signature, config)
        whole = {name: np.asarray(array, order="C") for name, array in sorted(state.arrays.items())}
        (folder / ARRAYS_NAME).write_bytes(save_arrays_bytes(whole))
        (folder / VALUES_NAME).write_text(json.dumps(state.values, indent=2, allow_nan=False) + "\n", encoding="utf-8")

    write_folder(path, fill)


def read_checkpoint(path: Path) -> TrainerState:
    """Verify a checkpoint, then read it.

    Raises:
        IntegrityError: it is damaged or not a checkpoint.
    """
    files = verify_folder(path, need=(WEIGHTS_NAME, CONFIG_NAME, ARRAYS_NAME, VALUES_NAME))
    try:
        values: Any = json.loads(files[VALUES_NAME].read_text(encoding="utf-8"))
        policy = load_arrays(files[WEIGHTS_NAME].read_bytes())
        arrays = load_arrays(files[ARRAYS_NAME].read_bytes())
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise IntegrityError(f"{path}: can't be read as a checkpoint: {error}") from error
    if not isinstance(values, dict):
        raise IntegrityError(f"{path}: {VALUES_NAME} doesn't hold an object")
    return TrainerState(policy, arrays, values)


def _fill_policy(folder: Path, policy: Arrays, signature: Signature, config: str) -> None:
    save_arrays(policy, signature, folder / WEIGHTS_NAME)
    (folder / CONFIG_NAME).write_text(config, encoding="utf-8")
