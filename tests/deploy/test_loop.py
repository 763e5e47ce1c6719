"""The control loop: what it refuses to start with, what it commands when the world misbehaves, and what it leaves."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.deploy.contract import Chunking, Tensor
from haltere.deploy.errors import ObservationError
from haltere.deploy.runtime import (
    ControlLoop,
    Mode,
    OnnxActor,
    Outcome,
    Reading,
    Rules,
    read_black_box,
)
from haltere.deploy.runtime.self_test import NullSink, random_source

from .robots import ACTION, INPUTS, PERIOD_NS, Doubling, Noting, Told, observation, toy_contract, toy_loop

SAFE = [0.0, 0.5]


def declared(*tensors: Tensor) -> Told:
    """A source that declares something else."""
    source = Told(observation())
    source.tensors = tensors  # type: ignore[assignment] # a class attribute of two
    return source


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        (INPUTS[:1], "the source declares no obs.range; it has obs.position"),
        ((INPUTS[0], Tensor("obs.rnage", (2, 2))), r"the source declares no obs.range \(is obs.rnage meant\?\)"),
        ((*INPUTS, Tensor("obs.wind", (1,))), "the model takes no obs.wind; it takes obs.position, obs.range"),
        ((*INPUTS, INPUTS[0]), "the source declares an observation twice"),
        (
            (dataclasses.replace(INPUTS[0], shape=(4,)), INPUTS[1]),
            r"obs.position: the source's shape is \(4,\), the model's \(3,\)",
        ),
        (
            (dataclasses.replace(INPUTS[0], unit="m, body frame"), INPUTS[1]),
            "obs.position: the source's unit is 'm, body frame', the model's 'm, world frame'",
        ),
        ((dataclasses.replace(INPUTS[0], dtype="int64"), INPUTS[1]), "dtype is int64, the model's float32"),
    ],
)
def test_a_robot_that_means_something_else_doesnt_start(tensors: tuple[Tensor, ...], sentence: str) -> None:
    """Names, shapes, types and units, before the policy is asked anything."""
    with pytest.raises(ObservationError, match=sentence):
        toy_loop(declared(*tensors))


@pytest.mark.parametrize(
    ("tensor", "sentence"),
    [
        (Tensor("torque", (2,), unit=ACTION.unit), "the sink must declare 'action', got 'torque'"),
        (Tensor("action", (3,), unit=ACTION.unit), r"action: the sink's shape is \(3,\), the model's \(2,\)"),
        (Tensor("action", (2,), unit="N"), "action: the sink's unit is 'N', the model's 'thrust fraction'"),
    ],
)
def test_a_sink_that_means_something_else_doesnt_start(tensor: Tensor, sentence: str) -> None:
    """Newtons aren't thrust fractions."""
    sink = Noting()
    sink.tensor = tensor
    with pytest.raises(ObservationError, match=sentence):
        toy_loop(Told(observation()), sink)


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        ({"action": np.zeros((1, 3), np.float32)}, r"\(1, 3\) float32"),
        ({"action": np.zeros((1, 2))}, r"\(1, 2\) float64"),
        ({"action": np.full((1, 2), np.nan, np.float32)}, ".*, not all of it finite"),
        ({"action": np.zeros((1, 2), object)}, r"\(1, 2\) object"),
        ({"acton": np.zeros((1, 2), np.float32)}, "dict without it"),
        ({"action": [0.0, 0.0]}, "list"),
        (None, "NoneType"),
    ],
)
def test_an_actor_that_gives_something_else_doesnt_start(made: Any, shown: str) -> None:  # noqa: ANN401
    """Found by its first answer, which nobody is sent."""

    class Other(Doubling):
        def act(self, obs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            answer: dict[str, NDArray[Any]] = made
            return answer

    with pytest.raises(RequestError, match=rf"the actor must give 'action' \(1, 2\) float32, finite, got {shown}"):
        ControlLoop(Other(), toy_contract(), Told(observation()), Noting())


def test_a_sink_cant_change_a_command() -> None:
    """The next one is measured from it."""

    class Scaling(Noting):
        def send(self, decision: Any) -> None:  # noqa: ANN401
            decision.command[:] *= 100.0

    loop, _, _, _ = toy_loop(Told(observation()), Scaling())
    loop.step()
    assert "read-only" in loop.report().errors["sink"]


def test_a_good_observation_reaches_the_motors_in_its_own_tick() -> None:
    """The policy's action, within the contract's bounds."""
    loop, sink, _, _ = toy_loop(Told(observation(0.25, -3.0)))
    decision = loop.step()
    assert decision is sink.decisions[0]
    assert decision.outcome is Outcome.GOOD
    assert decision.command.tolist() == [0.5, -0.5]


def without(key: str) -> dict[str, NDArray[np.float32]]:
    """An observation with a part missing."""
    return {name: array for name, array in observation().items() if name != key}


class Wrecked(dict[str, Any]):
    """A mapping that breaks when it is looked into."""

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401
        """Break."""
        raise RuntimeError("wrecked")


BAD = [
    (None, Outcome.MISSING),
    (observation(np.nan), Outcome.NON_FINITE),
    (observation(z=-np.inf), Outcome.NON_FINITE),
    (observation(3e38), Outcome.BAD_ACTION),
    (observation(z=77.0), Outcome.POLICY_FAILED),
    (ValueError("no radio"), Outcome.SOURCE_FAILED),
    (without("range"), Outcome.MALFORMED),
    (observation() | {"wind": np.zeros(1, np.float32)}, Outcome.MALFORMED),
    (observation() | {"range": np.zeros((2, 2))}, Outcome.MALFORMED),
    (observation() | {"range": np.zeros((4,), np.float32)}, Outcome.MALFORMED),
    (observation() | {"range": [[0.0, 0.0], [0.0, 0.0]]}, Outcome.MALFORMED),
    (Wrecked(observation()), Outcome.MALFORMED),
    (42, Outcome.MALFORMED),
    (Reading(observation(), -2 * PERIOD_NS - 1), Outcome.STALE),
    (Reading(observation(), 10**9), Outcome.STALE),
    (Reading(observation(), 0.5), Outcome.MALFORMED),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("thing", "outcome"), BAD, ids=[f"{o.name}-{i}" for i, (_, o) in enumerate(BAD)])
def test_whatever_is_wrong_the_same_tick_holds_and_a_later_one_is_safe(thing: object, outcome: Outcome) -> None:
    """One command a tick, and it is the last one, then the safe one."""
    loop, sink, clock, _ = toy_loop(Told(observation(), thing), rules=Rules(hold_ticks=1))
    for _ in range(3):
        clock.time_ns = min(clock.time_ns, 0)  # stamps are about time zero
        loop.step()
    assert sink.outcomes == [Outcome.GOOD, outcome, outcome]
    assert [decision.mode for decision in sink.decisions] == [Mode.RUNNING, Mode.HOLDING, Mode.SAFE]
    commands = [decision.command.tolist() for decision in sink.decisions]
    assert commands[0] == commands[1] == pytest.approx([0.2, 0.4])
    assert commands[2] == SAFE


def test_what_failed_last_is_told() -> None:
    """The report has the message of each part of the robot that raised."""
    loop, sink, _, _ = toy_loop(Told(ValueError("no\nradio")))
    sink.refuse = lambda index: True
    loop.step()
    assert loop.report().errors == {"source": "ValueError: no radio", "sink": "OSError: the bus is down"}
    assert loop.report().outcomes["unsent"] == 1


def test_the_policy_forgets_after_a_safe_action() -> None:
    """Its memory is of a world that has gone on without it; a tick or two of holding clear nothing."""
    loop, _, _, actor = toy_loop(Told(*[observation(), None, observation(), None, None], observation()))
    loop.governor.rules = Rules(hold_ticks=1)
    before = actor.resets
    for _ in range(3):
        loop.step()
    assert actor.resets == before
    for _ in range(5):
        loop.step()
    assert actor.resets == before + 1


def test_a_plan_that_a_tick_was_lost_of_is_dropped() -> None:
    """What is left of it would come too late: a policy that plans chunks begins anew after each tick without it."""
    chunked = toy_contract(
        inputs=tuple(Tensor(each.name, (2, *each.shape), unit=each.unit) for each in INPUTS),
        outputs=(ACTION, Tensor("aux.chunk", (8, 2))),
        chunking=Chunking(2, 8, 4, 1, 0),
    )
    source = Told(observation(), observation(), None, observation(), observation(), {"position": 1}, observation())
    loop, sink, _, actor = toy_loop(source, contract=chunked)
    begun, resets = actor.resets, []
    for _ in range(7):
        loop.step()
        resets.append(actor.resets - begun)
    good = [outcome is Outcome.GOOD for outcome in sink.outcomes]
    assert good == [True, True, False, True, True, False, True]
    assert resets == [0, 0, 0, 1, 1, 1, 2]


FLOATS = st.floats(width=32) | st.sampled_from([1e-45, -1e-40, 3.4e38, -3.4e38, 77.0, -0.0])
ARRAYS = st.one_of(
    st.lists(FLOATS, min_size=3, max_size=3).map(lambda v: np.array(v, np.float32)),
    st.lists(FLOATS, max_size=6).map(lambda v: np.array(v, np.float32)),
    st.lists(FLOATS, min_size=4, max_size=4).map(lambda v: np.array(v, np.float32).reshape(2, 2)),
    st.sampled_from([np.zeros(3), np.zeros(3, np.int32), np.zeros(3, object), np.float32(1.0), None, "x", [0.0] * 3]),
)
THINGS = st.one_of(
    st.builds(observation, FLOATS, FLOATS, FLOATS),
    st.dictionaries(st.sampled_from(["position", "range", "Position", "wind", ""]), ARRAYS, max_size=3),
    st.builds(Reading, st.builds(observation, FLOATS, FLOATS, FLOATS), st.integers(-(2**70), 2**70) | st.none()),
    st.sampled_from([None, 1.5, (), OSError("gone"), KeyError("x"), MemoryError(), RecursionError()]),
)
"""What a source may return or raise."""

TICKS = st.lists(st.tuples(THINGS, st.integers(0, 4 * PERIOD_NS), st.booleans()), min_size=1, max_size=8)
"""A thing, how long the source took for it, and whether the sink then fails."""


def fly_hostile(ticks: list[tuple[Any, int, bool]], slew: float | None) -> None:
    """Every command that any of this leads to is finite, inside the bounds, and no more than a step from the last."""
    loop, sink, clock, _ = toy_loop(Told(None), slew=slew)
    things, index = [thing for thing, _, _ in ticks], 0

    def read() -> object:
        clock.time_ns += ticks[index][1]
        return things[index]

    loop._source.following = [read]  # type: ignore[attr-defined]
    failing = False
    sink.refuse = lambda _: failing
    limits = loop.governor.limits
    received = limits.safe
    for index, (_, _, failing) in enumerate(ticks):  # noqa: B007 (read above)
        count = len(sink.decisions)
        loop.step()
        for decision in sink.decisions[count:]:
            command = decision.command
            assert np.isfinite(command).all()
            assert (command >= limits.low).all() and (command <= limits.high).all()
            change = np.abs(command.astype(np.float64) - received.astype(np.float64))
            assert (change <= limits.step).all()
            if not failing:
                received = command
        assert len(sink.decisions) > count, "a tick without a command"


@given(TICKS, st.sampled_from([None, 0.5, 30.0, 1e-3]))
@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
def test_no_hostile_observation_gets_past_the_limits(ticks: list[tuple[Any, int, bool]], slew: float | None) -> None:
    """NaN, infinity, denormals, the largest numbers, wrong shapes, types and names, nothing at all; late and unsent."""
    fly_hostile(ticks, slew)


@pytest.mark.slow
@given(TICKS, st.sampled_from([None, 0.5, 30.0, 1e-3]))
@settings(max_examples=10_000, suppress_health_check=[HealthCheck.too_slow])
def test_no_hostile_observation_gets_past_the_limits_in_10000_cases(
    ticks: list[tuple[Any, int, bool]], slew: float | None
) -> None:
    """As above."""
    fly_hostile(ticks, slew)


def test_a_loop_runs_once() -> None:
    """Counters and black box are of one flight."""
    loop, _, _, _ = toy_loop(Told(observation()))
    loop.run(seconds=0.05)
    with pytest.raises(RequestError, match="a control loop runs once"):
        loop.run(seconds=0.05)


def test_a_fault_leaves_a_black_box_that_tells_the_story(tmp_path: Path) -> None:
    """What was seen, wanted and commanded up to the safe action; written by the time the loop has ended."""
    story = [observation(0.1), observation(0.2), *[observation(np.nan)] * 7]
    loop, sink, _, _ = toy_loop(Told(*story), black_box=tmp_path / "box")
    loop.run(seconds=0.09)
    (path,) = (tmp_path / "box").iterdir()
    assert loop.report().black_boxes == (str(path),)
    recording = read_black_box(path)
    assert recording.reason["reason"] == "SAFE after NON_FINITE"
    assert recording.reason["counters"]["outcomes"]["non_finite"] == 6
    assert recording.columns["mode"].tolist() == [Mode.RUNNING] * 2 + [Mode.HOLDING] * 5 + [Mode.SAFE]
    np.testing.assert_allclose(recording.obs["position"][:2, 0], [0.1, 0.2], rtol=1e-6)
    assert np.isnan(recording.obs["position"][2:, 0]).all()
    np.testing.assert_allclose(recording.action[:2, 0], [0.2, 0.4], rtol=1e-6)
    sent = np.array([decision.command for decision in sink.decisions])
    np.testing.assert_array_equal(recording.command, sent[: len(recording.command)])
    assert recording.columns["begun_ns"].tolist() == [index * PERIOD_NS for index in range(8)]


def test_a_black_box_can_be_asked_for_and_its_disk_may_be_full(tmp_path: Path) -> None:
    """On demand while flying and afterwards; what can't be written is told and doesn't end the flight."""
    loop, _, _, actor = toy_loop(Told(observation()), black_box=tmp_path / "box")
    asked = iter([1])
    actor.before = lambda: loop.request_dump("somebody asked") if next(asked, 0) else None
    loop.run(seconds=0.05)
    assert loop.dump("and again") is not None
    reasons = sorted(read_black_box(path).reason["reason"] for path in (tmp_path / "box").iterdir())
    assert reasons == ["and again", "somebody asked"]
    (tmp_path / "file").write_text("")
    loop, _, _, _ = toy_loop(Told(observation(), None), black_box=tmp_path / "file")
    report = loop.run(seconds=0.2)
    assert report.alarms == 1 and not report.black_boxes and "file" in report.errors["black box"]


def test_an_exported_policy_flies(swarm_folder: Path) -> None:
    """The real actor under the real clock: every tick has a command, and only the contract's names fit."""
    actor = OnnxActor(swarm_folder)
    source, sink = random_source(actor.contract, 0), NullSink(actor.contract)
    report = ControlLoop(actor, actor.contract, source, sink).run(seconds=0.2)
    assert report.ticks >= 20 and report.at_rest
    assert sum(report.outcomes.values()) == report.ticks
    assert report.outcomes["good"] + report.outcomes["stalled"] + report.outcomes["stopped"] == report.ticks
