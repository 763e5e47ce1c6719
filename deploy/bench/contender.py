"""What every runtime is given, and what it hands back: itself as one call on prepared observations."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from haltere.deploy.bench.native import Buffers, NativeStep, Program
from haltere.deploy.bench.roofline import Work
from haltere.deploy.contract import Contract
from haltere.deploy.parity import Arrays
from haltere.policies.base import Policy


class Unavailable(Exception):
    """A runtime can't run here, or not like that; the message says why."""


@dataclass(frozen=True)
class Setup:
    """What every runtime is given.

    Attributes:
        policy: in evaluation mode.
        model: its export.
        contract: the export's.
        inputs: observations of single lanes, by exported names; the calls cycle through them. Beside each of them the
            state that the first call of all begins with, after which it is handed on from call to call.
        held: names of observations that are the same in every call, and so needn't be copied.
    """

    policy: Policy[Any]
    model: bytes
    contract: Contract
    inputs: Sequence[Arrays]
    held: tuple[str, ...] = ()

    @property
    def moving(self) -> list[str]:
        """Names of what is copied to where the runtime reads it, in each call."""
        return [tensor.name for tensor in self.contract.inputs if tensor.name not in self.held]


@dataclass(frozen=True)
class Contender:
    """A runtime ready to be timed.

    Attributes:
        step: one control step on the i-th observation and the last step's state; copying both to where the runtime
            reads them is included.
        outputs: one on the i-th observation and the state that the first step begins with, with its outputs by
            exported names; the caller's own.
        native: the same step for C to call; None where only Python can.
        work: what one call reads and computes at least; None where nobody knows.
        note: what a reader of its figures should know.
    """

    step: Callable[[int], object]
    outputs: Callable[[int], Arrays]
    native: NativeStep | None = None
    work: Work | None = None
    note: str = ""


def native_contender(
    setup: Setup, buffers: Buffers, run: int, context: int, keep: object, work: Work | None = None
) -> Contender:
    """A runtime behind a C function ``int run(void *context)`` that reads from buffers and writes into them.

    Args:
        setup: what it is to be run on.
        buffers: where.
        run: address of the function.
        context: what it is given.
        keep: what the addresses point into.
        work: what one call reads and computes at least.
    """
    places = {name: buffers.inputs[name].ctypes.data for name in setup.moving}
    pairs = [(to.ctypes.data, source.ctypes.data, to.nbytes) for to, source in buffers.handed_over()]
    buffers.begin(setup.inputs[0])
    program = Program(setup.inputs, places, run, context, (keep, buffers), pairs)

    def outputs(index: int) -> Arrays:
        buffers.begin(setup.inputs[index])
        program.step(index)
        return {name: array.copy() for name, array in buffers.outputs.items()}

    return Contender(program.step, outputs, program.native, work)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep compilers and quantisers from talking to the user."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
