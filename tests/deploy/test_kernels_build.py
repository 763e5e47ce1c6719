"""The kernel library away from Python: built alone, linked into a C program, and sanitised."""

import subprocess
from pathlib import Path

import pytest

from haltere.deploy.kernels.library import instruction_sets

from .kernel_builds import build, check_results, link, write_cases

SANITIZE = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"

pytestmark = pytest.mark.slow


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
