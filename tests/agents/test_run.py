"""``haltere run``: a self-test for everyone, a loop for a robot, and one sentence for whatever can't fly."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from haltere.agents.cli import main as entry
from haltere.agents.cli.robot import Robot
from haltere.agents.cli.run import GOES_WITH, OPTIONS
from haltere.deploy.contract import Contract
from haltere.deploy.runtime import read_black_box
from haltere.deploy.runtime.report import LoopReport, Span

from .flyer import ROBOT, toy_model

HALTERE = (sys.executable, "-m", "haltere.agents.cli.main", "run")
PATIENT = ("--hold-ticks", "1000", "--recover-ticks", "1", "--latch-after", "1000000")
"""Whatever a busy machine does to a test's loop, it goes on."""

HEAVY = ("torch", "tyro", "pydantic", "yaml", "gymnasium", "mujoco", "onnx", "rich", "annotated_types", "safetensors")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and a robot, and we are in it."""
    toy_model(tmp_path / "toy.onnx")
    (tmp_path / "robot.py").write_text(ROBOT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "robot", raising=False)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code and what was printed."""
    code = entry.main(["run", *words])
    return code, *capsys.readouterr()


def _wait_for(process: "subprocess.Popen[Any]", condition: Callable[[], object]) -> None:
    """Poll until the condition holds or the process has ended; a minute at most, and then no child is left flying."""
    deadline = time.monotonic() + 60.0
    while not condition() and process.poll() is None:
        if time.monotonic() > deadline:
            process.kill()
            raise AssertionError(f"nothing happened for a minute: {process.communicate()}")
        time.sleep(0.05)


def commands(place: Path) -> list[list[Any]]:
    """What the robot's motors were told."""
    return [json.loads(line) for line in (place / "commands.jsonl").read_text().splitlines()]


def test_a_self_test_measures_the_loop(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every tick has a command, and the JSON has each latency as a share of the period. Whether it passes depends."""
    code, out, err = run(capsys, "toy.onnx", "--seconds", "0.3", "--json", "-")
    result = json.loads(out)
    assert code == (1 if result["failed"] else 0), err
    assert result["task"] == "toy/Toy-v0" and result["self_test"] is True
    assert result["ticks"] >= 30 and sum(result["outcomes"].values()) == result["ticks"]
    assert result["latency_share"]["p99"] == pytest.approx(result["latency"]["p99_us"] / 10_000.0)
    assert sorted(place.glob("black-box/*")) == sorted(Path(path).absolute() for path in result["black_boxes"])


def test_the_table_is_for_people(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Latencies, counters, and stalls where they were asked for."""
    _, out, _ = run(capsys, "toy.onnx", "--seconds", "0.6", "--stalls", "2", "--json", "r.json")
    for word in ("latency", "p99", "overruns", "of 2 caught within 1.5 periods"):
        assert word in out
    assert json.loads((place / "r.json").read_text())["stall_test"]["injected"] == 2


def test_a_robot_of_ones_own_flies(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Source and sink from a module in the current folder; its last command is the safe action."""
    robot = ("--source", "robot:camera", "--sink", "robot:motors", "--safe", "0.25,-0.5", *PATIENT)
    code, out, err = run(capsys, "toy.onnx", *robot, "--seconds", "0.3")
    assert code == 0, err
    told = commands(place)
    assert told[-1] == ["STOPPING", 0.25, -0.5]
    flown = [command[1:] for command in told if command[0] == "RUNNING"]
    np.testing.assert_allclose(flown, [np.tanh([0.75, 1.0])] * len(flown), rtol=1e-5)
    assert "; the safe action was sent, as at every end" in out


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_sends_the_safe_action_and_writes_the_black_box(place: Path, signum: int) -> None:
    """Exit code 130, a sentence, and the last seconds in a file."""
    words = ("toy.onnx", "--source", "robot:camera", "--sink", "robot:motors", "--slew", "20", *PATIENT)
    process = subprocess.Popen([*HALTERE, *words], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _wait_for(process, lambda: (place / "commands.jsonl").exists() and len(commands(place)) >= 10)
    process.send_signal(signum)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "interrupted: the safe action was sent\n")
    told = np.array([command[1:] for command in commands(place)])
    assert told[-1].tolist() == [-1.0, -1.0]
    assert np.abs(np.diff(told, axis=0)).max() <= 0.2 + 1e-6
    (path,) = place.glob("black-box/*interrupted*")
    assert read_black_box(path).reason["reason"] == f"interrupted by {signal.Signals(signum).name}"


def test_a_second_interrupt_gets_it_out_of_a_stuck_source(place: Path) -> None:
    """The first can't: the source doesn't return. The watchdog has long sent the safe action by then."""
    words = ("toy.onnx", "--source", "robot:frozen", "--sink", "robot:motors", "--safe", "0.5")
    process = subprocess.Popen([*HALTERE, *words], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _wait_for(process, lambda: (place / "frozen").exists() and commands(place)[-1][1:] == [0.5, 0.5])
    process.send_signal(signal.SIGINT)
    time.sleep(1.0)  # two that arrive together count as one
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "interrupted: the safe action was sent\n")
    assert list(place.glob("black-box/*interrupted*")) and commands(place)[-1] == ["STOPPING", 0.5, 0.5]


def test_it_ends_in_time_though_its_robot_still_talks(place: Path) -> None:
    """A reader that waits for a line mustn't keep the process, or crash it at its exit."""
    process = subprocess.Popen(
        [*HALTERE, "toy.onnx", "--stdin", "--seconds", "0.2", *PATIENT],
        cwd=place,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    greeting = json.loads(process.stdout.readline())
    process.stdin.write(json.dumps({"inputs": greeting["inputs"], "action": greeting["action"]}).encode() + b"\n")
    process.stdin.flush()
    err = process.stderr.read()
    process.stdout.read()
    assert process.wait(timeout=60) == 0, err
    assert b"Fatal" not in err
    process.stdin.close()
    process.stdout.close()
    process.stderr.close()


def test_a_black_box_flies_again(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The observations of a flight are those of a self-test."""
    words = ("--source", "robot:camera", "--sink", "robot:motors", "--safe", "0")
    process = subprocess.Popen([*HALTERE, "toy.onnx", *words], cwd=place, stdout=subprocess.DEVNULL)
    _wait_for(process, lambda: (place / "commands.jsonl").exists() and len(commands(place)) >= 10)
    process.send_signal(signal.SIGUSR1)
    _wait_for(process, lambda: list(place.glob("black-box/*asked-for.npz")))
    assert process.poll() is None, "SIGUSR1 must not end it"
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    (path,) = place.glob("black-box/*asked-for.npz")
    code, out, _ = run(capsys, "toy.onnx", "--replay", str(path), "--seconds", "1", "--json", "-")
    result = json.loads(out)
    assert result["outcomes"]["good"] > 0 and code in (0, 1)


def test_another_program_can_be_the_robot(place: Path) -> None:
    """It declares itself, gives observations as lines, gets commands as lines, and ends by closing its end."""
    process = subprocess.Popen(
        [*HALTERE, "toy.onnx", "--stdin", "--json", "r.json", *PATIENT],
        cwd=place,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    greeting = json.loads(process.stdout.readline())
    assert greeting["ctrl_dt_s"] == 0.01 and greeting["action"]["low"] == [-1.0, -1.0]

    def give(line: object) -> None:
        assert process.stdin is not None
        process.stdin.write(json.dumps(line).encode() + b"\n")
        process.stdin.flush()

    def until(outcome: str, *given: object) -> dict[str, Any]:
        """Go on giving the same line, because what comes too late for a busy machine is stale."""
        assert process.stdout is not None
        for answer in process.stdout:
            told: dict[str, Any] = json.loads(answer)
            if told["outcome"] == outcome:
                return told
            for line in given:
                give(line)
        raise AssertionError(f"it ended without {outcome}")

    give({"inputs": greeting["inputs"], "action": greeting["action"]})
    assert until("missing") | {"tick": 0} == {"tick": 0, "action": [-1, -1], "mode": "starting", "outcome": "missing"}
    obs = {"position": [1.0, 1.0, 1.0], "range": [[0, 0], [0, 0]]}
    while (told := until("good", {"obs": obs}))["mode"] != "running":
        give({"obs": obs})
    np.testing.assert_allclose(told["action"], np.tanh([0.75, 1.0]), rtol=1e-5)
    until("stale")
    for bad in ({"obs": obs | {"position": [1.0, 1.0]}}, {"obs": {"position": [[1], 2]}}, [], {"obs": 3}, "obs"):
        assert until("malformed", bad)["mode"] != "running"
    for number in (float("nan"), 1e39):
        until("non_finite", {"obs": obs | {"position": [number, 0.0, 0.0]}})
    _, err = process.communicate(timeout=60)
    result = json.loads((place / "r.json").read_text())
    assert result["at_rest"]
    assert process.returncode == 0
    assert b"latency" in err


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"hello\n", b"[]\n", b'{"inputs": [], "action": 3}\n', b'{"inputs": {}}\n', b"\xff\n"],
)
def test_a_program_that_declares_nothing_is_told_so(place: Path, line: bytes) -> None:
    """One sentence, exit code 2, no traceback."""
    done = subprocess.run(
        [*HALTERE, "toy.onnx", "--stdin"], cwd=place, input=line, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"standard input: the first line must declare") and done.stderr.count(b"\n") == 1


WRONG = [
    ((), "name one model: haltere run MODEL"),
    (("a", "b"), "name one model"),
    (("none.onnx",), "none.onnx: no such file or folder; haltere export makes one"),
    (("swrm",), "no model named 'swrm'; did you mean 'swarm'?"),
    (("zoo:swrm",), "no zoo entry named 'swrm'; did you mean 'swarm'?"),
    (("tooy.onnx",), "tooy.onnx: no such file or folder; did you mean 'toy.onnx'?"),
    (("memory-streets",), "memory-streets has no zoo policy of its own; name one with zoo:NAME"),
    (("robot.py",), "robot.py: is no whole ONNX file ("),
    (("toy.onnx", "--secnds", "3"), "no option --secnds; did you mean --seconds?"),
    (("toy.onnx", "--seconds"), "--seconds: must be followed by a value"),
    (("toy.onnx", "--seconds", "nan"), "--seconds: must be a finite number, got nan"),
    (("toy.onnx", "--seconds", "x"), "--seconds: must be a number, got 'x'"),
    (("toy.onnx", "--seconds", "-1"), "--seconds: must be at least 0.001, got -1"),
    (("toy.onnx", "--hold-ticks", "1.5"), "--hold-ticks: must be a whole number, got '1.5'"),
    (("toy.onnx", "--priority", "99"), "--priority: must be at most 98, got 99"),
    (("toy.onnx", "--cpu", "4000"), "cpu: this process may run on"),
    (("toy.onnx", "--stdin", "yes"), "--stdin: takes no value, got 'yes'"),
    (("toy.onnx", "--safe", "2"), "safe: component 0 must be from -1 to 1, got 2"),
    (("toy.onnx", "--safe", "0", "0", "0"), "safe: must be one number or 2, got 3"),
    (("toy.onnx", "--slew", "0"), "slew: must be above 0"),
    (("toy.onnx", "--source", "robot:camera"), "--sink: is missing; a robot has both"),
    (("toy.onnx", "--sink", "robot:motors"), "--source: is missing"),
    (("toy.onnx", "--source", "robot", "--sink", "none"), "--source: must be MODULE:FUNCTION, got 'robot'"),
    (("toy.onnx", "--source", "robt:camera", "--sink", "none"), "--source: there is no module 'robt'"),
    (("toy.onnx", "--source", "robot:camra", "--sink", "none"), "--source: robot has no function 'camra'; did you"),
    (("toy.onnx", "--source", "robot:nothing", "--sink", "none"), "--source: robot:nothing gave a NoneType without"),
    (
        ("toy.onnx", "--source", "robot:camera", "--sink", "robot:newtons"),
        "action: the sink's unit is 'N', the model's 'thrust fraction'",
    ),
    (("toy.onnx", "--source", "robot:camera", "--sink", "none", "--stalls", "3"), "--stalls: has no meaning beside --"),
    (("toy.onnx", "--stdin", "--source", "robot:camera", "--sink", "none"), "--source: has no meaning beside --stdin"),
    (("toy.onnx", "--cpp", "a.hpp", "--json"), "--json: has no meaning beside --cpp, which writes a header and ends"),
    (("toy.onnx", "--contract", "--stalls", "3"), "--stalls: has no meaning beside --contract"),
    (("toy.onnx", "--contract", "--cpp", "a.hpp"), "--cpp: has no meaning beside --contract"),
    (("toy.onnx", "--seed", "0", "--stdin"), "--seed: has no meaning beside --stdin"),
    (("toy.onnx", "--seed", "3", "--source", "robot:camera", "--sink", "none"), "--seed: has no meaning beside --s"),
    (("toy.onnx", "--sink", "none", "--busy-neighbour"), "--busy-neighbour: has no meaning beside --sink"),
    (("toy.onnx", "--replay", "a.npz", "--seed", "3"), "--seed: has no meaning beside --replay"),
    (("toy.onnx", "--seconds", "0.5", "--stalls", "3"), "--seconds: 3 stalls take 0.72 s at least, got 0.5"),
    ((".",), "{place}: a folder without policy.onnx; haltere export makes one"),
    (("toy.onnx", "--stdin", "--json"), "--json: standard output belongs to --stdin"),
    (("toy.onnx", "--json", "/no/such/a.json"), "--json: there is no folder /no/such"),
    (("toy.onnx", "--replay", "none.npz"), "none.npz: No such file or directory; expected a black box"),
    (("toy.onnx", "--cpp", "/"), "--cpp: must be a file, got the folder /"),
]


@pytest.mark.parametrize(("words", "sentence"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_a_wrong_request_gets_one_sentence(
    place: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], sentence: str
) -> None:
    """Exit code 2 (1 for a file that is no model), one line on standard error, nothing on standard output."""
    code, out, err = run(capsys, *words)
    assert code == (1 if words == ("robot.py",) else 2)
    assert err.startswith(sentence.format(place=place)) and err.count("\n") == 1
    assert out == ""


def test_every_option_has_a_meaning_or_is_refused() -> None:
    """The table of what goes together names options that exist, and each beside which it stands says the same."""
    for name, (_, others) in GOES_WITH.items():
        assert {name, *others} <= OPTIONS.keys()
        for other in GOES_WITH.keys() & set(others):
            assert name in GOES_WITH[other][1], (name, other)


def measured(wake_us: float, work_us: float) -> LoopReport:
    """A self-test of 10 ms periods whose percentiles are all these."""
    spans = [Span(us, us, us, us) for us in (wake_us + work_us, wake_us, work_us)]
    return LoopReport("toy/Toy-v0", 1e4, 10.0, 1000, *spans, 0, 0, 0, 0, {"good": 1000}, "running", True, {}, ())


@pytest.mark.parametrize(
    ("wake_us", "work_us", "blamed"),
    [(9000.0, 200.0, "the machine was busy"), (200.0, 9000.0, "the work itself takes too long here"), (20.0, 30.0, "")],
)
def test_the_verdict_is_said_once_and_blames_the_right_one(wake_us: float, work_us: float, blamed: str) -> None:
    """A loop that was woken late is the machine's matter, one that computes too long the policy's."""
    robot, report = Robot(None, None, None, True, 10_000_000), measured(wake_us, work_us)  # type: ignore[arg-type]
    failed, said = robot.verdict(report), robot.notes(report) + robot.verdict(report)
    assert bool(failed) is bool(blamed)
    assert [sentence.count("p99 latency is") for sentence in said] == [1]
    if blamed:
        assert blamed in failed[0]
        assert f"p99 of waking {wake_us / 1e4:.1%}, of the work {work_us / 1e4:.1%}" in failed[0]


def test_the_contract_can_be_seen_and_compiled(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As text, as JSON that is the contract's own, and as a C++ header."""
    _, out, _ = run(capsys, "toy.onnx", "--contract")
    assert "obs.position (3,) float32: m, world frame" in out
    _, out, _ = run(capsys, "toy.onnx", "--contract", "--json")
    assert Contract.from_json(json.dumps(json.loads(out))).task == "toy/Toy-v0"
    _, out, _ = run(capsys, "toy.onnx", "--cpp", "policy_contract.hpp")
    folder = Path(out.split("-I")[-1].strip())
    assert (folder / "haltere" / "loop.hpp").is_file()
    assert "kContract" in (place / "policy_contract.hpp").read_text()


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a model, and without importing anything heavy."""
    code, out, _ = run(capsys, "--help")
    assert code == 0
    shown = {line.split()[0] for line in out.splitlines() if line.startswith("  --")}
    assert shown == {f"--{name.replace('_', '-')}" for name in OPTIONS}
    assert all(plain.meaning for plain in OPTIONS.values())


def test_it_flies_where_only_the_edge_is_installed(place: Path) -> None:
    """Nothing of the extras is imported: by file, by zoo name, with a robot of one's own."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({HEAVY!r})); from haltere.agents.cli.main import main;"
        "sys.exit(main(sys.argv[1:]))"
    )
    for words in (
        ("toy.onnx", "--source", "robot:camera", "--sink", "robot:motors", "--seconds", "0.1"),
        ("zoo:swarm", "--contract"),
        ("swarm", "--contract"),
        ("toy.onnx", "--cpp", "x.hpp"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, "run", *words], cwd=place, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert commands(place)[-1][0] == "STOPPING"


def test_the_neighbour_ends_with_the_loop(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A busy process that stayed would slow down whatever comes next."""
    if len(os.sched_getaffinity(0)) < 2:
        code, _, err = run(capsys, "toy.onnx", "--busy-neighbour")
        assert code == 2 and err.startswith("busy neighbour: needs a second core")
        return
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = children.read_text().split() if children.exists() else []
    _, out, _ = run(capsys, "toy.onnx", "--busy-neighbour", "--seconds", "0.1", "--json", "-")
    assert json.loads(out)["neighbour_cpu"] in os.sched_getaffinity(0)
    assert not children.exists() or set(children.read_text().split()) <= set(before)
