"""The swarm's training from the command line, killed and resumed, ends with the bits of a run that never stopped."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from haltere.agents.cli.main import main
from haltere.deploy.store import digest
from haltere.deploy.weights import WEIGHTS_NAME

COMMAND = (sys.executable, "-m", "haltere.agents.cli.main", "train", "swarm")
ROLLOUT = 8 * 4 * 16
"""Agent steps of an iteration: drones x worlds x control steps."""
SETTINGS = (
    *("--seed", "3", "--threads", "1", "--env.drones", "8"),
    *("--trainer.worlds", "4", "--trainer.rollout-steps", "16", "--trainer.batch-size", "256"),
)
# A world stores collisions only after ten whole episodes that were mostly flown, not spent on the floor: short
# episodes, few worlds and little noise around the untrained policy's near-hover commands get there soon.
CROWDED = (
    *("--env.episode-s", "2", "--env.density", "0.8"),
    *("--trainer.log-std-init", "-2", "--trainer.total-steps", "150000", "--trainer.checkpoint-every", "30000"),
)
SHORT = (
    *("--env.episode-s", "1", "--env.density", "0.5"),
    *("--trainer.total-steps", "8192", "--trainer.checkpoint-every", "2048"),
)


def train(*arguments: str) -> None:
    """Run the command to its end."""
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def rows(run: Path) -> list[dict[str, Any]]:
    """A run's metrics without the clocks."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if not key.startswith("time/")} for line in lines]


def kill_at(run: Path, iteration: int, wait_s: float, *arguments: str) -> None:
    """Run the command and ``kill -9`` it some time after its run has logged so many iterations."""
    metrics = run / "metrics.jsonl"
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        deadline = time.monotonic() + 300
        while child.poll() is None and time.monotonic() < deadline:
            if metrics.is_file() and metrics.read_bytes().count(b"\n") >= iteration:
                break
            time.sleep(0.002)
        time.sleep(wait_s)
        child.kill()
        _, text = child.communicate()
    assert child.returncode == -signal.SIGKILL, text.decode()


def same_end(run: Path, whole: Path, iterations: int) -> None:
    """Equal weights, and each iteration once, with equal metrics."""
    assert digest(run / WEIGHTS_NAME) == digest(whole / WEIGHTS_NAME)
    expected = rows(whole)
    assert [row["steps"] for row in expected] == [ROLLOUT * (index + 1) for index in range(iterations)]
    assert rows(run) == expected


def test_the_swarm_killed_once_and_resumed(tmp_path: Path) -> None:
    """``kill -9`` in the middle of a short run, then ``--resume`` and nothing else: the same bits.

    To be quick, the two that aren't killed run in this process.
    """
    iterations, moment = 8192 // ROLLOUT, random.Random(1)
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert main(["train", "swarm", *SETTINGS, *SHORT, "--out", str(whole)]) == 0
    kill_at(run, moment.randint(5, iterations // 2), 0.0, *SETTINGS, *SHORT, "--out", str(run))
    assert not (run / WEIGHTS_NAME).exists()
    assert main(["train", "swarm", "--resume", str(run)]) == 0
    same_end(run, whole, iterations)


@pytest.mark.slow
def test_the_swarm_with_replays_killed_twice_and_resumed(tmp_path: Path) -> None:
    """Two kills at random iterations, and moments within them, of a run that replays collisions: the same bits.

    That it replays them shows in another run, equal but for a replay probability of zero: its metrics leave the
    first's well before the second kill.
    """
    iterations, moment = -(-150_000 // ROLLOUT), random.Random(2)
    whole, run, never = tmp_path / "whole", tmp_path / "run", tmp_path / "never"
    crowded = (*SETTINGS, *CROWDED, "--env.replay-probability")
    train(*crowded, "0.9", "--out", str(whole))
    train(*crowded, "0", "--out", str(never))
    early = iterations * 6 // 10
    assert rows(never)[:early] != rows(whole)[:early], "no collision was replayed"
    first = moment.randint(iterations // 5, iterations // 2)
    kill_at(run, first, moment.uniform(0.0, 0.02), *crowded, "0.9", "--out", str(run))
    # At least a checkpoint after ``early``: what is resumed has stored collisions.
    second = moment.randint(iterations * 17 // 20, iterations * 19 // 20)
    kill_at(run, second, moment.uniform(0.0, 0.02), "--resume", str(run))
    assert not (run / WEIGHTS_NAME).exists()
    train("--resume", str(run))
    same_end(run, whole, iterations)
