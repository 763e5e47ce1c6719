"""The loop that flies a policy: fixed rate, every observation checked, every command bounded, every deadline watched.

    loop = ControlLoop(OnnxActor("policy.onnx"), contract, source, sink, Limits.of(contract, safe=..., slew=...))
    report = loop.run(seconds=60)

One tick reads the source, inspects the observation, runs the policy, asks the governor and hands its command to the
sink. Deadlines are absolute, so that the rate doesn't drift. When a tick doesn't answer in time the watchdog asks the
governor instead, from a thread of its own: the last command for a few ticks, then the safe action. The rules are in
``governor.py``. After a safe action the policy's memory is cleared before it acts again: the world went on without it.
A policy that plans chunks plans anew after every tick that it didn't command.
"""

import gc
import math
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.configs.installation import installed_version
from haltere.deploy.contract import ACTION, Contract
from haltere.deploy.errors import NonFiniteError
from haltere.deploy.runtime.black_box import LOOP, WATCHDOG, BlackBox
from haltere.deploy.runtime.clock import Clock, MonotonicClock
from haltere.deploy.runtime.governor import Decision, Governor, Mode, Outcome, Rules
from haltere.deploy.runtime.interface import Acting, Inspector, Reading, Sink, Source, check_declared, flat_action
from haltere.deploy.runtime.limits import Limits, Vector
from haltere.deploy.runtime.realtime import Realtime, available_cores
from haltere.deploy.runtime.recorder import Recorder, Snapshot
from haltere.deploy.runtime.report import Latencies, LoopReport
from haltere.deploy.runtime.watchdog import Watchdog

_WARM_UP = 3
_LONGEST_NAP_NS = 50_000_000
_LONGEST_MESSAGE = 300


class ControlLoop:
    """Runs one policy on one robot at the contract's rate.

    Attributes:
        governor: decides every command; ``governor.mode`` says how things are.
    """

    def __init__(
        self,
        actor: Acting,
        contract: Contract,
        source: Source,
        sink: Sink,
        limits: Limits | None = None,
        *,
        rules: Rules | None = None,
        black_box: Path | None = None,
        black_box_s: float = 10.0,
        realtime: Realtime | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Check that everything fits, and set all memory aside.

        Args:
            actor: the policy, such as an ``OnnxActor``.
            contract: of the model.
            source: gives observations.
            sink: takes commands.
            limits: bounds, slew limits and the safe action; the contract's own where None.
            rules: when to hold, give up and come back.
            black_box: folder for the files that a fault leaves; none are written where None.
            black_box_s: how much the black box remembers [s].
            realtime: priority and core.
            clock: tells the time.

        Raises:
            ObservationError: source or sink declare something else than the contract, or the actor gives something
                else.
        """
        check_declared(contract, source.tensors, sink.tensor)
        if not 0.0 < black_box_s <= 3600.0:
            raise RequestError(f"black_box_s: must be above 0 and at most 3600 s, got {black_box_s}")
        self._contract, self._actor, self._source, self._sink = contract, actor, source, sink
        self._period_ns = round(contract.ctrl_dt_s * 1e9)
        self.governor = Governor(limits or Limits.of(contract), rules or Rules(), self._period_ns)
        self._realtime = realtime or Realtime()
        self._cores = available_cores()
        self._version = installed_version()
        self._clock = clock or MonotonicClock()
        self._inspector = Inspector(contract)
        self._box = BlackBox(contract, black_box_s)
        self._recorder = Recorder(self._box, black_box, lambda: self._realtime.for_recorder(self._cores))
        self._gate = threading.Lock()
        self._latency, self._wake, self._work = Latencies(), Latencies(), Latencies()
        self._errors: dict[str, str] = {}
        self._begun_ns = self._ended_ns = 0
        self._forget = self._stopping = self._sink_stuck = False
        self._dump_wanted: str | None = None
        self._last_mode = Mode.STARTING
        self._warm_up()

    def run(self, *, seconds: float | None = None) -> LoopReport:
        """Fly until ``stop`` is called or the time is over, then send the safe action. A loop runs once.

        However this ends, by an exception or Ctrl-C too, the last commands are those of the safe action, on the way
        that the slew limits allow.

        Args:
            seconds: how long; without end where None.

        Raises:
            RequestError: the system doesn't grant the priority that was asked for, or the loop has run before.
        """
        if self.governor.slot:
            raise RequestError("a control loop runs once; make another one")
        ticks = math.inf if seconds is None else round(seconds * 1e9 / self._period_ns)
        with self._realtime.quiet(self._period_ns), self._recorder:
            self.governor.start(self._clock.now_ns())
            with self._watchdog():
                try:
                    while not self._stopping and self.governor.slot < ticks:
                        self.step()
                        gc.collect(0)  # only what this tick left: microseconds, while nothing waits
                finally:
                    self._settle()
        return self.report()

    def step(self) -> Decision | None:
        """One tick: wait for its slot, observe, act, command.

        Returns:
            What was decided; None where the watchdog decided meanwhile, or the loop was stopped.
        """
        slot = self._begin()
        if slot is None:
            return None
        outcome, action = self._think(slot)
        observed = outcome in (Outcome.GOOD, Outcome.NON_FINITE, Outcome.POLICY_FAILED, Outcome.BAD_ACTION)
        with self._gate:
            decision = self.governor.finish(slot, self._clock.now_ns(), outcome, action)
            return self._carry_out(decision, LOOP, self._inspector.flat if observed else None, action)

    def stop(self) -> None:
        """Let ``run`` end soon; may be called from a signal handler and from any thread."""
        self._stopping = True

    def reset(self) -> None:
        """A person has looked: let a latched fault be over."""
        with self._gate:
            self.governor.reset()

    def request_dump(self, reason: str) -> None:
        """Have the black box written after the next command; may be called from a signal handler and any thread."""
        self._dump_wanted = reason

    def dump(self, reason: str) -> Path | None:
        """Write the black box now.

        Returns:
            The file; None where the loop has no folder for it.

        Raises:
            OSError: it can't be written.
        """
        with self._gate:
            return self._recorder.write(self._snapshot(reason))

    def report(self) -> LoopReport:
        """How it went so far."""
        governor = self.governor
        errors = dict(self._errors)
        if self._recorder.errors:
            errors["black box"] = self._recorder.errors[-1]
        return LoopReport(
            task=self._contract.task,
            period_us=self._period_ns / 1000.0,
            seconds=max(0, self._ended_ns - governor.due_ns(0)) * 1e-9,
            ticks=governor.slot,
            latency=self._latency.span(),
            wake=self._wake.span(),
            work=self._work.span(),
            overruns=governor.overruns,
            stalls=governor.stalls,
            skipped=governor.skipped,
            alarms=governor.alarms,
            outcomes={outcome.name.lower(): governor.counts[outcome] for outcome in Outcome},
            mode=(self._last_mode if governor.mode is Mode.STOPPING else governor.mode).name.lower(),
            at_rest=governor.at_rest,
            errors=errors,
            black_boxes=tuple(self._recorder.paths),
        )

    def _warm_up(self) -> None:
        """First allocations, and an actor that doesn't fit, come before the flight."""
        size = len(self._contract.action_low)
        for _ in range(_WARM_UP):
            made = self._actor.act(self._inspector.obs)
            if flat_action(made, size) is None:
                raise RequestError(f"the actor must give 'action' (1, {size}) float32, finite, got {_outline(made)}")
        self._actor.reset()

    def _watchdog(self) -> Watchdog:
        return Watchdog(
            self._clock, self.governor.deadline_ns, self._bark, lambda: self._realtime.for_watchdog(self._cores)
        )

    def _begin(self) -> int | None:
        """Wait for the first slot without a command, and take it; None where the loop was stopped."""
        # In naps, because a signal handler that asks to stop doesn't end a sleep.
        while (left_ns := self.governor.due_ns(self.governor.slot) - self._clock.now_ns()) > 0 and not self._stopping:
            self._clock.sleep_ns(min(left_ns, _LONGEST_NAP_NS))
        if self._stopping:
            return None
        with self._gate:
            return self._take_slot()

    def _take_slot(self) -> int:
        """Begin a tick in the first slot that is still in time. The gate is held."""
        now_ns = self._clock.now_ns()
        self._carry_out(self.governor.watch(now_ns), LOOP)
        slot = self.governor.begin()
        self._begun_ns = now_ns
        if self.governor.mode is not Mode.STOPPING:  # the policy isn't asked any more, so nothing tells of it
            self._wake.add(now_ns - self.governor.due_ns(slot))
        return slot

    def _think(self, slot: int) -> tuple[Outcome, Vector | None]:
        """Observation and policy: how the tick ended, and the action where it ended well."""
        try:
            reading = self._source.read()
        except Exception as error:  # a driver may fail in any way, and the robot must still be told what to do
            return self._failed("source", error, Outcome.SOURCE_FAILED)
        if self.governor.slot > slot:
            return Outcome.STALLED, None  # the watchdog was here; what was read is old by now
        outcome = self._inspected(reading)
        if outcome is not Outcome.GOOD:
            return outcome, None
        try:
            if self._forget:
                self._actor.reset()
                self._forget = False
            made = self._actor.act(self._inspector.obs)
        except NonFiniteError as error:
            return self._failed("policy", error, Outcome.BAD_ACTION)
        except Exception as error:  # likewise
            return self._failed("policy", error, Outcome.POLICY_FAILED)
        action = flat_action(made, len(self._contract.action_low))
        return (Outcome.BAD_ACTION, None) if action is None else (Outcome.GOOD, action)

    def _inspected(self, reading: object) -> Outcome:
        if reading is None:
            return Outcome.MISSING
        obs, at_ns = (reading.obs, reading.at_ns) if isinstance(reading, Reading) else (reading, None)
        if at_ns is not None:
            if not isinstance(at_ns, int | np.integer):
                return Outcome.MALFORMED
            if self.governor.is_stale(self._clock.now_ns(), int(at_ns)):
                return Outcome.STALE
        try:
            return self._inspector.take(obs)
        except Exception as error:  # a mapping of the caller's own may fail in any way
            return self._failed("source", error, Outcome.MALFORMED)[0]

    def _carry_out(
        self, decision: Decision | None, by: int, obs: NDArray[np.float32] | None = None, action: Vector | None = None
    ) -> Decision | None:
        """Send and record. The gate is held."""
        if decision is None:
            return None
        governor = self.governor
        first = decision.slot - decision.slots + 1
        begun_ns = self._begun_ns if governor.begun >= first else None
        try:
            self._sink.send(decision)
        except Exception as error:  # a driver again
            self._failed("sink", error, Outcome.UNSENT)
            decision = governor.unsent(decision)
        sent_ns = self._ended_ns = self._clock.now_ns()
        start_ns = governor.due_ns(0)
        self._box.record(
            decision,
            by=by,
            begun_ns=-1 if begun_ns is None else begun_ns - start_ns,
            sent_ns=sent_ns - start_ns,
            obs=obs,
            action=action,
        )
        if governor.mode is not Mode.STOPPING:
            self._latency.add(sent_ns - governor.due_ns(first))
            if by == LOOP and begun_ns is not None:
                self._work.add(sent_ns - begun_ns)
        # A plan that a tick was lost of would be late from then on.
        lost = decision.mode in (Mode.SAFE, Mode.LATCHED) or self._contract.chunking.observed > 0
        if lost and decision.outcome is not Outcome.GOOD:
            self._forget = True
        if decision.alarm:
            self._dump_wanted = f"{decision.mode.name} after {decision.outcome.name}"
        if self._dump_wanted is not None:
            self._recorder.put(self._snapshot(self._dump_wanted))
            self._dump_wanted = None
        return decision

    def _bark(self) -> None:
        """The watchdog's turn at a deadline."""
        if not self._gate.acquire(timeout=self._period_ns * 0.25e-9):
            if not self._sink_stuck:
                self._sink_stuck = True
                self._errors["sink"] = "send() blocked past a deadline, when nobody else could send"
                # Without the gate, which the stuck sink holds: at worst the newest row is half written.
                self._recorder.put(self._snapshot("the sink is stuck"))
            return
        try:
            self._carry_out(self.governor.watch(self._clock.now_ns()), WATCHDOG)
        except BaseException as error:  # a sink that calls sys.exit() here would leave the robot without a watchdog
            self._failed("watchdog", error, Outcome.UNSENT)
        finally:
            self._gate.release()

    def _settle(self) -> None:
        """The safe action, at the loop's rate, until the slew limits have let it be reached."""
        governor = self.governor
        with self._gate:
            self._last_mode = governor.mode
            governor.stop()
        change = np.abs(governor.last.astype(np.float64) - governor.limits.safe) / governor.limits.step
        # A few more than that: a sink that fails now may work again.
        for _ in range(math.ceil(float(change.max())) + 1 + governor.rules.hold_ticks):
            while (left_ns := governor.due_ns(governor.slot) - self._clock.now_ns()) > 0:
                self._clock.sleep_ns(left_ns)
            with self._gate:
                slot = self._take_slot()
                sent = self._carry_out(governor.finish(slot, self._clock.now_ns(), Outcome.STOPPED), LOOP)
            if governor.at_rest and sent is not None and sent.outcome is Outcome.STOPPED:
                return

    def _snapshot(self, reason: str) -> Snapshot:
        """The black box's rows, and what a file says about the run."""
        governor = self.governor
        counters: dict[str, Any] = {
            "overruns": governor.overruns,
            "stalls": governor.stalls,
            "skipped": governor.skipped,
            "alarms": governor.alarms,
            "outcomes": {outcome.name.lower(): governor.counts[outcome] for outcome in Outcome},
        }
        state = {"slot": governor.slot, "mode": governor.mode.name.lower(), "period_ns": self._period_ns}
        about = {**state, "haltere": self._version, "counters": counters, "errors": dict(self._errors)}
        return Snapshot(reason, self._box.snapshot(), about)

    def _failed(self, who: str, error: BaseException, outcome: Outcome) -> tuple[Outcome, None]:
        """Remember what a part of the robot's own code raised."""
        text = " ".join(f"{type(error).__name__}: {error}".split())
        self._errors[who] = text[:_LONGEST_MESSAGE]
        return outcome, None


def _outline(made: object) -> str:
    """What an actor returned, without its numbers."""
    action = made.get(ACTION) if isinstance(made, Mapping) else made
    if isinstance(action, np.ndarray):
        finite = action.dtype.kind != "f" or bool(np.isfinite(action).all())
        return f"{action.shape} {action.dtype}{'' if finite else ', not all of it finite'}"
    return f"{type(made).__name__} without it" if action is None else type(action).__name__
