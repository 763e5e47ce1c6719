"""``haltere run``: other people's code that fails, a self-test that proves nothing, files that it must not lose."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from haltere.agents.cli import main as entry
from haltere.agents.cli.robot import LEAST_TICKS, Robot
from haltere.agents.cli.run import OPTIONS, _seconds
from haltere.configs.errors import RequestError
from haltere.deploy.runtime.report import LoopReport, Span

from .flyer import ROBOT, toy_model

MODULES = {
    "raises": "def make(contract):\n    raise ValueError('no\\ncamera')\n",
    "breaks": "def make(contract)\n    pass\n",
    "imports": "import no_such_driver\ndef make(contract): pass\n",
    "stops": "1 / 0\n",
    "lists": "class Five:\n    tensors = 5\n    def read(self): pass\ndef make(contract): return Five()\n",
    "words": "class Words:\n    tensors = ['obs.self']\n    def read(self): pass\ndef make(contract): return Words()\n",
    "property": (
        "class Part:\n    @property\n    def tensors(self):\n        return {}['calibration']\n"
        "def make(contract): return Part()\n"
    ),
    "sinks": "class Part:\n    tensor = None\n    def send(self, decision): pass\ndef make(contract): return Part()\n",
}
SENTENCES = [
    ("raises:make", "robot:motors", "--source: raises:make failed: ValueError: no camera (raises.py, line 2)"),
    (
        "breaks:make",
        "robot:motors",
        "--source: breaks can't be imported: SyntaxError: expected ':' (breaks.py, line 1)",
    ),
    (
        "imports:make",
        "robot:motors",
        "--source: imports can't be imported: ModuleNotFoundError: No module named 'no_such_driver' "
        "(imports.py, line 1)",
    ),
    (
        "stops:make",
        "robot:motors",
        "--source: stops can't be imported: ZeroDivisionError: division by zero (stops.py, line 1)",
    ),
    (
        "lists:make",
        "robot:motors",
        "the source's 'tensors' must be a list of haltere.deploy.contract.Tensor, got 5",
    ),
    (
        "words:make",
        "robot:motors",
        "the source's 'tensors' must be a list of haltere.deploy.contract.Tensor, got ['obs.self']",
    ),
    ("property:make", "robot:motors", "--source: property:make failed: KeyError: 'calibration' (property.py, line 4)"),
    ("robot:camera", "sinks:make", "the sink's 'tensor' must be a haltere.deploy.contract.Tensor, got None"),
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model, a robot and modules that fail, and we are in it."""
    toy_model(tmp_path / "toy.onnx")
    (tmp_path / "robot.py").write_text(ROBOT)
    for name, code in MODULES.items():
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in (*MODULES, "robot"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(("source", "sink", "sentence"), SENTENCES, ids=[row[0] + " " + row[1] for row in SENTENCES])
def test_other_peoples_code_fails_in_one_sentence(
    capsys: pytest.CaptureFixture[str], source: str, sink: str, sentence: str
) -> None:
    """Which of it, what it said and where; exit code 2 and no traceback."""
    code = entry.main(["run", "toy.onnx", "--source", source, "--sink", sink, "--seconds", "0.1"])
    said = capsys.readouterr()
    assert (code, said.err, said.out) == (2, f"{sentence}\n", "")


def flown(good: int) -> LoopReport:
    """A perfect self-test of so many ticks."""
    spans = [Span(20.0, 20.0, 20.0, 20.0)] * 3
    counts = {"good": good, "stopped": 1}
    return LoopReport("toy/Toy-v0", 1e4, good / 100, good + 1, *spans, 0, 0, 0, 0, counts, "running", True, {}, ())


def test_a_self_test_of_few_ticks_proves_nothing() -> None:
    """However fast they were; a robot's flight may be as short as it likes, and stalls are judged by themselves."""
    robot = Robot(None, None, None, True, 10_000_000)  # type: ignore[arg-type]
    for good in (0, LEAST_TICKS - 1):
        (sentence,) = robot.verdict(flown(good))
        assert sentence.startswith(f"too short to tell how long a command takes: {good} good ticks, at least 100")
        assert robot.notes(flown(good)) == []
    assert robot.verdict(flown(LEAST_TICKS)) == [] and len(robot.notes(flown(LEAST_TICKS))) == 1
    assert dataclasses.replace(robot, is_self_test=False).verdict(flown(1)) == []


def test_a_flight_has_a_tick_at_least(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No seconds are no flight, nor is less than a period; a slow policy's self-test lasts until it can be judged."""
    for seconds, least in (("0", "at least 0.001,"), ("0.004", "at least one control period, 0.01 s,")):
        assert entry.main(["run", "toy.onnx", "--seconds", seconds]) == 2
        assert capsys.readouterr().err == f"--seconds: must be {least} got {seconds}\n"
    defaults = {name: plain.default for name, plain in OPTIONS.items()}
    robot = Robot(None, None, None, True, 2_000_000_000)  # type: ignore[arg-type]
    assert _seconds(defaults, robot) == 300.0
    assert _seconds(defaults, dataclasses.replace(robot, period_ns=10_000_000)) == 10.0
    with pytest.raises(RequestError, match="at least one control period, 2 s, got 1"):
        _seconds({**defaults, "seconds": 1.0}, robot)
    assert entry.main(["run", "toy.onnx", "--seconds", "0.05", "--json", "-"]) == 1
    assert any(why.startswith("too short to tell") for why in json.loads(capsys.readouterr().out)["failed"])


def test_a_header_takes_no_other_files_place(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused with the file as it was; one of ours is written anew, in one go."""
    (place / "robot.hpp").write_text("#pragma once\n")
    assert entry.main(["run", "toy.onnx", "--cpp", "robot.hpp"]) == 2
    assert capsys.readouterr().err.startswith("robot.hpp: isn't a header that haltere wrote, and would be lost")
    assert (place / "robot.hpp").read_text() == "#pragma once\n"
    assert entry.main(["run", "zoo:swarm", "--cpp", "policy.hpp"]) == 0
    assert "policy::Network; link " in capsys.readouterr().out
    held, before = (place / "policy.hpp").open(), (place / "policy.hpp").read_text()
    assert entry.main(["run", "toy.onnx", "--cpp", "policy.hpp"]) == 0
    said = capsys.readouterr().out
    assert "the contract alone, without weights: needs a policy that is one fused operator; this one is 2" in said
    with held:
        assert held.read() == before, "whoever reads the old one has all of it"
    assert "// The contract alone" in (place / "policy.hpp").read_text()
    assert not list(place.glob(".tmp-*"))


def test_the_header_is_written_where_only_the_edge_is_installed(place: Path) -> None:
    """The weights too: neither onnx nor torch is needed."""
    heavy = ("torch", "tyro", "pydantic", "yaml", "gymnasium", "mujoco", "onnx", "rich", "annotated_types")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({heavy!r})); from haltere.agents.cli.main import main;"
        "sys.exit(main(['run', 'zoo:swarm', '--cpp', 'policy.hpp']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "class Network" in (place / "policy.hpp").read_text()
