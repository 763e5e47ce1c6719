"""The kernel library away from Python: built alone, linked into a C program, sanitised, and for another processor."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from haltere.deploy.kernels.library import instruction_sets
from haltere.deploy.kernels.op import PRECISIONS

from . import kernel_oracles as oracles
from .kernel_oracles import Array, Case

ROOT = Path(__file__).parents[2]
DRIVER = Path(__file__).parent / "kernels_driver.c"
CMAKE = Path(sys.executable).parent / "cmake"
SANITIZE = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"

pytestmark = pytest.mark.slow


def cases() -> list[Case]:
    """Every operator, in sizes that fill vectors and in sizes that don't."""
    return [
        oracles.dense("Dense", 1, 1, 1),
        oracles.dense("DenseGelu", 33, 70, 7),
        oracles.dense("DenseSilu", 300, 256, 5, bias=False),
        oracles.dense("DenseTanh", 7, 15, 37),
        oracles.two_token(10, 5),
        oracles.two_token(64, 3),
        oracles.swarm(10, 2, 1),
        oracles.swarm(16, 1, 6),
        oracles.swarm(33, 8, 21),
        oracles.swarm(64, 2, 2),
        oracles.glu_experts((7, 10, 33), 4, 2, (5,), False),
        oracles.glu_experts((32, 64, 16), 3, 3, (2, 9), True),
        oracles.chunk_attention(33, 3, 7, 5, 9, 3, "some"),  # more choices than chunks: nothing to be swapped
        oracles.chunk_attention(64, 4, 5, 16, 5, 2),
        oracles.chunk_attention(10, 1, 3, 1, 3, 2, "all"),
    ]


def write_cases(path: Path) -> list[tuple[Case, str]]:
    """All cases in all precisions, as kernels_driver.c reads them."""
    written = [(case, precision) for precision in PRECISIONS for case in cases()]
    with open(path, "wb") as file:
        for case, precision in written:
            counts = (len(case.attributes), len(case.weights), len(case.inputs), len(case.wanted))
            file.write(f"{case.name} {PRECISIONS.index(precision)} {' '.join(map(str, counts))}\n".encode())
            for key, value in case.attributes.items():
                file.write(f"{key} {value}\n".encode())
            for array in (*case.weights, *case.inputs):
                file.write(_shape(array) + np.ascontiguousarray(array, np.float32).tobytes())
            for array in case.wanted:
                file.write(_shape(array))
    return written


def _shape(array: Array) -> bytes:
    return " ".join(map(str, (array.ndim, *array.shape))).encode() + b"\n"


def check_results(path: Path, written: list[tuple[Case, str]]) -> None:
    """Every output is what the oracle wants, as far as its precision allows."""
    results = np.fromfile(path, np.float32)
    limits = {"fp32": 3e-6, "bf16": 2e-2, "int8": 5e-2}
    at = 0
    for case, precision in written:
        for wanted in case.wanted:
            got = results[at : at + wanted.size].reshape(wanted.shape)
            at += wanted.size
            scale = max(1.0, float(np.abs(wanted).max()))
            assert np.abs(got - wanted).max() <= limits[precision] * scale, (case.name, precision)
    assert at == results.size


def build(folder: Path, *options: str) -> Path:
    """Configure, build and install the library alone; returns where it is installed."""
    make = [f"-DCMAKE_MAKE_PROGRAM={CMAKE.parent / 'ninja'}", "-G", "Ninja"]
    subprocess.run([CMAKE, *make, "-S", ROOT / "deploy/native", "-B", folder / "build", *options], check=True)
    subprocess.run([CMAKE, "--build", folder / "build", "--target", "haltere_kernels"], check=True)
    return folder / "build"


def link(compiler: str, folder: Path, library: Path, *options: str) -> Path:
    """The driver, linked to the library in ``library``."""
    program = folder / "driver"
    include = f"-I{ROOT / 'deploy/include'}"
    flags = ["-std=gnu99", "-O1", "-Wall", "-Wextra", "-Werror", *options]
    command = [compiler, *flags, include, DRIVER, "-o", program, f"-L{library}", "-lhaltere_kernels"]
    subprocess.run([*command, f"-Wl,-rpath,{library}"], check=True)
    return program


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build folder of a library that was built without MuJoCo and Python."""
    return build(tmp_path_factory.mktemp("alone"))


@pytest.mark.parametrize("isa", instruction_sets())
@pytest.mark.parametrize("threads", [1, 3])
def test_a_c_program_gets_the_same_and_allocates_nothing(alone: Path, tmp_path: Path, isa: str, threads: int) -> None:
    """Linked at build time, weights freed after the op is made, no allocation in any run on any thread."""
    program = link("cc", tmp_path, alone, "-DCOUNT_ALLOCATIONS", "-fno-builtin-malloc")
    written = write_cases(tmp_path / "cases")
    command = [program, tmp_path / "cases", tmp_path / "results", isa, str(threads)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert [line.split() for line in ran.stdout.splitlines()] == [[case.name, "0"] for case, _ in written]
    check_results(tmp_path / "results", written)


def test_nothing_is_read_or_written_outside_the_arrays(tmp_path: Path) -> None:
    """Address and undefined-behaviour sanitizers over every operator, size, precision and instruction set."""
    library = build(tmp_path, "-DCMAKE_BUILD_TYPE=Debug", f"-DCMAKE_CXX_FLAGS={SANITIZE}")
    program = link("cc", tmp_path, library, *SANITIZE.split())
    written = write_cases(tmp_path / "cases")
    for isa in instruction_sets():
        command = [program, tmp_path / "cases", tmp_path / "results", isa, "2"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, isa + ran.stderr
        check_results(tmp_path / "results", written)


def test_no_instruction_set_lends_code_to_another(alone: Path) -> None:
    """Each compilation leaves one global name, its own table; an inline function would be shared with the baseline."""
    objects = sorted(alone.rglob("isa/kernels.cpp.o"))
    assert len(objects) >= len(instruction_sets())
    for path in objects:
        listed = subprocess.run(["nm", "--defined-only", path], capture_output=True, text=True, check=True).stdout
        shared = [line.split()[-2:] for line in listed.splitlines() if line.split()[-2] not in "tdrb"]
        assert len(shared) == 1 and "kKernels_" in shared[0][1], (path, shared)


def test_only_the_interface_is_exported(alone: Path) -> None:
    """Names of ours that another library could trip over all begin with haltere_; ONNX Runtime needs one more."""
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", alone / "libhaltere_kernels.so"], capture_output=True, text=True, check=True
    ).stdout
    names = {line.split()[-1] for line in listed.splitlines()}
    strange = {name for name in names if not name.startswith(("haltere_", "_ZZNSt", "_ZNSt"))}
    assert strange <= {"RegisterCustomOps"}


def test_the_library_needs_nothing_but_the_system(alone: Path) -> None:
    """What a bare Linux with g++'s runtime has."""
    shown = subprocess.run(
        ["readelf", "--dynamic", alone / "libhaltere_kernels.so"], capture_output=True, text=True, check=True
    ).stdout
    needed = {line.split("[")[1].split(".so")[0] for line in shown.splitlines() if "(NEEDED)" in line}
    assert needed <= {"libstdc++", "libm", "libgcc_s", "libc", "ld-linux-x86-64", "ld-linux-aarch64"}
    assert "NODELETE" in shown


def test_aarch64_computes_the_same(tmp_path: Path) -> None:
    """Cross-built, run under qemu-user: NEON against the same oracles."""
    compiler, emulator = "aarch64-linux-gnu-gcc", shutil.which("qemu-aarch64")
    if not shutil.which(compiler) or not shutil.which("aarch64-linux-gnu-g++"):
        pytest.skip("there is no aarch64-linux-gnu-g++ (Debian: g++-aarch64-linux-gnu)")
    if not emulator:
        pytest.skip("there is no qemu-aarch64 (Debian: qemu-user)")
    system = ["-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64"]
    library = build(tmp_path, *system, "-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++")
    program = link(compiler, tmp_path, library, "-fno-builtin-malloc")
    written = write_cases(tmp_path / "cases")
    environment = {**os.environ, "QEMU_LD_PREFIX": "/usr/aarch64-linux-gnu"}
    command = [emulator, program, tmp_path / "cases", tmp_path / "results", "neon", "2"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ran.returncode == 0, ran.stderr
    check_results(tmp_path / "results", written)
