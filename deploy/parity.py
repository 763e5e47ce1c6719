"""Proof that an exported model computes what the trained network computes, on inputs that neither has seen."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from haltere.configs.errors import ParityError
from haltere.policies.base import Obs, Output, Policy, State

BATCHES = (1, 3, 17)
INPUTS = 1000
RECURRENT_STEPS = 500
RECURRENT_TOLERANCE = 1e-4
_SEED = 20_260_501
_CHUNK_LANES = 3

Arrays = dict[str, NDArray[Any]]
Model = Callable[[Arrays], Arrays]
"""One step of an exported model: ``obs.*`` and ``state.*`` in, ``action``, ``state_out.*`` and ``aux.*`` out."""


@dataclass(frozen=True)
class Measured:
    """What was found.

    Attributes:
        max_error: largest error of single steps.
        recurrent_error: largest error over the recurrent run.
        recurrent_steps: its steps.
        ties: steps of single lanes that were excused, and aren't in the errors.
        compared: steps of single lanes in all.
    """

    max_error: float
    recurrent_error: float
    recurrent_steps: int
    ties: int = 0
    compared: int = 0


@dataclass(frozen=True)
class Excuse:
    """Lanes that may answer otherwise, because a choice in them is too close to call.

    Attributes:
        lanes: which lanes (B,) bool of some inputs those are, at a tolerance.
        tol: error beyond which a lane of a single step needs an excuse.
    """

    lanes: Callable[[Arrays, float], NDArray[np.bool_]]
    tol: float


def torch_model(policy: Callable[[Obs, State], tuple[Output, State]]) -> Model:
    """The trained network, or whatever is called like it, under the names of its export."""

    def step(inputs: Arrays) -> Arrays:
        obs, state = split(inputs)
        with torch.inference_mode():
            out, state = policy(obs, state)
        named = {name if name == "action" else f"aux.{name}": tensor for name, tensor in out.items()}
        named |= {f"state_out.{name}": tensor for name, tensor in state.items()}
        return {name: tensor.numpy() for name, tensor in named.items()}

    return step


def split(inputs: Mapping[str, NDArray[Any]]) -> tuple[dict[str, torch.Tensor], State]:
    """``obs.*`` and ``state.*`` arrays as the two arguments of ``Policy.forward``."""
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    obs = {name.removeprefix("obs."): tensor for name, tensor in tensors.items() if name.startswith("obs.")}
    return obs, {name.removeprefix("state."): tensor for name, tensor in tensors.items() if name.startswith("state.")}


def random_inputs(policy: Policy[Any], batch: int, generator: torch.Generator, state: Arrays) -> Arrays:
    """The policy's own random observations beside a given state."""
    obs = policy.random_obs(batch, generator)
    return {f"obs.{name}": tensor.numpy() for name, tensor in obs.items()} | state


def initial_state(policy: Policy[Any], batch: int) -> Arrays:
    """The policy's initial state under its exported names."""
    return {f"state.{name}": tensor.numpy() for name, tensor in policy.initial_state(batch).items()}


def next_state(outputs: Arrays) -> Arrays:
    """The state among a step's outputs, under the names of the next step's inputs."""
    prefix = "state_out."
    return {f"state.{name[len(prefix) :]}": array for name, array in outputs.items() if name.startswith(prefix)}


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread, put back afterwards: on a few lanes, more threads wait for each other and gain nothing."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def measure(
    policy: Policy[Any],
    model: Model,
    *,
    inputs: int = INPUTS,
    batches: Sequence[int] = BATCHES,
    recurrent_steps: int = RECURRENT_STEPS,
    excuse: Excuse | None = None,
) -> Measured:
    """Compare a model with its policy.

    Args:
        policy: in evaluation mode.
        model: the exported model.
        inputs: random inputs at each batch size.
        batches: batch sizes.
        recurrent_steps: steps of the run in which each side feeds on its own state; only for a policy with state.
        excuse: which lanes may differ; none where it isn't given.

    Returns:
        The largest errors; infinite where an output is missing, has another shape or isn't finite.
    """
    generator = torch.Generator().manual_seed(_SEED)
    reference, tally = torch_model(policy), _Tally(excuse)
    for batch in batches:
        state = initial_state(policy, batch)
        for _ in range(-(-inputs // batch)):
            given = random_inputs(policy, batch, generator, state)
            wanted, got = reference(given), model(given)
            tally.compare(given, wanted, got)
            # The next input starts from a state that occurs, not from the first one again.
            state = next_state(wanted)
    if not initial_state(policy, 1):
        return Measured(tally.worst, 0.0, 0, tally.ties, tally.compared)
    single, tally.worst = tally.worst, 0.0
    tally.excuse = excuse and Excuse(excuse.lanes, RECURRENT_TOLERANCE)
    _recurrent(policy, reference, model, recurrent_steps, generator, tally)
    return Measured(single, tally.worst, recurrent_steps, tally.ties, tally.compared)


class _Tally:
    """The largest error so far, and what was excused."""

    def __init__(self, excuse: Excuse | None) -> None:
        self.excuse = excuse
        self.worst = 0.0
        self.ties = self.compared = 0

    def compare(self, given: Arrays, wanted: Arrays, got: Arrays) -> NDArray[np.bool_]:
        """Take one step into account; which lanes (B,) were excused."""
        errors = lane_errors(wanted, got)
        excused = np.zeros(errors.shape, np.bool_)
        if self.excuse is not None and not (errors <= self.excuse.tol).all():
            # What isn't a number is no other choice.
            off = (errors > self.excuse.tol) & np.isfinite(errors)
            excused = off & self.excuse.lanes(given, self.excuse.tol)
        self.worst = max(self.worst, float(errors[~excused].max(initial=0.0)))
        self.ties += int(excused.sum())
        self.compared += len(errors)
        return excused


def _recurrent(
    policy: Policy[Any], reference: Model, model: Model, steps: int, generator: torch.Generator, tally: _Tally
) -> None:
    ours = theirs = initial_state(policy, _CHUNK_LANES)
    for _ in range(steps):
        obs = random_inputs(policy, _CHUNK_LANES, generator, {})
        wanted, got = reference(obs | ours), model(obs | theirs)
        excused = tally.compare(obs | ours, wanted, got)
        ours, theirs = next_state(wanted), next_state(got)
        if excused.any():  # From here on it would remember something else.
            theirs = {name: array.copy() for name, array in theirs.items()}
            for name, array in theirs.items():
                array[excused] = ours[name][excused]


def difference(wanted: Arrays, got: Arrays) -> float:
    """Largest of ``lane_errors``."""
    return float(lane_errors(wanted, got).max(initial=0.0))


def lane_errors(wanted: Arrays, got: Arrays) -> NDArray[np.float64]:
    """Largest |got - wanted| / max(1, |wanted|) over all outputs of each lane (B,).

    That is absolute for actions and relative for large values; infinite where anything isn't finite or isn't there.
    """
    if wanted.keys() != got.keys():
        raise ParityError(f"the model gives {', '.join(got)}; the network gives {', '.join(wanted)}")
    worst = np.zeros(len(next(iter(wanted.values()))))
    for name, array in wanted.items():
        other = got[name]
        if other.shape != array.shape or other.dtype != array.dtype:
            return np.full(worst.shape, np.inf)
        exact = array.astype(np.float64)
        error = np.abs(other - exact) / np.maximum(1.0, np.abs(exact))
        worst = np.maximum(worst, error.reshape(len(worst), -1).max(axis=1, initial=0.0))
    return np.where(np.isfinite(worst), worst, np.inf)
