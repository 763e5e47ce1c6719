"""A recurrent run that was stopped and resumed ends with the same bits as one that never stopped."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from haltere.agents.cli import main as entry
from haltere.agents.iterative import IterativeTrainer
from haltere.agents.runs import resume_run, start_run
from haltere.agents.trainer import TrainerState
from haltere.configs.errors import IntegrityError
from haltere.deploy.store import digest
from tests.recall import recall_recipe

SETTINGS: dict[str, Any] = {"total_steps": 2500, "checkpoint_every": 300, "reconstruction": 0.1}
CHILD = """
import sys, types
tests = sys.modules["tests"] = types.ModuleType("tests")
tests.__path__ = [sys.argv[1]]
from pathlib import Path
from tests.recall import recall_recipe
from haltere.agents.runs import resume_run, start_run
run = Path(sys.argv[2])
trainer = resume_run(run) if run.exists() else start_run(recall_recipe(**eval(sys.argv[3])), seed=4, path=run)
trainer.fit()
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that never stops."""
    path = tmp_path_factory.mktemp("whole") / "run"
    start_run(recall_recipe(**SETTINGS), seed=4, path=path, threads=2).fit()
    return path


def same_run(run: Path, whole: Path) -> None:
    """Equal weights, and all else of the last checkpoint equal too."""
    last = max((whole / "checkpoints").iterdir(), key=lambda path: int(path.name)).name
    for name in ("policy.safetensors", f"checkpoints/{last}/trainer.safetensors"):
        assert digest(run / name) == digest(whole / name)


def test_killed_and_resumed(tmp_path: Path, whole: Path) -> None:
    """``kill -9`` at an arbitrary moment, resumed from nothing but the folder: the same bits."""
    run = tmp_path / "run"
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parents[1]), str(run), repr(SETTINGS)]
    child = subprocess.Popen(command, stderr=subprocess.PIPE)
    while child.poll() is None and not list(run.glob("checkpoints/[0-9]*")):
        time.sleep(0.004)
    time.sleep(float(np.random.default_rng().uniform(0.0, 0.3)))
    child.kill()
    _, text = child.communicate()
    assert child.returncode == -signal.SIGKILL, text.decode()
    resume_run(run).fit()
    same_run(run, whole)


def test_from_any_checkpoint(tmp_path: Path, whole: Path) -> None:
    """From the oldest checkpoint that is left, and from the very beginning: still the same bits."""
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    for folder in sorted((run / "checkpoints").iterdir(), key=lambda path: int(path.name))[1:]:
        shutil.rmtree(folder)
    resume_run(run).fit()
    same_run(run, whole)
    start_run(recall_recipe(**SETTINGS), seed=4, path=tmp_path / "other")
    resume_run(tmp_path / "other").fit()
    same_run(tmp_path / "other", whole)


def test_state_is_everything(tmp_path: Path) -> None:
    """A fresh trainer of another seed, given a state, walks on beside the first in every bit of its own state."""
    first, second = (start_run(recall_recipe(**SETTINGS), seed=s, path=tmp_path / str(s)) for s in (1, 2))
    assert isinstance(first, IterativeTrainer) and isinstance(second, IterativeTrainer)
    first._iterate()  # the worlds' first seeds aren't part of a state: they are the run's
    for round in range(2):
        second.load_state_dict(first.state_dict())
        for _ in range(2):
            first._iterate()
            second._iterate()
        mine, theirs = first.state_dict(), second.state_dict()
        for ours, others in ((mine.policy, theirs.policy), (mine.arrays, theirs.arrays)):
            assert set(ours) == set(others)
            assert [n for n, a in ours.items() if a.tobytes() != others[n].tobytes()] == [], round
        assert mine.values["asked_generator"] == theirs.values["asked_generator"]
    state = first.state_dict()
    for name in ("noise_generator", "network.critic.0.weight", "env.state", "episodes.rows"):
        arrays = {key: value for key, value in state.arrays.items() if key != name}
        with pytest.raises(IntegrityError, match="not a state of this configuration"):
            second.load_state_dict(TrainerState(state.policy, arrays, state.values))


def test_ballet_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trained, resumed, evaluated and exported by name; threads change nothing."""
    small = ["--policy.width", "16", "--policy.channels", "4", "--policy.slots", "16", "--env.choice-steps", "4"]
    small += ["--trainer.worlds", "4", "--trainer.batch-episodes", "4", "--trainer.tries", "2"]
    small += ["--trainer.bound", "draw", "--trainer.checkpoint-every", "1"]
    small += ["--trainer.total-steps", "700"]
    runs = [tmp_path / "a", tmp_path / "b"]
    for threads, run in enumerate(runs, start=1):
        assert entry.main(["train", "ballet", "--out", str(run), "--threads", str(threads), *small]) == 0
    names = sorted(os.listdir(runs[1] / "checkpoints"), key=int)
    for name in names[1:]:
        shutil.rmtree(runs[1] / "checkpoints" / name)
    assert entry.main(["train", "ballet", "--resume", str(runs[1])]) == 0
    assert digest(runs[0] / "policy.safetensors") == digest(runs[1] / "policy.safetensors")
    for actor, success in ((runs[0], None), ("expert", "1.000"), ("random", None)):
        words = ["--actor", str(actor), "--episodes", "3", "--env.choice-steps", "8"]
        assert entry.main(["eval", "ballet", *words]) == 0
        out = " ".join(capsys.readouterr().out.split())
        assert success is None or f" success {success} " in out
    assert entry.main(["eval", "swarm", "--actor", "expert", "--episodes", "1"]) == 2
    assert "has no expert" in capsys.readouterr().err
