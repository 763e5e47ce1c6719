"""The Actor that flies: one exported file, numpy and ONNX Runtime; no torch, no simulator."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import IntegrityError, RequestError
from haltere.deploy.contract import ACTION, Contract
from haltere.deploy.errors import ContractError, NonFiniteError, ObservationError
from haltere.deploy.onnx_file import read_sealed
from haltere.deploy.runtime.files import INLINE_NAME as INLINE_NAME
from haltere.deploy.runtime.files import MODEL_NAME as MODEL_NAME
from haltere.deploy.runtime.files import model_file
from haltere.deploy.runtime.session import BoundModel, check_graph, open_session
from haltere.deploy.runtimes import Precision


class OnnxActor:
    """Runs an exported policy on B lanes at once; B is that of the observations.

    A file is refused before it is run where its digest, its contract or its graph isn't what it should be; a file
    that lies in a policy folder is checked against the folder's manifest too. Actions are clipped to the contract's
    bounds.

    Attributes:
        contract: what the file says about itself.
    """

    contract: Contract

    def __init__(
        self, path: Path | str, *, threads: int = 1, fused: bool = False, precision: Precision = "fp32"
    ) -> None:
        """Load a model and try it once on zeros.

        Args:
            path: an exported file, or the policy folder that holds ``policy.onnx``.
            threads: of ONNX Runtime, within one call.
            fused: run haltere's kernels in the place of the model's functions.
            precision: of the kernels' large matrices; without kernels, int8 takes a folder's ``policy.int8.onnx``.

        Raises:
            RequestError: there is no such file or none of that precision, or ``fused`` and it has no operator with a
                kernel.
            IntegrityError: the file is damaged.
            ContractError: it has no contract, or contradicts it.
            HaltereError: ``fused`` without a kernel library that works here.
        """
        path = model_file(Path(path), fused=fused, precision=precision)
        model, self.contract = read_sealed(path)
        try:
            self._session = open_session(model, threads=threads, fused=fused, precision=precision)
            check_graph(self._session, self.contract)
            self._try_once()
        except (IntegrityError, RequestError) as error:
            raise type(error)(f"{path}: {error}") from error
        self._low = np.array(self.contract.action_low, dtype=np.float32)
        self._high = np.array(self.contract.action_high, dtype=np.float32)
        self._shapes = {tensor.name.removeprefix("obs."): tensor.shape for tensor in self.contract.inputs}
        self._model: BoundModel | None = None
        self._begins = False

    def _try_once(self) -> None:
        """Two lanes of zeros: shapes that only a run shows, and first allocations, come before the flight."""
        model = BoundModel(self._session, self.contract, batch=2)
        model.run()
        if not np.isfinite(model.outputs[ACTION]).all():
            raise ContractError("the graph answers an observation of zeros with an action that isn't finite")

    @property
    def read_steps(self) -> int:
        """The contract's."""
        return self.contract.read_steps

    @property
    def read_after(self) -> int:
        """The contract's."""
        return self.contract.read_after

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Forget: every lane, or those where ``mask`` (B,) is true.

        Raises:
            ObservationError: the mask isn't (B,) bool.
        """
        if not self.contract.state or self._model is None:
            return
        if mask is None:
            self._begins = True
        else:
            if mask.dtype != np.bool_ or mask.shape != (self._model.batch,):
                raise ObservationError(f"reset mask must be ({self._model.batch},) bool, got {mask.shape} {mask.dtype}")
            for tensor in self.contract.state:
                self._model.state[tensor.name][mask] = tensor.initial

    def act(self, obs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One control step.

        Args:
            obs: each observation of the contract, (B, ...) float32; nothing else.

        Returns:
            ``"action"`` (B, A) within the contract's bounds, and each ``aux`` output under its key. The caller's own.

        Raises:
            ObservationError: a name, shape or type isn't the contract's.
            NonFiniteError: an observation or the action isn't finite; what is remembered is then as before the call.
        """
        model = self._checked(obs)
        for key, buffer in model.obs.items():
            np.copyto(buffer, obs[key])
        if not model.obs_is_finite():
            raise _non_finite("observation", obs)
        model.run()
        action = model.outputs[ACTION]
        if not np.isfinite(action).all():
            raise _non_finite("output", {ACTION: action})
        model.advance()
        # Twice as fast as np.clip on a handful of numbers.
        result: dict[str, NDArray[Any]] = {ACTION: np.minimum(np.maximum(action, self._low), self._high)}
        for tensor in self.contract.outputs[1:]:
            result[tensor.name.removeprefix("aux.")] = model.outputs[tensor.name].copy()
        return result

    def _checked(self, obs: Mapping[str, NDArray[Any]]) -> BoundModel:
        """The buffers for these observations, once they are what the contract says."""
        batch = lanes_of(obs, self._shapes)
        free = self._begins or not self.contract.state
        if self._model is None or (self._model.batch != batch and free):
            self._model = BoundModel(self._session, self.contract, batch)
        elif self._model.batch != batch:
            raise ObservationError(f"got {batch} lanes, but the state has {self._model.batch}; call reset() first")
        elif self._begins:
            for tensor in self.contract.state:
                self._model.state[tensor.name].fill(tensor.initial)
        self._begins = False
        return self._model


def lanes_of(obs: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]) -> int:
    """How many lanes observations are of, once they are what they should be.

    Args:
        obs: by key.
        shapes: of one lane, by key.

    Raises:
        ObservationError: a name, shape or type is another.
    """
    if obs.keys() != shapes.keys():
        raise _wrong_names(obs, tuple(shapes))
    first = obs[next(iter(shapes))]
    batch = len(first) if isinstance(first, np.ndarray) and first.ndim else 0
    for key, shape in shapes.items():
        array = obs[key]
        fits = isinstance(array, np.ndarray) and array.dtype == np.float32 and array.shape == (batch, *shape)
        if not fits or batch == 0:
            raise _wrong_array(key, array, shape, batch)
    return batch


def check_finite(obs: Mapping[str, NDArray[Any]]) -> None:
    """See that every number of observations is one.

    Raises:
        NonFiniteError: some aren't; says where the first one is.
    """
    if not all(np.isfinite(array).all() for array in obs.values()):
        raise _non_finite("observation", obs)


def _wrong_names(obs: Mapping[str, NDArray[Any]], keys: tuple[str, ...]) -> ObservationError:
    missing = [key for key in keys if key not in obs]
    extra = [key for key in obs if key not in keys]
    what = f"no observation '{missing[0]}'" if missing else f"unknown observation '{extra[0]}'"
    near = get_close_matches(missing[0] if missing else extra[0], extra if missing else keys, n=1)
    hint = f" (is '{near[0]}' meant?)" if near else ""
    return ObservationError(f"{what}{hint}; the contract has {', '.join(keys)}, got {', '.join(obs) or 'none'}")


def _wrong_array(key: str, array: object, shape: tuple[int, ...], batch: int) -> ObservationError:
    wanted = f"({', '.join(['lanes', *map(str, shape)])}) float32"
    if not isinstance(array, np.ndarray):
        return ObservationError(f"observation '{key}' must be an array {wanted}, got {type(array).__name__}")
    lanes = f" where the first observation has {batch} lanes" if batch else ""
    return ObservationError(f"observation '{key}' must be {wanted}, got {array.shape} {array.dtype}{lanes}")


def _non_finite(what: str, arrays: Mapping[str, NDArray[Any]]) -> NonFiniteError:
    for key, array in arrays.items():
        where = np.argwhere(~np.isfinite(array))
        if len(where):
            index = tuple(int(i) for i in where[0])
            return NonFiniteError(f"{what} '{key}' at {index} is {array[index]}; {len(where)} element(s) aren't finite")
    return NonFiniteError(f"{what} isn't finite")
