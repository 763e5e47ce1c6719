"""The control loop in time: the grid of its slots, the watchdog, what it asks of the system, and what it measures."""

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.deploy.runtime import ControlLoop, Limits, Mode, OnnxActor, Outcome, Realtime
from haltere.deploy.runtime.self_test import NullSink, StallTest, busy_neighbour, random_source
from haltere.deploy.runtime.watchdog import Watchdog

from .robots import PERIOD_NS, Doubling, Noting, Told, conditions, fifo, observation, toy_contract, toy_loop

SAFE = [0.0, 0.5]

def test_the_rate_doesnt_drift() -> None:
    """Every tick takes a different part of its period; tick n begins at n periods all the same."""
    began: list[int] = []
    loop, sink, clock, actor = toy_loop(Told(observation()))

    def work() -> None:
        began.append(clock.time_ns)
        clock.time_ns += (len(began) * 7_919_317) % PERIOD_NS

    actor.before = work
    for _ in range(500):
        loop.step()
    assert began == [index * PERIOD_NS for index in range(500)]
    assert set(sink.outcomes) == {Outcome.GOOD}


def test_a_long_tick_skips_slots_and_comes_back_to_the_grid() -> None:
    """Twenty-three milliseconds: its own slot and the next are lost, the third begins late, the fourth in time."""
    began: list[int] = []
    loop, sink, clock, actor = toy_loop(Told(observation()))

    def work() -> None:
        began.append(clock.time_ns)
        clock.time_ns += 23_000_000 if len(began) == 3 else 1_000_000

    actor.before = work
    for _ in range(5):
        loop.step()
    assert [time_ns / 1e6 for time_ns in began] == [0.0, 10.0, 20.0, 43.0, 50.0]
    assert [(d.slot, d.slots, d.outcome.name) for d in sink.decisions] == [
        (0, 1, "GOOD"),
        (1, 1, "GOOD"),
        (3, 2, "STALLED"),
        (4, 1, "GOOD"),
        (5, 1, "GOOD"),
    ]
    report = loop.report()
    assert (report.overruns, report.stalls, report.skipped) == (1, 1, 1)


class Stuck(Doubling):
    """A policy that gets stuck until somebody else has sent a command: asleep, or busy in Python without a rest."""

    def __init__(self, sink: Noting, every: int, *, busy: bool = False) -> None:
        """Every so many calls."""
        super().__init__()
        self._sink, self._every, self._busy, self._calls, self.stalls = sink, every, busy, 0, 0

    def act(self, obs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Wait for the watchdog, if it takes for ever."""
        self._calls += 1
        if self._calls > 5 and self._calls % self._every == 0:
            self.stalls += 1
            before = len(self._sink.decisions)
            while len(self._sink.decisions) == before:
                if not self._busy:
                    time.sleep(0.001)
        return super().act(obs)


@pytest.mark.parametrize("busy", [False, True])
def test_no_actuator_waits_for_a_stuck_policy(busy: bool) -> None:
    """Each stall ends only once the watchdog has sent something; the test would hang if it once didn't."""
    sink = Noting()
    actor = Stuck(sink, every=4, busy=busy)
    contract = toy_contract(ctrl_dt_s=0.004)
    loop = ControlLoop(actor, contract, Told(observation()), sink, Limits.of(contract, safe=SAFE))
    report = loop.run(seconds=0.4)
    assert actor.stalls >= 1
    assert report.stalls >= actor.stalls
    assert sink.outcomes.count(Outcome.STALLED) >= actor.stalls
    assert sink.decisions[-1].command.tolist() == SAFE


def test_a_sink_that_wants_to_exit_doesnt_take_the_watchdog_with_it() -> None:
    """In a thread, sys.exit() ends the thread alone; the next deadline must still be watched."""

    class Quitting(Noting):
        def send(self, decision: Any) -> None:  # noqa: ANN401
            super().send(decision)
            if threading.current_thread() is not threading.main_thread():
                sys.exit(3)

    sink = Quitting()
    actor = Stuck(sink, every=4)
    contract = toy_contract(ctrl_dt_s=0.004)
    loop = ControlLoop(actor, contract, Told(observation()), sink, Limits.of(contract, safe=SAFE))
    loop.run(seconds=0.4)
    assert actor.stalls >= 1 and loop.report().errors["watchdog"] == "SystemExit: 3"


def test_a_policy_that_never_comes_back_is_held_then_safe_then_ended_by_ctrl_c() -> None:
    """The watchdog alone keeps the actuator; Ctrl-C gets through to the stuck code, and the loop ends safely."""
    sink = Noting()
    contract = toy_contract()

    class Gone(Doubling):
        def act(self, obs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            if len(sink.decisions) > 2:
                while sink.decisions[-1].mode is not Mode.SAFE:
                    time.sleep(0.001)
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(60.0)
            return super().act(obs)

    loop = ControlLoop(Gone(), contract, Told(observation()), sink, Limits.of(contract, safe=SAFE))
    # Whoever starts the tests in the background of a script has them ignore Ctrl-C.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run()
    finally:
        signal.signal(signal.SIGINT, inherited)
    modes = [decision.mode for decision in sink.decisions]
    assert Mode.HOLDING in modes and Mode.SAFE in modes and modes[-1] is Mode.STOPPING
    assert sink.decisions[-1].command.tolist() == SAFE
    assert loop.report().at_rest


def test_a_stuck_source_is_caught_too_and_what_it_read_isnt_used() -> None:
    """The policy isn't asked about an observation that is older than the watchdog's command."""
    sink = Noting()
    asked: list[int] = []

    def slow() -> Any:  # noqa: ANN401
        before = len(sink.decisions)
        while len(sink.decisions) == before:
            time.sleep(0.001)
        return observation()

    contract = toy_contract(ctrl_dt_s=0.004)
    actor = Doubling()
    loop = ControlLoop(actor, contract, Told(slow), sink, Limits.of(contract, safe=SAFE))
    actor.before = lambda: asked.append(1)
    report = loop.run(seconds=0.05)
    assert report.stalls >= 1 and not asked


def test_a_blocked_sink_is_noted() -> None:
    """Nobody else may write to it meanwhile, but the black box tells of it."""
    released, over = threading.Event(), threading.Event()

    class Blocked(Noting):
        def send(self, decision: Any) -> None:  # noqa: ANN401
            super().send(decision)
            if len(self.decisions) == 3:
                released.wait()

    sink = Blocked()
    contract = toy_contract(ctrl_dt_s=0.004)
    loop = ControlLoop(Doubling(), contract, Told(observation()), sink)

    def release() -> None:
        while "sink" not in loop.report().errors and not over.is_set():
            time.sleep(0.001)
        released.set()

    releaser = threading.Thread(target=release)
    releaser.start()
    loop.run(seconds=0.1)
    over.set()
    releaser.join()
    assert "send() blocked" in loop.report().errors["sink"]


def test_the_safe_action_is_reached_at_the_slew_limits_pace() -> None:
    """From full thrust at 50 a second: four ticks, each no larger than half."""
    loop, sink, _, _ = toy_loop(Told(observation(1.0, 2.0)), slew=50.0)
    loop.run(seconds=0.1)
    last = [decision.command.tolist() for decision in sink.decisions if decision.outcome is Outcome.STOPPED]
    np.testing.assert_allclose(last, [[0.5, 1.5], [0.0, 1.0], [0.0, 0.5]], atol=1e-5)
    assert loop.report().at_rest and loop.report().mode == "running"


def test_python_is_as_it_was_afterwards() -> None:
    """Garbage collector, switch interval, priority and cores; while the loop runs it collects nothing by itself."""
    seen: list[tuple[bool, float]] = []
    loop, _, _, actor = toy_loop(Told(observation()))
    actor.before = lambda: seen.append((gc.isenabled(), sys.getswitchinterval()))
    before = (gc.isenabled(), sys.getswitchinterval(), os.sched_getscheduler(0), os.sched_getaffinity(0))
    loop.run(seconds=0.03)
    assert seen[-1] == (False, pytest.approx(PERIOD_NS * 1e-9 / 20))
    assert before == (gc.isenabled(), sys.getswitchinterval(), os.sched_getscheduler(0), os.sched_getaffinity(0))
    assert gc.get_freeze_count() == 0


def test_a_core_and_a_priority_that_dont_exist_are_refused() -> None:
    """Before anything moves."""
    with pytest.raises(RequestError, match="realtime priority: must be from 1 to 98, got 99"):
        Realtime(priority=99)
    with pytest.raises(RequestError, match="cpu: this process may run on"):
        Realtime(cpu=4095)


def test_a_watchdog_ends_between_two_deadlines() -> None:
    """Even where the next deadline is an hour away."""

    class Slow:
        def now_ns(self) -> int:
            return 0

        def sleep_ns(self, duration_ns: int) -> None:
            raise AssertionError

    with Watchdog(Slow(), lambda: 3600 * 10**9, lambda: None, lambda: None):
        pass


def test_every_other_stall_of_the_self_test_keeps_pythons_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that sleeps lets go of it at once, and so would say little about code that computes."""
    contract = toy_contract(ctrl_dt_s=0.002)
    test = StallTest(Doubling(), contract, 4)
    obs = {name: array[None] for name, array in observation().items()}
    slept: list[tuple[int, float]] = []
    monkeypatch.setattr(time, "sleep", lambda seconds: slept.append((test.stalls, seconds)))
    took_ns: dict[int, int] = {}
    for call in range(60):
        before_ns = time.monotonic_ns()
        test.act(obs)
        took_ns.setdefault(test.stalls, time.monotonic_ns() - before_ns)
        assert test.stalls == min(4, (call + 1) // 12)
    assert slept == [(2, 0.005), (4, 0.005)]
    assert min(took_ns[1], took_ns[3]) >= 5_000_000


@pytest.mark.slow
def test_a_hundred_stalls_are_caught_within_one_and_a_half_periods(swarm_folder: Path) -> None:
    """At 100 Hz, from the moment at which the policy gets stuck to the watchdog's command. Half of them compute."""
    actor = OnnxActor(swarm_folder)
    test = StallTest(actor, actor.contract, 100)
    realtime = fifo()
    loop = ControlLoop(test, actor.contract, random_source(actor.contract, 0), test, realtime=realtime)
    report = loop.run(seconds=test.ticks * actor.contract.ctrl_dt_s)
    figures = test.as_dict(PERIOD_NS)
    print(f"{figures}; {conditions(realtime)}")
    assert (figures["injected"], figures["caught"]) == (100, 100), figures
    assert report.stalls >= 100 and report.alarms == 0


@pytest.mark.slow
def test_the_loop_meets_its_deadline_beside_a_busy_neighbour(swarm_folder: Path) -> None:
    """99 of 100 commands are there within half of a 100 Hz period, the late waking of the system included."""
    actor = OnnxActor(swarm_folder)
    source, realtime = random_source(actor.contract, 0), fifo()
    loop = ControlLoop(actor, actor.contract, source, NullSink(actor.contract), realtime=realtime)
    with busy_neighbour(None):
        report = loop.run(seconds=20.0)
    print(f"{report.as_text()}\n{conditions(realtime)}")
    assert report.p99_share <= 0.5, f"{report.as_text()}\n{conditions(realtime)}"
