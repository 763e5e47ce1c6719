"""A robot's processor, emulated: kernels and operators built for aarch64 compute what they compute here.

Needs a cross compiler and qemu-user; ONNX Runtime's library comes out of its wheel for aarch64, so no Python is needed
there. qemu is told to be a Cortex-A72, the processor of a Raspberry Pi 4, which ends a program at any instruction that
this one hasn't got. What takes how long isn't looked at: an emulator's times mean nothing.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from haltere.configs.errors import HaltereError
from haltere.deploy import zoo
from haltere.deploy.kernels import library as loader
from haltere.deploy.kernels.library import instruction_set, instruction_sets, library_path, load, use_instruction_set
from haltere.deploy.runtime import OnnxActor, kernels
from haltere.deploy.runtime.actor import MODEL_NAME
from haltere.deploy.runtime.kernels import register_kernels
from haltere.deploy.runtime.session import open_session

from .kernel_builds import build, check_results, link, read_results, shape_line, write_cases
from .kernel_oracles import Array, Case

C, CXX, LIBRARIES = "aarch64-linux-gnu-gcc", "aarch64-linux-gnu-g++", Path("/usr/aarch64-linux-gnu/lib")
DRIVER = Path(__file__).with_name("ort_driver.cpp")
NEON = ["-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64", f"-DCMAKE_CXX_COMPILER={CXX}"]
# What a processor gets that isn't known: the source without a single intrinsic.
PLAIN = [NEON[0], "-DCMAKE_SYSTEM_PROCESSOR=other", NEON[2], "-DCMAKE_CXX_FLAGS=-U__ARM_NEON"]
CPUINFO = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""
SWARM, OUTPUTS = zoo.zoo_folder("swarm"), ["action", "aux.attention"]

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Emulator:
    """qemu with a folder that stands for the robot's file system."""

    program: str
    root: Path

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program of the other processor."""
        environment = {**os.environ, "QEMU_LD_PREFIX": str(self.root)}
        words = [self.program, "-cpu", "cortex-a72", *map(str, command)]
        return subprocess.run(words, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    """ONNX Runtime asks /proc/cpuinfo which processor it runs on, and crashes at what this machine's says."""
    program = shutil.which("qemu-aarch64")
    if os.uname().machine != "x86_64":
        pytest.skip(f"compares with x86-64, and this is {os.uname().machine}")
    if not program:
        pytest.skip("there is no qemu-aarch64 (Debian: qemu-user)")
    if not shutil.which(C) or not shutil.which(CXX) or not LIBRARIES.is_dir():
        pytest.skip(f"there is no {CXX} (Debian: g++-aarch64-linux-gnu)")
    root = tmp_path_factory.mktemp("root")
    (root / "proc").mkdir()
    (root / "proc" / "cpuinfo").write_text(CPUINFO)
    (root / "lib").symlink_to(LIBRARIES)
    return Emulator(program, root)


@pytest.fixture(scope="module")
def neon(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the library as a robot gets it."""
    return build(tmp_path_factory.mktemp("neon"), *NEON)


@pytest.fixture(scope="module")
def onnx_runtime(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library out of the aarch64 wheel of the very version that is installed here; the wheel is kept."""
    cache, version = getattr(request.config, "cache", None), onnxruntime.__version__
    kept = cache.mkdir("onnxruntime-aarch64") if cache else tmp_path_factory.mktemp("wheel")
    pattern = f"onnxruntime-{version}-*aarch64.whl"
    if not list(kept.glob(pattern)):
        platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in range(35, 16, -1)]
        asked = [f"onnxruntime=={version}", "--only-binary=:all:", "--no-deps", "--dest", kept]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", *platforms, *asked]
        got = subprocess.run(command, capture_output=True, text=True, check=False)
        if got.returncode:
            pytest.skip(f"there is no aarch64 wheel of onnxruntime {version} to be had: {got.stderr.strip()[-300:]}")
    with zipfile.ZipFile(next(kept.glob(pattern))) as wheel:
        return Path(wheel.extract(f"onnxruntime/capi/libonnxruntime.so.{version}", tmp_path_factory.mktemp("ort")))


@pytest.fixture(scope="module")
def driver(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ort_driver.cpp for the other processor."""
    program = tmp_path_factory.mktemp("driver") / "ort_driver"
    flags = ["-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([CXX, *flags, DRIVER, "-o", program, "-ldl"], check=True)
    return program


@pytest.mark.parametrize("instructions", ["neon", "baseline"])
def test_every_operator_computes_the_same(emulator: Emulator, neon: Path, tmp_path: Path, instructions: str) -> None:
    """In every precision: what the oracles say, and what this processor says of the very same arrays.

    To one millionth; with int8 weights activations are rounded to 16 bits, and one that lies between two steps may go
    either way, as it may from one instruction set of this processor to the next.
    """
    library = neon if instructions == "neon" else build(tmp_path, *PLAIN)
    program = link(C, tmp_path, library)
    written = write_cases(tmp_path / "cases")
    ran = emulator.run(program, tmp_path / "cases", tmp_path / "results", instructions, "2")
    assert ran.returncode == 0, ran.stderr
    check_results(tmp_path / "results", written)
    for (case, precision), outputs in zip(written, read_results(tmp_path / "results", written), strict=True):
        for got, here in zip(outputs, on_this(case, precision), strict=True):
            error = np.abs(got - here).max() / max(1.0, np.abs(here).max())
            assert error <= (5e-5 if precision == "int8" else 1e-6), (case.name, precision, error)


def on_this(case: Case, precision: str) -> list[Array]:
    """What this processor makes of a case, with instructions that, in bf16, leave activations as they are."""
    best = instruction_set()
    rounding = ("avx512vnni", "avx512bf16", "amx") if precision == "bf16" else ()
    use_instruction_set(next(name for name in (best, *instruction_sets()) if name not in rounding))
    try:
        return list(case.op(precision)(*case.inputs))
    finally:
        use_instruction_set(best)


def observations(path: Path, lanes: int) -> dict[str, Array]:
    """For the zoo's policy, and the file that the driver reads them from."""
    rng = np.random.default_rng(7)
    inputs = OnnxActor(SWARM).contract.inputs
    arrays = {tensor.name: rng.standard_normal((lanes, *tensor.shape)).astype(np.float32) for tensor in inputs}
    path.write_bytes(
        b"".join(name.encode() + b" " + shape_line(array) + array.tobytes() for name, array in arrays.items())
    )
    return arrays


@pytest.mark.parametrize("runtime", ["stock", "fp32", "bf16", "int8"])
def test_onnx_runtime_flies_the_zoos_swarm(
    emulator: Emulator, neon: Path, onnx_runtime: Path, driver: Path, tmp_path: Path, runtime: str
) -> None:
    """Its own library for aarch64, from C++: with the model's functions alone, and with our operators registered.

    What is rounded with int8 weights differs between SSE and AVX-512 by 4e-6 here; see above.
    """
    model = SWARM / MODEL_NAME
    arrays = observations(tmp_path / "arrays", lanes=33)
    fused = runtime != "stock"
    registered = [neon / "libhaltere_kernels.so", runtime] if fused else ["-", "-"]
    ran = emulator.run(driver, onnx_runtime, *registered, model, tmp_path / "arrays", tmp_path / "results", *OUTPUTS)
    assert ran.returncode == 0, (ran.returncode, ran.stderr)
    assert ran.stdout.split() == [onnxruntime.__version__, str(int(fused))]
    session = open_session(model.read_bytes(), fused=fused, precision=runtime if fused else "fp32")  # type: ignore[arg-type]
    here = np.concatenate([each.ravel() for each in session.run(OUTPUTS, arrays)])
    there = np.fromfile(tmp_path / "results", np.float32)
    np.testing.assert_allclose(there, here, rtol=0, atol=1e-5 if runtime == "int8" else 1e-6)


def test_the_robots_library_is_refused_here(
    emulator: Emulator, neon: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By ctypes, and where ONNX Runtime would register it: a sentence before anything of it is loaded."""
    path = neon / "libhaltere_kernels.so"
    message = "libhaltere_kernels.so: is for aarch64, and this is x86-64; reinstall haltere"
    with pytest.raises(HaltereError, match=message):
        load(path)
    monkeypatch.setattr(loader, "library_path", lambda: path)
    for loaded in (loader.library, loader.operators, kernels._native):  # as in a process that hasn't loaded any
        loaded.cache_clear()
    with pytest.raises(HaltereError, match=message):
        OnnxActor(SWARM, fused=True)
    monkeypatch.undo()
    monkeypatch.setattr(kernels, "library_path", lambda: path)  # replaced while this process runs: past our own look
    with pytest.raises(HaltereError, match="ONNX Runtime doesn't take the fused kernels"):
        register_kernels(onnxruntime.SessionOptions())


def test_this_machines_library_is_refused_there(
    emulator: Emulator, onnx_runtime: Path, driver: Path, tmp_path: Path
) -> None:
    """ONNX Runtime's loader on the robot says so, and the process ends as it wants to."""
    observations(tmp_path / "arrays", lanes=1)
    model = SWARM / MODEL_NAME
    files = [model, tmp_path / "arrays", tmp_path / "results"]
    ran = emulator.run(driver, onnx_runtime, library_path(), "fp32", *files, *OUTPUTS)
    assert ran.returncode == 1
    assert "libhaltere_kernels.so" in ran.stderr
