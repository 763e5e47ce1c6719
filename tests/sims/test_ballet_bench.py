"""Ballet's own bench: its keys, and what it promises."""

import pytest

from haltere.sims.ballet.bench import measure
from haltere.sims.ballet.config import BalletConfig
from haltere.sims.ballet.task import Ballet

KEYS = {"full_steps_per_cpu_s", "bare_steps_per_cpu_s", "ratio"}
LEAST_STEPS_PER_CPU_S = 150_000


def test_the_bench_compares_pictures_with_none() -> None:
    """A short one: every figure is there, and pictures cost something."""
    seen: list[tuple[int, int]] = []
    result = measure(BalletConfig(pixels=33), rounds=2, progress=lambda done, total: seen.append((done, total)))
    assert set(result) == KEYS
    assert min(result.values()) > 0.0
    assert result["ratio"] == pytest.approx(result["full_steps_per_cpu_s"] / result["bare_steps_per_cpu_s"])
    assert result["ratio"] < 1.0
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.slow
@pytest.mark.parametrize("dancers", [2, 8])
def test_the_fast_profile_is_fast(dancers: int) -> None:
    """150,000 steps a second of 64 worlds with pictures, by processor time."""
    result = Ballet.bench_sim(BalletConfig(dancers=dancers, pixels=33))
    assert set(result) == {"task", *KEYS}
    assert float(result["full_steps_per_cpu_s"]) >= LEAST_STEPS_PER_CPU_S, result
