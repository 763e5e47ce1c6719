"""A process of its own that loads mutated models; its exit status tells whether one of them crashed it.

Arguments: a folder to work in, a count, and exported files. Prints each mutant's name before it is tried, and counts.
"""

import dataclasses
import json
import random
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from haltere.configs.errors import HaltereError
from haltere.deploy.onnx_file import seal
from haltere.deploy.runtime import OnnxActor

sys.path.insert(0, str(Path(__file__).parent))
from hostile import body_of, mutate


def attempt(path: Path) -> str:
    """Load and fly; anything but a HaltereError or a finite action within bounds ends the process."""
    try:
        actor = OnnxActor(path)
        obs = {t.name.removeprefix("obs."): np.ones((3, *t.shape), np.float32) for t in actor.contract.inputs}
        for _ in range(2):
            action = actor.act(obs)["action"]
    except HaltereError:
        return "refused"
    assert np.isfinite(action).all() and (np.abs(action) <= 1.0).all()
    return "ran"


def main(folder: Path, count: int, models: list[Path]) -> None:
    """Mutate whole files as damage does, and their graphs under a valid seal as an attacker would."""
    rng = random.Random(20_230_923)
    counts: Counter[str] = Counter()
    path = folder / "mutant.onnx"
    for index in range(count):
        print(f"raw {index}", flush=True)
        path.write_bytes(mutate(models[index % len(models)].read_bytes(), rng))
        counts[f"raw {attempt(path)}"] += 1
    graphs = [body_of(model) for model in models]
    for index in range(2 * count):
        print(f"sealed {index}", flush=True)
        graph, contract = graphs[index % len(graphs)]
        path.write_bytes(seal(mutate(graph, rng), dataclasses.replace(contract, task=f"toy/Mutant{index}-v0")))
        counts[f"sealed {attempt(path)}"] += 1
    print(json.dumps(counts))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
