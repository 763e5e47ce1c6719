"""Which command an actuator gets in each tick, decided without a clock, a thread or a device: time is an argument.

A run is cut into slots: slot n begins at start + n periods and gets exactly one command, from the control loop if it
answers by the slot's deadline, otherwise from the watchdog. Both ask the one governor, so that a stall, a NaN and a
lost packet go through the same few rules. ``haltere/governor.hpp`` is its twin in C++; both are tested tick by tick
to decide alike.

    starting   nothing good seen yet: the safe action
    running    a good tick: the policy's action
    holding    bad ticks, at most ``hold_ticks`` in a row: the last command again; a good tick resumes at once
    safe       more than that: the safe action; ``recover_ticks`` good ones in a row resume
    latched    safe for the ``latch_after``-th time: the safe action until a person calls ``reset``
    stopping   asked to end: the safe action
"""

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from haltere.configs.errors import RequestError
from haltere.deploy.runtime.limits import Limits, Vector


class Mode(IntEnum):
    """What the governor is doing."""

    STARTING = 0
    RUNNING = 1
    HOLDING = 2
    SAFE = 3
    LATCHED = 4
    STOPPING = 5


class Outcome(IntEnum):
    """How a slot ended; everything but ``GOOD`` and ``STOPPED`` is bad."""

    GOOD = 0
    MISSING = 1
    STALE = 2
    MALFORMED = 3
    NON_FINITE = 4
    SOURCE_FAILED = 5
    POLICY_FAILED = 6
    BAD_ACTION = 7
    STALLED = 8
    UNSENT = 9
    STOPPED = 10


@dataclass(frozen=True)
class Rules:
    """When to hold, when to give up, when to come back. All counted in ticks.

    Attributes:
        hold_ticks: bad ticks in a row for which the last command is held; the next one gets the safe action.
        recover_ticks: good ticks in a row that end the safe action.
        latch_after: how many times the safe action may begin; the last of them latches.
        forgive_ticks: good ticks in a row after which that count begins anew.
        max_age_ticks: age of an observation's time stamp, in periods, above which it is stale.
    """

    hold_ticks: int = 5
    recover_ticks: int = 10
    latch_after: int = 3
    forgive_ticks: int = 1000
    max_age_ticks: int = 2

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        for field in fields(self):
            value, least = getattr(self, field.name), 0 if field.name == "hold_ticks" else 1
            if not least <= value < 1 << 31:
                raise RequestError(f"{field.name}: must be at least {least}, got {value}")


class Decision(NamedTuple):
    """One command and why.

    Attributes:
        slot: the last slot that it is for.
        slots: how many slots it is for; above one where the process itself was held up.
        outcome: how they ended.
        mode: after it.
        command: (A,) within bounds and slew limits, always.
        alarm: whether the safe action begins here.
    """

    slot: int
    slots: int
    outcome: Outcome
    mode: Mode
    command: Vector
    alarm: bool


class _State(NamedTuple):
    mode: Mode
    last: Vector
    held: int
    streak: int
    entries: int


class Governor:
    """Decides every command of a run.

    Attributes:
        limits: of every command.
        rules: as given.
        period_ns: from slot to slot.
        watch_ns: from a slot's start to its deadline, where the watchdog takes it.
        slot: the first slot that has no command yet.
        counts: slots by outcome.
        overruns: ticks that took longer than a period.
        stalls: ticks that were under way when the watchdog took their slot.
        skipped: slots that the watchdog took before any tick had begun in them.
        alarms: how often the safe action began.
        begun: the slot in which a tick began last; -1 before the first.
    """

    def __init__(self, limits: Limits, rules: Rules, period_ns: int) -> None:
        """Begin with the safe action, which the actuator is taken to have."""
        self.limits, self.rules, self.period_ns = limits, rules, period_ns
        # An eighth of grace: a tick that is a little late is still worth more than a held command, and enough of the
        # 1.5 periods in which a stall must be caught is left for a system that wakes the watchdog late.
        self.watch_ns = period_ns + period_ns // 8
        self.slot = 0
        self.counts = [0] * len(Outcome)
        self.overruns = self.stalls = self.skipped = self.alarms = 0
        self._start_ns = 0
        self.begun = -1
        first = limits.apply(limits.safe, limits.safe)
        self._state = self._before = _State(Mode.STARTING, first, 0, 0, 0)

    @property
    def mode(self) -> Mode:
        """What it is doing."""
        return self._state.mode

    @property
    def last(self) -> Vector:
        """(A,) the last command."""
        return self._state.last

    @property
    def at_rest(self) -> bool:
        """Whether the last command is the safe action."""
        return bool(np.array_equal(self._state.last, self.limits.safe))

    def start(self, now_ns: int) -> None:
        """Slot 0 begins now."""
        self._start_ns = now_ns

    def due_ns(self, slot: int) -> int:
        """When a slot begins. Counted from the start, so that lateness never adds up."""
        return self._start_ns + slot * self.period_ns

    def deadline_ns(self) -> int:
        """When the watchdog takes the first slot that has no command."""
        return self.due_ns(self.slot) + self.watch_ns

    def is_stale(self, now_ns: int, at_ns: int) -> bool:
        """Whether a time stamp is too old, or from the future and so of another clock."""
        return not 0 <= now_ns - at_ns <= self.rules.max_age_ticks * self.period_ns

    def begin(self) -> int:
        """A tick begins in the first slot that has no command; ``watch`` comes before it.

        Returns:
            The slot, to be given to ``finish``.
        """
        self.begun = self.slot
        return self.slot

    def finish(self, slot: int, now_ns: int, outcome: Outcome, action: Vector | None = None) -> Decision | None:
        """A tick ended.

        Args:
            slot: what ``begin`` returned.
            now_ns: the time.
            outcome: how it ended.
            action: (A,) finite, where the outcome is good.

        Returns:
            What to command; None where the watchdog has taken the slot, and the action comes too late to be used.
        """
        if slot < self.slot:
            return None
        if now_ns >= self.deadline_ns():
            return self.watch(now_ns)
        self.overruns += now_ns > self.due_ns(slot + 1)
        return self._decide(outcome, action, 1)

    def watch(self, now_ns: int) -> Decision | None:
        """The watchdog's turn: one command for every slot whose deadline has passed; None where none has."""
        late_ns = now_ns - self.deadline_ns()
        if late_ns < 0:
            return None
        slots = late_ns // self.period_ns + 1
        under_way = int(self.begun == self.slot)
        self.stalls += under_way
        self.overruns += under_way
        self.skipped += slots - under_way
        return self._decide(Outcome.STALLED, None, slots)

    def unsent(self, decision: Decision) -> Decision:
        """The last decision didn't reach the actuator: take it back, and count its slots as bad.

        Returns:
            What stands in its place; its command is the one that the actuator still has.
        """
        state = self._state = self._before
        self.counts[decision.outcome] -= decision.slots
        self.alarms -= decision.alarm
        self.slot -= decision.slots
        return self._decide(Outcome.UNSENT, None, decision.slots)._replace(command=self._keep(state.last))

    def stop(self) -> None:
        """From here on, the safe action."""
        self._state = self._state._replace(mode=Mode.STOPPING)

    def reset(self) -> None:
        """A person has looked: a latched fault is over, and the next good tick flies again."""
        if self.mode is Mode.LATCHED:
            self._state = self._state._replace(mode=Mode.STARTING, held=0, streak=0, entries=0)

    def _keep(self, last: Vector) -> Vector:
        self._state = self._state._replace(last=last)
        return last

    def _decide(self, outcome: Outcome, action: Vector | None, slots: int) -> Decision:
        """Resolve ``slots`` slots."""
        self._before = state = self._state
        after = self._good(state) if outcome is Outcome.GOOD else self._bad(state, slots)
        entered = after.entries > state.entries
        target = self.limits.safe
        if after.mode is Mode.RUNNING and action is not None:
            target = action
        elif after.mode is Mode.HOLDING:
            target = state.last
        command = self.limits.apply(target, state.last)
        self._state = after._replace(last=command)
        self.slot += slots
        self.counts[outcome] += slots
        self.alarms += entered
        return Decision(self.slot - 1, slots, outcome, after.mode, command, entered)

    def _good(self, state: _State) -> _State:
        streak = min(state.streak + 1, self.rules.forgive_ticks)
        mode = state.mode
        if mode in (Mode.STARTING, Mode.HOLDING) or (mode is Mode.SAFE and streak >= self.rules.recover_ticks):
            mode = Mode.RUNNING
        entries = 0 if streak >= self.rules.forgive_ticks and mode is Mode.RUNNING else state.entries
        return _State(mode, state.last, 0, streak, entries)

    def _bad(self, state: _State, slots: int) -> _State:
        held = min(state.held + slots, 1 << 31)
        if state.mode not in (Mode.RUNNING, Mode.HOLDING):
            return state._replace(held=held, streak=0)
        if held <= self.rules.hold_ticks:
            return state._replace(mode=Mode.HOLDING, held=held, streak=0)
        entries = state.entries + 1
        mode = Mode.LATCHED if entries >= self.rules.latch_after else Mode.SAFE
        return _State(mode, state.last, held, 0, entries)
