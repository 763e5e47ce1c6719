"""What C times and counts is what was called, no more and no less."""

import ctypes
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from haltere.configs.errors import HaltereError
from haltere.deploy.bench import mallocs, native
from haltere.deploy.bench.contender import Contender
from haltere.deploy.bench.mallocs import count_mallocs
from haltere.deploy.bench.native import Buffers, NativeStep, Program, address, empty_step, library
from haltere.deploy.contract import Contract
from haltere.deploy.onnx_file import read_sealed

STEP = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
RUN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
LIBC = ctypes.CDLL(None)

# Counts the calls of one thread between two marks; the C library calls it in place of its own functions.
PRELOAD = """
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
void *__libc_malloc(size_t); void *__libc_calloc(size_t, size_t); void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
static volatile int on; static pthread_t who; static long seen;
static void note(void) { if (on && pthread_equal(pthread_self(), who)) ++seen; }
void *malloc(size_t n) { note(); return __libc_malloc(n); }
void *calloc(size_t k, size_t n) { note(); return __libc_calloc(k, n); }
void *realloc(void *p, size_t n) { note(); return __libc_realloc(p, n); }
void *memalign(size_t a, size_t n) { note(); return __libc_memalign(a, n); }
void *aligned_alloc(size_t a, size_t n) { note(); return __libc_memalign(a, n); }
int posix_memalign(void **p, size_t a, size_t n) { note(); *p = __libc_memalign(a, n); return *p ? 0 : ENOMEM; }
void oracle_start(void) { seen = 0; who = pthread_self(); on = 1; }
long oracle_stop(void) { on = 0; return seen; }
"""

CHILD = """
import ctypes, sys
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
inputs = {node.name: np.zeros([1, *node.shape[1:]], np.float32) for node in session.get_inputs()}
oracle = ctypes.CDLL(None)
oracle.oracle_stop.restype = ctypes.c_long
for warm_up in range(50):
    session.run(None, inputs)
oracle.oracle_start()
for call in range(100):
    session.run(None, inputs)
print(oracle.oracle_stop() / 100)
"""


def python_step(step: Callable[[int], object]) -> Contender:
    """A runtime that Python calls."""
    return Contender(step, lambda index: {})


def counted(step: Callable[[int], object]) -> float:
    """Allocations of one call."""
    counts, reason = count_mallocs({"it": python_step(step)}, 4)
    assert reason == ""
    assert counts["it"] is not None
    return counts["it"]


@pytest.mark.parametrize("loop", ["each", "together"])
def test_a_step_is_called_as_often_as_asked_on_inputs_in_turn(loop: str) -> None:
    """Neither a call more nor an input twice."""
    seen: list[tuple[int | None, int]] = []

    @STEP
    def step(context: int | None, index: int) -> int:
        seen.append((context, index))
        return 0

    getattr(NativeStep(address(step), 1234, 3), loop)(7)
    assert seen == [(1234, call % 3) for call in range(7)]


def test_time_is_that_of_the_call() -> None:
    """The C library's own sleep takes at least what it was asked for, and doing nothing takes less."""
    sleep = NativeStep(address(LIBC.usleep), 2000, 1)
    assert sleep.each(5).min() >= 2_000_000
    assert sleep.together(5) >= 2_000_000
    assert 0 <= np.median(empty_step().each(1000)) < 2_000_000


@pytest.mark.parametrize("loop", ["each", "together", "mallocs"])
def test_a_failure_ends_the_measurement(loop: str) -> None:
    """A latency of calls that failed would be a fine one."""
    calls: list[int] = []

    @STEP
    def step(context: int | None, index: int) -> int:
        calls.append(index)
        return 7 if len(calls) == 3 else 0

    with pytest.raises(HaltereError, match="with error 7"):
        getattr(NativeStep(address(step), 0, 1), loop)(100)
    assert len(calls) == 3


def test_a_program_copies_its_inputs_then_runs() -> None:
    """Copying is part of what is timed, and each index brings its own."""
    place, seen = np.zeros(3, np.float32), []

    @RUN
    def run(context: int | None) -> int:
        seen.append((context, place.tolist()))
        return 0 if len(seen) < 4 else 9

    inputs = [{"obs.x": np.full(3, index, np.float32), "obs.y": np.zeros(1)} for index in range(2)]
    program = Program(inputs, {"obs.x": place.ctypes.data}, address(run), 99, (run, place))
    program.native.each(3)
    assert seen == [(99, [0.0] * 3), (99, [1.0] * 3), (99, [0.0] * 3)]
    with pytest.raises(HaltereError, match="error 9"):
        program.step(1)


def test_buffers_hold_one_lane_and_the_initial_state(recurrent_file: Path) -> None:
    """Of the contract's shapes and types, under the names in the file."""
    contract: Contract = read_sealed(recurrent_file)[1]
    buffers = Buffers.of(contract)
    assert {name: (array.shape, array.dtype.name) for name, array in buffers.inputs.items()} == {
        "obs.x": ((1, 3), "float32"),
        "obs.unused": ((1, 2), "float32"),
        "state.memory": ((1, 8), "float32"),
        "state.count": ((1,), "int64"),
    }
    assert (buffers.inputs["state.memory"] == 0.25).all()
    assert buffers.outputs.keys() == {"action", "aux.asked", "state_out.memory", "state_out.count"}


def test_allocations_are_counted_one_by_one() -> None:
    """A large array of bytes is one, two are two, and none is none."""
    assert counted(lambda index: None) == 0.0
    assert counted(lambda index: bytearray(4096)) == 1.0
    assert counted(lambda index: (bytearray(4096), bytearray(4096)) if index % 2 else None) == 1.0


def test_nothing_is_counted_once_it_is_over() -> None:
    """The libraries' tables are as before, so nothing afterwards is slower or counted."""
    counted(lambda index: None)
    library().haltere_bench_mallocs_start()
    kept = bytearray(4096)
    assert library().haltere_bench_mallocs_stop() == 0
    assert len(kept) == 4096


def test_other_threads_arent_counted() -> None:
    """A logger or a recorder beside the control loop isn't the runtime."""
    made, stop = [0], threading.Event()

    def busy() -> None:
        while not stop.is_set():
            bytearray(4096)
            made[0] += 1
            time.sleep(0)

    worker = threading.Thread(target=busy)
    worker.start()
    try:
        before = made[0]
        assert counted(lambda index: time.sleep(1e-4)) == 0.0
        assert made[0] > before
    finally:
        stop.set()
        worker.join()


def test_allocations_are_those_that_a_preloaded_library_sees(swarm_folder: Path, tmp_path: Path) -> None:
    """The oracle is the dynamic linker: a library that stands in front of the C library from the process's start."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    (tmp_path / "oracle.c").write_text(PRELOAD)
    oracle = tmp_path / "oracle.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", tmp_path / "oracle.c", "-o", oracle], check=True)
    model = swarm_folder / "policy.onnx"
    command = [sys.executable, "-c", CHILD, str(model)]
    ran = subprocess.run(
        command, env=os.environ | {"LD_PRELOAD": str(oracle)}, capture_output=True, text=True, check=True
    )
    session = onnxruntime.InferenceSession(model)
    inputs = {node.name: np.zeros([1, *node.shape[1:]], np.float32) for node in session.get_inputs()}
    for _ in range(50):
        session.run(None, inputs)
    assert counted(lambda index: session.run(None, inputs)) == float(ran.stdout) > 10.0


def test_a_process_that_cant_be_watched_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """None for every runtime, and a sentence."""

    class Other:
        def haltere_bench_mallocs_watch(self) -> int:
            return 2

    monkeypatch.setattr(mallocs, "library", Other)
    counts, reason = count_mallocs({"it": python_step(lambda index: None)}, 1)
    assert counts == {"it": None}
    assert "another allocator" in reason


def test_a_missing_or_strange_library_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a traceback out of ctypes."""
    monkeypatch.setattr(native, "package_folders", [str(tmp_path)])
    with pytest.raises(HaltereError, match="is missing; reinstall"):
        native.library.__wrapped__()
    (tmp_path / "libhaltere_bench.so").write_bytes(b"\x7fELF, or so")
    with pytest.raises(HaltereError, match="can't be loaded"):
        native.library.__wrapped__()
