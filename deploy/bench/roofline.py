"""What one call must read and compute at least, beside what the processor could do at best.

Source: Williams, Waterman and Patterson 2009, "Roofline: an insightful visual performance model for multicore
architectures", CACM 52(4): no call is faster than its arithmetic at the peak rate, nor than its bytes at the bandwidth
of the memory that they come from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from haltere.deploy.bench.native import library
from haltere.deploy.parity import Arrays, split
from haltere.policies.base import Policy

_ASSUMED_KIB = {"l1": 32, "l2": 512, "l3": 8192}
"""Where the system doesn't say how large its caches are, as on many ARM boards."""
_MOST_READ = 16 << 20  # bytes of the largest buffer: beyond any core's own caches, and soon read


@dataclass(frozen=True)
class Work:
    """What one call takes at least.

    Attributes:
        flops: operations of its matrix products and attention, a multiply-add being two; the rest is small beside it.
        weight_bytes: bytes of weights that it reads.
        float32: whether it computes in that type, whose peak is measured.
    """

    flops: float
    weight_bytes: int
    float32: bool = True


@dataclass(frozen=True)
class Peaks:
    """What the processor could do at best, measured in this process on one core.

    Attributes:
        isa: instruction set of the measurement.
        gflops: multiply-adds of float32, two operations each [1e9/s].
        cache_kib: size of each level of data cache, ``l1`` to ``l3`` [KiB].
        gbps: reading what fits into each of them [1e9 bytes/s].
    """

    isa: str
    gflops: float
    cache_kib: Mapping[str, int]
    gbps: Mapping[str, float]


@dataclass(frozen=True)
class Limit:
    """One runtime against the roofline.

    Attributes:
        flops: a call.
        bytes: of weights, inputs and outputs, a call.
        level: smallest cache that holds them.
        compute_us: what the arithmetic takes at the peak rate [µs]; None where that rate isn't known.
        memory_us: what the bytes take at the bandwidth of that cache [µs].
        share: of its median latency that the larger of the two makes up; one would be perfect.
    """

    flops: float
    bytes: int
    level: str
    compute_us: float | None
    memory_us: float
    share: float


@dataclass(frozen=True)
class Roofline:
    """The peaks, and each runtime whose work is known against them."""

    peaks: Peaks
    runtimes: Mapping[str, Limit]


def measure_peaks() -> Peaks:
    """Measure the processor's limits; takes a fraction of a second."""
    native = library()
    sizes = {f"l{level}": native.haltere_bench_cache_bytes(level) >> 10 for level in (1, 2, 3)}
    sizes = {level: kib or _ASSUMED_KIB[level] for level, kib in sizes.items()}
    # Half of a cache leaves room for whatever else lies in it; the last level is shared, and by whom nobody knows.
    read = {level: min(kib << 9, _MOST_READ) for level, kib in sizes.items()}
    gbps = {level: float(native.haltere_bench_peak_gbps(count)) for level, count in read.items()}
    return Peaks(native.haltere_bench_isa().decode(), float(native.haltere_bench_peak_gflops()), sizes, gbps)


def roofline(works: Mapping[str, Work], medians_us: Mapping[str, float], io_bytes: int) -> Roofline:
    """Each runtime against the peaks.

    Args:
        works: of each runtime.
        medians_us: median latency of each [µs].
        io_bytes: of the inputs and outputs of one call.
    """
    peaks = measure_peaks()
    return Roofline(peaks, {name: limit(work, medians_us[name], io_bytes, peaks) for name, work in works.items()})


def limit(work: Work, median_us: float, io_bytes: int, peaks: Peaks) -> Limit:
    """One runtime against the peaks; see ``roofline``."""
    total = work.weight_bytes + io_bytes
    level = next((level for level, kib in peaks.cache_kib.items() if total <= kib << 10), "l3")
    compute_us = 1e-3 * work.flops / peaks.gflops if work.float32 else None
    memory_us = 1e-3 * total / peaks.gbps[level]
    return Limit(work.flops, total, level, compute_us, memory_us, max(compute_us or 0.0, memory_us) / median_us)


def work_as_trained(policy: Policy[Any], inputs: Arrays) -> Work:
    """What the network takes as torch computes it: each product that it writes down, each parameter once."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        policy(*split(inputs))
    tensors = (*policy.parameters(), *policy.buffers())
    return Work(float(counter.get_total_flops()), sum(tensor.nbytes for tensor in tensors))


def swarm_flops(weights: Mapping[str, tuple[int, ...]]) -> float:
    """Operations of the fused swarm policy, whose products of weights are formed once and ahead.

    Args:
        weights: shape of each by its name in the kernel's table.

    Returns:
        With width h: the encoders; one h x h product for the scores and one dot product a token; one h x h product for
        each of the two terms of the context; the fusion and the head.
    """
    width = weights["query"][0]
    whole = ("self_w", "neighbour_w", "obstacle_w", "fuse_w", "head_w")
    return 2.0 * (sum(rows * columns for rows, columns in map(weights.__getitem__, whole)) + 3 * width**2 + 2 * width)
