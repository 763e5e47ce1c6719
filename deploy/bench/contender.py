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
        inputs: observations and state of single lanes, by exported names; the calls cycle through them.
    """

    policy: Policy[Any]
    model: bytes
    contract: Contract
    inputs: Sequence[Arrays]


@dataclass(frozen=True)
class Contender:
    """A runtime ready to be timed.

    Attributes:
        step: one control step on the i-th input, copying it to where the runtime reads it included.
        outputs: the same, with its outputs by exported names; the caller's own.
        native: the same step for C to call; None where only Python can.
        work: what one call reads and computes at least; None where nobody knows.
        note: what a reader of its figures should know.
    """

    step: Callable[[int], object]
    outputs: Callable[[int], Arrays]
    native: NativeStep | None = None
    work: Work | None = None
    note: str = ""


def native_contender(program: Program, buffers: Buffers, work: Work | None = None) -> Contender:
    """A runtime behind a C function that writes its outputs into buffers."""

    def outputs(index: int) -> Arrays:
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
