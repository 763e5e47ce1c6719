"""Heap allocations a call, of the thread that calls: all runtimes counted alike, in the process that timed them."""

from collections.abc import Callable, Mapping

from haltere.deploy.bench.contender import Contender
from haltere.deploy.bench.native import library

CALLS = 128
_REASONS = {
    1: "not counted: the allocations of a process can be seen on Linux with glibc alone",
    2: "not counted: this process takes its memory from another allocator than the C library's",
}


def count_mallocs(contenders: Mapping[str, Contender], inputs: int) -> tuple[dict[str, float | None], str]:
    """Count the calls of malloc and its kin, operator new among them; small Python objects come from Python's own pool.

    Args:
        contenders: each warmed up.
        inputs: how many inputs they cycle through.

    Returns:
        Allocations a call of each, and an empty text; None for all, and why, where they can't be counted.
    """
    native = library()
    code = native.haltere_bench_mallocs_watch()
    if code:
        return dict.fromkeys(contenders), _REASONS[code]
    try:
        loop = _python(lambda index: None, inputs)
        counts: dict[str, float | None] = {}
        for name, contender in contenders.items():
            if contender.native is not None:
                counts[name] = contender.native.mallocs(CALLS)
            else:
                counts[name] = max(0.0, _python(contender.step, inputs) - loop)
        return counts, ""
    finally:
        native.haltere_bench_mallocs_unwatch()


def _python(step: Callable[[int], object], inputs: int) -> float:
    native = library()
    indices = [call % inputs for call in range(CALLS)]
    native.haltere_bench_mallocs_start()
    for index in indices:
        step(index)
    return float(native.haltere_bench_mallocs_stop()) / CALLS
