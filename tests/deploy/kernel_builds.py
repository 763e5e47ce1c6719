"""The kernel library built by itself, for this processor or another, and a C program that is linked to it."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from haltere.deploy.kernels.op import PRECISIONS

from . import kernel_oracles as oracles
from .kernel_oracles import Array, Case

ROOT = Path(__file__).parents[2]
DRIVER = Path(__file__).parent / "kernels_driver.c"
CMAKE = Path(sys.executable).parent / "cmake"


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
        oracles.denoiser_block((1, 1, 1), 1, 1),
        oracles.denoiser_block((16, 4, 8), 64, 2),
        oracles.denoiser_block((37, 3, 11), 70, 3),
        oracles.steered_block((1, 1, 1), 1, 1),
        oracles.steered_block((37, 3, 11), 70, 3),
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
                file.write(shape_line(array) + np.ascontiguousarray(array, np.float32).tobytes())
            for array in case.wanted:
                file.write(shape_line(array))
    return written


def shape_line(array: Array) -> bytes:
    """Rank and sizes, as the drivers read them."""
    return " ".join(map(str, (array.ndim, *array.shape))).encode() + b"\n"


def read_results(path: Path, written: list[tuple[Case, str]]) -> list[list[Array]]:
    """What the driver wrote: the outputs of each case."""
    results = np.fromfile(path, np.float32)
    ends = np.cumsum([wanted.size for case, _ in written for wanted in case.wanted])
    assert results.size == ends[-1]
    parts = iter(np.split(results, ends[:-1]))
    return [[next(parts).reshape(wanted.shape) for wanted in case.wanted] for case, _ in written]


def check_results(path: Path, written: list[tuple[Case, str]]) -> None:
    """Every output is what the oracle wants, as far as its precision allows."""
    limits = {"fp32": 3e-6, "bf16": 2e-2, "int8": 5e-2}
    for (case, precision), outputs in zip(written, read_results(path, written), strict=True):
        for got, wanted in zip(outputs, case.wanted, strict=True):
            scale = max(1.0, float(np.abs(wanted).max()))
            assert np.abs(got - wanted).max() <= limits[precision] * scale, (case.name, precision)


def build(folder: Path, *options: str) -> Path:
    """Configure and build the library alone; returns the folder that it lies in."""
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
