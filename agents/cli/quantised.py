"""What ``haltere export --int8`` and ``--bf16`` add to an export: variants with fewer bits, calibrated and flown."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haltere.agents.cli.eval import measure
from haltere.agents.cli.progress import progress_bar
from haltere.agents.recipe import Recipe
from haltere.deploy.runtimes import Precision, Runtime

if TYPE_CHECKING:
    from haltere.deploy.quantise.report import QuantReport
    from haltere.policies.base import Policy
    from haltere.sims.evaluate import EvalReport

EPISODES = 100
"""Of each flight where ``--episodes`` doesn't say."""


class Quantiser:
    """Adds the variants to a folder while it is written.

    Attributes:
        report: what was measured; None before.
    """

    def __init__(
        self, recipe: Recipe, policy: "Policy[Any]", precisions: Sequence[Precision], seeds: Sequence[int], threads: int
    ) -> None:
        """Check what can be checked before anything is flown.

        Args:
            recipe: the task.
            policy: in evaluation mode.
            precisions: ``int8``, ``bf16`` or both.
            seeds: episode seeds of each flight.
            threads: native threads over worlds.

        Raises:
            RequestError: the seeds are among those that are recorded.
        """
        from haltere.deploy.quantise.acceptance import check_seeds

        check_seeds(seeds)
        self._recipe, self._policy, self._precisions = recipe, policy, precisions
        self._seeds, self._threads = seeds, threads
        self.report: QuantReport | None = None

    def __call__(self, folder: Path) -> None:
        """Record, quantise, measure, fly; see ``quantise``."""
        from haltere.deploy.parity import one_thread
        from haltere.deploy.quantise.acceptance import quantise
        from haltere.deploy.quantise.recording import record

        with progress_bar("episodes to calibrate on") as progress, one_thread():
            rows = record(self._policy, self._worlds(), progress=progress)
        self.report = quantise(
            self._policy,
            folder,
            task=self._recipe.task_name,
            precisions=self._precisions,
            rows=rows,
            fly=self._fly,
        )

    def _worlds(self) -> Callable[[int], Any]:
        return lambda num_envs: self._recipe.make_env(num_envs, threads=self._threads)

    def _fly(self, runtime: Runtime, precision: Precision, path: Path) -> "EvalReport":
        with progress_bar(f"episodes of {runtime} {precision}") as progress:
            return measure(
                self._recipe,
                actor=str(path),
                runtime=runtime,
                precision=precision,
                seeds=self._seeds,
                threads=self._threads,
                progress=progress,
            )
