"""What an installed wheel must do, run by its own Python outside the checkout.

python smoke.py edge|train
"""

import importlib.util
import json
import subprocess
import sys
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

HALTERE = str(Path(sys.prefix) / "bin" / "haltere")
HEAVY = ("torch", "mujoco", "gymnasium", "pydantic", "yaml", "onnx")
WITHOUT_OPERATORS = ("-mlp", "-mode", "-ebt", "-act")
"""Zoo models whose graphs have none of ours."""
GENERIC = ("agents", "configs", "deploy", "policies", "sims", "tests")


def edge() -> None:
    """The runtime flies every zoo model on numpy and ONNX Runtime alone, with our kernels too, in its loop."""
    present = [name for name in HEAVY if importlib.util.find_spec(name)]
    assert not present, f"the edge install must not bring {present}"
    from haltere.deploy.runtime import OnnxActor

    with as_file(files("haltere.deploy.zoo")) as zoo:
        models = sorted(Path(zoo).glob("*/policy.onnx"))
        for model in models:
            actor = OnnxActor(model)
            fast = OnnxActor(model, fused=not model.parent.name.endswith(WITHOUT_OPERATORS))
            generator = np.random.default_rng(0)
            obs = {
                tensor.name.removeprefix("obs."): generator.standard_normal((3, *tensor.shape), dtype=np.float32)
                for tensor in actor.contract.inputs
            }
            action = actor.act(obs)["action"]
            assert np.isfinite(action).all() and np.ptp(action) > 0, action
            assert np.abs(fast.act(obs)["action"] - action).max() < 1e-5
            # Whether the deadline is met is this machine's matter (1 where it isn't); that the loop flies is ours.
            words = [HALTERE, "run", str(model), "--seconds", "2", "--json", "-"]
            ran = subprocess.run(words, capture_output=True, text=True, check=False)
            assert ran.returncode in (0, 1), ran.stderr
            flown = json.loads(ran.stdout)
            assert flown["outcomes"]["good"] > 0 and flown["at_rest"], flown
            print(f"{model.parent.name}: flew three lanes, {action.shape[1]} commands each")
    assert models, "the wheel holds no zoo model"


def train() -> None:
    """The native worlds load from the wheel and the zoo policy flies in them."""
    import haltere.sims

    assert str(haltere.sims.__file__).startswith(sys.prefix), f"not the wheel's: {haltere.sims.__file__}"
    subprocess.run([HALTERE, "list"], check=True)
    subprocess.run([HALTERE, "eval", "swarm", "--actor", "zoo", "--runtime", "onnx", "--episodes", "2"], check=True)


if __name__ == "__main__":
    stray = [name for name in GENERIC if importlib.util.find_spec(name)]
    assert not stray, f"the wheel must not install {stray} at the top level"
    {"edge": edge, "train": train}[sys.argv[1]]()
