"""The proof that comes before a file is kept: every way in which it will be run computes what the network computes."""

from typing import Any

import onnx
from onnx.reference import ReferenceEvaluator

from haltere.configs.errors import HaltereError, ParityError
from haltere.deploy.errors import NoFusedOperatorError, NoKernelLibraryError, first_line
from haltere.deploy.parity import BATCHES, INPUTS, RECURRENT_TOLERANCE, Arrays, Measured, Model, measure, one_thread
from haltere.deploy.runtime.session import open_session
from haltere.deploy.ties import MOST, near_ties
from haltere.policies.base import Policy

_SLOW_INPUTS = 20
_SLOW_BATCHES = (1, 3)


def onnx_model(data: bytes, *, fused: bool = False) -> Model:
    """A serialised model as a function of named arrays, as the parity check wants it; with our kernels if ``fused``."""
    session = open_session(data, fused=fused)
    names = [node.name for node in session.get_outputs()]

    def step(inputs: Arrays) -> Arrays:
        return dict(zip(names, session.run(names, inputs), strict=True))

    return step


def reference_model(model: onnx.ModelProto) -> Model:
    """The same, computed by the ONNX project's own evaluator: slow, and of nobody's engine."""
    evaluator = ReferenceEvaluator(model)
    names = [value.name for value in model.graph.output]

    def step(inputs: Arrays) -> Arrays:
        return dict(zip(names, evaluator.run(names, inputs), strict=True))

    return step


def prove(policy: Policy[Any], model: Model, tol: float, *, slow: bool = False) -> Measured:
    """Measure how far a model is from its network, and refuse it where that is too far.

    Where the network chooses between things too close to call, the model may choose otherwise; that is counted.

    Args:
        policy: in evaluation mode.
        model: one of the above.
        tol: largest error of a single step.
        slow: take fewer inputs.

    Raises:
        ParityError: it is off by more, chooses otherwise too often, or fails where the network doesn't.
    """
    inputs, batches = (_SLOW_INPUTS, _SLOW_BATCHES) if slow else (INPUTS, BATCHES)
    more = {"recurrent_steps": _SLOW_INPUTS} if slow else {}
    try:
        with one_thread():
            measured = measure(policy, model, inputs=inputs, batches=batches, excuse=near_ties(policy, tol), **more)
    except HaltereError:
        raise
    except Exception as error:  # an engine refusing an input that torch took is a failed proof, whatever its type
        raise ParityError(f"the exported model fails where the network doesn't: {first_line(error)}") from error
    if not measured.max_error <= tol:
        raise ParityError(f"the exported model is off by {measured.max_error:.1e}, more than the {tol:.0e} allowed")
    if not measured.recurrent_error <= RECURRENT_TOLERANCE:
        raise ParityError(
            f"after {measured.recurrent_steps} steps the exported model is off by {measured.recurrent_error:.1e}, "
            f"more than the {RECURRENT_TOLERANCE:.0e} allowed"
        )
    if measured.ties > max(1.0, MOST * measured.compared):
        raise ParityError(
            f"the exported model chooses otherwise in {measured.ties} of {measured.compared:,} steps; "
            f"choices too close to call are far rarer than that"
        )
    return measured


def prove_kernels(policy: Policy[Any], data: bytes, tol: float) -> tuple[float | None, str]:
    """The same for our kernels, where the model has operators that they compute.

    Returns:
        The largest error, or None and the reason why there is nothing to prove.

    Raises:
        ParityError: a kernel computes something else than the network.
        HaltereError: there is a library for this machine, but it is damaged, refuses the weights, or doesn't know this
            ONNX Runtime: a file that nobody could fly with it isn't kept.
    """
    try:
        model = onnx_model(data, fused=True)
    except (NoFusedOperatorError, NoKernelLibraryError) as error:
        return None, str(error)
    return prove(policy, model, tol).max_error, ""
