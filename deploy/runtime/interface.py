"""Where a control loop meets a robot: a source of observations, a sink for commands, and what both must declare.

A robot's own code states the names, shapes, types and units that it works in. They are compared with the model's
contract once, before anything moves: a velocity in the wrong frame has the right shape, and no later check finds it.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import short
from haltere.deploy.contract import ACTION, Contract, Tensor
from haltere.deploy.errors import ObservationError
from haltere.deploy.runtime.governor import Decision, Outcome


class Reading(NamedTuple):
    """What a source returns.

    Attributes:
        obs: each observation of the contract by its key, such as ``"self"``; float32, the shape of one lane.
        at_ns: ``time.monotonic_ns()`` of the measurement, by which a stale one is told; None where nobody knows.
    """

    obs: Mapping[str, NDArray[Any]]
    at_ns: int | None = None


class Source(Protocol):
    """Gives observations. It may block, since the watchdog commands meanwhile, but it mustn't hold Python's lock."""

    @property
    def tensors(self) -> Sequence[Tensor]:
        """What it gives: ``obs.<key>``, shape, type and unit, which must be the contract's."""
        ...

    def read(self) -> Reading | Mapping[str, NDArray[Any]] | None:
        """The newest observation; None where there is none."""
        ...


class Sink(Protocol):
    """Takes commands. Called by the control loop and by the watchdog, one at a time; it must not block."""

    @property
    def tensor(self) -> Tensor:
        """What it takes: ``action``, shape, type and unit, which must be the contract's."""
        ...

    def send(self, decision: Decision) -> None:
        """Hand ``decision.command`` (A,) to the actuators; an exception says that it didn't reach them."""
        ...


class Acting(Protocol):
    """What a control loop needs of an actor; ``OnnxActor`` is one."""

    def reset(self) -> None:
        """Forget."""

    def act(self, obs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Observations (1, ...) in, ``"action"`` (1, A) out."""
        ...


def check_declared(contract: Contract, source: Sequence[Tensor], sink: Tensor) -> None:
    """Compare what a robot's code declares with what the model was trained on.

    Args:
        contract: of the model.
        source: observations that will be given, in any order.
        sink: action that will be taken.

    Raises:
        ObservationError: a name, shape, type or unit differs, with the nearest name; or it isn't a ``Tensor`` at all.
    """
    if not isinstance(source, Sequence) or not all(isinstance(tensor, Tensor) for tensor in source):
        got = short(source)
        raise ObservationError(f"the source's 'tensors' must be a list of haltere.deploy.contract.Tensor, got {got}")
    if not isinstance(sink, Tensor):
        raise ObservationError(f"the sink's 'tensor' must be a haltere.deploy.contract.Tensor, got {short(sink)}")
    given = {tensor.name: tensor for tensor in source}
    wanted = {tensor.name: tensor for tensor in contract.sensed}
    if len(given) != len(source):
        raise ObservationError("the source declares an observation twice")
    for name, tensor in wanted.items():
        if name not in given:
            raise ObservationError(f"the source declares no {name}{_nearest(name, given)}; it has {', '.join(given)}")
        _check_same("source", given[name], tensor)
    for name in given:
        if name not in wanted:
            raise ObservationError(f"the model takes no {name}{_nearest(name, wanted)}; it takes {', '.join(wanted)}")
    if sink.name != ACTION:
        raise ObservationError(f"the sink must declare '{ACTION}', got '{sink.name}'")
    _check_same("sink", sink, contract.outputs[0])


def _nearest(name: str, others: Mapping[str, Tensor]) -> str:
    # By the keys: the common 'obs.' would make any two names look alike.
    keys = {other.removeprefix("obs."): other for other in others}
    near = get_close_matches(name.removeprefix("obs."), keys, n=1)
    return f" (is {keys[near[0]]} meant?)" if near else ""


def _check_same(who: str, got: Tensor, wanted: Tensor) -> None:
    for what in ("shape", "dtype", "unit"):
        mine, models = getattr(got, what), getattr(wanted, what)
        if mine != models:
            shown = [repr(value) if what == "unit" else value for value in (mine, models)]
            raise ObservationError(f"{got.name}: the {who}'s {what} is {shown[0]}, the model's {shown[1]}")


class Inspector:
    """Looks at every observation before the policy does, and copies it into memory of its own.

    Attributes:
        flat: (O,) the last one that had the right names and shapes, all observations end to end.
        obs: the same by key, (1, ...) float32.
    """

    def __init__(self, contract: Contract) -> None:
        """Make room for one observation."""
        sizes = [int(np.prod(tensor.shape)) for tensor in contract.sensed]
        self.flat = np.zeros(sum(sizes), dtype=np.float32)
        parts = np.split(self.flat, np.cumsum(sizes)[:-1])
        self.obs = {
            tensor.name.removeprefix("obs."): part.reshape(1, *tensor.shape)
            for tensor, part in zip(contract.sensed, parts, strict=True)
        }

    def take(self, obs: object) -> Outcome:
        """Copy an observation.

        Returns:
            ``GOOD``, ``MALFORMED`` (a name, shape or type isn't the contract's), or ``NON_FINITE``.
        """
        if not isinstance(obs, Mapping) or obs.keys() != self.obs.keys():
            return Outcome.MALFORMED
        for key, buffer in self.obs.items():
            array = obs[key]
            if not isinstance(array, np.ndarray) or array.dtype != np.float32 or array.shape != buffer.shape[1:]:
                return Outcome.MALFORMED
            np.copyto(buffer[0], array)
        return Outcome.GOOD if np.isfinite(self.flat).all() else Outcome.NON_FINITE


def flat_action(made: object, size: int) -> NDArray[np.float32] | None:
    """The action (A,) in what an actor returned; None where it isn't ``size`` finite numbers."""
    action = made.get(ACTION) if isinstance(made, Mapping) else None
    if not isinstance(action, np.ndarray) or action.dtype != np.float32 or action.shape != (1, size):
        return None
    return action[0] if np.isfinite(action).all() else None
