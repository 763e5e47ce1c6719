"""The bench times what it says, beside each other, and prints no figure that it didn't measure."""

import json
import time
from pathlib import Path

import pytest
import torch

from haltere.configs.errors import RequestError
from haltere.deploy.bench import BUILDERS, RUNTIMES, BenchReport, Timing, bench, measure, process
from haltere.deploy.bench.contender import Contender, Setup, Unavailable
from haltere.deploy.bench.report import short

from .toys import FACTS, Remembering, ToyConfig, swarm_policy

QUICK = ("torch_eager", "ort", "ort_io_binding_python", "ort_io_binding", "ort_int8")
KEYS = {"median_us", "p99_us", "p999_us", "mallocs", "peak_kib", "parity", "timed", "back_to_back_us", "other_choices"}


def bench_swarm(folder: Path, *names: str, calls: int = 20) -> BenchReport:
    """A bench of the policy that the folder holds."""
    return bench(swarm_policy(), task="toy", facts=FACTS, exported=folder / "policy.onnx", calls=calls, names=names)


@pytest.fixture(scope="module")
def report(recurrent_file: Path) -> BenchReport:
    """Five runtimes of a policy with state, compared on one lane."""
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
        assert timing.keys() == KEYS
        assert 0.0 < timing["median_us"] <= timing["p99_us"] <= timing["p999_us"]
    agreed = "torch_eager torch_compile ort ort_io_binding ort_int8 openvino_f32 openvino_bf16 ort_fused"
    ours = "fused_fp32 fused_bf16 fused_int8 ort_io_binding_python fused_python"
    assert set(RUNTIMES) == {*agreed.split(), *ours.split()}


def test_ratios_are_against_the_bound_onnx_runtime(report: BenchReport) -> None:
    """Above one is faster."""
    reference = report.runtimes["ort_io_binding"].median_us
    assert report.ratios["ort_io_binding"] == 1.0
    for name, timing in report.runtimes.items():
        assert report.ratios[name] == pytest.approx(reference / timing.median_us)


def test_each_runtime_says_who_called_it(report: BenchReport) -> None:
    """What C called has the clock's own time taken off; what Python called has Python's in it."""
    called = {name: timing.timed for name, timing in report.runtimes.items()}
    assert called == dict.fromkeys(QUICK, "python") | {"ort_io_binding": "native", "ort_int8": "native"}
    assert report.timer_ns is not None and report.timer_ns > 0.0
    for timing in report.runtimes.values():
        assert (timing.back_to_back_us is not None) == (timing.timed == "native")


def test_no_figure_is_left_out(report: BenchReport) -> None:
    """Allocations of every runtime are counted; torch's memory alone can't be seen, since it was there before."""
    assert all(timing.mallocs is not None for timing in report.runtimes.values())
    assert report.runtimes["torch_eager"].mallocs > report.runtimes["ort_io_binding"].mallocs / 100
    assert [name for name, timing in report.runtimes.items() if timing.peak_kib is None] == ["torch_eager"]
    assert report.skipped == {}


def test_each_runtime_computes_the_policy(report: BenchReport) -> None:
    """To 1e-5 in 32 bits; 8 bits are further off, but not by another network."""
    parity = {name: timing.parity for name, timing in report.runtimes.items()}
    assert parity["torch_eager"] == 0.0
    for name in ("ort", "ort_io_binding_python", "ort_io_binding"):
        assert 0.0 < parity[name] <= 1e-5
    assert 1e-5 < parity["ort_int8"] < 0.05


def test_the_table_shows_every_runtime_fastest_first(report: BenchReport) -> None:
    """For people, with what they need in order to believe it."""
    text = report.as_text()
    shown = [line.split()[0] for line in text.splitlines() if line.endswith(("  native", "  python"))]
    assert shown == sorted(QUICK, key=lambda name: report.runtimes[name].median_us)
    assert f"less the {report.timer_ns:.0f} ns" in text
    assert "GFLOP/s" in text and "of the roof" in text


def test_a_table_of_little_is_still_a_table() -> None:
    """What wasn't measured is a dash, and why is below."""
    timing = Timing(0.2134, 8.31, 1234.5, None, None, 0.0)
    text = BenchReport("toy", "A processor", 1, 5, {"ort": timing}, {}, {"mallocs": "not counted here"}).as_text()
    (row,) = (line for line in text.splitlines() if line.startswith("ort "))
    assert row.split() == "ort 0.213 µs 8.31 µs 1234 µs - - - 0e+00 python".split()
    assert text.splitlines()[-1] == "mallocs: not counted here"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0421, "0.042"), (0.9996, "1.000"), (9.876, "9.88"), (31.26, "31.3"), (4321.5, "4322")]
)
def test_numbers_have_the_digits_that_matter(value: float, text: str) -> None:
    """A kernel's 0.3 µs and torch's 3,000 stand in one column."""
    assert short(value) == text


def test_latency_is_that_of_the_call(swarm_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime that sleeps 2 ms, and every 50th call 20 ms, shows 2 ms in the middle and 20 ms in the tail."""
    calls = iter(range(1_000_000))

    def sleeper(setup: Setup) -> Contender:
        eager = BUILDERS["torch_eager"](setup)
        return Contender(lambda index: time.sleep(0.02 if next(calls) % 50 == 0 else 0.002), eager.outputs)

    monkeypatch.setitem(BUILDERS, "sleeper", sleeper)
    monkeypatch.setattr(measure, "WARM_UP", 0)
    timing = bench_swarm(swarm_folder, "sleeper", calls=200).runtimes["sleeper"]
    assert timing.median_us >= 2_000
    assert timing.p99_us > timing.median_us
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


def test_memory_that_cant_be_seen_is_null_with_a_reason(swarm_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No invented numbers."""
    monkeypatch.setattr(process, "reset_peak_kib", lambda: None)
    report = bench_swarm(swarm_folder, "ort")
    assert report.runtimes["ort"].peak_kib is None
    assert "not measured" in report.skipped["peak_kib"]


def test_memory_is_what_a_runtime_took(swarm_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime that fills 64 MiB while it is built shows them, and no later one does."""

    def hoarder(setup: Setup) -> Contender:
        torch.ones(16 << 20)
        return BUILDERS["torch_eager"](setup)

    monkeypatch.setitem(BUILDERS, "hoarder", hoarder)
    monkeypatch.setitem(BUILDERS, "modest", BUILDERS["torch_eager"])
    runtimes = bench_swarm(swarm_folder, "hoarder", "modest").runtimes
    took, least = runtimes["hoarder"].peak_kib, runtimes["modest"].peak_kib
    assert took is not None and least is not None
    assert took > 60 << 10
    assert least < 30 << 10


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


def test_a_policy_without_export_gets_a_graph_for_the_occasion() -> None:
    """Nothing but a network is needed; what takes its time is said before."""
    said: list[str] = []
    names = ("ort", "ort_int8")
    report = bench(swarm_policy(), task="toy", facts=FACTS, calls=20, names=names, say=said.append)
    assert list(report.runtimes) == ["ort", "ort_int8"]
    assert report.runtimes["ort"].parity <= 1e-6
    assert said == ["tracing the policy", "starting ort_int8", "timing 2 of 2 runtimes side by side, 20 calls each"]
