"""Memories of the lanes that act, during a rollout: who can't act yet only watches, and remembers later at once.

A show of hundreds of steps then costs one call for all of it; what follows is the same as step by step.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from haltere.agents.recurrent_ppo.network import SequencePolicy
from haltere.agents.recurrent_ppo.sights import Embedded, IntArray
from haltere.policies.base import State

_FEWEST = 0.5
"""Of a batch's lanes: when fewer than so many still run, the others are taken out, which copies the state."""


class Recalled(NamedTuple):
    """What some lanes make of what they have sensed.

    Attributes:
        lanes: (k,) which.
        features: (k, width).
        scores: (k, choices).
    """

    lanes: IntArray
    features: Tensor
    scores: Tensor


class Recall:
    """The states of all lanes that have acted in this episode, as one batch."""

    def __init__(self, policy: SequencePolicy, embedded: Embedded) -> None:
        """Begin an episode in every lane."""
        self._policy = policy
        self._embedded = embedded
        self._lanes: IntArray = np.zeros(0, np.int64)
        self._state: State = {}
        self._seen = 0

    def now(self, numbers: IntArray, acting: NDArray[np.bool_], running: NDArray[np.bool_]) -> Recalled:
        """Bring up to date those who act, and those who did before.

        Args:
            numbers: (steps, lanes) what was sensed so far, the present step last.
            acting: (lanes,) who acts.
            running: (lanes,) whose episode hasn't ended.

        Returns:
            All of the batch; some of it may not act now, or not run any more.
        """
        parts = []
        still = running[self._lanes]
        if still.sum() < _FEWEST * len(still):
            self._keep(still)
        if len(self._lanes):
            parts.append(self._advance(numbers[self._seen :, self._lanes]))
        self._seen = len(numbers)
        newcomers = np.setdiff1d(np.flatnonzero(acting), self._lanes)
        if len(newcomers):
            parts.append(self._join(newcomers, numbers[:, newcomers]))
        features, scores = (torch.cat(both) for both in zip(*parts, strict=True))
        return Recalled(self._lanes, features, scores)

    def after(self, x: Tensor, lanes: IntArray) -> Tensor:
        """The features (k, width) after one more step of embeddings x (k, D) in some of the batch's lanes.

        The batch stays as it is.
        """
        at = torch.from_numpy(np.array([int(np.flatnonzero(self._lanes == lane)[0]) for lane in lanes], np.int64))
        state = {name: tensor[at] for name, tensor in self._state.items()}
        return self._policy.advance(x, self._policy.fitted(state, 1)).features

    def _advance(self, numbers: IntArray) -> tuple[Tensor, Tensor]:
        """The batch's own next steps, (steps, k)."""
        if len(numbers) == 1:
            self._state = self._policy.fitted(self._state, 1)
            done = self._policy.advance(self._embedded.of(numbers[0]), self._state, reuse=True)
            self._state = done.state
            return done.features, done.scores
        features, scores, self._state = self._over(numbers, self._state, start=False)
        return features, scores

    def _join(self, lanes: IntArray, numbers: IntArray) -> tuple[Tensor, Tensor]:
        """Others, who have watched since the beginning, (steps, k); those who have seen the same do so once."""
        own, of = np.unique(numbers, axis=1, return_inverse=True)
        features, scores, state = self._over(own, self._policy.initial_state(own.shape[1]), start=True)
        state = self._policy.fitted(state, 1)
        if own.shape[1] < len(lanes):
            index = torch.from_numpy(of.reshape(-1))
            features, scores = features[index], scores[index]
            state = {name: tensor[index] for name, tensor in state.items()}
        if len(self._lanes):
            self._state = self._policy.fitted(self._state, 1)
            state = {name: torch.cat([self._state[name], tensor]) for name, tensor in state.items()}
        self._lanes, self._state = np.concatenate([self._lanes, lanes]), state
        return features, scores

    def _over(self, numbers: IntArray, state: State, *, start: bool) -> tuple[Tensor, Tensor, State]:
        """Features and scores of the last of some steps (steps, k), and the state after it."""
        starts = torch.zeros(numbers.T.shape, dtype=torch.bool)
        starts[:, 0] = start
        last = torch.full((len(starts), 1), len(numbers) - 1)
        done = self._policy.remember(self._embedded.of(numbers.T), state, starts, at=last)
        return done.features[:, 0], done.scores[:, 0], done.state

    def _keep(self, still: NDArray[np.bool_]) -> None:
        index = torch.from_numpy(np.flatnonzero(still))
        self._lanes, self._state = self._lanes[still], {name: tensor[index] for name, tensor in self._state.items()}
