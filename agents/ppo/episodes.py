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
        columns = [self._return[ended], self._length[ended]]
        for name in self._metrics:
            value = np.asarray(episode[name])
            # A metric of the whole world counts for each of its agents.
            per_lane = np.repeat(value.reshape(-1), done.size // value.size)
            columns.append(per_lane[ended])
        rows = np.stack(columns, axis=1)
        counted = rows[~np.isnan(rows).any(axis=1)]  # a task gives NaN for episodes that don't count, such as replays
        self._rows = np.concatenate([self._rows, counted])[-self._capacity :]
        self.finished += int(ended.size)
        self._return[ended] = 0.0
        self._length[ended] = 0

    def means(self) -> dict[str, float]:
        """Mean of each column over the window; empty before the first episode has finished."""
        if not len(self._rows):
            return {}
        return dict(zip(self.names, self._rows.mean(axis=0).tolist(), strict=True))

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
