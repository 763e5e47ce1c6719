"""The episodes of one iteration: a rollout buffer with a row for each action, minibatches of whole episodes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import RolloutBuffer
from torch import Tensor

from haltere.agents.recurrent_ppo.sights import IntArray

FloatArray = NDArray[np.float32]
_SPREAD = 1.25
"""How much longer than its shortest episode the longest of a part may be: what is shorter is filled up."""
_LEAST = 8
"""Steps by which it may be longer in any case."""
_LEAST_EXPECTED = 0.02
"""What an expected return counts as at least, where advantages are multiples of it."""


@dataclass(frozen=True)
class Played:
    """One episode in each lane, step by step; T is the longest one's, and what lies behind an end means nothing.

    Attributes:
        numbers: (T, lanes) what was sensed, as ``Sights`` numbers it.
        acting: (T, lanes) bool, whether the step's action was the policy's, and had an effect.
        choices: (T, lanes) int64.
        log_probs: (T, lanes) of the choices.
        values: (T, lanes).
        rewards: (T, lanes), after the step's action; where a time limit cut an episode off, with what it was worth.
        lengths: (lanes,).
    """

    numbers: IntArray
    acting: NDArray[np.bool_]
    choices: IntArray
    log_probs: FloatArray
    values: FloatArray
    rewards: FloatArray
    lengths: IntArray


class Stem(NamedTuple):
    """What episodes of the same seed have in common, until one of them acts.

    Attributes:
        sensed: (G, P) which of a part's sights was sensed; shorter ones are filled up in front.
        starts: (G, P) bool, where each begins.
        lengths: (G,).
        of: (B,) which of them each episode has.
    """

    sensed: Tensor
    starts: Tensor
    lengths: IntArray
    of: Tensor


class Part(NamedTuple):
    """Some different episodes of nearly equal length, B of them, T steps long at most, and the n actions in them.

    Attributes:
        sights: (F,) numbers of all that was sensed in them.
        stem: what they begin with, and share; None where each is whole in itself.
        sensed: (B, T) which of the sights was sensed; filled up behind the end.
        starts: (B, T) bool, where an episode begins: at its first step, or nowhere because its stem comes before.
        lengths: (B,).
        at: (B, Q) the steps of each episode's actions, filled up with zeros.
        episode: (n,) which of the episodes each action is in.
        place: (n,) which of that episode's actions it is.
        choice: (n,).
        old_value: (n,).
        old_log_prob: (n,).
        advantage: (n,).
        returns: (n,).
    """

    sights: IntArray
    stem: Stem | None
    sensed: Tensor
    starts: Tensor
    lengths: IntArray
    at: Tensor
    episode: Tensor
    place: Tensor
    choice: Tensor
    old_value: Tensor
    old_log_prob: Tensor
    advantage: Tensor
    returns: Tensor


class EpisodeBuffer(RolloutBuffer):
    """stable-baselines3's rollout buffer with a row for each action, however many steps lie between two of them.

    The first action of each lane's episode is in row 0, the second in row 1. What happened before an episode's first
    action isn't any action's doing and isn't rewarded. Observations stay where they are, in ``Sights``.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        *,
        generator: np.random.Generator,
        tries: int = 1,
        agents: int = 1,
        compare: bool = False,
        free: int | None = None,
        **kwargs: Any,  # noqa: ANN401 - the options of RolloutBuffer, unchanged
    ) -> None:
        """Take what there is beside ``RolloutBuffer``'s options.

        Args:
            buffer_size: see ``RolloutBuffer``, as the next two.
            observation_space: not used.
            action_space: of the choices.
            generator: draws every permutation.
            tries: worlds with the same seed, next to each other; they stay in one minibatch.
            agents: lanes of a world.
            compare: whether an advantage is over the mean of the other tries, rather than over the critic's values.
            free: how many of the tries drew their choices, where the others were told each of them; else None.
            **kwargs: see ``RolloutBuffer``.
        """
        self.generator = generator
        self._tries, self._agents, self._compare, self._free = tries, agents, compare, free
        super().__init__(buffer_size, observation_space, action_space, **kwargs)

    def reset(self) -> None:
        """Empty; ``fill`` makes as much room as there are actions."""
        self.pos, self.full = 0, False

    def fill(self, played: Played) -> None:
        """Take an iteration's episodes, and compute returns and advantages."""
        acting = played.acting
        order = np.cumsum(acting, axis=0) - 1
        counts = acting.sum(axis=0)
        self.buffer_size = max(int(counts.max()), 1)
        rows = (self.buffer_size, self.n_envs)
        step, lane = np.nonzero(acting)
        row = order[step, lane]
        self.steps = np.zeros(rows, np.int64)
        self.actions = np.zeros(rows, np.int64)
        self.values, self.log_probs, self.rewards, self.advantages = np.zeros((4, *rows), np.float32)
        self.steps[row, lane] = step
        self.actions[row, lane] = played.choices[step, lane]
        self.values[row, lane] = played.values[step, lane]
        self.log_probs[row, lane] = played.log_probs[step, lane]
        paid = np.flatnonzero((played.rewards != 0) & (order >= 0))
        to = np.unravel_index(paid, order.shape)[1]
        np.add.at(self.rewards, (order.flat[paid], to), played.rewards.flat[paid])
        self.valid = np.arange(self.buffer_size)[:, None] < counts
        # An episode "starts" in the row behind another one's last action.
        self.episode_starts = (np.arange(self.buffer_size)[:, None] == counts).astype(np.float32)
        self.compute_returns_and_advantage(torch.zeros(self.n_envs), np.ones(self.n_envs))
        if self._compare:
            self.advantages[:] = self._over_others() if self._free is None else self._over_expected(self._free)
        self.played = played
        self.pos, self.full = self.buffer_size, True

    def _over_others(self) -> FloatArray:
        """Each lane's discounted return less the mean of the other tries', as a multiple of the mean of all, (lanes,).

        A rare success counts for more, as in the slope of the mean's logarithm. The mean counts as that of at least one
        success.
        """
        total = self._by_try(self._discounted())
        others = (total.sum(axis=1, keepdims=True) - total) / (self._tries - 1)
        size = np.maximum(np.abs(total).mean(axis=1, keepdims=True), 1.0 / self._tries)
        over: FloatArray = ((total - others) / size).reshape(-1).astype(np.float32)
        return over

    def _over_expected(self, free: int) -> FloatArray:
        """How much better each choice turned out than could be expected, as a multiple of that, (rows, lanes).

        A try that was told its choice counts by how probable the policy found it: the sum over all of them is then the
        slope of the logarithm of what can be expected of a first choice that is held on to. The free tries say what
        comes after it, where the try that held on to the same one is the measure: what it got depends on nothing that
        they chose later. A single try is a multiple of no less than one success among all choices.
        """
        total, chance = self._by_try(self._discounted()), np.exp(self._by_try(self.log_probs[0]))[:, free:]
        told = total[:, free:]
        expected = (chance * told).sum(axis=1, keepdims=True)
        size = np.maximum((chance * np.abs(told)).sum(axis=1, keepdims=True), _LEAST_EXPECTED)
        first, later = np.zeros((2, *total.shape), np.float32)
        first[:, free:] = told.shape[1] * chance * (told - expected) / size
        chosen: IntArray = self.actions[0].reshape(total.shape)[:, :free]
        held = np.take_along_axis(told, chosen, axis=1)
        later[:, :free] = (total[:, :free] - held) / np.maximum(size, 1.0 / told.shape[1])
        over: FloatArray = np.repeat([first.reshape(-1), later.reshape(-1)], [1, self.buffer_size - 1], axis=0)
        return over

    def _discounted(self) -> FloatArray:
        """Each lane's discounted return, (lanes,)."""
        discount = self.gamma ** np.arange(self.buffer_size, dtype=np.float32)
        total: FloatArray = (discount[:, None] * self.rewards * self.valid).sum(axis=0)
        return total

    def _by_try(self, lanes: FloatArray) -> FloatArray:
        """(lanes,) as (seeds, tries, agents)."""
        return lanes.reshape(-1, self._tries, self._agents)

    def minibatches(self, episodes: int) -> Iterator[list[Part]]:
        """One epoch over all episodes, shuffled, in equal minibatches of at most ``episodes``, or of one seed's tries.

        Each comes in parts of nearly equal length, so that little has to be filled up.
        """
        together = 1 if self._tries == 1 else self._tries * self._agents
        blocks = self.generator.permutation(self.n_envs // together)
        for some in np.array_split(blocks, -(-len(blocks) // max(episodes // together, 1))):
            lanes = (some[:, None] * together + np.arange(together)).reshape(-1)
            yield [self._part(part) for part in self._alike(lanes) if self.valid[:, part].any()]

    def _alike(self, lanes: IntArray) -> Iterator[IntArray]:
        """The lanes in groups of nearly equal length."""
        every = self.played.lengths if self._tries == 1 else self._begins()
        lanes = lanes[np.argsort(every[lanes], kind="stable")]
        lengths = every[lanes]
        start = 0
        for end in range(1, len(lanes) + 1):
            # Who acts from the first step on shares nothing, and has no stem.
            longest = max(_SPREAD * lengths[start], lengths[start] + _LEAST) if lengths[start] else 0
            if end == len(lanes) or lengths[end] > longest:
                yield lanes[start:end]
                start = end

    def _begins(self) -> IntArray:
        """The step of each lane's first action, (lanes,); its last one where it never acts."""
        acting = self.played.acting
        return np.where(acting.any(axis=0), acting.argmax(axis=0), self.played.lengths - 1)

    def _part(self, lanes: IntArray) -> Part:
        lengths, numbers = self.played.lengths[lanes], self.played.numbers[:, lanes].T
        begin = np.zeros_like(lengths) if self._tries == 1 else self._begins()[lanes]
        stems, of = _stems(numbers, begin)
        # What follows the stem, each at its own step; behind an end the last step stands in, which costs nothing more.
        after = np.arange((lengths - begin).max())
        rest = np.take_along_axis(numbers, np.minimum(begin[:, None] + after, lengths[:, None] - 1), axis=1)
        kept = alike = np.arange(len(lanes))
        if self._tries > 1:  # those that make the same choices go through the same: one of them stands for all
            same = np.column_stack([of, lengths - begin, self.valid[:, lanes].sum(axis=0), rest])
            _, kept, index = np.unique(same, axis=0, return_index=True, return_inverse=True)
            of, lengths, begin, rest, alike = of[kept], lengths[kept], begin[kept], rest[kept], index.reshape(-1)
        starts = (begin == 0)[:, None] & (after == 0)
        sights, index = np.unique(np.concatenate([stems[stems >= 0], rest.reshape(-1)]), return_inverse=True)
        stem = None
        if stems.size:
            sensed = np.zeros_like(stems)
            sensed[stems >= 0] = index[: (stems >= 0).sum()]
            stem = _stem(sensed, stems >= 0, of)
        row, episode = np.nonzero(self.valid[:, lanes])
        at = np.maximum(self.steps[: int(row.max()) + 1, lanes[kept]].T - begin[:, None], 0)
        columns = (self.actions, self.values, self.log_probs, self.advantages, self.returns)
        told = (torch.from_numpy(column[row, lanes[episode]]) for column in columns)
        sensed = index[len(index) - rest.size :].reshape(rest.shape)
        shaped, began, *where = map(torch.from_numpy, (sensed, starts, at, alike[episode], row))
        return Part(sights, stem, shaped, began, lengths - begin, *where, *told)


def _stems(numbers: IntArray, begin: IntArray) -> tuple[IntArray, IntArray]:
    """The different beginnings of lanes.

    Args:
        numbers: (B, T) what was sensed.
        begin: (B,) how much of it is the beginning.

    Returns:
        (G, P) what was sensed in each, -1 in front of the shorter ones; and which of them each lane has, (B,).
    """
    most = int(begin.max())
    step = np.arange(most) - (most - begin)[:, None]
    padded = np.where(step >= 0, np.take_along_axis(numbers, np.maximum(step, 0), axis=1), -1)
    stems, of = np.unique(padded, axis=0, return_inverse=True)
    return stems, of.reshape(-1)


def _stem(sensed: IntArray, there: NDArray[np.bool_], of: IntArray) -> Stem:
    """The stems (G, P), of which ``there`` says what is more than filling."""
    lengths = there.sum(axis=1)
    starts = np.arange(sensed.shape[1]) == (sensed.shape[1] - lengths)[:, None]
    return Stem(torch.from_numpy(sensed), torch.from_numpy(starts), lengths, torch.from_numpy(of))
