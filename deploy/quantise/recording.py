"""What a policy meets in flight: inputs of single steps, drawn evenly from rollouts in the simulator."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haltere.deploy.loading import in_loop_of
from haltere.deploy.parity import Arrays, initial_state, next_state, torch_model
from haltere.policies.base import Policy
from haltere.sims.actor import ArrayTree, BoolArray
from haltere.sims.rollout import Env, Progress, rollout
from haltere.sims.task import FIRST_HELD_OUT_SEED

EPISODES = 16
SEEDS = range(FIRST_HELD_OUT_SEED - EPISODES, FIRST_HELD_OUT_SEED)
"""Episode seeds that are recorded: the last ones of training, so that no evaluation's are among them."""
ROWS = 4096
_MOST_BYTES = 256 << 20
"""That are kept, whatever the number of rows: observations may be pictures."""
_DRAW_SEED = 11


class Recorder:
    """A policy in torch that flies, and keeps an even sample of the inputs of its calls: observations and state.

    Every call of every lane is as likely to be kept as any other. Source: Vitter 1985, "Random sampling with a
    reservoir", algorithm R.
    """

    def __init__(self, policy: Policy[Any], rows: int) -> None:
        """Take the policy, in evaluation mode, and the number of calls to keep."""
        self._policy, self._rows = policy, rows
        self._model = torch_model(policy)
        self._state: Arrays | None = None
        self._kept: Arrays = {}
        self._seen = 0
        self._generator = np.random.default_rng(_DRAW_SEED)

    def reset(self, mask: BoolArray | None = None) -> None:
        """Forget: every lane, or those where ``mask`` (B,) is true. What was kept stays."""
        if mask is None or self._state is None:
            self._state = None
            return
        initial = initial_state(self._policy, len(mask))
        for name, array in self._state.items():
            array[mask] = initial[name][mask]

    def act(self, obs: ArrayTree) -> ArrayTree:
        """One call: a control step, or a refinement of a policy that plans chunks, in its loop."""
        if self._state is None:
            self._state = initial_state(self._policy, len(next(iter(obs.values()))))
        inputs = {f"obs.{name}": np.ascontiguousarray(array) for name, array in obs.items()} | self._state
        self._keep(inputs)
        outputs = self._model(inputs)
        # Copied, because reset() writes into it and a policy may hand back the very arrays that it was given.
        self._state = {name: array.copy() for name, array in next_state(outputs).items()}
        shown = {name: array for name, array in outputs.items() if not name.startswith("state_out.")}
        return {name.removeprefix("aux."): array for name, array in shown.items()}

    def _keep(self, inputs: Arrays) -> None:
        lanes = len(next(iter(inputs.values())))
        if not self._kept:
            each = sum(array[0].nbytes for array in inputs.values())
            self._rows = max(1, min(self._rows, _MOST_BYTES // each))
            self._kept = {name: np.empty((self._rows, *array.shape[1:]), array.dtype) for name, array in inputs.items()}
        index = np.arange(self._seen, self._seen + lanes)
        place = np.where(index < self._rows, index, self._generator.integers(0, index + 1))
        lane = np.flatnonzero(place < self._rows)
        for name, array in inputs.items():
            self._kept[name][place[lane]] = array[lane]
        self._seen += lanes

    def rows(self) -> Arrays:
        """What was kept, (rows, ...) by exported names, in random order."""
        order = self._generator.permutation(min(self._seen, self._rows))
        return {name: array[order] for name, array in self._kept.items()}


def record(
    policy: Policy[Any],
    make_env: Callable[[int], Env],
    *,
    seeds: Sequence[int] = SEEDS,
    rows: int = ROWS,
    progress: Progress | None = None,
) -> Arrays:
    """Fly a policy and sample what it met.

    Args:
        policy: in evaluation mode.
        make_env: builds W worlds of the task.
        seeds: one episode each.
        rows: the most to keep.
        progress: as for ``rollout``.

    Returns:
        ``obs.<key>`` and ``state.<key>``, (rows, ...) each; fewer rows where the policy made fewer steps.
    """
    recorder = Recorder(policy, rows)
    rollout(in_loop_of(policy, recorder), make_env, seeds, progress=progress)
    return recorder.rows()


def cut(rows: Arrays, begin: int, end: int) -> Arrays:
    """Some rows of a record."""
    return {name: array[begin:end] for name, array in rows.items()}


def count(rows: Arrays) -> int:
    """How many rows there are."""
    array: NDArray[Any] = next(iter(rows.values()))
    return len(array)
