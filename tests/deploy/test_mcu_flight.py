"""The C code flies as torch does, and ``haltere export --target c`` writes what flies."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from haltere.agents.cli import main as entry
from haltere.agents.cli.eval import measure
from haltere.agents.recipe import resolve
from haltere.sims.task import FIRST_HELD_OUT_SEED

EPISODES = 12
MOST_CHANGED = 0.1
"""Share of all drones whose success may differ: rounding differs between the runtimes, and contact amplifies it."""


def test_the_c_code_flies_as_torch_does() -> None:
    """Held-out episodes: success in C lies in torch's interval, and hardly a drone ends otherwise."""
    recipe, seeds = resolve("swarm"), range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + EPISODES)
    torch, c = (
        measure(recipe, actor="zoo", runtime=runtime, seeds=seeds, worlds=EPISODES, threads=1)
        for runtime in ("torch", "c")
    )
    assert torch.success.low <= c.success.mean <= torch.success.high
    changed = np.abs(np.subtract(torch.per_episode["success"], c.per_episode["success"]))
    assert changed.mean() <= MOST_CHANGED, changed


def test_export_writes_c_that_tests_itself_and_evaluates(
    swarm_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From weights to a passing ``make test``; the JSON says what was made, and eval takes the folder."""
    out = tmp_path / "swarm-c"
    export = ["export", "swarm", "--target", "c", "--actor", str(swarm_folder), "--out", str(out)]
    assert entry.main([*export, "--json", "-"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["path"] == str(out) and made["parity"]["max_error"] <= 1e-5
    assert json.loads((out / "card.json").read_text()) == json.loads((swarm_folder / "card.json").read_text())
    tested = subprocess.run(["make", "-C", out, "test"], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    flown = ["eval", "swarm", "--actor", str(out), "--runtime", "c", "--episodes", "1", "--env.episode-s", "1"]
    assert entry.main([*flown, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["runtime"] == "c"
    assert entry.main([*export, "--inline"]) == 2
    assert "--inline writes another ONNX file" in capsys.readouterr().err
