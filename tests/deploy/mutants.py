"""A process of its own, ``python -m``, that loads mutated models; its exit status tells whether one crashed it.

Arguments: a folder to work in, ``stock`` or ``fused``, kinds of mutants with commas between them, a seed, the first
and the last mutant's number, and exported files. Prints each mutant's name before it is tried, and counts. The one that
crashed lies in the folder then, and can be made again alone by its number.
"""

import dataclasses
import json
import random
import resource
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx

from haltere.configs.errors import HaltereError
from haltere.deploy.contract import Contract
from haltere.deploy.kernels.op import PRECISIONS
from haltere.deploy.onnx_file import seal
from haltere.deploy.runtime import OnnxActor

from .hostile import mutate, restructure, unsealed
from .misuse import misuse
from .strangers import strange

MEMORY = 8 << 30
"""A mutant may ask for any tensor; it gets a refusal, and neither the machine nor the other tests suffer."""


def attempt(path: Path, *, fused: bool, precision: str) -> str:
    """Load and fly; anything but a HaltereError or a finite action within bounds ends the process."""
    try:
        actor = OnnxActor(path, fused=fused, precision=precision)  # type: ignore[arg-type]
        obs = {t.name.removeprefix("obs."): np.ones((3, *t.shape), np.float32) for t in actor.contract.inputs}
        for _ in range(2):
            action = actor.act(obs)["action"]
    except HaltereError:
        return "refused"
    assert np.isfinite(action).all() and (np.abs(action) <= 1.0).all()
    return "ran"


def mutant(kind: str, path: Path, model: onnx.ModelProto, contract: Contract, rng: random.Random) -> bytes:
    """A file damaged as damage comes, or its graph, its meaning or its operators changed under a valid seal."""
    if kind == "raw":
        return mutate(path.read_bytes(), rng)
    if kind == "bytes":
        return seal(mutate(model.SerializeToString(), rng), contract)
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    if kind == "structure":
        restructure(changed, rng)
    elif kind == "operator":
        strange(changed, rng)
    else:
        contract = misuse(changed, contract, rng)
    return seal(changed.SerializeToString(), contract)


def main(folder: Path, mode: str, kinds: str, seed: str, numbers: range, models: list[Path]) -> None:
    """Every mutant of these numbers; each is drawn by itself, so that a number says what it is."""
    counts: Counter[str] = Counter()
    path = folder / "mutant.onnx"
    opened = [unsealed(model) for model in models]
    for number in numbers:
        which = number % len(models)
        model, contract = opened[which]
        contract = dataclasses.replace(contract, task=f"toy/Mutant{number}-v0")
        for kind in kinds.split(","):
            print(f"{mode} {kind} {seed} {number} {models[which].name}", flush=True)
            rng = random.Random(f"{kind} {seed} {number}")
            path.write_bytes(mutant(kind, models[which], model, contract, rng))
            counts[f"{kind} {attempt(path, fused=mode == 'fused', precision=rng.choice(PRECISIONS))}"] += 1
    print(json.dumps(counts))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    where, mode, kinds, seed, first, last, *files = sys.argv[1:]
    main(Path(where), mode, kinds, seed, range(int(first), int(last) + 1), [Path(name) for name in files])
