"""The parts that ``haltere run`` puts around a policy: a user's own source and sink, JSON lines, or a self-test."""

import importlib
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from haltere.configs.errors import RequestError, short, unknown_name
from haltere.deploy.contract import Contract
from haltere.deploy.runtime.actor import OnnxActor
from haltere.deploy.runtime.black_box import read_black_box
from haltere.deploy.runtime.governor import Mode
from haltere.deploy.runtime.interface import Acting, Sink, Source
from haltere.deploy.runtime.report import LoopReport
from haltere.deploy.runtime.self_test import NullSink, StallTest, busy_neighbour, random_source, recorded_source
from haltere.deploy.zoo import zoo_folder, zoo_names

STANDARD_INPUT, STANDARD_OUTPUT = 0, 1
MOST_SHARE = 0.5
"""Of the control period, that the 99th percentile of the latency may take."""


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
        if self.is_self_test and not self.stalls and report.p99_share <= MOST_SHARE:
            lines.append(f"p99 latency is {report.p99_share:.1%} of the period, at most {MOST_SHARE:.0%} is wanted")
        if self.neighbour_cpu is not None:
            lines.append(f"beside a busy neighbour on core {self.neighbour_cpu}")
        if self.stalls:
            figures = self.stalls.as_dict(self.period_ns)
            worst = figures["worst_periods"]
            shown = "none" if worst is None else f"the slowest after {worst:.2f}"
            lines.append(f"stalls: {figures['caught']} of {figures['injected']} caught within 1.5 periods, {shown}")
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
        if not self.stalls and report.p99_share > MOST_SHARE:
            failed.append(_too_late(report))
        figures = self.stalls.as_dict(self.period_ns) if self.stalls else None
        if figures and figures["caught"] < figures["injected"]:
            failed.append(f"{figures['injected'] - figures['caught']} stalls weren't caught within 1.5 periods")
        return failed


def _too_late(report: LoopReport) -> str:
    """That the latency is too long, and whether the machine or the policy is to blame."""
    wake, work = (span.p99_us / report.period_us if span else 0.0 for span in (report.wake, report.work))
    said = f"p99 latency is {report.p99_share:.1%} of the period, at most {MOST_SHARE:.0%} is wanted: p99 of waking "
    said += f"{wake:.1%}, of the work {work:.1%}"
    if work > MOST_SHARE:
        return f"{said}; the work itself takes too long here"
    return f"{said}; the machine was busy with something else, which --priority 80 keeps out where it is granted"


def build_robot(options: dict[str, Any], actor: OnnxActor, stack: ExitStack) -> Robot:
    """The parts that the options ask for.

    Args:
        options: as typed.
        actor: the policy.
        stack: ends what needs an end.

    Raises:
        RequestError: a part doesn't exist or doesn't fit.
    """
    contract = actor.contract
    period_ns = round(contract.ctrl_dt_s * 1e9)
    if options["source"]:
        source: Source = _made("source", options["source"], contract, ("tensors", "read"))
        sink: Sink = NullSink(contract)
        if options["sink"] != "none":
            sink = _made("sink", options["sink"], contract, ("tensor", "send"))
        return Robot(actor, source, sink, False, period_ns)
    if options["stdin"]:
        return _on_lines(actor, period_ns)
    source = random_source(contract, options["seed"])
    if options["replay"]:
        source = recorded_source(contract, read_black_box(Path(options["replay"])))
    robot = Robot(actor, source, NullSink(contract), True, period_ns)
    if options["stalls"]:
        robot.stalls = robot.actor = robot.sink = StallTest(actor, contract, options["stalls"])
    if options["busy_neighbour"]:
        robot.neighbour_cpu = stack.enter_context(busy_neighbour(options["cpu"]))
    return robot


def _on_lines(actor: OnnxActor, period_ns: int) -> Robot:
    """The robot on standard input and output."""
    from haltere.deploy.runtime.lines import Lines, LineSink, LineSource, declare

    sys.stdout.flush()
    lines = Lines(STANDARD_INPUT)
    inputs, action = declare(actor.contract, lines, STANDARD_OUTPUT)
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
    entry = _zoo_of_task(name)
    if entry is not None:
        return zoo_folder(entry)
    if "/" in name or path.suffix:
        raise RequestError(f"{name}: no such file or folder; haltere export makes one")
    raise unknown_name("model", name, zoo_names(), "haltere list")


def _zoo_of_task(name: str) -> str | None:
    """The zoo entry of a task; None where there is no such task, or only the edge is installed."""
    try:
        from haltere.configs.catalogue import read_task_file, task_names
    except ModuleNotFoundError:
        return None  # task files are YAML, which the edge install can't read; zoo names work there
    return read_task_file(name).zoo if name in task_names() else None


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
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # it is there, and what it imports isn't
        raise RequestError(f"--{kind}: there is no module {short(module_name)} here or in the environment") from None
    function = getattr(module, function_name, None)
    if not callable(function):
        near = get_close_matches(function_name, [name for name in dir(module) if not name.startswith("_")], n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise RequestError(f"--{kind}: {module_name} has no function {short(function_name)}{hint}")
    part = function(contract)
    missing = [name for name in need if not hasattr(part, name)]
    if missing:
        raise RequestError(f"--{kind}: {place} gave a {type(part).__name__} without '{missing[0]}'")
    return part
