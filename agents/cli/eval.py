"""``haltere eval``: roll out an actor on held-out seeds and put an interval around every metric."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le
from pydantic import ConfigDict

from haltere.agents.cli.common import PROCESSORS, Episodes, Request, Threads, read_request
from haltere.agents.cli.progress import progress_bar, starting
from haltere.agents.cli.words import output_file, write_json
from haltere.agents.recipe import Recipe, policy_changes
from haltere.deploy.actor_path import UNTRAINED
from haltere.deploy.runtimes import Precision, Runtime

if TYPE_CHECKING:
    from haltere.policies.base import Signature
    from haltere.sims.evaluate import EvalReport
    from haltere.sims.rollout import Progress, VideoSink

PARTS = ("env", "policy")
LAST_SEED = 2**62


@dataclass(frozen=True)
class EvalOptions:
    """Roll out an actor and measure it. Equal seeds mean equal worlds for every actor.

    --policy.* changes settings of the trained network for an ablation, where its weights do with other ones.

    Attributes:
        actor: zoo (the task's own), zoo:NAME, expert, random, a policy folder, a run folder or an exported file.
        runtime: what runs the policy; an expert and a random actor need none.
        precision: of its large matrices. int8 is export --int8's policy.int8.onnx with --runtime onnx; with --runtime
            fused, the kernels round the weights of policy.onnx, to bf16 or int8.
        episodes: number of episodes.
        seed: first episode seed; training uses those below 900000.
        worlds: most worlds side by side; changes speed, and results only as far as a network's sums round otherwise
            in another batch.
        threads: native threads; changes speed, not results.
        video: film the first episode to this MP4 file.
        json: write the report to this file, or to standard output where it is ``-``.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    actor: str = "zoo"
    runtime: Runtime = "torch"
    precision: Precision = "fp32"
    episodes: Episodes = 100
    seed: Annotated[int, Ge(0), Le(LAST_SEED)] = 900_000
    worlds: Annotated[int, Ge(1), Le(4096)] = 64
    threads: Threads = PROCESSORS
    video: str | None = None
    json: str | None = None


def run(argv: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    request = read_request("eval", argv, EvalOptions, PARTS, UNTRAINED)
    if request is None:
        return 0
    options = request.options
    if options.json not in (None, "-"):
        output_file(str(options.json), "json")
    report = _evaluate(request)
    if options.json is not None:
        write_json(report.as_dict(), options.json)
    if options.json != "-":
        print(as_text(report))
    return 0


def _evaluate(request: Request[EvalOptions]) -> "EvalReport":
    """Build the actor, then roll it out with a progress bar on standard error."""
    options = request.options
    recipe = request.recipe()
    with _film(options.video) as video, progress_bar("episodes") as progress:
        return measure(
            recipe,
            actor=options.actor,
            runtime=options.runtime,
            precision=options.precision,
            seeds=range(options.seed, options.seed + options.episodes),
            worlds=options.worlds,
            threads=options.threads,
            progress=progress,
            video=video,
            changes=policy_changes(request.overrides),
            say=starting,
        )


def measure(
    recipe: Recipe,
    *,
    actor: str,
    runtime: str,
    seeds: Sequence[int],
    threads: int,
    precision: Precision = "fp32",
    worlds: int = 64,
    progress: "Progress | None" = None,
    video: "VideoSink | None" = None,
    changes: Mapping[str, Any] | None = None,
    say: Callable[[str], None] | None = None,
) -> "EvalReport":
    """Evaluate an actor by name in a recipe's task.

    Args:
        recipe: the task; its policy and trainer don't matter.
        actor: as ``--actor``.
        runtime: as ``--runtime``.
        seeds: one episode each.
        threads: native threads over worlds.
        precision: as ``--precision``; the report's runtime names any but fp32.
        worlds: as ``evaluate``'s; fewer, where the task can't have so many.
        progress: as ``evaluate``'s.
        video: as ``evaluate``'s.
        changes: settings of the network to change, for an ablation; the report's actor names them.
        say: told what comes next, before what takes its time.
    """
    from haltere.deploy.loading import resolve_actor
    from haltere.deploy.parity import one_thread
    from haltere.sims.evaluate import evaluate

    say = say or (lambda what: None)
    if runtime == "c" and actor not in UNTRAINED:
        say("compiling the policy as C")
    acting = resolve_actor(
        actor,
        task=recipe.task_id,
        signature=task_signature(recipe),
        runtime=runtime,
        precision=precision,
        zoo=recipe.zoo,
        changes=changes,
    )
    named = "".join(f" with policy.{key}={value}" for key, value in (changes or {}).items())
    episodes = "1 episode" if len(seeds) == 1 else f"{len(seeds):,} episodes"
    say(f"flying {episodes}{'' if video is None else ', filming the first'}")
    with one_thread():
        return evaluate(
            acting,
            lambda num_envs: recipe.make_env(num_envs, threads=threads),
            seeds,
            task=recipe.task_name,
            actor_name=actor + named,
            runtime=runtime if precision == "fp32" else f"{runtime} {precision}",
            worlds=recipe.worlds(worlds),
            progress=progress,
            video=video,
        )


def task_signature(recipe: Recipe) -> "Signature":
    """What one lane of a recipe's task senses and commands."""
    from haltere.policies.base import Signature
    from haltere.sims.lanes import signature_shapes

    env = recipe.make_env(1)
    try:
        return Signature(*signature_shapes(env))
    finally:
        env.close()


def as_text(report: "EvalReport") -> str:
    """The report as a table for people."""
    rows = [("success", report.success, ""), *((name, value, "") for name, value in report.metrics.items())]
    for name, level in report.levels.items():
        rows.append((f"success of {name}", level.success, f"   of {level.episodes}"))
    width = max(len(name) for name, *_ in rows)
    one = report.episodes == 1
    ranges = ["" if one else f"   {value.low:.3f} to {value.high:.3f}" for _, value, _ in rows]
    lines = [f"{row[0]:<{width}}  {row[1].mean:8.3f}{shown}{row[2]}" for row, shown in zip(rows, ranges, strict=True)]
    # Without a network there is nothing that a runtime would run.
    actor = report.actor if report.actor in UNTRAINED else f"{report.actor} on {report.runtime}"
    speed = f"{report.steps} steps in {report.wall_s:.1f} s ({report.steps / max(report.wall_s, 1e-9):,.0f}/s)"
    head = f"{report.task}: {actor}, {report.episodes} episode{'' if one else 's'} from seed {report.seed}"
    lines = [head, *lines, f"{speed}; {'one episode has no interval' if one else 'intervals are 95 %'}"]
    lines += _signal_lines(report)
    forgotten = report.metrics.get("forgotten")
    if forgotten is not None and forgotten.mean > 0.0:
        lines.append(
            f"the memory was too small: {forgotten.mean:.0%} of the steps asked about had made way for newer ones; "
            f"haltere export {report.task} --help has, under --policy, what bounds it"
        )
    return "\n".join(lines)


def _signal_lines(report: "EvalReport") -> list[str]:
    """What the actor shows of itself, and whether it tells failure."""
    if not report.signals:
        return []
    width = max(map(len, report.signals))
    looks = next((signal.auroc for signal in report.signals.values() if signal.auroc), {})
    if not looks:
        lines = ["what it shows of itself, on average; it, or success, is the same in all episodes, and tells nothing:"]
        return [*lines, *(f"{name:<{width}}  {of.mean.mean:8.3f}" for name, of in report.signals.items())]
    lines = ["what it shows of itself, and how likely it is greater where an episode fails (AUROC; 0.5 says nothing):"]
    lines.append(f"{'':<{width}}  {'average':>8}" + "".join(f"   {f'AUROC of {look}':<22}" for look in looks).rstrip())
    for name, signal in report.signals.items():
        areas = [f"{area.mean:.3f}   {area.low:.3f} to {area.high:.3f}" for area in signal.auroc.values()]
        lines.append(f"{name:<{width}}  {signal.mean.mean:8.3f}" + "".join(f"   {area:<22}" for area in areas).rstrip())
    return lines


@contextlib.contextmanager
def _film(target: str | None) -> Iterator["VideoSink | None"]:
    """The writer of the film, if one is wanted; closed, so that the file is whole, however the block ends."""
    if target is None:
        yield None
        return
    from haltere.sims.video import VideoWriter

    with VideoWriter(output_file(target, "video")) as writer:
        yield writer
