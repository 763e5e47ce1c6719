"""The simulator's own bench: its keys, and what it promises."""

import json
import subprocess
import sys

import pytest

from haltere.sims.mujoco.swarm.bench import measure
from haltere.sims.mujoco.swarm.config import SwarmForestConfig

KEYS = {"full_steps_per_cpu_s", "bare_steps_per_cpu_s", "ratio"}
LEAST_RATIO = 0.6
LEAST_STEPS_PER_CPU_S = 150_000


def test_the_bench_compares_the_environment_with_its_own_physics() -> None:
    """A short one: every figure is there, and the whole environment isn't faster than its physics beyond noise."""
    seen: list[tuple[int, int]] = []
    result = measure(SwarmForestConfig(), flights=2, progress=lambda done, total: seen.append((done, total)))
    assert set(result) == KEYS
    assert min(result.values()) > 0.0
    assert result["ratio"] < 1.5
    assert result["ratio"] == pytest.approx(result["full_steps_per_cpu_s"] / result["bare_steps_per_cpu_s"])
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.slow
def test_the_environment_costs_little_beside_its_physics() -> None:
    """In one process, by processor time: at least 0.6 of bare MuJoCo's steps, and 150,000 agent steps a second."""
    command = [sys.executable, "-m", "haltere.agents.cli.main", "bench", "swarm", "--sim", "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result) == {"task", *KEYS}
    assert result["task"] == "swarm"
    assert result["ratio"] >= LEAST_RATIO, result
    assert result["full_steps_per_cpu_s"] >= LEAST_STEPS_PER_CPU_S, result
