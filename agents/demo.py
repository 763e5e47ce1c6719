"""The whole tour: export a trained policy, prove it, fly the exported file, film it, time it, and tell it all."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haltere.agents.progress import Lines
from haltere.agents.provenance import machine
from haltere.agents.recipe import Recipe, task_class
from haltere.agents.run_report import REPORT_NAME
from haltere.configs.errors import RequestError
from haltere.deploy.actor_path import actor_path
from haltere.deploy.bench import BenchReport, bench
from haltere.deploy.card import CARD_NAME, read_card
from haltere.deploy.curve import read_curve
from haltere.deploy.export import Manifest, TaskFacts, export
from haltere.deploy.loading import TorchActor, load_policy, policy_folder
from haltere.deploy.parity import one_thread
from haltere.deploy.report import Report, Trace, write_report
from haltere.deploy.runtime.actor import MODEL_NAME, OnnxActor
from haltere.deploy.zoo import zoo_names
from haltere.sims.actor import Actor, ArrayTree, BoolArray
from haltere.sims.evaluate import EvalReport, evaluate
from haltere.sims.rollout import VideoSink
from haltere.sims.video import VideoWriter

FILM_NAME = "flight.mp4"
BENCH_CALLS = 2000
Say = Callable[[str], None]


@dataclass(frozen=True)
class Tour:
    """What the tour is given.

    Attributes:
        recipe: the task.
        actor: whose policy: ``zoo``, ``zoo:NAME``, a policy folder or a run folder.
        out: folder for everything that is made; made where it doesn't exist.
        episodes: how many the exported file and the trained network fly, each.
        seed: first episode seed.
        threads: native threads over worlds.
        say: gets a line for each stage.
    """

    recipe: Recipe
    actor: str
    out: Path
    episodes: int
    seed: int
    threads: int
    say: Say


class Recorder:
    """An actor that remembers what the first world's agents sensed and attended to in its first episode.

    Attributes:
        attention: control step -> (agents, 2), as the actor gave it; empty where it gives none.
        neighbour_m: control step -> (agents,) distance to the nearest neighbour that it senses [m].
        obstacle_m: control step -> (agents,) distance to the nearest cylinder's surface [m].
    """

    def __init__(self, actor: Actor, agents: int) -> None:
        """Wrap an actor whose first ``agents`` lanes are the first world's."""
        self._actor, self._agents = actor, agents
        self._resets = 0
        self.attention: list[NDArray[Any]] = []
        self.neighbour_m: list[NDArray[Any]] = []
        self.obstacle_m: list[NDArray[Any]] = []

    def reset(self, mask: BoolArray | None = None) -> None:
        """Pass on; the second time that the first world's lanes forget, its first episode is over."""
        self._resets += mask is None or bool(mask[: self._agents].all())
        self._actor.reset(mask)

    def act(self, obs: ArrayTree) -> ArrayTree:
        """Pass on, and remember."""
        output = self._actor.act(obs)
        if self._resets == 1 and "attention" in output and {"neighbour", "obstacle"} <= obs.keys():
            self.attention.append(np.array(output["attention"][: self._agents]))
            self.neighbour_m.append(np.linalg.norm(obs["neighbour"][: self._agents, :, :3], axis=-1).min(axis=-1))
            middle = obs["obstacle"].shape[-1] // 2
            self.obstacle_m.append(np.array(obs["obstacle"][: self._agents, middle]))
        return output

    def trace(self, ctrl_dt_s: float) -> Trace | None:
        """The agent whose attention varied most; None where there was no attention."""
        if len(self.attention) < 2:
            return None
        share = np.stack(self.attention)[..., 0]
        agent = int(share.std(axis=0).argmax())
        far_m = 3.0  # beyond it the curves would flatten what matters
        return Trace(
            agent=f"drone {agent + 1}",
            time_s=(np.arange(len(share)) * ctrl_dt_s).tolist(),
            share=share[:, agent].tolist(),
            labels=("neighbours", "obstacles"),
            context={
                "nearest neighbour [m]": np.stack(self.neighbour_m)[:, agent].clip(max=far_m).tolist(),
                "nearest cylinder [m]": np.stack(self.obstacle_m)[:, agent].clip(max=far_m).tolist(),
            },
            caption=f"Drone {agent + 1} of the filmed episode, the one whose attention varied most. Distances beyond "
            f"{far_m:g} m are shown as {far_m:g} m.",
        )


def check_actor(actor: str, recipe: Recipe) -> None:
    """Say early, and in one sentence, that there is nothing to show yet.

    Raises:
        RequestError: the zoo has no policy for the task.
    """
    if actor == "zoo" and recipe.zoo not in zoo_names():
        raise RequestError(
            f"the zoo has no policy for {recipe.task_name} yet: haltere train {recipe.task_name} --out FOLDER makes "
            "one, and haltere demo --actor FOLDER shows it"
        )


def tour(given: Tour) -> Path:
    """Export, prove, fly, film, time, report; returns the report's path.

    Raises:
        RequestError: there is no such policy, or the folder can't be made.
        ParityError: the exported file isn't the trained policy.
    """
    recipe, out = given.recipe, given.out
    check_actor(given.actor, recipe)
    path = actor_path(given.actor, recipe.task_id, recipe.zoo)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"can't make the folder {out}: {error.strerror or error}") from None
    stages = _Stages(given.say, 5)
    with stages("export the policy and prove the file equal to it") as note:
        folder = policy_folder(path)
        policy = load_policy(folder)
        facts = TaskFacts.of(task_class(recipe.module, recipe.task_id).spec_)
        made = export(policy, out / MODEL_NAME, facts=facts)
        note(f"{made.parameters:,} parameters, largest error {made.contract.parity.max_error:.0e}")
    with stages(f"fly the exported file for {given.episodes} episodes, and film the first") as note:
        flown, trace = _fly_and_film(given, made)
        note(f"success {_interval(flown)}")
    with stages("fly the trained network on the same seeds") as note:
        network = _fly(given, TorchActor(policy), "torch")
        note(f"success {_interval(network)}")
    with stages("time the runtimes side by side") as note:
        lines = Lines("blocks", lambda line: given.say(f"      {line}"))
        timed = bench(
            policy,
            task=recipe.task_name,
            facts=facts,
            exported=made.path,
            calls=BENCH_CALLS,
            progress=lines.update,
        )
        name, best = min(timed.runtimes.items(), key=lambda item: item[1].median_us)
        note(f"{name} decides in {best.median_us:.1f} µs")
    with stages("write the report"):
        report = _report(given, folder, made, (flown, network), trace, timed, stages.took)
        write_report(report, out / REPORT_NAME)
    return out / REPORT_NAME


class _Stages:
    """Says what is being done and how long it took."""

    def __init__(self, say: Say, total: int) -> None:
        self._say, self._total = say, total
        self.took: list[tuple[str, float]] = []

    @contextlib.contextmanager
    def __call__(self, what: str) -> Iterator[Callable[[str], None]]:
        notes: list[str] = []
        self._say(f"[{len(self.took) + 1}/{self._total}] {what} ...")
        start_s = time.perf_counter()
        yield notes.append
        self.took.append((what.split(",")[0].split(" and ")[0], time.perf_counter() - start_s))
        self._say(f"      {self.took[-1][1]:.1f} s{''.join(f'; {note}' for note in notes)}")


def _fly_and_film(given: Tour, made: Manifest) -> tuple[EvalReport, Trace | None]:
    env = given.recipe.make_env(1)
    env.close()
    recorder = Recorder(OnnxActor(made.path), env.agents or 1)
    with VideoWriter(given.out / FILM_NAME) as film:
        flown = _fly(given, recorder, "onnx", film)
    return flown, recorder.trace(made.contract.ctrl_dt_s)


def _fly(given: Tour, actor: Actor, runtime: str, film: VideoSink | None = None) -> EvalReport:
    """Evaluate, and leave the numbers beside the report."""
    with one_thread():
        report = evaluate(
            actor,
            lambda num_envs: given.recipe.make_env(num_envs, threads=given.threads),
            range(given.seed, given.seed + given.episodes),
            task=given.recipe.task_name,
            actor_name=given.actor,
            runtime=runtime,
            video=film,
        )
    (given.out / f"eval-{runtime}.json").write_text(report.to_json() + "\n", encoding="utf-8")
    return report


def _report(
    given: Tour,
    folder: Path,
    made: Manifest,
    flown: Sequence[EvalReport],
    trace: Trace | None,
    timed: BenchReport,
    stages: Sequence[tuple[str, float]],
) -> Report:
    """Everything that was measured, as the page wants it."""
    recipe = given.recipe
    (given.out / "bench.json").write_text(timed.to_json() + "\n", encoding="utf-8")
    card_file = folder / CARD_NAME
    card = json.loads(json.dumps(vars(read_card(card_file)))) if card_file.is_file() else None
    evaluations = [report.as_dict() for report in flown]
    if card is not None and card["evaluation"]:
        evaluations.append({**card["evaluation"], "actor": "policy's card"})
    spec = task_class(recipe.module, recipe.task_id).spec_
    drones = getattr(recipe.env, "drones", None)
    who = f"{drones} quadrotors" if drones else "The agents"
    return Report(
        title="A swarm crosses a forest" if drones else f"{recipe.task_name}: a flight",
        lede=f"{who} fly {recipe.task_id} with one shared network of {made.parameters:,} parameters, run from the "
        f"exported file by ONNX Runtime, on {given.episodes} episodes that training never saw.",
        evaluations=evaluations,
        rates=spec.rates,
        video=given.out / FILM_NAME,
        video_caption=f"The episode of seed {given.seed}, in real time, flown by the exported file. Rings are goals; "
        "the bar above each drone shows how its attention is shared between neighbours and obstacles.",
        card=card,
        curve=read_curve(folder),
        trace=trace,
        contract=json.loads(made.contract.to_json()),
        model={"file": f"{made.path.name}, {made.size_bytes:,} bytes, {made.nodes} operators"},
        bench=timed.as_dict(),
        commands=_commands(given, card),
        stages=stages,
        machine=machine(),
    )


def _commands(given: Tour, card: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    task, actor = given.recipe.task_name, given.actor
    flight = f"haltere eval {task} --actor {actor} --episodes {given.episodes} --seed {given.seed}"
    pairs = [
        ("This page", f"haltere demo --actor {actor} --episodes {given.episodes}"),
        ("The flights of the exported file", f"{flight} --runtime onnx --json -"),
        ("The flights of the trained network, and the film", f"{flight} --runtime torch --json - --video {FILM_NAME}"),
        ("The export and its proof", f"haltere export {task} --actor {actor} --json -"),
        ("The latencies", f"haltere bench {task} --actor {actor} --rounds {BENCH_CALLS} --json -"),
    ]
    if card is not None and card["command"]:
        pairs.append(("The training", str(card["command"])))
    return pairs


def _interval(report: EvalReport) -> str:
    return f"{report.success.mean:.3f} ({report.success.low:.3f} to {report.success.high:.3f})"
