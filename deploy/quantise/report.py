"""What fewer bits cost and gain: size, latency, error and success of each variant side by side."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from haltere.deploy.bench.report import short
from haltere.deploy.runtimes import Precision, Runtime
from haltere.sims.statistics import Interval

_NOISE = 0.05
"""Share of a latency below which a difference is none."""


@dataclass(frozen=True)
class Variant:
    """One way to run a policy.

    Attributes:
        runtime: ``onnx``, any stock ONNX Runtime, or ``fused``, with our kernels in it.
        precision: of its large matrices.
        file: that is loaded.
        file_bytes: its size.
        weight_bytes: constants that a step reads: of the file, or as the kernels have packed them.
        median_us: of the latency of one step on one lane [µs].
        p99_us: 99th percentile [µs].
        error: largest |variant - torch| / max(1, |torch|) of any output, on recorded steps that ranges weren't taken
            from.
        success: rate in simulation; None where it wasn't flown, since it was proven equal to one that was.
        difference: of that rate from float32's, episode by episode on the same seeds; None for float32.
        kept: whether it may be used.
    """

    runtime: Runtime
    precision: Precision
    file: str
    file_bytes: int
    weight_bytes: int
    median_us: float
    p99_us: float
    error: float
    success: Interval | None = None
    difference: Interval | None = None
    kept: bool = True

    @property
    def name(self) -> str:
        """As ``eval`` names what it flew."""
        return f"{self.runtime} {self.precision}"


@dataclass(frozen=True)
class QuantReport:
    """What ``haltere export --int8`` and ``--bf16`` measured; ``quantised.json`` holds it.

    Attributes:
        task: short name.
        cpu: that the latencies are of.
        load: the machine's load average when timing began; None where the system doesn't say.
        calls: timed calls of each variant.
        seed: first episode seed of the flights.
        episodes: of each flight.
        refused_below: the success rate below which a variant would have been refused; 0 where none would.
        recorded: steps that the ranges were taken from.
        recorded_seeds: first and last episode seed of these.
        matrices: constant matrices of the 8-bit file that are in 8 bits, and how many it has; None without such a file.
        variants: float32 on ``onnx`` first, which the others are compared with.
        skipped: why a variant isn't there.
    """

    task: str
    cpu: str
    load: float | None
    calls: int
    seed: int
    episodes: int
    refused_below: float
    recorded: int
    recorded_seeds: tuple[int, int]
    matrices: tuple[int, int] | None
    variants: tuple[Variant, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def refused(self) -> tuple[Variant, ...]:
        """Those that fly worse than float32."""
        return tuple(variant for variant in self.variants if not variant.kept)

    def as_dict(self) -> dict[str, Any]:
        """Plain data; variants by name."""
        data = asdict(self)
        return data | {"variants": {one.name: data["variants"][i] for i, one in enumerate(self.variants)}}

    def as_text(self) -> str:
        """A table for people, and what to know about it."""
        busy = "" if self.load is None else f", load average {self.load:.1f} before"
        lines = [f"fewer bits: {self.cpu}, one thread, one lane, {self.calls:,} calls from C each{busy}", ""]
        heads = f"{'variant':<12}{'file':>12}{'weights':>12}{'median':>10}{'p99':>10}{'error':>9}"
        lines.append(f"{heads}  {'success':<24}{'minus fp32':<26}")
        lines += [_row(variant) for variant in self.variants]
        return "\n".join([*lines, "", *self.notes()])

    def notes(self) -> list[str]:
        """What the numbers don't say by themselves, a sentence each."""
        seeds = f"{self.recorded_seeds[0]} to {self.recorded_seeds[1]}"
        notes = [
            "fused: our kernels inside ONNX Runtime, haltere bench's ort_fused; its fused_fp32 is without ONNX Runtime",
            f"success: {self.episodes} episodes each from seed {self.seed}, 95 %; kept where it overlaps that of onnx "
            f"fp32, {self._power()}; fused fp32 is proven equal to it and wasn't flown",
        ]
        if self.matrices is not None:
            notes.append(
                f"onnx int8: {self.matrices[0]} of {self.matrices[1]} matrices in 8 bits, with ranges from "
                f"{self.recorded:,} steps on seeds {seeds}; the others read observations, make the action or are small"
            )
        notes += [note for variant in self.variants for note in self._cost(variant)]
        return notes + [f"{name}: left out: {why}" for name, why in self.skipped.items()]

    def _power(self) -> str:
        """What the flights could have shown."""
        if self.refused_below <= 0.0:
            return "which here any rate does: fp32 succeeds too seldom, or in too few episodes, to tell"
        return f"which a rate below {self.refused_below:.3f} wouldn't"

    def _cost(self, variant: Variant) -> list[str]:
        """Where fewer bits are a loss."""
        full = next((v for v in self.variants if v.runtime == variant.runtime and v.precision == "fp32"), None)
        if full is None or variant.precision == "fp32":
            return []
        notes, ratio = [], variant.median_us / full.median_us
        if ratio > 1.0 + _NOISE:
            notes.append(
                f"{variant.name}: slower than {full.name}, {ratio:.2f} times as long; a network this small gains "
                "nothing from fewer bits"
            )
        elif ratio > 1.0 - _NOISE:
            notes.append(f"{variant.name}: no faster than {full.name}, {ratio:.2f} times as long")
        if variant.file_bytes > full.file_bytes:
            notes.append(f"{variant.name}: its file is larger; the operators that round outweigh what the weights save")
        return notes


def refusal(report: QuantReport) -> str:
    """Why variants weren't kept, in one sentence."""
    reference = report.variants[0].success
    assert reference is not None
    each = [f"{one.name} succeeds {_interval(one.success)}" for one in report.refused]
    return (
        f"not kept: {', '.join(each)}, which doesn't overlap the {_interval(reference)} of {report.variants[0].name} "
        f"on the same {report.episodes} episodes"
    )


def _row(variant: Variant) -> str:
    sizes = f"{variant.file_bytes:>10,} B{variant.weight_bytes:>10,} B"
    times = f"{short(variant.median_us):>7} µs{short(variant.p99_us):>7} µs"
    flown = f"{_interval(variant.success):<24}{_interval(variant.difference, sign='+'):<26}"
    verdict = "" if variant.precision == "fp32" else "kept" if variant.kept else "refused"
    return f"{variant.name:<12}{sizes}{times}{variant.error:>9.0e}  {flown}{verdict}".rstrip()


def _interval(value: Interval | None, sign: str = "") -> str:
    if value is None:
        return "-"
    return f"{value.mean:{sign}.3f} ({value.low:{sign}.3f} to {value.high:{sign}.3f})"
