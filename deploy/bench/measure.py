"""Latency of every runtime side by side: one process, one thread, one lane, the same observations, interleaved.

Whatever else the machine does then hits all of them alike, which separate processes can't promise. A runtime that C
can call is called by C, so that Python's own time isn't counted against it; the others, and two that are there both
ways, show what a Python program feels. A call is timed by itself, with a look at the clock before and after: a control
loop makes one call a tick, so what one call takes is what matters, not how well the next one overlaps with it. What
looking at the clock takes is measured in the same blocks on a call that does nothing, and its median is taken off
every call that C made. Source: Paoloni 2010, "How to benchmark code execution times on Intel IA-32 and IA-64
instruction set architectures": what measuring costs is found by measuring nothing.
"""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from haltere.configs.errors import RequestError, unknown_name
from haltere.deploy.bench import ort_rows, process
from haltere.deploy.bench.contender import Contender, Setup, Unavailable
from haltere.deploy.bench.mallocs import count_mallocs
from haltere.deploy.bench.native import NativeStep, empty_step
from haltere.deploy.bench.report import BenchReport, Timing
from haltere.deploy.bench.roofline import Roofline, roofline
from haltere.deploy.bench.runtimes import BUILDERS, RUNTIMES
from haltere.deploy.contract import Contract, Parity
from haltere.deploy.export import TaskFacts, contract_of
from haltere.deploy.fused import recorded
from haltere.deploy.machine import cpu_name
from haltere.deploy.onnx_file import read_sealed
from haltere.deploy.parity import Arrays, difference, one_thread, random_inputs, torch_model
from haltere.deploy.rings import rings_of
from haltere.deploy.runtime.session import BoundModel, open_session
from haltere.deploy.ties import chose_otherwise, makes_choices
from haltere.deploy.tracing import trace
from haltere.deploy.weights import weights_digest
from haltere.policies.base import Policy

REFERENCE = "ort_io_binding"
INPUTS = 64
REMEMBERED = 512
"""Steps before the first timed one, unless told otherwise: a little more than a task of eight dances takes."""
BLOCKS = 20
WARM_UP = 50
NATIVE_WARM_UP = 500  # a kernel's 50 calls are over before the processor has woken its widest vectors
_SEED = 7
_SHORTEST_NS = 1.0  # the clock's resolution: what is left of a call that takes no longer than an empty one
_RESIDENT = "torch_eager"
_SLOW = ("torch_compile", "ort_int8", "openvino_f32")
"""Runtimes that take seconds to start."""

Progress = Callable[[int, int], None]


def bench(
    policy: Policy[Any],
    *,
    task: str,
    facts: TaskFacts,
    exported: Path | None = None,
    calls: int = 5000,
    names: Sequence[str] = RUNTIMES,
    remembered: int = REMEMBERED,
    held: tuple[str, ...] = (),
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> BenchReport:
    """Time every runtime on one lane of random observations, each call with the state that the last one left.

    In each of 20 blocks of calls every runtime has its turn, warms up, then is timed call by call, without garbage
    collection. Allocations are counted afterwards, so that nothing that counts is in the way.

    Args:
        policy: the network; its weights matter for the parity alone.
        task: short name, for the report.
        facts: what the export's contract says.
        exported: the policy's export, if there is one; where None, its graph is traced for the occasion, not proven.
        calls: timed calls of each runtime.
        names: which of ``RUNTIMES``.
        remembered: steps of random observations that a policy with state has behind it at the first call.
        held: names of observations that stay as they are from call to call, and so aren't copied.
        progress: told (blocks done, blocks in all).
        say: told what comes next, before what takes its time.

    Raises:
        RequestError: a runtime has no such name, or ``exported`` is another policy's.
        HaltereError: ``exported`` is damaged, the native library is missing, or a runtime failed while it was timed.
    """
    _check_names(names)
    load, say = process.load_average(), say or (lambda what: None)
    with one_thread():
        say("tracing the policy" if exported is None else "reading the policy's export")
        setup = replace(setup_of(policy, facts, exported, remembered), held=held)
        contenders, memory, skipped = _build(setup, names, say)
        say(f"timing {len(contenders)} of {len(names)} runtimes side by side, {calls:,} calls each")
        samples = Samples(contenders, calls)
        samples.take(progress)
        runtimes = _timings(setup, contenders, samples, memory, skipped)
    ratios, under_roof = _compared(setup, contenders, {name: timing.median_us for name, timing in runtimes.items()})
    return BenchReport(
        task=task,
        cpu=cpu_name(),
        threads=1,
        calls=calls,
        runtimes=runtimes,
        ratios=ratios,
        skipped=skipped,
        notes={name: contender.note for name, contender in contenders.items() if contender.note},
        load=load,
        remembered=remembered if setup.contract.state and policy.chunking is None else None,
        chunking=None if policy.chunking is None else setup.contract.chunking,
        timer_ns=samples.timer_ns(),
        roofline=under_roof,
    )


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if name not in BUILDERS:
            raise unknown_name("runtime", name, RUNTIMES)


def _timings(
    setup: Setup,
    contenders: Mapping[str, Contender],
    samples: "Samples",
    memory: Mapping[str, float | None],
    skipped: dict[str, str],
) -> dict[str, Timing]:
    """Each runtime's figures, once all calls are made; why one is missing is added to ``skipped``."""
    mallocs, reason = count_mallocs(contenders, INPUTS)
    if reason:
        skipped["mallocs"] = reason
    agreed = _agreement(setup, contenders)
    return {
        name: samples.timing(name, mallocs[name], memory[name], found.error, found.otherwise)
        for name, found in agreed.items()
    }


def _compared(
    setup: Setup, contenders: Mapping[str, Contender], medians_us: Mapping[str, float]
) -> tuple[dict[str, float], Roofline | None]:
    """Each runtime beside the reference, and beside the processor's limits where its work is known."""
    reference = medians_us.get(REFERENCE)
    ratios = {} if reference is None else {name: reference / median for name, median in medians_us.items()}
    works = {name: contender.work for name, contender in contenders.items() if contender.work is not None}
    return ratios, roofline(works, medians_us, _io_bytes(setup)) if works else None


def setup_of(policy: Policy[Any], facts: TaskFacts, exported: Path | None, remembered: int = REMEMBERED) -> Setup:
    """What every runtime of a policy is given.

    Args:
        policy: put into evaluation mode.
        facts: as ``bench``'s.
        exported: as ``bench``'s.
        remembered: as ``bench``'s.

    Raises:
        RequestError: ``exported`` is that of another policy.
        IntegrityError: ``exported`` is damaged.
    """
    policy.eval()
    if exported is None:
        model, contract = traced(policy, facts)
    else:
        model, contract = read_sealed(exported)
        if contract.weights != weights_digest(policy):
            digest = contract.weights[:12]
            raise RequestError(f"{exported}: the export of another policy: its weights have digest {digest}…")
    generator = torch.Generator().manual_seed(_SEED)
    state = state_after(remembered, policy, model, contract, generator)
    return Setup(policy, model, contract, [random_inputs(policy, 1, generator, state) for _ in range(INPUTS)])


def traced(policy: Policy[Any], facts: TaskFacts) -> tuple[bytes, Contract]:
    """A policy's graph and its contract, to be timed and not to be kept: without the proof that an export takes.

    Args:
        policy: in evaluation mode.
        facts: what the contract says of the task.
    """
    obs, state = policy.random_obs(2, torch.Generator().manual_seed(_SEED)), policy.initial_state(2)
    with torch.no_grad(), recorded() as heard:
        out, _ = policy(obs, state)
    model = trace(policy, obs, state, out, heard)
    contract = contract_of(policy, facts, obs, state, out, Parity(1.0, 0.0, 0, ()), rings_of(model, policy.rings))
    return model.SerializeToString(deterministic=True), contract


def state_after(
    steps: int, policy: Policy[Any], model: bytes, contract: Contract, generator: torch.Generator
) -> Arrays:
    """The state of one lane after so many random observations."""
    if not contract.state:
        return {}
    bound = BoundModel(open_session(model), contract, batch=1)
    for _ in range(steps):
        for name, array in random_inputs(policy, 1, generator, {}).items():
            np.copyto(bound.obs[name.removeprefix("obs.")], array)
        bound.run()
        bound.advance()
    return bound.state


def _build(
    setup: Setup, names: Sequence[str], say: Callable[[str], None]
) -> tuple[dict[str, Contender], dict[str, float | None], dict[str, str]]:
    contenders: dict[str, Contender] = {}
    memory: dict[str, float | None] = {}
    skipped: dict[str, str] = {}
    ort_rows.load(setup)
    for name in names:
        if name in _SLOW:
            say(f"starting {name}")
        # Torch and the network are there before anything is measured, so what they take can't be seen.
        before = None if name == _RESIDENT else process.reset_peak_kib()
        try:
            contender = BUILDERS[name](setup)
        except Unavailable as error:
            skipped[name] = str(error)
            continue
        for index in range(WARM_UP):
            contender.step(index % INPUTS)
        contenders[name] = contender
        memory[name] = None if before is None else max(0.0, process.peak_kib() - before)
    if any(kib is None for name, kib in memory.items() if name != _RESIDENT):
        skipped["peak_kib"] = "not measured: the system doesn't reset a process's peak memory"
    return contenders, memory, skipped


class Samples:
    """Latencies of every timed call [ns], by runtime."""

    def __init__(self, contenders: Mapping[str, Contender], calls: int) -> None:
        """Make room for ``calls`` calls of each; they cycle through ``INPUTS`` inputs."""
        self._contenders = contenders
        self._calls = calls
        self._block = -(-calls // BLOCKS)
        self._empty = empty_step()
        self._single = {name: np.zeros((BLOCKS, self._block), dtype=np.int64) for name in contenders}
        self._joined = {name: np.zeros(BLOCKS) for name in contenders}
        self._clock = np.zeros((BLOCKS, self._block), dtype=np.int64)

    def take(self, progress: Progress | None) -> None:
        """Make all calls."""
        collecting = gc.isenabled()
        gc.collect()
        gc.disable()
        try:
            for turn in range(BLOCKS):
                self._clock[turn] = self._empty.each(self._block)
                for name, contender in self._contenders.items():
                    self._time(name, contender, turn)
                if progress is not None:
                    progress(turn + 1, BLOCKS)
        finally:
            if collecting:
                gc.enable()

    def _time(self, name: str, contender: Contender, turn: int) -> None:
        native = contender.native
        if native is None:
            for index in range(WARM_UP):
                contender.step(index % INPUTS)
            _time_calls(contender.step, self._single[name][turn])
            return
        native.each(NATIVE_WARM_UP)
        self._single[name][turn] = native.each(self._block)
        self._joined[name][turn] = native.together(self._block)

    def timer_ns(self) -> float:
        """What timing an empty call from C takes, median [ns]."""
        return float(np.median(self._clock))

    def timing(
        self, name: str, mallocs: float | None, peak_kib: float | None, parity: float, other_choices: float = 0.0
    ) -> Timing:
        """One runtime's figures."""
        taken: NDArray[Any] = self._single[name].reshape(-1)[: self._calls]
        native: NativeStep | None = self._contenders[name].native
        if native is not None:
            taken = np.maximum(taken - self.timer_ns(), _SHORTEST_NS)
        median, p99, p999 = (float(value) / 1000.0 for value in np.percentile(taken, [50.0, 99.0, 99.9]))
        figures = Timing(median, p99, p999, mallocs, peak_kib, parity, other_choices=other_choices)
        if native is None:
            return figures
        return replace(figures, timed="native", back_to_back_us=float(self._joined[name].min()) / 1000.0)


def _time_calls(step: Callable[[int], object], out: NDArray[np.int64]) -> None:
    clock = time.perf_counter_ns
    for call in range(len(out)):
        index = call % INPUTS
        start = clock()
        step(index)
        out[call] = clock() - start


@dataclass(frozen=True)
class Agreement:
    """How far a runtime is from torch.

    Attributes:
        error: largest on inputs on which it chooses as torch does; on all where there are no such inputs.
        otherwise: share of the inputs on which it doesn't.
    """

    error: float
    otherwise: float = 0.0


def _agreement(setup: Setup, contenders: Mapping[str, Contender]) -> dict[str, Agreement]:
    """Each runtime beside torch, on all inputs.

    An error where other chunks were read would say how far these chunks are apart, and nothing about the runtime.
    """
    reference = torch_model(setup.policy)
    wanted: list[Arrays] = [reference(inputs) for inputs in setup.inputs]
    choosing = makes_choices(setup.policy, setup.inputs[0])

    def beside(contender: Contender) -> Agreement:
        given = [contender.outputs(index) for index in range(len(wanted))]
        errors = np.array([difference(right, got) for right, got in zip(wanted, given, strict=True)])
        other = np.zeros(len(errors), np.bool_)
        if choosing:
            other = np.array([chose_otherwise(right, got).any() for right, got in zip(wanted, given, strict=True)])
        return Agreement(float((errors if other.all() else errors[~other]).max()), float(other.mean()))

    return {name: beside(contender) for name, contender in contenders.items()}


def _io_bytes(setup: Setup) -> int:
    """Bytes of one lane's inputs and outputs; without the rings, of which nobody has to read more than a part."""
    rings = {name for state in setup.contract.state if state.ring for name in (state.name, state.out_name)}
    arrays = setup.inputs[0] | torch_model(setup.policy)(setup.inputs[0])
    return sum(array.nbytes for name, array in arrays.items() if name not in rings)
