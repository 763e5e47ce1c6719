"""Exact instruction counts: the compiled Cortex-M4F code, run one instruction at a time by unicorn.

Counts don't depend on the machine or its load. They aren't cycles: a Cortex-M4F takes one for most instructions, more
for loads, divisions, square roots and taken branches, and waits for its flash.
"""

import struct
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from haltere.configs.errors import HaltereError
from haltere.deploy.mcu.cross import Image

_FLASH, _RAM, _PERIPHERALS = 0x0800_0000, 0x2000_0000, 0xE000_0000
_FLASH_BYTES, _RAM_BYTES, _PERIPHERAL_BYTES = 1 << 22, 1 << 17, 1 << 20
_RETURN = _FLASH + _FLASH_BYTES - 16
"""Where a call returns to: flash that no program reaches."""
_OBS, _OUT, _STACK = _RAM + 0x1_0000, _RAM + 0x1_9000, _RAM + 0x1_8000
_MOST = 50_000_000
_ARM_FPU_ON = 0x4000_0000


@dataclass(frozen=True)
class Call:
    """One call of the policy.

    Attributes:
        instructions: executed, from the entry up to and including the return.
        stack_bytes: deepest that it wrote below the caller's stack pointer.
        outputs: the floats that it answered.
    """

    instructions: int
    stack_bytes: int
    outputs: tuple[float, ...]


def absent() -> str:
    """Why nothing can be counted here; empty where it can."""
    return "" if find_spec("unicorn") else "the Python package unicorn isn't installed"


class Counter:
    """An emulated Cortex-M4F that has been through its reset, with the program in flash."""

    def __init__(self, image: Image) -> None:
        """Load a program and run it up to ``main``.

        Raises:
            HaltereError: it doesn't get there.
        """
        # Any: it has types in part, and isn't installed everywhere.
        unicorn: Any = import_module("unicorn")
        arm_const: Any = import_module("unicorn.arm_const")
        self._image, self._unicorn, self._arm = image, unicorn, arm_const
        self._cpu = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self._cpu.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M4)
        for start, room in ((_FLASH, _FLASH_BYTES), (_RAM, _RAM_BYTES), (_PERIPHERALS, _PERIPHERAL_BYTES)):
            self._cpu.mem_map(start, room)
        self._cpu.mem_write(_FLASH, image.binary)
        self._cpu.reg_write(arm_const.UC_ARM_REG_FPEXC, _ARM_FPU_ON)
        self._cpu.reg_write(arm_const.UC_ARM_REG_SP, _RAM + _RAM_BYTES)
        self._run(image.symbols["reset"], image.symbols["main"])

    def call(self, function: str, obs: bytes, outputs: int) -> Call:
        """Call ``function(const float *obs, float *out)``.

        Args:
            function: a symbol of the program.
            obs: the observation, float32 end to end.
            outputs: floats that the function writes.

        Raises:
            HaltereError: it doesn't return, or touches memory that isn't there.
        """
        count, lowest = 0, _STACK

        def execute(*_: object) -> None:
            nonlocal count
            count += 1

        def write(_cpu: object, _access: int, address: int, _size: int, _value: int, _data: object) -> None:
            nonlocal lowest
            if _STACK - 0x8000 <= address < _STACK:
                lowest = min(lowest, address)

        self._cpu.mem_write(_OBS, obs)
        arm = self._arm
        registers = {arm.UC_ARM_REG_R0: _OBS, arm.UC_ARM_REG_R1: _OUT, arm.UC_ARM_REG_SP: _STACK}
        for register, value in (registers | {arm.UC_ARM_REG_LR: _RETURN | 1}).items():
            self._cpu.reg_write(register, value)
        hooks: list[Any] = [
            self._cpu.hook_add(self._unicorn.UC_HOOK_CODE, execute),
            self._cpu.hook_add(self._unicorn.UC_HOOK_MEM_WRITE, write),
        ]
        try:
            self._run(self._image.symbols[function], _RETURN)
        finally:
            for hook in hooks:
                self._cpu.hook_del(hook)
        answer = struct.unpack(f"<{outputs}f", self._cpu.mem_read(_OUT, 4 * outputs))
        return Call(count, _STACK - lowest, answer)

    def _run(self, start: int, until: int) -> None:
        try:
            self._cpu.emu_start(start | 1, until & ~1, count=_MOST)
        except self._unicorn.UcError as error:
            at = self._cpu.reg_read(self._arm.UC_ARM_REG_PC)
            raise HaltereError(f"the emulated Cortex-M4F stopped at {at:#x}: {error}") from error
        if self._cpu.reg_read(self._arm.UC_ARM_REG_PC) != until & ~1:
            raise HaltereError(f"the emulated Cortex-M4F didn't return within {_MOST:,} instructions")
