"""The bench of policies that remember: state is handed on, rings stay where they are, and sizes are what they say."""

import ctypes
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from haltere.configs.errors import RequestError
from haltere.deploy.bench import BenchReport, Timing, kernel_rows, measure
from haltere.deploy.bench.contender import Contender
from haltere.deploy.bench.measure import _agreement, setup_of, state_after
from haltere.deploy.bench.memory import ChunkSizes, Reading, check_growth, chunk_attention_timing, growth, resized
from haltere.deploy.bench.memory_report import Growth, OperatorTiming
from haltere.deploy.bench.native import Buffers, Program, address
from haltere.deploy.contract import StateTensor
from haltere.deploy.onnx_file import read_sealed
from haltere.deploy.parity import (
    Arrays,
    difference,
    initial_state,
    lane_errors,
    next_state,
    random_inputs,
    torch_model,
)
from haltere.deploy.ties import chose_otherwise, near_ties
from haltere.policies.base import Signature
from haltere.policies.memory.config import MemoryConfig
from haltere.policies.memory.model import MemoryPolicy
from haltere.policies.registry import build_policy

from .toys import FACTS, Remembering, ToyConfig

RUN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


def built(**settings: object) -> MemoryPolicy:
    """A small policy."""
    config = MemoryConfig(**{"width": 8, "heads": 2, "layers": 1, "chunk": 4, "slots": 3, **settings})  # type: ignore[arg-type]
    policy = build_policy(config, Signature({"x": (5,)}, 3), seed=1)
    assert isinstance(policy, MemoryPolicy)
    return policy.eval()


def test_each_call_goes_on_from_the_last_one() -> None:
    """What a call left as the next state is copied to where the next call reads it, beside the observation."""
    place, state, following, seen = np.zeros(2, np.float32), np.full(1, 5.0), np.full(1, 5.0), []

    @RUN
    def run(context: int | None) -> int:
        seen.append((float(place[0]), float(state[0])))
        following[:] = state + 1.0
        return 0

    inputs = [{"obs.x": np.full(2, index, np.float32)} for index in range(2)]
    pairs = [(state.ctypes.data, following.ctypes.data, state.nbytes)]
    program = Program(inputs, {"obs.x": place.ctypes.data}, address(run), 0, (run, place), pairs)
    program.native.each(3)
    program.step(1)
    assert seen == [(0.0, 5.0), (1.0, 6.0), (0.0, 7.0), (1.0, 8.0)]


def test_a_ring_is_one_buffer(recurrent_file: Path) -> None:
    """Read and written in the same place, and never handed over; the others are two."""
    contract = read_sealed(recurrent_file)[1]
    ring = StateTensor("state.ring", (3, 2), ring=True)
    buffers = Buffers.of(dataclasses.replace(contract, state=(*contract.state, ring)))
    assert buffers.outputs["state_out.ring"] is buffers.inputs["state.ring"]
    assert {id(target) for target, _ in buffers.handed_over()} == {
        id(buffers.inputs[name]) for name in ("state.memory", "state.count")
    }
    given = {name: np.full_like(array, 7) for name, array in buffers.inputs.items()}
    buffers.begin(given)
    assert all((array == 7).all() for array in buffers.inputs.values())
    assert all((buffers.outputs[name] == 7).all() for name in ("state_out.ring", "state_out.memory"))


def test_the_state_is_what_so_many_steps_leave(recurrent_file: Path) -> None:
    """The same observations through torch."""
    policy = Remembering(ToyConfig(start=0.25)).eval()
    model, contract = read_sealed(recurrent_file)
    got = state_after(20, policy, model, contract, torch.Generator().manual_seed(2))
    wanted, generator = initial_state(policy, 1), torch.Generator().manual_seed(2)
    for _ in range(20):
        wanted = next_state(torch_model(policy)(random_inputs(policy, 1, generator, wanted)))
    assert got["state.count"] == 20
    np.testing.assert_allclose(got["state.memory"], wanted["state.memory"], rtol=0, atol=1e-5)


def test_chunk_attention_is_timed_as_it_is() -> None:
    """Every way of running it computes it, and the ratio is that of the medians."""
    timing = chunk_attention_timing(ChunkSizes(6, 3, 8, 2, 2), calls=40)
    assert {"ort_io_binding", "ort_fused", "fused_fp32"} <= timing.median_us.keys()
    assert max(timing.parity[name] for name in ("ort_io_binding", "ort_fused", "fused_fp32")) <= 1e-5
    for name, median in timing.median_us.items():
        assert timing.ratios[name] == pytest.approx(timing.median_us["ort_io_binding"] / median)
    assert "6 chunks of 3 steps, width 8, 2 heads, top 2" in timing.as_text()


def test_rounded_weights_read_other_chunks_only_where_two_are_nearly_as_relevant() -> None:
    """And compute what torch does of those that they read: a large difference is of the choice, not of the kernel."""
    policy = Reading(ChunkSizes(40, 4, 64, 4, 4))
    setup = setup_of(policy, FACTS, None, 0)
    kernel, exact, others = kernel_rows.fused_int8(setup), torch_model(policy), []
    for index, inputs in enumerate(setup.inputs):
        wanted, got = exact(inputs), kernel.outputs(index)
        if chose_otherwise(wanted, got).any():
            others.append(float(lane_errors(wanted, got)[0]))
            assert near_ties(policy, 0.0).lanes(inputs, 0.1).all()
        same_chunks = inputs | {"obs.valid": (got["aux.read"] > 0.0).astype(np.float32)}
        assert difference(exact(same_chunks), got) <= 0.02
    assert len(others) >= 1 and max(others) > 0.05
    agreed = _agreement(setup, {"kernel": kernel})["kernel"]
    assert agreed.otherwise == len(others) / len(setup.inputs)
    assert 0.001 < agreed.error <= 0.02


def test_an_error_is_not_taken_for_a_choice() -> None:
    """The same chunks with other answers are wrong; a runtime that always reads others has all of its errors shown."""
    policy = Reading(ChunkSizes(6, 2, 8, 2, 2))
    setup = setup_of(policy, FACTS, None, 0)
    exact = torch_model(policy)

    def off(index: int) -> Arrays:
        right = exact(setup.inputs[index])
        return right | {"action": right["action"] + np.float32(0.5)}

    def elsewhere(index: int) -> Arrays:
        right = exact(setup.inputs[index])
        return right | {"aux.read": np.roll(right["aux.read"], 1, axis=1)}

    def broken(index: int) -> Arrays:
        return {name: np.full_like(array, np.nan) for name, array in exact(setup.inputs[index]).items()}

    rows = {run.__name__: Contender(lambda index: None, run) for run in (off, elsewhere, broken)}
    agreed = _agreement(setup, rows)
    assert (agreed["off"].otherwise, agreed["elsewhere"].otherwise, agreed["broken"].otherwise) == (0.0, 1.0, 0.0)
    assert agreed["off"].error == pytest.approx(0.5, abs=1e-6)
    assert agreed["elsewhere"].error > 0.1
    assert agreed["broken"].error == np.inf


def test_the_report_says_who_read_other_chunks() -> None:
    """In a remark that names them and says why; nothing where nobody did."""
    figures = {"a": 1.0, "b": 2.0}
    timing = OperatorTiming(8, 2, 4, 1, 2, figures, figures, figures, {"a": 0.0})
    assert "other chunks" not in timing.as_text()
    text = dataclasses.replace(timing, other_choices={"a": 0.0, "b": 1 / 64}).as_text()
    assert "other chunks were read than by torch: by b on 1.6 % of the inputs" in text
    rows = {"int8": Timing(1.0, 1.0, 1.0, None, None, 0.01, other_choices=0.25)}
    assert "by int8 on 25.0 % of the inputs" in BenchReport("toy", "A processor", 1, 5, rows, {}, {}).as_text()


def test_a_step_is_timed_with_a_memory_of_that_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of chunks, with the scan and the kernels; forty steps take ten chunks of four."""
    monkeypatch.setattr(measure, "NATIVE_WARM_UP", 5)
    said: list[str] = []
    (row,) = growth(built(top_k=2, local=False), calls=20, steps=(40,), say=said.append)
    assert said == ["filling a memory of 40 steps", "timing one step against 40 remembered, 20 calls each"]
    # Summary and steps of each chunk, the steps of the open one, and the count.
    assert (row.remembered, row.state_kib * 1024) == (40, 4 * 8 * (10 * 5 + 4) + 8)
    assert min(row.in_place_us, row.copied_us, row.fused_us or 0.0, row.scan_us or 0.0) > 0.0


def test_a_memory_may_be_made_larger_but_stays_the_same_network() -> None:
    """While both remember all there is, they act alike."""
    small, large = built(memory="attention", span=6), resized(built(memory="attention", span=6), 50)
    assert large.config.span == 50
    ours, theirs, generator = initial_state(small, 1), initial_state(large, 1), torch.Generator().manual_seed(1)
    for _ in range(6):
        obs = random_inputs(small, 1, generator, {})
        one, other = torch_model(small)(obs | ours), torch_model(large)(obs | theirs)
        np.testing.assert_allclose(one["action"], other["action"], rtol=0, atol=1e-6)
        ours, theirs = next_state(one), next_state(other)
    with pytest.raises(RequestError, match="--growth: a memory of lstm has one size"):
        resized(built(memory="lstm"), 50)


def test_what_cant_grow_is_known_before_anything_is_timed() -> None:
    """A policy without a memory, and a memory of one size."""
    for memory in ("hcam", "trxl", "attention"):
        check_growth(built(memory=memory, top_k=2))
    with pytest.raises(RequestError, match="--growth: a memory of lstm has one size"):
        check_growth(built(memory="lstm"))
    with pytest.raises(RequestError, match="--growth: a policy of type toy has no memory that could grow"):
        check_growth(Remembering(ToyConfig()))


def test_the_report_shows_both_where_there_are_any() -> None:
    """What is copied, what isn't, and the scan taken off; a dash for what wasn't measured."""
    timing = OperatorTiming(
        32,
        16,
        128,
        4,
        4,
        {"ort_io_binding": 35.0, "fused_fp32": 5.0},
        {"ort_io_binding": 1.0, "fused_fp32": 7.0},
        {"ort_io_binding": 1e-7, "fused_fp32": 1e-7},
    )
    rows = (Growth(100, 12.5, 70.0, 75.0, 55.0, 4.0), Growth(10_000, 2600.0, 80.0, 600.0, None, None))
    report = BenchReport("toy", "A processor", 1, 5, {"ort": Timing(1.0, 1.0, 1.0, None, None, 0.0)}, {}, {})
    text = dataclasses.replace(report, remembered=512, operators=(timing,), growth=rows).as_text()
    assert "state: of 512 random observations before" in text
    assert "fused_fp32                5.00 µs     7.0x   parity 1e-07" in text
    shown = [line.split() for line in text.splitlines() if "KiB " in line]
    assert shown[0] == "100 12 KiB 75.0 µs 70.0 µs 55.0 µs 4.0 µs 66.0 µs".split()
    assert shown[1] == "10,000 2,600 KiB 600.0 µs 80.0 µs - - -".split()
