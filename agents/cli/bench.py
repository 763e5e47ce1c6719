"""``haltere bench``: latency of every runtime side by side, or the simulator's throughput beside bare physics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge
from pydantic import ConfigDict

from haltere.agents.cli.common import Request, output_file, read_request, write_json
from haltere.agents.cli.eval import task_signature
from haltere.agents.cli.progress import progress_bar
from haltere.agents.recipe import Recipe, task_class
from haltere.configs.errors import RequestError

PARTS = ("env", "policy")
COLUMNS = ("median_us", "p99_us", "p999_us", "mallocs", "peak_kib", "parity")


@dataclass(frozen=True)
class BenchOptions:
    """Time every runtime side by side in one process, one lane at a time, or the simulator with --sim.

    Attributes:
        actor: whose network: zoo, zoo:NAME, a policy folder or a run folder; where none is given, an untrained one
            with the --policy.* settings, since latency doesn't depend on the weights.
        rounds: timed calls of each runtime.
        sim: measure the environment's steps per CPU-second beside those of the bare physics engine.
        json: write the result to this file, or to standard output where it is ``-``.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    actor: str | None = None
    rounds: Annotated[int, Ge(10)] = 2000
    sim: bool = False
    json: str | None = None


def run(argv: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    request = read_request("bench", argv, BenchOptions, PARTS)
    if request is None:
        return 0
    options = request.options
    if options.json not in (None, "-"):
        output_file(str(options.json), "json")
    settings = [path for path in request.overrides if path.startswith("policy.")]
    if settings and options.actor is not None:
        raise RequestError(f"--actor {options.actor} has its own policy settings; leave out --{settings[0]}")
    result = simulator(request.recipe()) if options.sim else runtimes(request)
    if options.json is not None:
        write_json(result, options.json)
    if options.json != "-":
        print(_simulator_text(result) if options.sim else _runtimes_text(result))
    return 0


def simulator(recipe: Recipe) -> dict[str, Any]:
    """Agent steps per CPU-second of the whole environment and of the bare physics engine on the same scenes.

    Raises:
        RequestError: the task has no such measurement.
    """
    cls = task_class(recipe.module, recipe.task_id)
    measure = getattr(cls, "bench_sim", None)
    if measure is None:
        raise RequestError(f"task {recipe.task_name} has no --sim bench: its class doesn't define bench_sim()")
    with progress_bar("flights") as progress:
        return dict(measure(recipe.env, progress=progress)) | {"task": recipe.task_name}
