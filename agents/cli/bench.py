"""``haltere bench``: latency of every runtime side by side, or the simulator's throughput beside bare physics."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le
from pydantic import ConfigDict

from haltere.agents.cli.common import Request, read_request
from haltere.agents.cli.eval import task_signature
from haltere.agents.cli.progress import progress_bar, starting
from haltere.agents.cli.words import output_file, write_json
from haltere.agents.options import option
from haltere.agents.recipe import Recipe, check_overrides, policy_changes, task_class
from haltere.configs.errors import RequestError

if TYPE_CHECKING:
    from haltere.deploy.bench import BenchReport
    from haltere.policies.base import Policy

PARTS = ("env", "policy")


@dataclass(frozen=True)
class BenchOptions:
    """Time every runtime side by side in one process, one lane at a time, or the simulator with --sim.

    Attributes:
        actor: whose network: zoo, zoo:NAME, a policy folder or a run folder; where none is given, an untrained one
            with the --policy.* settings, since latency doesn't depend on the weights.
        rounds: timed calls of each runtime.
        remembered: steps that a policy with memory has behind it at the first timed call.
        growth: also show what a step costs with memories of 100, 1,000 and 10,000 steps, each of them full.
        sim: measure the environment's steps per CPU-second beside those of the bare physics engine.
        json: write the result to this file, or to standard output where it is ``-``.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    actor: str | None = None
    rounds: Annotated[int, Ge(100), Le(1_000_000)] = 5000
    remembered: Annotated[int, Ge(0), Le(1_000_000)] = 512
    growth: bool = False
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
    if options.sim:
        _check_sim(request)
        result = simulator(request.recipe())
        text = _simulator_text(result)
    else:
        report = runtimes(request)
        result, text = report.as_dict(), report.as_text()
    if options.json is not None:
        write_json(result, options.json)
    if options.json != "-":
        print(text)
    return 0


def _check_sim(request: Request[BenchOptions]) -> None:
    """Refuse what only the runtimes' bench looks at: nothing that was typed is quietly ignored.

    Raises:
        RequestError: there is such an option.
    """
    typed = [name for name in ("actor", "rounds", "remembered", "growth") if _is_set(request.options, name)]
    typed += [path for path in request.overrides if path.startswith("policy.")]
    if typed:
        raise RequestError(f"{option(typed[0])}: has no meaning beside --sim, which measures the simulator; drop one")


def _is_set(options: BenchOptions, name: str) -> bool:
    return bool(getattr(options, name) != getattr(BenchOptions(), name))


def runtimes(request: Request[BenchOptions]) -> "BenchReport":
    """Latency of every runtime on one lane.

    Raises:
        RequestError: --policy.* settings were given for a policy that is trained already, or one that does nothing, or
            --growth for a policy without a memory that could grow.
    """
    recipe, options = request.recipe(), request.options
    settings = list(policy_changes(request.overrides))
    if settings and options.actor is not None:
        path = option(f"policy.{settings[0]}")
        raise RequestError(f"{path}: can't change the trained policy of --actor {options.actor}")
    check_overrides(recipe, request.overrides, training=False)
    from haltere.deploy.bench import bench
    from haltere.deploy.export import TaskFacts

    facts = TaskFacts.of(task_class(recipe.module, recipe.task_id).spec_)
    policy = _policy(recipe, options.actor)
    if options.growth:  # before the bench, which takes a minute
        from haltere.deploy.bench.memory import check_growth

        check_growth(policy)
    with progress_bar("blocks") as progress:
        report = bench(
            policy,
            task=recipe.task_name,
            facts=facts,
            calls=options.rounds,
            remembered=options.remembered,
            progress=progress,
            say=starting,
        )
    return _with_memory(report, policy, options)


def _with_memory(report: "BenchReport", policy: "Policy[Any]", options: BenchOptions) -> "BenchReport":
    """The report with what is to be known of a policy that remembers."""
    from haltere.deploy.bench.memory import ChunkSizes, chunk_attention_timing, growth
    from haltere.policies.memory.model import MemoryPolicy

    if not isinstance(policy, MemoryPolicy):
        return report
    config = policy.config
    if config.memory == "hcam":
        own = ChunkSizes(config.slots, config.chunk, config.width, config.heads, config.top_k)
        timed = []
        for sizes in dict.fromkeys((ChunkSizes(), own)):
            with progress_bar("blocks") as progress:
                timed.append(chunk_attention_timing(sizes, calls=options.rounds, progress=progress, say=starting))
        report = dataclasses.replace(report, operators=tuple(timed))
    if not options.growth:
        return report
    with progress_bar("blocks") as progress:
        rows = growth(policy, calls=options.rounds, progress=progress, say=starting)
        return dataclasses.replace(report, growth=rows)


def _policy(recipe: Recipe, actor: str | None) -> "Policy[Any]":
    """The trained network that was named, or an untrained one."""
    from haltere.deploy.actor_path import actor_path
    from haltere.deploy.loading import load_policy
    from haltere.policies.registry import build_policy, draw_zeros

    if actor is None:
        policy = build_policy(recipe.policy, task_signature(recipe), seed=0)
        draw_zeros(policy, seed=0)
        return policy
    return load_policy(actor_path(actor, recipe.task_id, recipe.zoo))


def simulator(recipe: Recipe) -> dict[str, Any]:
    """Agent steps per CPU-second of the whole environment and of the bare physics engine on the same scenes.

    Raises:
        RequestError: the task has no such measurement.
    """
    cls = task_class(recipe.module, recipe.task_id)
    measure = getattr(cls, "bench_sim", None)
    if measure is None:
        raise RequestError(f"task {recipe.task_name} has no --sim bench: its class doesn't define bench_sim()")
    starting("flying the whole environment, then the bare physics")
    with progress_bar("flights") as progress:
        return dict(measure(recipe.env, progress=progress)) | {"task": recipe.task_name}


def _simulator_text(result: dict[str, Any]) -> str:
    """The simulator's throughput, for people."""
    return (
        f"{result['task']}, agent steps per CPU-second\n"
        f"whole environment  {result['full_steps_per_cpu_s']:>12,.0f}\n"
        f"bare physics       {result['bare_steps_per_cpu_s']:>12,.0f}\n"
        f"ratio              {result['ratio']:>12.2f}"
    )
