"""What a bench measured: figures by runtime, as JSON for scripts and as a table for people."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from haltere.deploy.bench.memory_report import Growth, OperatorTiming, growth_text, others_read
from haltere.deploy.bench.roofline import Limit, Peaks, Roofline
from haltere.deploy.contract import Chunking

Timed = Literal["native", "python"]


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
        parity: largest error against torch eager, as in a contract; of a policy that reads a few chunks of its memory,
            on the inputs on which the same chunks are read, where there are any.
        timed: ``native`` where C makes the calls and the clock's own time is taken off; ``python`` where Python makes
            them, which is part of the figures.
        back_to_back_us: mean time of a call that the next one follows at once, in the block that was disturbed least
            [µs]; a processor may begin with the next before it is done, so this may be less than the latency. For
            ``native`` alone.
        other_choices: share of the inputs on which other chunks are read than by torch eager.
    """

    median_us: float
    p99_us: float
    p999_us: float
    mallocs: float | None
    peak_kib: float | None
    parity: float
    timed: Timed = "python"
    back_to_back_us: float | None = None
    other_choices: float = 0.0


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
        notes: what a reader should know of a runtime's figures, by its name.
        load: the machine's load average over the last minute when it began: processes that wanted to run, the one that
            measures among them; None where the system doesn't say.
        remembered: steps that a policy with state had behind it at the first call, each call going on from the last
            one; None for a policy without, and for one that plans chunks.
        chunking: the loop that calls are refinements of, where the policy plans chunks.
        operators: chunk attention by itself, of a policy that has it.
        growth: what a step costs with memories of several sizes, where it was asked for.
        timer_ns: what timing an empty call from C takes, median; taken off every call that C made [ns].
        roofline: the processor's limits beside what one call must read and compute at least.
    """

    task: str
    cpu: str
    threads: int
    calls: int
    runtimes: dict[str, Timing]
    ratios: dict[str, float]
    skipped: dict[str, str]
    notes: dict[str, str] = field(default_factory=dict)
    load: float | None = None
    remembered: int | None = None
    chunking: Chunking | None = None
    timer_ns: float | None = None
    roofline: Roofline | None = None
    operators: tuple[OperatorTiming, ...] = ()
    growth: tuple[Growth, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain dictionaries and numbers."""
        return asdict(self)

    def to_json(self) -> str:
        """One JSON object, indented."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False)

    def as_text(self) -> str:
        """A table for people, fastest first, and what to know about it."""
        busy = "" if self.load is None else f", load average {self.load:.1f} before"
        lines = [f"{self.cpu}, one thread, one lane, {self.calls:,} calls each{busy}", ""]
        heads = f"{'runtime':<23}{'median':>10}{'p99':>10}{'p99.9':>10}{'ratio':>9}{'mallocs':>9}{'memory':>13}"
        lines.append(f"{heads}{'parity':>10}  timed")
        for name, timing in sorted(self.runtimes.items(), key=lambda item: item[1].median_us):
            lines.append(_row(name, timing, self.ratios.get(name)))
        lines += others_read({name: timing.other_choices for name, timing in self.runtimes.items()})
        lines += ["", *self._how_timed()]
        if self.remembered is not None:
            lines.append(f"state: of {self.remembered:,} random observations before, and handed on from call to call.")
        if self.chunking is not None:
            loop = self.chunking
            part = f"is one of {loop.refinements:,} refinements of" if loop.refinements > 1 else "plans"
            chunk = f"a chunk of {loop.horizon} commands, planned anew after {loop.executed} control steps"
            lines.append(f"a call {part} {chunk}.")
        if self.roofline is not None:
            lines += ["", *_roofline_lines(self.roofline, self.runtimes)]
        for operator in self.operators:
            lines += ["", operator.as_text()]
        if self.growth:
            lines += ["", growth_text(self.growth)]
        remarks = [f"{name}: {text}" for name, text in (self.notes | self.skipped).items()]
        return "\n".join([*lines, "", *remarks] if remarks else lines)

    def _how_timed(self) -> list[str]:
        if self.timer_ns is None:
            return []
        return [
            f"native: called by C, less the {self.timer_ns:.0f} ns that timing an empty call takes; python: called by",
            "Python, whose own time is part of it. Copying the observation to where the runtime reads it is included.",
            "memory: growth of the process's peak while the runtime was built and warmed up; torch, ONNX Runtime and",
            "the network were there before.",
        ]


def short(value: float) -> str:
    """Three digits, and never in powers of ten: 0.213, 8.31, 72.7, 1234."""
    digits = 3 if value < 1.0 else 2 if value < 10.0 else 1 if value < 100.0 else 0
    return f"{value:.{digits}f}"


def _row(name: str, timing: Timing, ratio: float | None) -> str:
    times = "".join(f"{short(value):>7} µs" for value in (timing.median_us, timing.p99_us, timing.p999_us))
    faster = "-" if ratio is None else f"{ratio:.2f}x"
    mallocs = "-" if timing.mallocs is None else f"{timing.mallocs:.4g}"
    memory = "-" if timing.peak_kib is None else f"+{timing.peak_kib:,.0f} KiB"
    return f"{name:<23}{times}{faster:>9}{mallocs:>9}{memory:>13}{timing.parity:>10.0e}  {timing.timed}"


def _roofline_lines(roof: Roofline, runtimes: Mapping[str, Timing]) -> list[str]:
    peaks = roof.peaks
    caches = ", ".join(f"{rate:.0f} GB/s from {level.upper()}" for level, rate in peaks.gbps.items())
    lines = [f"roofline: {peaks.gflops:.0f} GFLOP/s in float32 ({peaks.isa}), {caches}, measured here on one core"]
    return lines + [_limit_line(name, limit, runtimes[name], peaks) for name, limit in roof.runtimes.items()]


def _limit_line(name: str, limit: Limit, timing: Timing, peaks: Peaks) -> str:
    bounds = [f"{limit.bytes / 1024:,.1f} KiB from {limit.level.upper()} {short(limit.memory_us)} µs"]
    if limit.compute_us is not None:
        bounds.append(f"{limit.flops / 1e3:,.1f} kFLOP {short(limit.compute_us)} µs")
    least = " and ".join(bounds) + (" (arithmetic peak not measured)" if limit.compute_us is None else "")
    share = f"{100.0 * limit.share:.0f} %"
    return f"  {name:<21}at least {least}; took {short(timing.median_us)} µs, {share} of the roof"
