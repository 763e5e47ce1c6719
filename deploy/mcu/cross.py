"""A written policy compiled for a Cortex-M4F: what it needs of flash and RAM, and an image that an emulator runs."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from haltere.deploy.mcu.host import ARITHMETIC, STANDARD, run_tool

PREFIX = "arm-none-eabi-"
CORTEX_M4 = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")


@dataclass(frozen=True)
class Size:
    """What an object takes of a microcontroller.

    Attributes:
        flash_bytes: code and constants, and the first values of variables.
        ram_bytes: variables that are always there; the stack isn't among them.
    """

    flash_bytes: int
    ram_bytes: int


@dataclass(frozen=True)
class Image:
    """A program for the board.

    Attributes:
        binary: what lies in flash from its first address on.
        symbols: address of each function and variable.
    """

    binary: bytes
    symbols: dict[str, int]


def absent() -> str:
    """Why nothing can be compiled for a Cortex-M4F here; empty where it can."""
    missing = [PREFIX + tool for tool in ("gcc", "size", "nm", "objcopy") if shutil.which(PREFIX + tool) is None]
    return f"{missing[0]} isn't installed" if missing else ""


def build_object(folder: Path, out: Path, optimise: str, *, stack_bytes: int | None = None) -> Size:
    """Compile ``policy.c`` as the written Makefile does.

    Args:
        folder: holds ``policy.c`` and ``policy.h``.
        out: the object file.
        optimise: ``-Os``, ``-O2`` or ``-O3``.
        stack_bytes: most that any function may take; not checked where None.

    Raises:
        HaltereError: the compiler refuses it, or it needs a function that it doesn't have.
    """
    limit = [] if stack_bytes is None else [f"-Wstack-usage={stack_bytes}"]
    options = [*STANDARD, *CORTEX_M4, *limit, optimise]
    source = folder / "policy.c"
    run_tool([f"{PREFIX}gcc", *options, "-c", source, "-o", out], f"compiling {source} for a Cortex-M4F")
    return size(out)


def size(path: Path) -> Size:
    """Flash and RAM of an object file or image."""
    line = run_tool([f"{PREFIX}size", path], f"measuring {path}").splitlines()[1]
    text, data, bss = (int(word) for word in line.split()[:3])
    return Size(text + data, data + bss)


def build_image(
    objects: Sequence[Path], folder: Path, observation: str, place: Path, *, libraries: Sequence[str] = ("-nostdlib",)
) -> Path:
    """Link a policy with what starts it, calls it and prints its answers.

    Args:
        objects: the policy, compiled.
        folder: holds its ``policy.h``.
        observation: C initialiser of the observation that the program has in flash.
        place: where to work.
        libraries: what to link; nothing at all for our own code, which proves that it needs nothing.

    Raises:
        HaltereError: a function is missing.
    """
    header = f'#include "policy.h"\nstatic const haltere_observation observation = {observation};\n'
    (place / "observation.h").write_text(header, encoding="utf-8")
    image = place / "image.elf"
    with as_file(files("haltere.deploy.mcu").joinpath("board")) as board:
        # No memcpy in the place of a loop: there may be no library to take it from.
        freestanding = ["-ffreestanding", "-fno-tree-loop-distribute-patterns", "-nostartfiles"]
        options = ["-std=c99", "-Os", *ARITHMETIC, *CORTEX_M4, *freestanding, f"-I{place}", f"-I{folder}"]
        sources = [board / "start.c", board / "main.c", *objects]
        script = f"-T{board / 'link.ld'}"
        command: list[str | Path] = [f"{PREFIX}gcc", *options, *sources, script, *libraries, "-o", image]
        run_tool(command, "linking for a Cortex-M4F")
    return image


def read_image(path: Path, place: Path) -> Image:
    """The bytes and addresses of a linked program.

    Raises:
        HaltereError: it can't be read.
    """
    binary = place / "image.bin"
    run_tool([f"{PREFIX}objcopy", "-O", "binary", path, binary], f"reading {path}")
    lines = run_tool([f"{PREFIX}nm", path], f"reading {path}").splitlines()
    symbols = {words[2]: int(words[0], 16) for words in (line.split() for line in lines) if len(words) == 3}
    return Image(binary.read_bytes(), symbols)
