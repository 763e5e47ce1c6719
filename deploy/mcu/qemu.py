"""A second opinion on instruction counts: QEMU's model of the netduinoplus2, an STM32F405 as in the Crazyflie.

With ``-icount shift=0`` an instruction takes one nanosecond of the board's time, and its 168 MHz clock is the meter.
"""

import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from haltere.configs.errors import HaltereError

PROGRAM = "qemu-system-arm"
_BOARD = ("-M", "netduinoplus2", "-nographic", "-monitor", "none", "-serial", "none")
_OPTIONS = ("-semihosting-config", "enable=on,target=native", "-icount", "shift=0")
_CLOCK_MHZ = 168
_REPEATS = 32
_TIMEOUT_S = 120


@dataclass(frozen=True)
class Opinion:
    """What QEMU makes of a program.

    Attributes:
        instructions: of one call, mean over 32 and with some five of the loop around it.
        outputs: the floats that the policy answered.
    """

    instructions: float
    outputs: tuple[float, ...]


def absent() -> str:
    """Why QEMU can't be asked here; empty where it can."""
    return "" if shutil.which(PROGRAM) else f"{PROGRAM} isn't installed"


def ask(image: Path) -> Opinion:
    """Run a program that ``build_image`` made.

    Raises:
        HaltereError: it fails, or doesn't end.
    """
    command = [PROGRAM, *_BOARD, *_OPTIONS, "-kernel", str(image)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise HaltereError(f"{PROGRAM} didn't end within {_TIMEOUT_S} s") from None
    # Semihosting's console is standard error.
    words = (done.stdout + done.stderr).split()
    try:
        numbers = [int(word, 16) for word in words]
    except ValueError:
        raise HaltereError(f"{PROGRAM} printed something else than numbers: {' '.join(words)[:200]}") from None
    if done.returncode or len(numbers) < 2:
        raise HaltereError(f"{PROGRAM} gave {done.returncode} and {len(numbers)} numbers")
    *bits, ticks = numbers
    outputs = struct.unpack(f"<{len(bits)}f", struct.pack(f"<{len(bits)}I", *bits))
    return Opinion(ticks * 1000 / _CLOCK_MHZ / _REPEATS, outputs)
