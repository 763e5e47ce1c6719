"""Latency of every runtime side by side: one process, one thread, one lane, the same observations, interleaved.

Whatever else the machine does then hits all of them alike, which separate processes can't promise.
"""

import ctypes
import gc
import json
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from haltere.configs.errors import RequestError, unknown_name
from haltere.deploy.contenders import BUILDERS, Contender, Setup, Unavailable
from haltere.deploy.export import TaskFacts, export
from haltere.deploy.onnx_file import read_sealed
from haltere.deploy.parity import difference, initial_state, one_thread, random_inputs
from haltere.deploy.runtime.actor import MODEL_NAME
from haltere.deploy.weights import weights_digest
from haltere.policies.base import Policy

RUNTIMES = tuple(BUILDERS)
REFERENCE = "ort_io_binding"
_INPUTS = 64
_BLOCKS = 20
_WARM_UP = 50
_SEED = 7
_NOT_COUNTED = "not counted: that takes a replaced allocator, which this process doesn't have"
_RESIDENT = "torch_eager"
"""Torch and the network are there before anything is measured, so what they take can't be seen."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Timing:
    """One runtime's figures; None where something wasn't measured.

    Attributes:
        median_us: of the latency of one call [µs].
        p99_us: 99th percentile [µs].
        p999_us: 99.9th percentile [µs].
        mallocs: heap allocations a call.
        peak_kib: growth of the process's peak resident memory while the runtime was built and warmed up [KiB]; None
            for torch eager, which was there before.
        parity: largest error against torch eager, as in a contract.
    """

    median_us: float
    p99_us: float
    p999_us: float
    mallocs: float | None
    peak_kib: float | None
    parity: float


@dataclass(frozen=True)
class BenchReport:
    """What ``haltere bench`` prints; the fields are the keys of its JSON.

    Attributes:
        task: as asked for.
        cpu: model name of the processor.
        threads: of each runtime.
        calls: timed calls of each runtime.
        runtimes: figures by runtime.
        ratios: median of ``ort_io_binding`` over each runtime's: above one is faster.
        skipped: why a runtime isn't there, and why a figure is None.
    """

    task: str
    cpu: str
    threads: int
    calls: int
    runtimes: dict[str, Timing]
    ratios: dict[str, float]
    skipped: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Plain dictionaries and numbers."""
        return asdict(self)

    def to_json(self) -> str:
        """One JSON object, indented."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False)

    def as_text(self) -> str:
        """A table for people, fastest first."""
        lines = [f"{self.cpu}, one thread, one lane, {self.calls:,} calls each", ""]
        lines.append(f"{'runtime':<16}{'median':>10}{'p99':>10}{'p99.9':>10}{'ratio':>8}{'memory':>12}{'parity':>10}")
        for name, timing in sorted(self.runtimes.items(), key=lambda item: item[1].median_us):
            times = "".join(f"{value:>7.1f} µs" for value in (timing.median_us, timing.p99_us, timing.p999_us))
            ratio = f"{self.ratios[name]:.2f}x" if name in self.ratios else "-"
            memory = "-" if timing.peak_kib is None else f"+{timing.peak_kib:,.0f} KiB"
            lines.append(f"{name:<16}{times}{ratio:>8}{memory:>12}{timing.parity:>10.0e}")
        lines += [f"{name}: {reason}" for name, reason in self.skipped.items()]
        return "\n".join(lines)


def bench(
    policy: Policy[Any],
    *,
    task: str,
    facts: TaskFacts,
    exported: Path | None = None,
    calls: int = 5000,
    names: Sequence[str] = RUNTIMES,
    progress: Progress | None = None,
) -> BenchReport:
    """Time every runtime on one lane of random observations.

    The calls come in 20 blocks; in each, every runtime has its turn, warms up, then is timed call by call. Python's
    garbage collector waits meanwhile.

    Args:
        policy: the network; its weights don't matter for the latency, but do for the parity.
        task: short name, for the report.
        facts: what the export's contract says.
        exported: the policy's export, if there is one already; made for the occasion where None.
        calls: timed calls of each runtime.
        names: which of ``RUNTIMES``.
        progress: told (blocks done, blocks in all).

    Raises:
        RequestError: a runtime has no such name, or ``exported`` is that of another policy.
        IntegrityError: ``exported`` is damaged.
        ParityError: the policy's export isn't the policy.
    """
    for name in names:
        if name not in BUILDERS:
            raise unknown_name("runtime", name, RUNTIMES)
    with one_thread():
        setup = _setup(policy, facts, exported)
        contenders, memory, skipped = _build(setup, names)
        samples = _interleave(contenders, calls, progress)
        parity = {name: _parity(setup, contender) for name, contender in contenders.items()}
    runtimes = {name: _timing(samples[name], memory[name], parity[name]) for name in contenders}
    reference = runtimes.get(REFERENCE)
    ratios = {name: reference.median_us / timing.median_us for name, timing in runtimes.items()} if reference else {}
    skipped["mallocs"] = _NOT_COUNTED
    return BenchReport(task, _cpu_name(), 1, calls, runtimes, ratios, skipped)


def _setup(policy: Policy[Any], facts: TaskFacts, exported: Path | None) -> Setup:
    policy.eval()
    with tempfile.TemporaryDirectory() as folder:
        path = exported or export(policy, Path(folder) / MODEL_NAME, facts=facts).path
        model, contract = read_sealed(path)
    if contract.weights != weights_digest(policy):
        raise RequestError(f"{path}: the export of another policy: its weights have digest {contract.weights[:12]}…")
    generator = torch.Generator().manual_seed(_SEED)
    state = initial_state(policy, 1)
    return Setup(policy, model, contract, [random_inputs(policy, 1, generator, state) for _ in range(_INPUTS)])


def _build(setup: Setup, names: Sequence[str]) -> tuple[dict[str, Contender], dict[str, float | None], dict[str, str]]:
    contenders: dict[str, Contender] = {}
    memory: dict[str, float | None] = {}
    skipped: dict[str, str] = {}
    for name in names:
        before = None if name == _RESIDENT else _reset_peak_kib()
        try:
            contender = BUILDERS[name](setup)
        except Unavailable as error:
            skipped[name] = str(error)
            continue
        for index in range(_WARM_UP):
            contender.step(index % _INPUTS)
        contenders[name] = contender
        memory[name] = None if before is None else max(0.0, _status_kib("VmHWM") - before)
    if any(kib is None for name, kib in memory.items() if name != _RESIDENT):
        skipped["peak_kib"] = "not measured: the system doesn't reset a process's peak memory"
    return contenders, memory, skipped


def _interleave(
    contenders: dict[str, Contender], calls: int, progress: Progress | None
) -> dict[str, NDArray[np.int64]]:
    """Latency of every timed call [ns], by runtime."""
    block = -(-calls // _BLOCKS)
    samples = {name: np.zeros(block * _BLOCKS, dtype=np.int64) for name in contenders}
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for turn in range(_BLOCKS):
            for name, contender in contenders.items():
                for index in range(_WARM_UP):
                    contender.step(index % _INPUTS)
                _time_calls(contender.step, samples[name][turn * block : (turn + 1) * block])
            if progress is not None:
                progress(turn + 1, _BLOCKS)
    finally:
        if collecting:
            gc.enable()
    return {name: array[:calls] for name, array in samples.items()}


def _time_calls(step: Callable[[int], object], out: NDArray[np.int64]) -> None:
    clock = time.perf_counter_ns
    for call in range(len(out)):
        index = call % _INPUTS
        start = clock()
        step(index)
        out[call] = clock() - start


def _parity(setup: Setup, contender: Contender) -> float:
    reference = BUILDERS["torch_eager"](setup)
    return max(difference(reference.outputs(index), contender.outputs(index)) for index in range(_INPUTS))


def _timing(samples: NDArray[np.int64], peak_kib: float | None, parity: float) -> Timing:
    median, p99, p999 = (float(value) / 1000.0 for value in np.percentile(samples, [50.0, 99.0, 99.9]))
    return Timing(median, p99, p999, None, peak_kib, parity)


def _reset_peak_kib() -> float | None:
    """Resident memory now [KiB], with the peak reset to it and freed memory given back; None where that can't be."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return _status_kib("VmRSS")
    except (OSError, KeyError):
        return None


def _status_kib(key: str) -> float:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    entries = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return float(entries[key].split()[0])


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
