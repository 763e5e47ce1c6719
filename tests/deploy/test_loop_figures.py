"""A loop's latencies are those of the ticks in which the policy was asked."""

import subprocess
from pathlib import Path

from haltere.deploy.cpp_contract import INCLUDE, contract_header
from haltere.deploy.runtime import Decision, Mode

from .robots import PERIOD_NS, FakeClock, Noting, Told, observation, toy_contract, toy_loop
from .test_loop_cpp import FLAGS, run


class Leisurely(Noting):
    """A sink that takes 1 ms in flight and most of a period on the way to the safe action."""

    def __init__(self, clock: FakeClock) -> None:
        """Takes nothing yet."""
        super().__init__()
        self.clock = clock

    def send(self, decision: Decision) -> None:
        """Take it."""
        self.clock.time_ns += 9_000_000 if decision.mode is Mode.STOPPING else 1_000_000
        super().send(decision)


def test_the_way_to_the_safe_action_isnt_in_the_latencies() -> None:
    """Ten ticks of 1 ms stay ten ticks of 1 ms, though many of 9 ms follow; without a tick there is no figure."""
    for ticks in (10, 0):
        clock = FakeClock()
        loop, *_ = toy_loop(Told(*[observation()] * ticks), Leisurely(clock), slew=2.0, clock=clock)
        for _ in range(ticks):
            loop.step()
        loop._settle()
        report = loop.report()
        assert report.ticks > ticks and report.at_rest
        figures = (report.latency, report.work)
        if ticks == 0:
            assert (*figures, report.wake) == (None, None, None)
        else:
            assert [span and (span.median_us, span.max_us) for span in figures] == [(1000.0, 1000.0)] * 2
            assert report.wake is not None and report.wake.max_us == 0.0
    assert PERIOD_NS > 9_000_000


def test_nor_in_those_of_cpp(tmp_path: Path) -> None:
    """A flight of no ticks at all, whose safe action takes 2 ms to send, has no latency."""
    (tmp_path / "policy_contract.hpp").write_text(contract_header(toy_contract()), encoding="utf-8")
    (tmp_path / "settle.cpp").write_text(
        '#include <haltere/loop.hpp>\n#include "policy_contract.hpp"\n#include <cstdio>\n'
        "int main() {\n"
        "  haltere::ControlLoop loop(policy::kContract, {policy::kInputs, policy::kAction}, {\n"
        "    .source = [](float*, int64_t&) { return false; },\n"
        "    .policy = [](const float*, float*) { return true; },\n"
        "    .sink = [](const haltere::Decision&) { haltere::SteadyClock::sleep_ns(2'000'000); return true; }});\n"
        "  const haltere::Report report = loop.run(0.0);\n"
        '  std::printf("%d %d", report.ticks > 0 && report.at_rest, static_cast<int>(report.latency.most));\n'
        "}\n"
    )
    command = ["g++", *FLAGS, f"-I{INCLUDE}", str(tmp_path / "settle.cpp"), "-o", str(tmp_path / "settle")]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert run(tmp_path / "settle") == "1 0"
