"""The Trainer noun: something that learns a policy in a run folder, and whose whole state is a value."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class TrainerState:
    """Everything that the rest of a training run depends on.

    Attributes:
        policy: the policy's weights by name, as in its ``state_dict``.
        arrays: every other array: critic, optimiser, random generators, worlds, running statistics.
        values: every other number or text, JSON-able: step counters, generators that aren't arrays.
    """

    policy: Arrays
    arrays: Arrays
    values: dict[str, Any]


@dataclass(frozen=True)
class TrainResult:
    """How a training run ended.

    Attributes:
        run: the run folder.
        policy: the policy folder inside it that ``--actor`` takes.
        steps: agent steps taken, over all sessions of the run.
        wall_s: wall time over all sessions [s].
        cpu_s: processor time over all sessions [s].
        metrics: the last logged means.
    """

    run: Path
    policy: Path
    steps: int
    wall_s: float
    cpu_s: float
    metrics: dict[str, float] = field(default_factory=dict)


class Trainer(Protocol):
    """Learns until its configured total, however often it is stopped and resumed in between.

    ``load_state_dict(state_dict())`` in a new process, then ``fit``, ends with the same bits as never having stopped.
    """

    def fit(self) -> TrainResult:
        """Train from the current state to the end, writing checkpoints into the run folder.

        Raises:
            KeyboardInterrupt: the user stopped it; a checkpoint has been written.
            HaltereError: training diverged, or the run folder couldn't be written.
        """
        ...

    def state_dict(self) -> TrainerState:
        """A copy of the whole state; later training doesn't change it."""
        ...

    def load_state_dict(self, state: TrainerState) -> None:
        """Go on exactly from a state.

        Raises:
            IntegrityError: it is the state of another configuration.
        """
        ...
