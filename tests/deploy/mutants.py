"""A process of its own that loads mutated models; its exit status tells whether one of them crashed it.

Arguments: a folder to work in, a count, ``stock`` or ``fused``, and exported files. Prints each mutant's name before it
is tried, and counts.
"""

import dataclasses
import json
import random
import resource
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from haltere.configs.errors import HaltereError
from haltere.deploy.onnx_file import seal
from haltere.deploy.runtime import OnnxActor

sys.path.insert(0, str(Path(__file__).parent))
from hostile import body_of, mutate, restructure, unsealed

MEMORY = 8 << 30
"""A mutant may ask for any tensor; it gets a refusal, and neither the machine nor the other tests suffer."""


def attempt(path: Path, *, fused: bool) -> str:
    """Load and fly; anything but a HaltereError or a finite action within bounds ends the process."""
    try:
        actor = OnnxActor(path, fused=fused)
        obs = {t.name.removeprefix("obs."): np.ones((3, *t.shape), np.float32) for t in actor.contract.inputs}
        for _ in range(2):
            action = actor.act(obs)["action"]
    except HaltereError:
        return "refused"
    assert np.isfinite(action).all() and (np.abs(action) <= 1.0).all()
    return "ran"


def main(folder: Path, count: int, fused: bool, models: list[Path]) -> None:
    """Mutate files as damage does; then, under a valid seal as an attacker would, a graph's bytes and its meaning."""
    rng = random.Random(20_230_923)
    counts: Counter[str] = Counter()
    path = folder / "mutant.onnx"
    graphs = [body_of(model) for model in models]
    parsed = [unsealed(model)[0] for model in models]
    for index in range(count):
        which = index % len(models)
        graph, contract = graphs[which]
        contract = dataclasses.replace(contract, task=f"toy/Mutant{index}-v0")
        changed = type(parsed[which])()
        changed.CopyFrom(parsed[which])
        restructure(changed, rng)
        made = {
            "raw": mutate(models[which].read_bytes(), rng),
            "bytes": seal(mutate(graph, rng), contract),
            "structure": seal(changed.SerializeToString(), contract),
        }
        for kind, data in made.items():
            print(f"{kind} {index}", flush=True)
            path.write_bytes(data)
            counts[f"{kind} {attempt(path, fused=fused)}"] += 1
    print(json.dumps(counts))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "fused", [Path(name) for name in sys.argv[4:]])
