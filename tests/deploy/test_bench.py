"""The bench times what it says, beside each other, and prints no figure that it didn't measure."""

import json
import time
from pathlib import Path

import pytest
import torch

from haltere.configs.errors import RequestError
from haltere.deploy import bench as bench_module
from haltere.deploy.bench import RUNTIMES, BenchReport, bench
from haltere.deploy.contenders import BUILDERS, Contender, Setup, Unavailable, quantised
from haltere.deploy.tracing import trace
from haltere.policies.registry import build_policy
from haltere.policies.swarm.config import SwarmConfig

from .toys import FACTS, SWARM, Remembering, ToyConfig, swarm_policy

QUICK = ("torch_eager", "ort", "ort_io_binding", "ort_int8")


def bench_swarm(folder: Path, *names: str, calls: int = 20) -> BenchReport:
    """A bench of the policy that the folder holds."""
    return bench(swarm_policy(), task="toy", facts=FACTS, exported=folder / "policy.onnx", calls=calls, names=names)


@pytest.fixture(scope="module")
def report(recurrent_file: Path) -> BenchReport:
    """Four runtimes of a policy with state, compared on one lane."""
    policy = Remembering(ToyConfig(start=0.25))
    return bench(policy, task="toy", facts=FACTS, exported=recurrent_file, calls=60, names=QUICK)


def test_the_json_has_the_agreed_keys(report: BenchReport) -> None:
    """Scripts parse this and nothing else."""
    data = json.loads(report.to_json())
    assert {"task", "cpu", "threads", "runtimes", "ratios"} <= data.keys()
    assert (data["task"], data["threads"], data["calls"]) == ("toy", 1, 60)
    assert data["cpu"]
    assert list(data["runtimes"]) == list(QUICK)
    for timing in data["runtimes"].values():
        assert timing.keys() == {"median_us", "p99_us", "p999_us", "mallocs", "peak_kib", "parity"}
        assert 0.0 < timing["median_us"] <= timing["p99_us"] <= timing["p999_us"]
    assert set(RUNTIMES) == {"torch_eager", "torch_compile", "ort", "ort_io_binding", "ort_int8"}


def test_ratios_are_against_the_bound_onnx_runtime(report: BenchReport) -> None:
    """Above one is faster."""
    reference = report.runtimes["ort_io_binding"].median_us
    assert report.ratios["ort_io_binding"] == 1.0
    for name, timing in report.runtimes.items():
        assert report.ratios[name] == pytest.approx(reference / timing.median_us)


def test_what_was_not_measured_is_null_with_a_reason(report: BenchReport) -> None:
    """No invented numbers."""
    assert all(timing.mallocs is None for timing in report.runtimes.values())
    assert "not counted" in report.skipped["mallocs"]
    assert report.runtimes["torch_eager"].peak_kib is None


def test_each_runtime_computes_the_policy(report: BenchReport) -> None:
    """To 1e-5 in 32 bits; 8 bits are further off, but not by another network."""
    parity = {name: timing.parity for name, timing in report.runtimes.items()}
    assert parity["torch_eager"] == 0.0
    assert 0.0 < parity["ort"] <= 1e-5
    assert 0.0 < parity["ort_io_binding"] <= 1e-5
    assert 1e-5 < parity["ort_int8"] < 0.05


def test_the_table_shows_every_runtime_fastest_first(report: BenchReport) -> None:
    """For people."""
    shown = [line.split()[0] for line in report.as_text().splitlines() if line.split()[:1] and line.split()[0] in QUICK]
    assert shown == sorted(QUICK, key=lambda name: report.runtimes[name].median_us)


def test_latency_is_that_of_the_call(swarm_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime that sleeps 2 ms, and every 50th call 20 ms, shows 2 ms in the middle and 20 ms in the tail."""
    calls = iter(range(1_000_000))

    def sleeper(setup: Setup) -> Contender:
        eager = BUILDERS["torch_eager"](setup)
        return Contender(lambda index: time.sleep(0.02 if next(calls) % 50 == 0 else 0.002), eager.outputs)

    monkeypatch.setitem(BUILDERS, "sleeper", sleeper)
    monkeypatch.setattr(bench_module, "_WARM_UP", 0)
    timing = bench_swarm(swarm_folder, "sleeper", calls=200).runtimes["sleeper"]
    assert 2_000 <= timing.median_us < 15_000
    assert timing.p99_us >= 20_000


def test_a_runtime_that_cant_run_is_skipped_with_its_reason(
    swarm_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are still timed, and without the reference there are no ratios."""

    def missing(setup: Setup) -> Contender:
        raise Unavailable("needs a part that isn't there")

    monkeypatch.setitem(BUILDERS, "missing", missing)
    monkeypatch.setenv("CXX", "no-such-compiler")
    report = bench_swarm(swarm_folder, "missing", "torch_compile", "ort")
    assert list(report.runtimes) == ["ort"]
    assert report.ratios == {}
    assert report.skipped["missing"] == "needs a part that isn't there"
    assert "no no-such-compiler" in report.skipped["torch_compile"]


def test_the_benchs_settings_end_with_it(swarm_folder: Path) -> None:
    """Threads are put back, and a wrong name is a wrong request before anything is built."""
    with pytest.raises(RequestError, match="no runtime named 'otr'; did you mean 'ort'"):
        bench_swarm(swarm_folder, "otr")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        bench_swarm(swarm_folder, "torch_eager")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_export_of_another_policy_is_refused(swarm_folder: Path) -> None:
    """A latency beside the wrong parity would be a lie."""
    with pytest.raises(RequestError, match="the export of another policy"):
        bench(swarm_policy(seed=1), task="toy", facts=FACTS, exported=swarm_folder / "policy.onnx", names=("ort",))


def test_a_policy_without_export_gets_one_for_the_occasion() -> None:
    """Nothing but a network is needed."""
    assert list(bench(swarm_policy(), task="toy", facts=FACTS, calls=20, names=("ort",)).runtimes) == ["ort"]


def test_quantised_weights_are_small() -> None:
    """Weights mustn't hide from the quantiser: those of a wide network shrink to nearly a quarter."""
    policy = build_policy(SwarmConfig(width=256), SWARM, seed=0).eval()
    obs = policy.random_obs(2, torch.Generator().manual_seed(0))
    model = trace(policy, obs, {}, policy(obs, {})[0]).SerializeToString()
    assert len(quantised(model)) < 0.35 * len(model)
