"""Latency, memory, allocations and error of every runtime of one policy, side by side in one process."""

from haltere.deploy.bench.measure import REFERENCE, Progress, bench
from haltere.deploy.bench.report import BenchReport, Timing
from haltere.deploy.bench.runtimes import BUILDERS, RUNTIMES

__all__ = ["BUILDERS", "REFERENCE", "RUNTIMES", "BenchReport", "Progress", "Timing", "bench"]
