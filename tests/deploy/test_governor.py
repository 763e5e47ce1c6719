"""The rules by which a command is chosen, without a clock or a thread: hold, safe, recover, latch, and the limits."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haltere.configs.errors import RequestError
from haltere.deploy.runtime.governor import Decision, Governor, Mode, Outcome, Rules
from haltere.deploy.runtime.limits import Limits

from .robots import PERIOD_NS, toy_contract

SAFE = [0.0, 0.5]
RULES = Rules(hold_ticks=2, recover_ticks=3, latch_after=2, forgive_ticks=6)
HALF = np.array([0.5, 0.5], np.float32)


def governor(rules: Rules = RULES, slew: float | None = None) -> Governor:
    """One for the toy, started at time zero."""
    made = Governor(Limits.of(toy_contract(), safe=SAFE, slew=slew), rules, PERIOD_NS)
    made.start(0)
    return made


def tick(made: Governor, outcome: Outcome = Outcome.GOOD, action: Any = HALF) -> Decision:  # noqa: ANN401
    """A tick that takes no time at all."""
    slot = made.begin()
    decision = made.finish(slot, made.due_ns(slot), outcome, action if outcome is Outcome.GOOD else None)
    assert decision is not None
    return decision


def test_the_first_good_tick_flies_and_the_safe_action_comes_before_it() -> None:
    """However long nothing is seen, it is no fault: the robot hasn't started."""
    made = governor()
    for _ in range(20):
        decision = tick(made, Outcome.MISSING)
        assert (decision.mode, decision.command.tolist(), decision.alarm) == (Mode.STARTING, SAFE, False)
    assert tick(made).mode is Mode.RUNNING
    np.testing.assert_array_equal(made.last, HALF)


@pytest.mark.parametrize("bad", [o for o in Outcome if o not in (Outcome.GOOD, Outcome.STOPPED)])
def test_bad_ticks_hold_then_go_safe_then_recover(bad: Outcome) -> None:
    """Two held, the third safe; two good ones aren't enough, the third flies."""
    made = governor()
    tick(made)
    decisions = [tick(made, bad) for _ in range(4)]
    assert [d.mode for d in decisions] == [Mode.HOLDING, Mode.HOLDING, Mode.SAFE, Mode.SAFE]
    assert [d.command.tolist() for d in decisions] == [HALF.tolist()] * 2 + [SAFE] * 2
    assert [d.alarm for d in decisions] == [False, False, True, False]
    assert [tick(made).mode for _ in range(3)] == [Mode.SAFE, Mode.SAFE, Mode.RUNNING]
    assert made.counts[bad] == 4 and made.alarms == 1


def test_a_good_tick_ends_a_hold_at_once_and_what_is_held_is_what_was_sent() -> None:
    """Under a slew limit the action was on its way; the actuator is frozen where it was told to be."""
    made = governor(slew=10.0)  # 0.1 a tick
    tick(made, action=np.array([1.0, 2.0], np.float32))
    sent = made.last.copy()
    np.testing.assert_allclose(sent, [0.1, 0.6], atol=1e-6)
    np.testing.assert_array_equal(tick(made, Outcome.STALE).command, sent)
    assert tick(made).mode is Mode.RUNNING


def test_a_bad_tick_while_recovering_begins_the_count_anew() -> None:
    """Three in a row means in a row."""
    made = governor()
    tick(made)
    for _ in range(3):
        tick(made, Outcome.NON_FINITE)
    for outcome in (Outcome.GOOD, Outcome.GOOD, Outcome.MISSING, Outcome.GOOD, Outcome.GOOD):
        assert tick(made, outcome).mode is Mode.SAFE
    assert tick(made).mode is Mode.RUNNING


def test_the_second_safe_action_latches_until_a_person_looks() -> None:
    """No number of good ticks undoes it; reset does."""
    made = governor()
    for last in (Mode.SAFE, Mode.LATCHED):
        for _ in range(3):
            tick(made)
        assert [tick(made, Outcome.STALLED).mode for _ in range(3)][-1] is last
    assert {tick(made).mode for _ in range(50)} == {Mode.LATCHED}
    assert made.at_rest
    made.reset()
    assert tick(made).mode is Mode.RUNNING


def test_enough_good_ticks_forgive() -> None:
    """A dropout every few minutes doesn't end a long flight."""
    made = governor()
    for _ in range(5):
        assert [tick(made).mode for _ in range(6)][-1] is Mode.RUNNING
        assert [tick(made, Outcome.MISSING).mode for _ in range(3)][-1] is Mode.SAFE


def test_holding_can_be_switched_off() -> None:
    """With no ticks to hold for, the first bad one is the safe action."""
    made = governor(Rules(hold_ticks=0))
    tick(made)
    assert tick(made, Outcome.NON_FINITE).mode is Mode.SAFE


def test_slots_are_counted_from_the_start_so_that_lateness_never_adds_up() -> None:
    """A thousand ticks that all end late are due exactly a thousand periods later."""
    made = governor()
    for index in range(1000):
        slot = made.begin()
        assert slot == index
        made.finish(slot, made.due_ns(slot) + PERIOD_NS + 1000, Outcome.GOOD, HALF)
    assert made.due_ns(made.slot) == 1000 * PERIOD_NS
    assert made.overruns == 1000 and made.stalls == 0


def test_the_watchdog_takes_a_slot_an_eighth_of_a_period_after_its_end() -> None:
    """Not a nanosecond before, and once; the action that comes later is dropped."""
    made = governor()
    tick(made)
    slot = made.begin()
    deadline = made.due_ns(slot) + PERIOD_NS + PERIOD_NS // 8
    assert made.watch(deadline - 1) is None
    decision = made.watch(deadline)
    assert decision is not None
    assert (decision.slot, decision.slots, decision.outcome) == (slot, 1, Outcome.STALLED)
    assert made.watch(deadline) is None
    assert made.finish(slot, deadline + 1, Outcome.GOOD, -HALF) is None
    assert (made.stalls, made.skipped, made.overruns) == (1, 0, 1)
    np.testing.assert_array_equal(made.last, HALF)


def test_a_tick_that_ends_after_its_deadline_is_a_stall_even_if_the_watchdog_slept() -> None:
    """What is decided depends on the time alone, not on which thread was quicker."""
    made = governor()
    tick(made)
    slot = made.begin()
    decision = made.finish(slot, made.deadline_ns(), Outcome.GOOD, -HALF)
    assert decision is not None
    assert decision.outcome is Outcome.STALLED and decision.mode is Mode.HOLDING


def test_a_process_that_was_held_up_gets_one_command_for_all_the_slots_that_it_missed() -> None:
    """They count one by one towards the safe action, and the next tick is on the old grid."""
    made = governor()
    tick(made)
    made.begin()
    decision = made.watch(made.deadline_ns() + 7 * PERIOD_NS + 3)
    assert decision is not None
    assert (decision.slots, decision.mode, decision.slot) == (8, Mode.SAFE, 8)
    assert (made.stalls, made.skipped, made.slot) == (1, 7, 9)


def test_a_command_that_wasnt_sent_is_taken_back() -> None:
    """The actuator still has the one before: that is where slew limits go on from, and the tick was bad."""
    made = governor(slew=10.0)
    tick(made)
    before = made.last.copy()
    made.unsent(tick(made, action=np.ones(2, np.float32)))
    np.testing.assert_array_equal(made.last, before)
    assert made.mode is Mode.HOLDING
    assert made.counts[Outcome.UNSENT] == 1 and made.counts[Outcome.GOOD] == 1
    decisions = [made.unsent(tick(made)) for _ in range(2)]
    assert [decision.mode for decision in decisions] == [Mode.HOLDING, Mode.SAFE], "unsent ones in a row add up"
    assert [decision.alarm for decision in decisions] == [False, True]
    for decision in decisions:
        np.testing.assert_array_equal(decision.command, before)


def test_stopping_sends_the_safe_action_whatever_else_happens() -> None:
    """Good ticks that come in late don't fly any more."""
    made = governor()
    tick(made)
    made.stop()
    for outcome in (Outcome.GOOD, Outcome.STALLED, Outcome.STOPPED):
        assert tick(made, outcome).command.tolist() == SAFE


@pytest.mark.parametrize("age_ns", [-1, 0, 2 * PERIOD_NS, 2 * PERIOD_NS + 1])
def test_stale_is_older_than_two_periods_or_from_the_future(age_ns: int) -> None:
    """A stamp of another clock is most likely in the future or far in the past."""
    assert governor().is_stale(10**12, 10**12 - age_ns) == (age_ns in (-1, 2 * PERIOD_NS + 1))


ANY_FLOAT = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(
    st.lists(st.tuples(ANY_FLOAT, ANY_FLOAT), min_size=1, max_size=12),
    st.floats(min_value=1e-30, max_value=1e30),
    st.floats(min_value=-(2.0**100), max_value=2.0**100, width=32),
    st.floats(min_value=2.0**-70, max_value=2.0**100, width=32),
)
@settings(max_examples=300)
def test_no_command_passes_bounds_or_slew_limit_even_by_a_rounding(
    targets: list[tuple[float, float]], slew: float, low: float, size: float
) -> None:
    """Checked in exact fractions: float32 sums round to the nearest, which may lie beyond the limit."""
    high = float(np.float32(low) + np.float32(size))
    if not low < high:
        return
    contract = toy_contract(action_low=(low, low), action_high=(high, high))
    try:
        limits = Limits.of(contract, slew=slew)
    except RequestError:
        assert np.float32(slew * contract.ctrl_dt_s) == 0.0
        return
    last = limits.safe
    for target in targets:
        command = limits.apply(np.array(target, np.float32), last)
        for before, after, step in zip(last.tolist(), command.tolist(), limits.step.tolist(), strict=True):
            assert abs(Fraction(after) - Fraction(before)) <= Fraction(step) <= Fraction(slew * contract.ctrl_dt_s)
            assert low <= after <= high
        last = command


def test_the_nearest_allowed_command_is_chosen() -> None:
    """Within the limits the policy has its way, exactly."""
    limits = Limits.of(toy_contract(), safe=SAFE, slew=[100.0, 10.0])
    start = np.array(SAFE, np.float32)
    inside = np.array([0.7, 0.55], np.float32)
    np.testing.assert_array_equal(limits.apply(inside, start), inside)
    np.testing.assert_allclose(limits.apply(np.array([-9.0, 9.0], np.float32), start), [-1.0, 0.6], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"safe": [0.0]}, "safe: must be one number or 2, got 1"),
        ({"safe": [0.0, 3.0]}, "safe: component 1 must be from -0.5 to 2, got 3"),
        ({"safe": np.nan}, "safe: must be a number of at most 1e\\+37 in size, got nan"),
        ({"high": 1e38}, "high: must be a number of at most"),
        ({"low": -2.0}, "low: component 0 must be from -1 to 1, got -2"),
        ({"high": [0.0, -1.0]}, "high: component 1 must be from -0.5 to 2, got -1"),
        ({"slew": 0.0}, "slew: must be above 0, one number or 2, got 0.0"),
        ({"slew": [1.0, np.nan]}, "slew: must be above 0"),
        ({"slew": [1.0, 1.0, 1.0]}, "slew: must be above 0, one number or 2"),
        ({"slew": 1e-300}, "slew: must be above 0"),
    ],
)
def test_limits_that_make_no_sense_are_refused(change: dict[str, Any], sentence: str) -> None:
    """What, which component, which range, what was got."""
    with pytest.raises(RequestError, match=f"^{sentence}"):
        Limits.of(toy_contract(), **change)


@pytest.mark.parametrize(("name", "value"), [("hold_ticks", -1), ("recover_ticks", 0), ("latch_after", 0)])
def test_rules_that_make_no_sense_are_refused(name: str, value: int) -> None:
    """Zero ticks to hold is a choice; zero to recover isn't."""
    with pytest.raises(RequestError, match=f"{name}: must be at least"):
        Rules(**{name: value})
