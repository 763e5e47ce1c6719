"""The parts that ``haltere run`` puts around a policy: a user's own source and sink, JSON lines, or a self-test."""

import importlib
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from haltere.configs.errors import RequestError, short, unknown_name
from haltere.deploy.actor_path import actor_path
from haltere.deploy.contract import Contract
from haltere.deploy.runtime.actor import MODEL_NAME
from haltere.deploy.runtime.black_box import read_black_box
from haltere.deploy.runtime.governor import Mode, Outcome
from haltere.deploy.runtime.interface import Acting, Sink, Source
from haltere.deploy.runtime.report import LoopReport
from haltere.deploy.runtime.self_test import NullSink, StallTest, busy_neighbour, random_source, recorded_source
from haltere.deploy.zoo import zoo_folder, zoo_names

STANDARD_INPUT, STANDARD_OUTPUT = 0, 1
MOST_SHARE = 0.5
"""Of the control period, that the 99th percentile of the latency may take."""
LEAST_TICKS = 100
"""Good ones that a self-test needs: with fewer there is no 99th percentile."""
_LONGEST_TEXT = 300


@dataclass
class Robot:
    """What a control loop flies with.

    Attributes:
        actor: the policy, perhaps one that gets stuck now and then.
        source: of observations.
        sink: of commands.
        is_self_test: whether nothing is moved.
        call_at_end: takes what is to be called when a robot on standard input has gone.
        stalls: the self-test's stalls, where it has any.
        neighbour_cpu: the busy neighbour's core, where there is one.
        period_ns: of the loop.
    """

    actor: Acting
    source: Source
    sink: Sink
    is_self_test: bool
    period_ns: int
    call_at_end: Callable[[Callable[[], None]], None] | None = None
    stalls: StallTest | None = None
    neighbour_cpu: int | None = None

    @property
    def least_s(self) -> float:
        """How long a self-test takes at least [s]."""
        return self.stalls.ticks * self.period_ns * 1e-9 if self.stalls else 0.0

    def extras(self) -> dict[str, Any]:
        """What the JSON has beside the loop's report."""
        stalls = self.stalls.as_dict(self.period_ns) if self.stalls else None
        return {"self_test": self.is_self_test, "stall_test": stalls, "neighbour_cpu": self.neighbour_cpu}

    def notes(self, report: LoopReport) -> list[str]:
        """What the table has below it."""
        lines = []
        if self.is_self_test and not self.stalls and _is_enough(report) and report.p99_share <= MOST_SHARE:
            lines.append(f"p99 latency is {report.p99_share:.1%} of the period, at most {MOST_SHARE:.0%} is wanted")
        if self.neighbour_cpu is not None:
            lines.append(f"beside a busy neighbour on core {self.neighbour_cpu}")
        if self.stalls:
            figures = self.stalls.as_dict(self.period_ns)
            worst = figures["worst_periods"]
            shown = "none" if worst is None else f"the slowest after {worst:.2f}"
            caught = f"{figures['caught']} of {figures['injected']} caught within 1.5 periods"
            lines.append(f"the test's own stalls: {caught}, {shown}")
        return lines

    def verdict(self, report: LoopReport) -> list[str]:
        """What went wrong, one sentence each; empty where nothing did."""
        failed = []
        if report.mode == Mode.LATCHED.name.lower():
            failed.append("a latched fault: the safe action began too often; see the black box")
        if not self.is_self_test:
            return failed
        if report.alarms:
            failed.append(f"the safe action was needed {report.alarms} times")
        if not self.stalls and not _is_enough(report):
            good = f"{_good(report)} good ticks, at least {LEAST_TICKS} are wanted"
            failed.append(f"too short to tell how long a command takes: {good}; --seconds says how long it flies")
        elif not self.stalls and report.p99_share > MOST_SHARE:
            failed.append(_too_late(report))
        figures = self.stalls.as_dict(self.period_ns) if self.stalls else None
        if figures and figures["caught"] < figures["injected"]:
            failed.append(f"{figures['injected'] - figures['caught']} stalls weren't caught within 1.5 periods")
        return failed


def _good(report: LoopReport) -> int:
    return report.outcomes.get(Outcome.GOOD.name.lower(), 0)


def _is_enough(report: LoopReport) -> bool:
    return _good(report) >= LEAST_TICKS


def _too_late(report: LoopReport) -> str:
    """That the latency is too long, and whether the machine or the policy is to blame."""
    wake, work = (span.p99_us / report.period_us if span else 0.0 for span in (report.wake, report.work))
    said = f"p99 latency is {report.p99_share:.1%} of the period, at most {MOST_SHARE:.0%} is wanted: p99 of waking "
    said += f"{wake:.1%}, of the work {work:.1%}"
    if work > MOST_SHARE:
        return f"{said}; the work itself takes too long here"
    return f"{said}; the machine was busy with something else, which --priority 80 keeps out where it is granted"


def build_robot(options: dict[str, Any], actor: Acting, contract: Contract, stack: ExitStack) -> Robot:
    """The parts that the options ask for.

    Args:
        options: as typed.
        actor: the policy.
        contract: its own.
        stack: ends what needs an end.

    Raises:
        RequestError: a part doesn't exist or doesn't fit.
    """
    period_ns = round(contract.ctrl_dt_s * 1e9)
    if options["source"]:
        source: Source = _made("source", options["source"], contract, ("tensors", "read"))
        sink: Sink = NullSink(contract)
        if options["sink"] != "none":
            sink = _made("sink", options["sink"], contract, ("tensor", "send"))
        return Robot(actor, source, sink, False, period_ns)
    if options["stdin"]:
        return _on_lines(actor, contract, period_ns)
    source = random_source(contract, options["seed"])
    if options["replay"]:
        source = recorded_source(contract, read_black_box(Path(options["replay"])))
    robot = Robot(actor, source, NullSink(contract), True, period_ns)
    if options["stalls"]:
        robot.stalls = robot.actor = robot.sink = StallTest(actor, contract, options["stalls"])
    if options["busy_neighbour"]:
        robot.neighbour_cpu = stack.enter_context(busy_neighbour(options["cpu"]))
    return robot


def _on_lines(actor: Acting, contract: Contract, period_ns: int) -> Robot:
    """The robot on standard input and output."""
    from haltere.deploy.runtime.lines import Lines, LineSink, LineSource, declare, longest_line

    sys.stdout.flush()
    lines = Lines(STANDARD_INPUT, longest_line(contract))
    inputs, action = declare(contract, lines, STANDARD_OUTPUT)
    source = LineSource(inputs, lines)
    return Robot(actor, source, LineSink(action, STANDARD_OUTPUT), False, period_ns, call_at_end=source.call_at_end)


def model_path(name: str) -> Path:
    """The file or folder that MODEL names.

    Raises:
        RequestError: nothing has that name.
    """
    path = Path(name)
    if name.startswith("zoo:"):
        return zoo_folder(name.removeprefix("zoo:"))
    if path.exists():
        return path
    if name in zoo_names():
        return zoo_folder(name)
    tasks = _zoo_of_tasks()
    if name in tasks:
        return actor_path("zoo", name, tasks[name])
    here = [str(found) for found in _models(path.parent)]
    near = get_close_matches(name, [*here, *zoo_names(), *tasks], n=1, cutoff=0.8)
    if near and near[0] in here:
        raise RequestError(f"{name}: no such file or folder; did you mean '{near[0]}'?")
    if "/" in name or path.suffix:
        raise RequestError(f"{name}: no such file or folder; haltere export makes one")
    raise unknown_name("model", name, {*zoo_names(), *tasks}, "haltere list")


def _models(folder: Path) -> list[Path]:
    """What could be flown in a folder: files of ONNX, and folders that hold one."""
    if not folder.is_dir():
        return []
    return [item for item in folder.iterdir() if item.suffix == ".onnx" or (item / MODEL_NAME).is_file()]


def _zoo_of_tasks() -> dict[str, str | None]:
    """Task -> its zoo entry, if it has one; none at all where only the edge is installed."""
    try:
        from haltere.configs.catalogue import read_task_file, task_names
    except ModuleNotFoundError:
        return {}  # task files are YAML, which the edge install can't read; zoo names work there
    return {name: read_task_file(name).zoo for name in task_names()}


def _made(kind: str, place: str, contract: Contract, need: tuple[str, ...]) -> Any:  # noqa: ANN401 -- the user's own class
    """What the user's function makes."""
    module_name, colon, function_name = place.partition(":")
    if not (module_name and colon and function_name):
        raise RequestError(f"--{kind}: must be MODULE:FUNCTION, got {short(place)}")
    # As python -m does: the adapter of a robot lies where one works on it.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{module_name}.".startswith(f"{missing}."):
            sentence = f"--{kind}: there is no module {short(module_name)} here or in the environment"
            raise RequestError(sentence) from None
        raise _theirs(f"--{kind}: {module_name} can't be imported", error) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        near = get_close_matches(function_name, [name for name in dir(module) if not name.startswith("_")], n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise RequestError(f"--{kind}: {module_name} has no function {short(function_name)}{hint}")
    try:
        part = function(contract)
        lacking = [name for name in need if not hasattr(part, name)]  # a property may fail in any way
    except Exception as error:
        raise _theirs(f"--{kind}: {place} failed", error) from error
    if lacking:
        raise RequestError(f"--{kind}: {place} gave a {type(part).__name__} without '{lacking[0]}'")
    return part


def _theirs(what: str, error: Exception) -> RequestError:
    """A failure of the user's own code, and where in it."""
    frames = traceback.extract_tb(error.__traceback__)
    last = next((frame for frame in reversed(frames) if not frame.filename.startswith("<frozen")), frames[-1])
    # A syntax error says itself where it is.
    where = "" if isinstance(error, SyntaxError) else f" ({Path(last.filename).name}, line {last.lineno})"
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return RequestError(f"{what}: {text[:_LONGEST_TEXT]}{where}")
