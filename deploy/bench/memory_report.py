"""What a bench of a policy that remembers shows beside its runtimes: one operator, and the cost of remembering more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class OperatorTiming:
    """Chunk attention by itself: one query, every chunk full, the memory where it is.

    Attributes:
        chunks: that may be read.
        steps: of a chunk.
        width: of a step.
        heads: of the attention inside a chunk.
        top_k: chunks that are read.
        median_us: latency of one call by runtime [µs].
        ratios: median of ``ort_io_binding`` over each runtime's.
        parity: largest error against torch eager on the inputs on which the same chunks are read.
        other_choices: share of the inputs on which others are.
    """

    chunks: int
    steps: int
    width: int
    heads: int
    top_k: int
    median_us: Mapping[str, float]
    ratios: Mapping[str, float]
    parity: Mapping[str, float]
    other_choices: Mapping[str, float] = field(default_factory=dict)

    def as_text(self) -> str:
        """One line for each runtime."""
        sizes = f"{self.chunks} chunks of {self.steps} steps, width {self.width}, {self.heads} heads"
        lines = [f"chunk attention alone, {sizes}, top {self.top_k}:"]
        for name, median in sorted(self.median_us.items(), key=lambda item: item[1]):
            lines.append(f"  {name:<21}{median:>9.2f} µs{self.ratios[name]:>8.1f}x   parity {self.parity[name]:.0e}")
        return "\n".join(lines + others_read(self.other_choices))


def others_read(shares: Mapping[str, float]) -> list[str]:
    """What to know of runtimes that read other chunks than torch does, where there are any.

    Args:
        shares: of the inputs, by runtime.
    """
    named = ", ".join(f"{name} on {100.0 * share:.1f} %" for name, share in shares.items() if share > 0.0)
    if not named:
        return []
    return [
        f"other chunks were read than by torch: by {named} of the inputs. Where two of them",
        "are nearly as relevant, rounding decides, and the answer is another one; parity is of the other inputs.",
    ]


@dataclass(frozen=True)
class Growth:
    """What a step costs with a memory of some size, full; medians [µs], all called from C.

    Attributes:
        remembered: steps that the memory holds.
        state_kib: of the state [KiB].
        in_place_us: ONNX Runtime, each ring written where it is read.
        copied_us: the same with every state copied.
        fused_us: in place, with our kernels; None where there are none.
        scan_us: comparing the query with each chunk's summary and taking the best, alone, for all layers; None where
            the memory has no such level. The only part of a step that has to grow.
    """

    remembered: int
    state_kib: float
    in_place_us: float
    copied_us: float
    fused_us: float | None
    scan_us: float | None


def growth_text(rows: Sequence[Growth]) -> str:
    """A table."""
    heads = f"{'remembered':>12}{'state':>13}{'copied':>12}{'in place':>12}{'kernels':>12}{'scan':>10}{'the rest':>12}"
    lines = ["one step against what is remembered, state handed on, every ring full:", heads]
    for row in rows:
        rest = None if row.scan_us is None else row.in_place_us - row.scan_us
        times = (row.copied_us, row.in_place_us, row.fused_us)
        cells = "".join(f"{_us(value):>12}" for value in times) + f"{_us(row.scan_us):>10}{_us(rest):>12}"
        lines.append(f"{row.remembered:>12,}{row.state_kib:>9,.0f} KiB{cells}")
    return "\n".join(lines)


def _us(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} µs"
