"""What a written policy costs a Cortex-M4F, as far as this machine can measure it."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from haltere.deploy.contract import Contract
from haltere.deploy.mcu import count, cross
from haltere.deploy.mcu.c_text import numbers
from haltere.deploy.mcu.header import count as floats

OPTIMISATIONS = ("-Os", "-O3")
_OBSERVATIONS = 4


@dataclass(frozen=True)
class Cost:
    """Of one way to compile it; None where something couldn't be measured.

    Attributes:
        optimise: the compiler's option.
        flash_bytes: code and weights.
        ram_bytes: static memory.
        instructions: of one call of ``haltere_policy``, the largest over some observations.
        stack_bytes: deepest use in those calls.
        check_instructions: of one call of ``haltere_observation_ok`` that finds nothing.
    """

    optimise: str
    flash_bytes: int
    ram_bytes: int
    instructions: int | None = None
    stack_bytes: int | None = None
    check_instructions: int | None = None

    def as_text(self) -> str:
        """One line for people."""
        line = f"Cortex-M4F {self.optimise}: {self.flash_bytes:,} bytes of flash, {self.ram_bytes} of static RAM"
        if self.instructions is None:
            return line
        return f"{line}, {self.stack_bytes} of stack, {self.instructions:,} instructions"


def measure_cost(
    folder: Path, contract: Contract, obs: NDArray[np.float32], stack_bytes: int
) -> tuple[tuple[Cost, ...], str]:
    """Cross-compile a policy and count.

    Args:
        folder: holds ``policy.c`` and ``policy.h``; nothing is written to it.
        contract: what they were written for.
        obs: (N, O) observations, end to end; a few of them are used.
        stack_bytes: most that a function may take.

    Returns:
        One cost an optimisation, none where there is no cross compiler; and why something wasn't measured, or nothing.

    Raises:
        HaltereError: the code doesn't compile for the Cortex-M4F, or doesn't run there.
    """
    if reason := cross.absent():
        return (), reason
    return tuple(_cost(folder, contract, obs, option, stack_bytes) for option in OPTIMISATIONS), count.absent()


def initialiser(contract: Contract, obs: NDArray[np.float32]) -> str:
    """One observation (O,), end to end, as a C initialiser of its struct."""
    ends = np.cumsum([floats([tensor]) for tensor in contract.inputs])[:-1]
    parts = zip(np.split(obs, ends), contract.inputs, strict=True)
    return "{" + ", ".join(numbers(part.reshape(tensor.shape)) for part, tensor in parts) + "}"


def _cost(folder: Path, contract: Contract, obs: NDArray[np.float32], optimise: str, stack_bytes: int) -> Cost:
    with tempfile.TemporaryDirectory(prefix="haltere-") as name:
        place = Path(name)
        built = place / "policy.o"
        size = cross.build_object(folder, built, optimise, stack_bytes=stack_bytes)
        # Linked even where it can't be run: that nothing is missing is part of what is promised.
        image = cross.build_image([built], folder, initialiser(contract, obs[0]), place)
        if count.absent():
            return Cost(optimise, size.flash_bytes, size.ram_bytes)
        program = cross.read_image(image, place)
    calls = run(program, contract, obs[:_OBSERVATIONS])
    check = count.Counter(program).call("haltere_observation_ok", obs[0].tobytes(), 0)
    return Cost(
        optimise,
        size.flash_bytes,
        size.ram_bytes,
        instructions=max(call.instructions for call in calls),
        stack_bytes=max(call.stack_bytes for call in calls),
        check_instructions=check.instructions,
    )


def run(program: cross.Image, contract: Contract, obs: NDArray[np.float32]) -> Sequence[count.Call]:
    """Call the policy of a program on observations (N, O), end to end."""
    board = count.Counter(program)
    outputs = floats(contract.outputs)
    return [board.call("haltere_policy", np.ascontiguousarray(row).tobytes(), outputs) for row in obs]
