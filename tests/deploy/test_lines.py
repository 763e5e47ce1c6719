"""Lines from a robot: what is an observation, what isn't, and that what is too long is never looked into."""

import io
import json
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haltere.deploy.contract import Tensor
from haltere.deploy.errors import ObservationError
from haltere.deploy.runtime import ControlLoop, Decision, Limits, Outcome, Reading
from haltere.deploy.runtime.lines import Lines, LineSource, declare, longest_line

from .robots import INPUTS, PERIOD_NS, Doubling, Noting, Told, conditions, fifo, toy_contract, toy_loop

CONTRACT = toy_contract()
MOST = longest_line(CONTRACT)
GOOD = {"obs": {"position": [0.1, 0.2, 0.0], "range": [[0, 0], [0, 0]]}}
HUGE = b'{"obs": {"position": [' + b"{}," * 1_300_000 + b"0]}}\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Two ends: to read from, to write to; the second may be closed by the test."""
    read, write = os.pipe()
    yield read, write
    os.close(read)
    try:
        os.close(write)
    except OSError:
        pass


def feed(write: int, data: bytes, *, end: bool = True) -> threading.Thread:
    """Write it all, in a thread, because a pipe holds little, and close."""

    def go() -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(write, left) :]
        if end:
            os.close(write)

    thread = threading.Thread(target=go)
    thread.start()
    return thread


def taken(read: int, most: int) -> list[bytes | None]:
    """What a reader makes of it, up to the end."""
    reader, out = Lines(read, most), []
    while (line := reader.next()) != b"":
        out.append(line)
    return out


def last_of(pipe: tuple[int, int], data: bytes, reader: Lines | None = None) -> Reading:
    """The reading that a source has once it has heard all of this."""
    source, ended = LineSource(INPUTS, reader or Lines(pipe[0], MOST)), threading.Event()
    thread = feed(pipe[1], data)
    source.call_at_end(ended.set)
    source.read()
    assert ended.wait(60.0)
    thread.join()
    reading = source.read()
    assert reading is not None
    return reading


def test_no_line_is_longer_than_its_contract_needs() -> None:
    """The longest way to write an observation fits, and so does our own greeting; megabytes don't."""
    longest = {"position": [-1.2345678901234567e-308] * 3, "range": [[-1.2345678901234567e-308] * 2] * 2}
    assert len(json.dumps({"obs": longest}, indent=1)) < MOST < 4096
    image = toy_contract(inputs=(*INPUTS, Tensor("obs.image", (3, 224, 224))))
    assert longest_line(image) > 3 * 224 * 224 * 26


@pytest.mark.parametrize("size", [MOST - 1, MOST, MOST + 1, 70_000, 4 << 20])
def test_a_line_that_is_too_long_is_thrown_away_to_its_end(pipe: tuple[int, int], size: int) -> None:
    """Said once; what stands before and after it is read."""
    thread = feed(pipe[1], b"before\n" + b"x" * (size - 1) + b"\nafter\n" + b"y" * size)
    fits = size <= MOST
    expected = [b"before\n", b"x" * (size - 1) + b"\n" if fits else None, b"after\n", b"y" * size if fits else None]
    assert taken(pipe[0], MOST) == expected
    thread.join()


@given(st.lists(st.binary(max_size=12), max_size=12), st.integers(1, 8))
def test_lines_are_as_python_splits_them(pieces: list[bytes], most: int) -> None:
    """Whatever is in them and however they come."""
    data = b"".join(pieces)
    read, write = os.pipe()
    os.write(write, data)
    os.close(write)
    expected = io.BytesIO(data).readlines()
    assert taken(read, most) == [line if len(line) <= most else None for line in expected]
    os.close(read)


def test_nothing_of_a_long_line_is_parsed_or_kept(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Four megabytes, for which json.loads would hold Python's lock: not one call, and no more memory than a read's."""
    parsed: list[int] = []
    kept: list[int] = []
    loads, read, reader = json.loads, os.read, Lines(pipe[0], MOST)

    def noted(line: bytes) -> Any:  # noqa: ANN401
        parsed.append(len(line))
        return loads(line)

    def watched(descriptor: int, size: int) -> bytes:
        kept.append(len(reader._buffer))
        return read(descriptor, size)

    good = json.dumps(GOOD).encode() + b"\n"
    monkeypatch.setattr(json, "loads", noted)
    monkeypatch.setattr(os, "read", watched)
    reading = last_of(pipe, HUGE + good, reader)
    assert parsed == [len(good)]
    assert max(kept) <= MOST + (1 << 16) < len(HUGE)
    assert reading.obs["position"].tolist() == pytest.approx([0.1, 0.2, 0.0])


def test_a_long_line_counts_as_malformed(pipe: tuple[int, int]) -> None:
    """As soon as it is too long: a robot that never ends it is not waited for."""
    source = LineSource(INPUTS, Lines(pipe[0], MOST))
    source.read()
    feed(pipe[1], b"[" * (MOST + 1), end=False).join()
    while (reading := source.read()) is None:
        time.sleep(0.001)
    assert reading.obs == {}


@pytest.mark.parametrize(
    ("numbers", "read"),
    [
        ([0.5, -1, 0], [0.5, -1.0, 0.0]),
        ([1, 2, 3], [1.0, 2.0, 3.0]),
        ([None, 0.5, 1], [np.nan, 0.5, 1.0]),
        ([float("nan"), float("inf"), 1e39], [np.nan, np.inf, np.inf]),
        (0.5, 0.5),
        (None, np.nan),
        ([], []),
        (["0.5", "1", "2"], None),
        (["0.5", 1, 2], None),
        ([True, False, True], None),
        ([True, 0.5, 2], None),
        (True, None),
        ("0.5", None),
        ([[1], 2, 3], None),
        ([[1], [2, 3]], None),
        ([{}, 1, 2], None),
        ({"0": 1}, None),
        ([10**400, 0, 0], None),
    ],
)
def test_only_numbers_are_numbers(pipe: tuple[int, int], numbers: object, read: object) -> None:
    """A text or a truth value that numpy could read one out of makes the whole line malformed; null is NaN."""
    line = json.dumps({"obs": {"position": numbers, "range": [[0, 0], [0, 0]]}}).encode() + b"\n"
    obs = last_of(pipe, line).obs
    if read is None:
        assert obs == {}
    else:
        assert obs["position"].dtype == np.float32
        np.testing.assert_array_equal(obs["position"], np.array(read, np.float32))


@pytest.mark.parametrize("line", [b"", b"[]", b'{"obs": 3}', b"\xff", b"[" * 3000, b'{"obs": {"x": ' + b"[" * 900])
def test_other_lines_are_no_observation(pipe: tuple[int, int], line: bytes) -> None:
    """Of any contract."""
    assert last_of(pipe, line + b"\n").obs == {}


def test_the_loop_calls_it_malformed() -> None:
    """Text in place of numbers, and a line that is too long, are faults like any other."""
    text = json.dumps({"obs": GOOD["obs"] | {"position": ["0.5", "1", "2"]}}).encode() + b"\n"
    for data in (text, HUGE[: 2 * MOST]):
        read, write = os.pipe()
        reading = last_of((read, write), data)
        os.close(read)
        loop, sink, _, _ = toy_loop(Told(reading._replace(at_ns=None)))
        loop.step()
        assert sink.outcomes == [Outcome.MALFORMED]


@pytest.mark.slow
def test_no_command_waits_for_a_long_line(pipe: tuple[int, int]) -> None:
    """Four megabytes every tenth of a second; parsed, one of them keeps the next command back for 80 periods."""
    sent: list[int] = []

    class Timing(Noting):
        def send(self, decision: Decision) -> None:
            sent.append(time.monotonic_ns())

    realtime, ended = fifo(), threading.Event()

    def talk() -> None:
        while not ended.wait(0.1):
            feed(pipe[1], HUGE, end=False).join()

    limits = Limits.of(CONTRACT, safe=[0.0, 0.5])
    source = LineSource(INPUTS, Lines(pipe[0], MOST))
    loop = ControlLoop(Doubling(), CONTRACT, source, Timing(), limits, realtime=realtime)
    talker = threading.Thread(target=talk)
    talker.start()
    loop.run(seconds=3.0)
    ended.set()
    talker.join()
    gap = np.diff(sent).max() / PERIOD_NS
    print(f"largest gap between commands {gap:.2f} periods; {conditions(realtime)}")
    assert gap < 8.0


def test_a_declaration_that_is_too_long_is_refused(pipe: tuple[int, int]) -> None:
    """One sentence."""
    thread = feed(pipe[1], HUGE)
    out, greeting = os.pipe()
    with pytest.raises(ObservationError, match=f"the first line has more than the {MOST} bytes that it may have"):
        declare(CONTRACT, Lines(pipe[0], MOST), greeting)
    assert taken(pipe[0], MOST)
    thread.join()
    os.close(out)
    os.close(greeting)
