"""What every trainer that learns in iterations shares: metrics, checkpoints and clocks, from any state to its end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch

from haltere.agents.interrupt import Interrupt
from haltere.agents.logs import MetricsLog
from haltere.agents.progress import TrainingProgress
from haltere.agents.recipe import Recipe
from haltere.agents.run_folder import RunFolder
from haltere.agents.trainer import TrainerState, TrainResult
from haltere.configs.errors import ConfigError, HaltereError
from haltere.policies.base import Policy, Signature

STOPPING = "stopping after this iteration, with a checkpoint; Ctrl-C again stops now, without"


class IterativeLearner(Protocol):
    """What learns: a network, an optimiser, worlds and random generators, an iteration at a time."""

    @property
    def steps(self) -> int:
        """Taken so far: agent steps, or whatever the trainer's configuration counts in (``unit``)."""
        ...

    def iterate(self) -> dict[str, float]:
        """An iteration, such as a rollout and the updates on it; what is worth logging of them.

        Raises:
            HaltereError: training diverged.
        """
        ...

    def state_dict(self) -> TrainerState:
        """See ``Trainer.state_dict``; taken between two iterations."""
        ...

    def load_state_dict(self, state: TrainerState) -> None:
        """See ``Trainer.load_state_dict``."""
        ...


class IterativeConfig(Protocol):
    """What the loop reads of a trainer's configuration; see ``PPOConfig`` for the meanings."""

    @property
    def total_steps(self) -> int:
        """To train for, as ``IterativeLearner.steps`` counts; rounded up to a whole iteration."""
        ...

    @property
    def checkpoint_every(self) -> int:
        """From one checkpoint to the next, counted alike; rounded up to a whole iteration."""
        ...

    @property
    def torch_threads(self) -> int:
        """Of the learner."""
        ...


def check_commands(trainer: str, policy: Policy[Any]) -> None:
    """See that a policy gives one command at a time, which is what a trainer by reward can judge.

    Raises:
        ConfigError: it plans chunks.
    """
    if policy.chunking is not None:
        raise ConfigError(
            f"trainer.type: {trainer} learns from reward, command by command, and the policy '{policy.config.type}' "
            "plans a chunk of them; --trainer.type imitation learns that from demonstrations"
        )


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch compute with this many threads: the order of its sums, and so the bits, depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class IterativeTrainer:
    """Trains a learner in a run folder, an iteration after the other. Fits the ``Trainer`` protocol."""

    def __init__(
        self,
        recipe: Recipe,
        run_folder: RunFolder,
        config: IterativeConfig,
        signature: Signature,
        learner: IterativeLearner,
        rollout: int | None = None,
    ) -> None:
        """Take a learner at the beginning of a run.

        Args:
            recipe: what is trained.
            run_folder: where checkpoints and metrics go.
            config: the recipe's trainer.
            signature: what the policy senses and commands.
            learner: what learns; not yet begun.
            rollout: agent steps of an iteration, where all have as many.
        """
        self._recipe = recipe
        self._run = run_folder
        self._config = config
        self._signature = signature
        self._learner = learner
        self._rollout = rollout
        self._wall_s = 0.0
        self._cpu_s = 0.0
        self._taken = 0
        self._since = (time.perf_counter(), time.process_time())

    @property
    def steps(self) -> int:
        """Agent steps taken so far, over all sessions of the run."""
        return self._learner.steps

    def fit(self) -> TrainResult:
        """See ``Trainer.fit``. Ctrl-C lets the iteration finish, writes a checkpoint and raises.

        Raises:
            RequestError: another process is at work in the run folder.
        """
        with self._run.locked():
            return self._fit()

    def _fit(self) -> TrainResult:
        total, learner = self._config.total_steps, self._learner
        if learner.steps < total:
            self._run.unfinish()
        self._since = (time.perf_counter(), time.process_time())
        row: dict[str, float] = {}
        with (
            torch_threads(self._config.torch_threads),
            Interrupt() as interrupt,
            self._log() as log,
            TrainingProgress(total, learner.steps) as progress,
        ):
            interrupt.answer = lambda: progress.note(STOPPING)
            self._announce(progress)
            while learner.steps < total:
                row = self._iterate()
                with self._run.writing("metrics"):
                    log.write(learner.steps, row)
                progress.update(learner.steps, row)
                finished = learner.steps >= total
                if interrupt.requested or finished or self._is_due():
                    with self._run.writing("metrics"):
                        log.sync()
                    self._run.save(self.state_dict(), self._signature)
                if interrupt.requested and not finished:
                    progress.note(f"stopped at step {learner.steps:,}; go on with: {self._resume_command()}")
                    raise KeyboardInterrupt
        folder = self._run.finish(self.state_dict(), self._signature)
        return TrainResult(self._run.path, folder, learner.steps, self._wall_s, self._cpu_s, row)

    def _announce(self, progress: TrainingProgress) -> None:
        """What is to be known before the first iteration, which may take long."""
        total, done = self._config.total_steps, self._learner.steps
        if done >= total:
            return
        if self._rollout is not None and (total - done) % self._rollout:
            whole = done - (done - total) // self._rollout * self._rollout
            progress.note(f"{total:,} steps rounded up to whole rollouts of {self._rollout:,}: {whole:,}")
        progress.begin()

    @contextmanager
    def _log(self) -> Iterator[MetricsLog]:
        """The metrics files, open; closing them may find the disk full as much as writing."""
        with self._run.writing("metrics"):
            log = MetricsLog(self._run.path, self._learner.steps)
        try:
            yield log
        finally:
            with self._run.writing("metrics"):
                log.close()

    def _resume_command(self) -> str:
        return f"haltere train {self._recipe.task_name} --resume {self._run.path}"

    def _is_due(self) -> bool:
        """Whether the last iteration crossed a multiple of ``checkpoint_every``."""
        every = self._config.checkpoint_every
        return self._learner.steps // every > (self._learner.steps - self._taken) // every

    def _iterate(self) -> dict[str, float]:
        """One iteration and what it cost."""
        steps, start_s = self._learner.steps, time.perf_counter()
        try:
            row = self._learner.iterate()
        except HaltereError as error:
            raise type(error)(f"{error}; {self._run.state()}") from error
        took_s = time.perf_counter() - start_s
        self._taken = self._learner.steps - steps
        self._count_time()
        row |= {
            "train/curriculum_steps": float(steps),
            "time/steps_per_s": self._taken / took_s,
            "time/wall_s": self._wall_s,
            "time/cpu_s": self._cpu_s,
        }
        return row

    def _count_time(self) -> None:
        """Add the time since the last count: rollouts, updates, logs and checkpoints alike."""
        now = (time.perf_counter(), time.process_time())
        self._wall_s += now[0] - self._since[0]
        self._cpu_s += now[1] - self._since[1]
        self._since = now

    def state_dict(self) -> TrainerState:
        """See ``Trainer.state_dict``."""
        state = self._learner.state_dict()
        return TrainerState(state.policy, state.arrays, {**state.values, "wall_s": self._wall_s, "cpu_s": self._cpu_s})

    def load_state_dict(self, state: TrainerState) -> None:
        """See ``Trainer.load_state_dict``."""
        self._learner.load_state_dict(state)
        self._wall_s = float(state.values.get("wall_s", 0.0))
        self._cpu_s = float(state.values.get("cpu_s", 0.0))
