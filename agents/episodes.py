"""Running statistics of finished episodes, all lanes at once."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import IntegrityError


class EpisodeWindow:
    """Return, length and task metrics of the last agent episodes that finished.

    Each row of the window is one agent's episode: return, length in control steps, then the task's metrics in order.
    """

    def __init__(self, lanes: int, metrics: Sequence[str], capacity: int) -> None:
        """Start empty.

        Args:
            lanes: worlds x agents.
            metrics: the task's metric names.
            capacity: how many finished agent episodes the means run over.
        """
        self.names = ("return", "length", *metrics)
        self._metrics = tuple(metrics)
        self._capacity = capacity
        self._return = np.zeros(lanes, np.float64)
        self._length = np.zeros(lanes, np.int64)
        self._rows = np.zeros((0, len(self.names)), np.float64)
        self.finished = 0

    def step(self, reward: NDArray[np.float32], done: NDArray[np.bool_], episode: Mapping[str, Any]) -> None:
        """Count one control step.

        Args:
            reward: (lanes,).
            done: (lanes,) whether the lane's episode ended with this step.
            episode: metric name -> (worlds,) or (worlds, agents), valid where a world ended; read only if one did.
        """
        self._return += reward
        self._length += 1
        ended = np.flatnonzero(done)
        if not ended.size:
            return
        metrics = {name: per_lane(episode[name], done.size)[ended] for name in self._metrics}
        self.whole(self._return[ended], self._length[ended], metrics)
        self._return[ended] = 0.0
        self._length[ended] = 0

    def whole(self, returns: NDArray[Any], lengths: NDArray[Any], metrics: Mapping[str, NDArray[Any]]) -> None:
        """Count n whole agent episodes at once.

        Args:
            returns: (n,).
            lengths: (n,) in control steps.
            metrics: the task's, (n,) each.
        """
        rows = np.stack([returns, lengths, *(metrics[name] for name in self._metrics)], axis=1).astype(np.float64)
        counted = rows[~np.isnan(rows).any(axis=1)]  # a task gives NaN for episodes that don't count, such as replays
        self._rows = np.concatenate([self._rows, counted])[-self._capacity :]
        self.finished += len(rows)

    def means(self) -> dict[str, float]:
        """Mean of each column over the window; empty before the first episode has finished."""
        if not len(self._rows):
            return {}
        return dict(zip(self.names, self._rows.mean(axis=0).tolist(), strict=True))

    def levels(self, names: Sequence[str]) -> dict[str, float]:
        """Mean success over the window's episodes of each level, by ``<name>-<value>`` of what tells levels apart.

        Args:
            names: metrics that say which level an episode was of.
        """
        if not names or not len(self._rows):
            return {}
        level = self._rows[:, [self.names.index(name) for name in names]]
        success = self._rows[:, self.names.index("success")]
        kinds, of = np.unique(level, axis=0, return_inverse=True)
        labels = ["-".join(f"{name}-{value:g}" for name, value in zip(names, kind, strict=True)) for kind in kinds]
        return {label: float(success[of.reshape(-1) == i].mean()) for i, label in enumerate(labels)}

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """All of it, as arrays."""
        return {
            "return": self._return.copy(),
            "length": self._length.copy(),
            "rows": self._rows.copy(),
            "finished": np.asarray(self.finished, np.int64),
        }

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from ``state_dict``.

        Raises:
            IntegrityError: it is of another number of lanes or metrics.
        """
        if state["return"].shape != self._return.shape or state["rows"].shape[1] != len(self.names):
            raise IntegrityError(
                f"checkpoint: episode statistics of {state['return'].size} lanes and {state['rows'].shape[1]} columns, "
                f"expected {self._return.size} and {len(self.names)}"
            )
        self._return = state["return"].copy()
        self._length = state["length"].copy()
        self._rows = state["rows"].copy()
        self.finished = int(state["finished"])


def per_lane(values: NDArray[Any], lanes: int) -> NDArray[Any]:
    """A metric (worlds,) or (worlds, agents) as (lanes,): one of a whole world counts for each of its agents."""
    flat = np.asarray(values).reshape(-1)
    return np.repeat(flat, lanes // flat.size)
