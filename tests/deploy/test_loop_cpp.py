"""The C++ control loop beside the Python one: the same scripts, the same commands to the last bit, the same files."""

import json
import random
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from haltere.deploy.contract import Contract, Tensor
from haltere.deploy.cpp_contract import INCLUDE, contract_header
from haltere.deploy.kernels.library import library_path
from haltere.deploy.loading import TorchActor
from haltere.deploy.mcu.export import CManifest
from haltere.deploy.runtime import ControlLoop, Decision, Limits, Mode, Outcome, Reading, Rules, read_black_box
from haltere.deploy.runtime.governor import Governor
from haltere.deploy.runtime.self_test import busy_neighbour

from .mcu_policies import mcu_policy
from .robots import INPUTS, PERIOD_NS, Doubling, FakeClock, Noting, Told, fifo, toy_contract
from .toys import arrays

FLAGS = ("-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread")
SPECIAL = (np.nan, np.inf, -np.inf, 1e-45, -1e-40, 3.4e38, -3.4e38, -0.0, 77.0)


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver for this machine."""
    return compiled(tmp_path_factory.mktemp("twin"), "g++")


@pytest.fixture(scope="module")
def arm_twin(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The same for a robot's processor, and what runs it here."""
    compiler, emulator = shutil.which("aarch64-linux-gnu-g++"), shutil.which("qemu-aarch64")
    if not compiler or not emulator:
        pytest.skip("needs g++-aarch64-linux-gnu and qemu-user")
    return emulator, compiled(tmp_path_factory.mktemp("arm"), compiler, "-static")


def compiled(folder: Path, compiler: str, *flags: str) -> Path:
    """The driver, compiled against the contract's own header."""
    (folder / "policy_contract.hpp").write_text(contract_header(toy_contract()), encoding="utf-8")
    source = Path(__file__).with_name("loop_twin.cpp")
    command = [compiler, *FLAGS, *flags, f"-I{INCLUDE}", f"-I{folder}", str(source), "-o", str(folder / "twin")]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder / "twin"


def run(twin: Path, *words: object, script: str = "") -> str:
    """What the driver prints."""
    command = [str(twin), *map(str, words)]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def bits(values: Sequence[float] | np.ndarray[Any, Any]) -> str:
    """Floats as the driver reads and writes them."""
    with np.errstate(over="ignore"):
        return " ".join(f"{word:08x}" for word in np.asarray(values, np.float32).view(np.uint32).tolist())


def shown(decision: Decision) -> str:
    """One decision as the driver prints it."""
    names = f"{decision.outcome.name.lower()} {decision.mode.name.lower()}"
    return f"{decision.slot} {decision.slots} {names} {int(decision.alarm)} {bits(decision.command)}"


def counters(governor: Governor) -> str:
    """Every counter as the driver prints it."""
    numbers = (governor.overruns, governor.stalls, governor.skipped, governor.alarms)
    counts = " ".join(map(str, governor.counts))
    return f"counters {' '.join(map(str, numbers))} {governor.mode.name.lower()} {counts}"


def head(rng: random.Random) -> tuple[str, Rules, Limits]:
    """Random rules, a slew limit or none, a safe action: as the driver reads them and as Python takes them."""
    rules = Rules(*(rng.randint(least, most) for least, most in ((0, 4), (1, 4), (1, 4), (1, 12), (1, 3))))
    slew = rng.choice([0.0, 0.3, 7.77, 55.5, 1e9])
    safe = [rng.uniform(-1.0, 1.0), rng.uniform(-0.5, 2.0)]
    numbers = (rules.hold_ticks, rules.recover_ticks, rules.latch_after, rules.forgive_ticks, rules.max_age_ticks)
    line = f"new {' '.join(map(str, numbers))} {slew!r} {bits(safe)}"
    return line, rules, Limits.of(toy_contract(), safe=np.float32(safe).tolist(), slew=slew or None)


class Script:
    """Calls of one governor, made in Python as they are written down for C++."""

    def __init__(self, rng: random.Random) -> None:
        """A new governor, started."""
        self.rng = rng
        line, rules, limits = head(rng)
        self.governor = Governor(limits, rules, PERIOD_NS)
        self.time_ns = rng.randint(0, 10**15)
        self.governor.start(self.time_ns)
        self.lines, self.answers = [line, f"start {self.time_ns}"], list[str]()
        self.slot, self.last = 0, None

    def call(self) -> None:
        """One call: mostly what a flight does, at times what only a broken one would."""
        kind = self.rng.choices(("tick", "watch", "unsent", "reset", "stop", "stale"), (60, 20, 8, 4, 1, 4))[0]
        governor = self.governor
        if kind == "tick":
            self.tick()
        elif kind == "watch":
            self.time_ns += self.rng.choice([0, 1, PERIOD_NS // 3, PERIOD_NS + PERIOD_NS // 8, 6 * PERIOD_NS])
            self.note(f"watch {self.time_ns}", governor.watch(self.time_ns))
        elif kind == "unsent" and self.last is not None:
            decision, self.last = self.last, None
            self.note("unsent", governor.unsent(decision))
        elif kind == "stale":
            at_ns = self.time_ns - self.rng.choice([-1, 0, PERIOD_NS, 2 * PERIOD_NS, 2 * PERIOD_NS + 1, 10**12])
            self.lines.append(f"stale {self.time_ns} {at_ns}")
            self.answers.append(str(int(governor.is_stale(self.time_ns, at_ns))))
        elif kind in ("reset", "stop"):
            getattr(governor, kind)()
            self.lines.append(kind)

    def tick(self) -> None:
        """Begin, take some time, finish."""
        self.lines.append("begin")
        slot = self.governor.begin()
        self.answers.append(str(slot))
        self.time_ns = max(self.time_ns, self.governor.due_ns(slot))
        self.time_ns += self.rng.choice([0, 1000, PERIOD_NS, PERIOD_NS + 1, 9 * PERIOD_NS // 8, 3 * PERIOD_NS])
        outcome = Outcome(self.rng.choice([0] * 12 + list(range(1, 11))))
        action = np.float32([self.rng.uniform(-3, 3), self.rng.choice([self.rng.uniform(-3, 3), -0.0, 1e-42, 3e38])])
        line = f"finish {slot} {self.time_ns} {int(outcome)} {bits(action)}"
        good = action if outcome is Outcome.GOOD else None
        self.note(line, self.governor.finish(slot, self.time_ns, outcome, good))

    def note(self, line: str, decision: Decision | None) -> None:
        """Write down a call and what came of it."""
        self.lines.append(line)
        # Only the last decision can be taken back, and only once.
        self.last = decision if line != "unsent" else None
        if decision is not None:
            self.answers.append(shown(decision))


def test_both_governors_decide_alike(twin: Path) -> None:
    """150 random runs of 80 calls each: commands bit by bit, modes, alarms and counters."""
    lines, answers = list[str](), list[str]()
    seen: set[Mode] = set()
    for seed in range(150):
        script = Script(random.Random(seed))
        for _ in range(80):
            script.call()
            seen.add(script.governor.mode)
        lines += [*script.lines, "end"]
        answers += [*script.answers, counters(script.governor)]
    assert run(twin, "governor", script="\n".join(lines)).splitlines() == answers
    assert seen == set(Mode)


def loop_case(seed: int, ticks: int) -> tuple[list[str], list[str]]:
    """One flight of the Python loop on a fake clock, and the script by which C++ flies the same."""
    rng = random.Random(seed)
    line, rules, limits = head(rng)
    lines, answers, clock, sink, actor = [line], list[str](), FakeClock(), Noting(), Doubling()
    source = Told(None)
    loop = ControlLoop(actor, toy_contract(), source, sink, limits, rules=rules, clock=clock)
    forgotten = actor.resets
    for _ in range(ticks):
        source_ns, policy_ns = (rng.choice([0, 0, 0, 1000, PERIOD_NS // 2, 3 * PERIOD_NS]) for _ in range(2))
        kind = rng.choice([0, 0, 0, 0, 1, 1, 2, 3])
        age, refuse = rng.choice([0, 1, 2 * PERIOD_NS, 2 * PERIOD_NS + 1, -5]), int(rng.random() < 0.08)
        obs = np.float32([rng.choice([rng.uniform(-1, 1)] * 12 + [rng.choice(SPECIAL)]) for _ in range(7)])
        lines.append(f"tick {source_ns} {policy_ns} {kind} {age} {refuse} {bits(obs)}")

        def read(kind: int = kind, age: int = age, obs: Any = obs, source_ns: int = source_ns) -> object:  # noqa: ANN401
            clock.time_ns += source_ns
            if kind == 3:
                raise ValueError("no radio")
            tree = {"position": obs[:3], "range": obs[3:].reshape(2, 2)}
            return None if kind == 2 else Reading(tree, clock.time_ns - age) if kind == 1 else tree

        def work(policy_ns: int = policy_ns) -> None:
            clock.time_ns += policy_ns

        source.following, actor.before = [read], work
        sink.refuse = lambda index, refuse=refuse: bool(refuse)  # type: ignore[misc]
        loop.step()
    answers += [shown(decision) for decision in sink.decisions]
    return [*lines, "end"], [*answers, counters(loop.governor), f"forgotten {actor.resets - forgotten}"]


def test_both_loops_command_alike_tick_by_tick(twin: Path) -> None:
    """100 flights of 60 ticks: NaN, stalls, lost packets, exceptions, stale stamps, a sink that fails."""
    lines, answers = list[str](), list[str]()
    for seed in range(100):
        script, expected = loop_case(seed, 60)
        lines += script
        answers += expected
    assert run(twin, "loop", script="\n".join(lines)).splitlines() == answers
    # An unsent decision is counted, and never reaches a sink.
    outcomes = {outcome.name.lower() for outcome in Outcome} - {"malformed", "stopped", "unsent"}
    for word in (*outcomes, "latched"):
        assert any(word in answer for answer in answers), word


def test_no_hostile_number_gets_past_the_limits(twin: Path) -> None:
    """10,000 flights of 20 ticks with observations and actions of any bits at all."""
    assert int(run(twin, "hostile", 10_000, 1).split()[0]) >= 200_000


def test_a_robot_that_means_something_else_is_told_what(twin: Path) -> None:
    """As in Python: names with the nearest, shapes, units, order; limits and rules."""
    assert run(twin, "mismatches").splitlines() == [
        "",
        "the source declares no obs.position (is obs.positoin meant?)",
        "obs.position: the source's unit is 'm, body frame', the model's 'm, world frame'",
        "obs.range: the source's shape is (2, 3), the model's (2, 2)",
        "the source declares no obs.range",
        "the model takes no obs.wind",
        "the source must declare each observation once, in the model's order, beginning with obs.position",
        "the sink must declare 'action', got 'torque'",
        "action: the sink's unit is 'N', the model's 'thrust fraction'",
        "safe: component 0 must be from -1.000000 to 1.000000, got 3.000000",
        "slew: must be one number or 2, got 3",
        "slew: must be above 0, got 0.000000",
        "hold_ticks: must be at least 0, got -1",
    ]


def test_a_robot_that_doesnt_fit_can_be_refused_by_the_compiler(tmp_path: Path) -> None:
    """``static_assert`` over the same tables; units count to the last byte, whatever letters they are written in."""
    odd = 'µm/s² in the "body" frame?\\\n\t'
    contract = toy_contract(inputs=(INPUTS[0], Tensor("obs.odd", (), unit=odd)))
    (tmp_path / "policy_contract.hpp").write_text(contract_header(contract), encoding="utf-8")
    wanted = [f"{byte:d}" for byte in odd.encode()]
    (tmp_path / "fit.cpp").write_text(
        '#include "policy_contract.hpp"\n'
        f"constexpr unsigned char kBytes[] = {{{', '.join(wanted)}}};\n"
        "constexpr bool same() {\n"
        "  bool alike = policy::kInputs[1].unit.size() == sizeof kBytes;\n"
        "  for (unsigned i = 0; alike && i < sizeof kBytes; ++i)\n"
        "    alike = static_cast<unsigned char>(policy::kInputs[1].unit[i]) == kBytes[i];\n"
        "  return alike;\n"
        "}\n"
        "static_assert(same() && policy::kContract.obs_size() == 4);\n"
        "constexpr haltere::TensorSpec kWrong = {policy::kAction.name, 1, {2}, UNIT};\n"
        "static_assert(haltere::fits(policy::kContract, policy::kInputs, kWrong));\n"
    )
    for unit, fits in (("thrust fraction", True), ("N", False)):
        command = ["g++", *FLAGS, "-fsyntax-only", f"-I{INCLUDE}", f'-DUNIT="{unit}"', str(tmp_path / "fit.cpp")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == fits, done.stderr
        assert fits or "static assertion failed" in done.stderr


@pytest.mark.parametrize("safe_action", [(), (0.25, 1.5)])
def test_the_contracts_safe_action_is_the_loops(tmp_path: Path, safe_action: tuple[float, ...]) -> None:
    """Through the header or from the file, C++ and Python take the same one; the lower bound where it has none."""
    contract = toy_contract(safe_action=safe_action)
    (tmp_path / "policy_contract.hpp").write_text(contract_header(contract), encoding="utf-8")
    (tmp_path / "safe.cpp").write_text(
        '#include "policy_contract.hpp"\n#include <cstdio>\n#include <haltere/governor.hpp>\n'
        "int main() {\n"
        "  using haltere::Limits;\n"
        "  const auto own = Limits::of(policy::kContract), given = Limits::of(policy::kContract, {0.5f});\n"
        '  std::printf("%g %g %g %g", own.safe[0], own.safe[1], given.safe[0], given.safe[1]);\n'
        "}\n"
    )
    command = ["g++", *FLAGS, f"-I{INCLUDE}", str(tmp_path / "safe.cpp"), "-o", str(tmp_path / "safe")]
    subprocess.run(command, check=True)
    got = [float(word) for word in run(tmp_path / "safe").split()]
    assert got == [*(safe_action or contract.action_low), 0.5, 0.5]
    assert got == [*Limits.of(contract).safe, *Limits.of(contract, safe=0.5).safe]


def linked(folder: Path, contract: Contract, *words: str, obs: Sequence[np.ndarray[Any, Any]]) -> list[list[str]]:
    """What the loop commands for each observation with a policy that is linked into it."""
    (folder / "policy_contract.hpp").write_text(contract_header(contract), encoding="utf-8")
    source = Path(__file__).with_name("loop_linked.cpp")
    flags = (*FLAGS, f"-I{INCLUDE}", f"-I{folder}", "-o", str(folder / "linked"))
    built = subprocess.run(["g++", str(source), *words, *flags], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    script = "".join(f"{bits(values)}\n" for values in obs)
    return [line.split() for line in run(folder / "linked", script=script).splitlines()]


def test_generated_c_flies_in_it(mcu_exports: dict[int, CManifest], tmp_path: Path) -> None:
    """The C of a microcontroller, compiled for this machine: its commands are the network's."""
    made = mcu_exports[10]
    (tmp_path / "policy.h").write_bytes((made.path / "policy.h").read_bytes())
    compile_c = ["gcc", "-std=c99", "-O2", "-c", str(made.path / "policy.c"), "-o", str(tmp_path / "policy.o")]
    subprocess.run(compile_c, check=True)
    policy = mcu_policy(10)
    obs = arrays(policy, 50, seed=1)
    wanted = TorchActor(policy).act(obs)["action"]
    order = [tensor.name.removeprefix("obs.") for tensor in made.contract.inputs]
    flat = [np.concatenate([obs[key][lane].ravel() for key in order]) for lane in range(50)]
    told = linked(tmp_path, made.contract, "-DGENERATED", str(tmp_path / "policy.o"), obs=flat)
    got = np.array([[int(word, 16) for word in line[:4]] for line in told], np.uint32).view(np.float32)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5)


def test_the_printed_example_compiles(mcu_exports: dict[int, CManifest], tmp_path: Path) -> None:
    """What loop.hpp begins with, as it stands there, against an exported policy."""
    made = mcu_exports[10]
    head = (INCLUDE / "haltere" / "loop.hpp").read_text(encoding="utf-8").split("#pragma once")[0]
    example = [line.removeprefix("//     ") for line in head.splitlines() if line.startswith("//     ") or line == "//"]
    (tmp_path / "robot.cpp").write_text("\n".join("" if line == "//" else line for line in example) + "\n")
    (tmp_path / "policy_contract.hpp").write_text(contract_header(made.contract), encoding="utf-8")
    assert "int main() {" in example
    command = ["g++", *FLAGS, "-fsyntax-only", f"-I{INCLUDE}", f"-I{made.path}", str(tmp_path / "robot.cpp")]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr


def test_a_kernel_flies_in_it(tmp_path: Path) -> None:
    """An op of the shared library; observations with a NaN never reach it."""
    obs = np.random.default_rng(2).normal(size=(50, 7)).astype(np.float32)
    obs[40:, 6] = np.nan
    library = library_path()
    told = linked(tmp_path, toy_contract(), str(library), f"-Wl,-rpath,{library.parent}", obs=list(obs))
    wanted = np.tanh(0.5 * obs[:40, :2].astype(np.float64) + 0.25 * obs[:40, 2:3]).clip((-1.0, -0.5), (1.0, 2.0))
    got = np.array([[int(word, 16) for word in line[:2]] for line in told], np.uint32).view(np.float32)
    np.testing.assert_allclose(got[:40], wanted, rtol=0, atol=1e-6)
    assert [line[2] for line in told] == ["good"] * 40 + ["non_finite"] * 10


def test_its_black_box_is_pythons(twin: Path, tmp_path: Path) -> None:
    """A fault in C++, read by the reader in Python and by numpy."""
    (path,) = map(Path, run(twin, "fault", tmp_path / "new" / "folder").splitlines())
    recording = read_black_box(path)
    reason = recording.reason
    assert (reason["reason"], reason["language"], reason["mode"]) == ("safe", "c++", "safe")
    assert reason["inputs"][0] == {"name": "obs.position", "shape": [3], "unit": "m, world frame"}
    assert reason["counters"]["alarms"] == 1
    assert set(reason["counters"]["outcomes"]) == {outcome.name.lower() for outcome in Outcome}
    good = recording.columns["outcome"] == Outcome.GOOD
    assert good.any() and recording.columns["mode"][-1] == Mode.SAFE
    np.testing.assert_array_equal(recording.action[good], 0.5)
    np.testing.assert_array_equal(recording.obs["position"][good], 0.25)
    assert np.isnan(recording.obs["range"][-1, 1, 1])
    assert recording.command[-1].tolist() == [-1.0, -0.5]
    with np.load(path, allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["command"], recording.command)


def test_no_actuator_waits_for_a_stuck_policy(twin: Path) -> None:
    """Each of twenty stalls ends only once the watchdog has sent something."""
    figures = json.loads(run(twin, "stalls", 20, 0, 1))
    assert figures["seen"] == figures["injected"] > 0 and figures["at_rest"]


def test_flying_allocates_nothing(twin: Path) -> None:
    """From the first command to the last."""
    figures = json.loads(run(twin, "pace", 0.3, 0))
    assert figures["ticks"] >= 30 and figures["allocations"] == 0


@pytest.mark.slow
def test_an_arm_processor_decides_alike(arm_twin: tuple[str, Path]) -> None:
    """The same flights to the last bit where the compiler could fuse multiplications with additions."""
    emulator, twin = arm_twin
    cases = [loop_case(seed, 60) for seed in range(1000, 1050)]
    script = "\n".join(line for lines, _ in cases for line in lines)
    answers = run(Path(emulator), twin, "loop", script=script).splitlines()
    assert answers == [answer for _, expected in cases for answer in expected]


@pytest.mark.slow
def test_a_hundred_stalls_are_caught_within_one_and_a_half_periods(twin: Path) -> None:
    """At 100 Hz, measured from the moment at which the policy gets stuck to the watchdog's command."""
    figures = json.loads(run(twin, "stalls", 100, fifo().priority or 0, 0))
    print(figures)
    assert (figures["injected"], figures["caught"]) == (100, 100), figures


@pytest.mark.slow
def test_the_loop_meets_its_deadline_beside_a_busy_neighbour(twin: Path) -> None:
    """99 of 100 commands are there within half of a 100 Hz period."""
    with busy_neighbour(None):
        figures = json.loads(run(twin, "pace", 20, fifo().priority or 0))
    print(figures)
    assert figures["p99_us"] <= figures["period_us"] / 2, figures
