"""``haltere run``: fly an exported policy in a control loop, or test the loop without a robot."""

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from haltere.agents.cli.plain import (
    Plain,
    asks_for_help,
    check_together,
    number,
    numbers,
    one_of,
    plain_help,
    read_plain,
    switch,
    text,
    text_or_dash,
    whole,
)
from haltere.agents.cli.words import output_file, say, write_json
from haltere.configs.errors import RequestError
from haltere.configs.installation import installed_version
from haltere.deploy.runtimes import PRECISIONS

if TYPE_CHECKING:
    from haltere.agents.cli.robot import Robot
    from haltere.deploy.contract import Contract
    from haltere.deploy.runtime.loop import ControlLoop
    from haltere.deploy.runtime.report import LoopReport

USAGE = "run MODEL [--option value ...]"
ABOUT = """
MODEL is an exported file, the folder that holds policy.onnx, zoo:NAME, or the name of a task or zoo entry.

Without --source or --stdin this is a self-test: the policy flies on random observations at its own rate, nothing is
moved, and what is printed is how long each command took, from the start of its slot: waking late, which is the
machine's doing, and work, which is the policy's. It fails (exit code 1) where the 99th percentile of both together is
above half of the control period or had fewer than 100 good ticks to be told from, the safe action was needed, or, with
--stalls, a stall wasn't caught within 1.5 periods.

--source MODULE:FUNCTION and --sink MODULE:FUNCTION fly a robot of your own: each function is called with the model's
contract and returns a haltere.deploy.runtime.Source or Sink. With --stdin another program is the robot, by lines of
JSON. Ctrl-C sends the safe action, writes the black box and leaves with 130, a second one where something is stuck;
SIGUSR1 writes the black box and goes on.
"""
SELF_TEST_S = 10.0
COUNT = whole(1, 1_000_000_000)

OPTIONS = {
    "runtime": Plain(one_of("onnx", "fused"), "onnx", "NAME", "onnx, or fused: our kernels in ONNX Runtime (onnx)"),
    "precision": Plain(
        one_of(*PRECISIONS),
        "fp32",
        "NAME",
        "fp32, int8, or with --runtime fused also bf16; only what haltere export has flown and accepted (fp32)",
    ),
    "seconds": Plain(number(1e-3, 1e9), None, "S", f"how long; {SELF_TEST_S:g} for a self-test, otherwise without end"),
    "source": Plain(text, None, "MODULE:FUNCTION", "what makes the source of observations; needs --sink"),
    "sink": Plain(text, None, "MODULE:FUNCTION", "what makes the sink of commands; none moves nothing"),
    "stdin": Plain(switch, False, "", "observations from standard input, commands to standard output, as JSON lines"),
    "safe": Plain(
        numbers,
        None,
        "NUMBERS",
        "the safe action, one number or one for each component; the contract's where it isn't given, and where that "
        "has none its lower bound, which is motors off for thrust and may be anything else for another robot",
    ),
    "slew": Plain(numbers, None, "NUMBERS", "largest change of the action [1/s], one number or one for each component"),
    "hold_ticks": Plain(whole(0, 1_000_000), 5, "N", "bad ticks in a row for which the last command is held (5)"),
    "recover_ticks": Plain(COUNT, 10, "N", "good ticks in a row that end the safe action (10)"),
    "latch_after": Plain(COUNT, 3, "N", "how many times the safe action may begin; the last of them stays (3)"),
    "black_box": Plain(text, "black-box", "FOLDER", "where a fault writes the last ten seconds (black-box)"),
    "priority": Plain(whole(1, 98), None, "N", "realtime priority (SCHED_FIFO) of the loop; needs permission"),
    "cpu": Plain(whole(0, 4095), None, "N", "core to pin the loop to"),
    "replay": Plain(text, None, "FILE", "self-test on the observations of a black box"),
    "seed": Plain(whole(0, 2**32), 0, "N", "of a self-test's random observations, and of what a policy draws"),
    "stalls": Plain(whole(0, 100_000), 0, "N", "self-test: let the policy get stuck this often, and time the watchdog"),
    "busy_neighbour": Plain(switch, False, "", "self-test: keep another core busy meanwhile"),
    "contract": Plain(switch, False, "", "show what the model takes and gives, and end; with --json, as JSON"),
    "cpp": Plain(
        text,
        None,
        "FILE",
        "write a C++ header for haltere/loop.hpp, and end: the contract, and the weights where the policy is one "
        "operator of the kernel library",
    ),
    "json": Plain(text_or_dash, None, "[FILE]", "write the result to a file, or to standard output where it is -"),
}
FLIGHT = (
    *("runtime", "precision"),
    *"seconds safe slew hold_ticks recover_ticks latch_after black_box priority cpu json".split(),
)
"""What every flight takes, a robot's and a self-test's."""

GOES_WITH = {
    "contract": ("shows what the model takes and ends", ("json",)),
    "cpp": ("writes a header and ends", ()),
    "stdin": ("has another program for the robot", FLIGHT),
    "source": ("flies a robot of your own", (*FLIGHT, "sink")),
    "sink": ("flies a robot of your own", (*FLIGHT, "source")),
    "replay": ("flies on recorded observations", (*FLIGHT, "stalls", "busy_neighbour")),
}


def run(argv: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    if asks_for_help(argv):
        print(plain_help(USAGE, ABOUT, OPTIONS))
        return 0
    typed = read_plain(argv, OPTIONS)
    if len(typed.words) != 1:
        raise RequestError(f"name one model: haltere {USAGE}; got {' '.join(typed.words) or 'none'}")
    options = typed.options
    check_together(typed.given, GOES_WITH)
    _check(options)
    from haltere.agents.cli.robot import build_robot, model_path
    from haltere.deploy.runtime.actor import OnnxActor
    from haltere.deploy.runtime.chunks import in_its_loop
    from haltere.deploy.runtime.files import check_accepted

    path = model_path(typed.words[0])
    how: dict[str, Any] = {"fused": options["runtime"] == "fused", "precision": options["precision"]}
    check_accepted(path, **how)
    actor = OnnxActor(path, **how)
    if options["cpp"] is not None:
        return _write_header(path, options["cpp"])
    if options["contract"]:
        return _show(actor.contract, options["json"])
    with ExitStack() as stack:
        robot = build_robot(options, in_its_loop(actor, seed=options["seed"]), actor.contract, stack)
        seconds = _seconds(options, robot)
        loop = _loop(options, actor.contract, robot)
        if robot.call_at_end:
            robot.call_at_end(loop.stop)
        with _signals(loop) as received:
            # The second signal gets it out of something stuck; the safe action has been sent all the same.
            with suppress(KeyboardInterrupt):
                loop.run(seconds=seconds)
            if received:
                loop.dump(f"interrupted by {signal.Signals(received[0]).name}")
        report = loop.report()
    return _conclude(str(path), options, robot, report, interrupted=bool(received))


def _check(options: dict[str, Any]) -> None:
    """What neither reading nor ``GOES_WITH`` can tell."""
    if options["json"] not in (None, "-"):
        output_file(options["json"], "json")
    if options["stdin"] and options["json"] == "-":
        raise RequestError("--json: standard output belongs to --stdin; name a file")
    if bool(options["source"]) != bool(options["sink"]):
        missing = "sink" if options["source"] else "source"
        raise RequestError(f"--{missing}: is missing; a robot has both (--sink none moves nothing)")


def _show(contract: "Contract", target: str | None) -> int:
    """The contract, for whoever writes an adapter."""
    import json

    if target is not None:
        write_json(json.loads(contract.to_json()), target)
        return 0
    print(f"{contract.task}, {contract.policy}, every {contract.ctrl_dt_s * 1000:g} ms")
    for tensor in (*contract.sensed, contract.outputs[0]):
        print(f"{tensor.name} {tensor.shape} {tensor.dtype}: {tensor.unit or 'no unit stated'}")
    safe = f"safe action {list(contract.safe_action)}" if contract.safe_action else "no safe action stated (--safe)"
    print(f"action from {list(contract.action_low)} to {list(contract.action_high)}; {safe}")
    return 0


def _write_header(path: Path, target: str) -> int:
    """The policy, for a robot that is written in C++."""
    from haltere.deploy.cpp_contract import INCLUDE, check_header_replaceable
    from haltere.deploy.cpp_policy import policy_header
    from haltere.deploy.kernels.library import library_path
    from haltere.deploy.onnx_file import read_sealed
    from haltere.deploy.runtime.files import model_file
    from haltere.deploy.store import write_file

    out = output_file(target, "cpp")
    check_header_replaceable(out)
    header = policy_header(*read_sealed(model_file(path, fused=False, precision="fp32")))
    write_file(out, header.text.encode())
    if header.alone:
        print(f"{target}: the contract alone, without weights: {header.alone}")
    else:
        print(f"{target}: the contract, the weights and policy::Network; link {library_path()}")
    print(f"compile with -std=c++20 -pthread -I{INCLUDE}")
    return 0


def _loop(options: dict[str, Any], contract: "Contract", robot: "Robot") -> "ControlLoop":
    from haltere.deploy.runtime.governor import Rules
    from haltere.deploy.runtime.limits import Limits
    from haltere.deploy.runtime.loop import ControlLoop
    from haltere.deploy.runtime.realtime import Realtime

    return ControlLoop(
        robot.actor,
        contract,
        robot.source,
        robot.sink,
        Limits.of(contract, safe=_spread(options["safe"]), slew=_spread(options["slew"])),
        rules=Rules(options["hold_ticks"], options["recover_ticks"], options["latch_after"]),
        black_box=Path(options["black_box"]),
        realtime=Realtime(options["priority"], options["cpu"]),
    )


def _spread(given: list[float] | None) -> float | list[float] | None:
    """One number stands for all components."""
    return given[0] if given is not None and len(given) == 1 else given


def _seconds(options: dict[str, Any], robot: "Robot") -> float | None:
    """How long to fly; without end where None.

    Raises:
        RequestError: the stalls that were asked for don't fit into the time, or not even one tick does.
    """
    from haltere.agents.cli.robot import LEAST_TICKS

    seconds, period_s = None if options["seconds"] is None else float(options["seconds"]), robot.period_ns * 1e-9
    if seconds is not None and seconds < period_s:
        raise RequestError(f"--seconds: must be at least one control period, {period_s:g} s, got {seconds:g}")
    if seconds is not None and seconds < robot.least_s:
        raise RequestError(f"--seconds: {options['stalls']} stalls take {robot.least_s:g} s at least, got {seconds:g}")
    if seconds is not None or not robot.is_self_test:
        return seconds
    # Of a slow policy, half as many ticks again as its verdict needs: some may be late.
    return max(SELF_TEST_S, robot.least_s, 1.5 * LEAST_TICKS * period_s)


@contextmanager
def _signals(loop: "ControlLoop") -> Iterator[list[int]]:
    """While entered, the first SIGINT or SIGTERM stops the loop and the next one interrupts whatever it is stuck in.

    Yields:
        The signals that came.
    """
    received: list[int] = []

    def stop(signum: int, frame: FrameType | None) -> None:
        received.append(signum)
        loop.stop()
        if len(received) > 1:
            raise KeyboardInterrupt

    handlers: dict[int, Any] = {signal.SIGINT: stop, signal.SIGTERM: stop}
    if hasattr(signal, "SIGUSR1"):
        handlers[signal.SIGUSR1] = lambda signum, frame: loop.request_dump("asked for")
    if threading.current_thread() is not threading.main_thread():
        handlers = {}  # Python takes them in the main thread alone
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield received
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _conclude(path: str, options: dict[str, Any], robot: "Robot", report: "LoopReport", *, interrupted: bool) -> int:
    """Print the result; returns the exit code."""
    failed = robot.verdict(report)
    if options["json"] is not None:
        result = {"model": path, "version": installed_version(), **report.as_dict(), **robot.extras(), "failed": failed}
        write_json(result, options["json"])
    if options["json"] != "-":
        print("\n".join([report.as_text(), *robot.notes(report)]), file=sys.stderr if options["stdin"] else sys.stdout)
    if interrupted:
        say(f"interrupted: the safe action {'was sent' if report.at_rest else 'was not reached'}")
        return 130
    for sentence in failed:
        say(sentence)
    return 1 if failed else 0
