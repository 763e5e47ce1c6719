"""``haltere export``: a policy folder with one ONNX file, its contract, its card, and parity proven."""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt
from pydantic import ConfigDict

from haltere.agents.cli.common import Request, output_file, read_request, write_json
from haltere.agents.cli.eval import measure
from haltere.agents.cli.progress import progress_bar
from haltere.agents.recipe import Recipe, task_class
from haltere.configs.errors import RequestError

if TYPE_CHECKING:
    from haltere.deploy.card import Card
    from haltere.deploy.export import Manifest
    from haltere.policies.base import Policy

PARTS = ("env",)


@dataclass(frozen=True)
class ExportOptions:
    """Export a trained policy to one ONNX file with its contract inside; kept only if parity is proven.

    Attributes:
        actor: zoo (the task's own), zoo:NAME, a policy folder or a run folder.
        out: the folder to write; export/TASK where none is given. Of what exists, only an earlier export is replaced.
        tol: largest difference from the trained network, relative to max(1, its output).
        episodes: evaluate the policy first and write the result to its card; 0 keeps what the source's card says.
        seed: first episode seed of that evaluation.
        threads: native threads of that evaluation.
        json: write what was made to this file, or to standard output where it is ``-``.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    actor: str = "zoo"
    out: str | None = None
    tol: Annotated[float, Gt(0)] = 1e-5
    episodes: Annotated[int, Ge(0)] = 0
    seed: Annotated[int, Ge(0)] = 900_000
    threads: Annotated[int, Ge(1)] = len(os.sched_getaffinity(0))
    json: str | None = None


def run(argv: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    request = read_request("export", argv, ExportOptions, PARTS)
    if request is None:
        return 0
    options = request.options
    if options.json not in (None, "-"):
        output_file(str(options.json), "json")
    made = _export(request)
    if options.json is not None:
        write_json(as_dict(made), options.json)
    if options.json != "-":
        print(as_text(made))
    return 0


def _export(request: Request[ExportOptions]) -> "Manifest":
    """Load, evaluate where asked, and write the folder."""
    from haltere.deploy.curve import curve_text, read_curve
    from haltere.deploy.export import TaskFacts, check_export, export_folder
    from haltere.deploy.loading import actor_path, load_policy, policy_folder
    from haltere.deploy.weights import CONFIG_NAME

    options, recipe = request.options, request.recipe()
    out = Path(options.out or f"export/{recipe.task_name}")
    check_export(out)  # before the evaluation, which takes minutes
    source = policy_folder(actor_path(options.actor, recipe.task_id, recipe.zoo))
    policy = load_policy(source)
    return export_folder(
        policy,
        out,
        facts=TaskFacts.of(task_class(recipe.module, recipe.task_id).spec_),
        config=(source / CONFIG_NAME).read_text(encoding="utf-8"),
        card=_card(source, policy, recipe, options),
        curve=curve_text(read_curve(source)),
        tol=options.tol,
    )


def _card(source: Path, policy: "Policy[Any]", recipe: Recipe, options: ExportOptions) -> "Card":
    """The source's own card, or one from the run that it lies in; with a new evaluation where one is asked for."""
    from haltere.deploy.card import CARD_NAME, read_card

    card = read_card(source / CARD_NAME) if (source / CARD_NAME).is_file() else _card_of_run(source, policy, recipe)
    if not options.episodes:
        return card
    with progress_bar("episodes") as progress:
        report = measure(
            recipe,
            actor=str(source),
            runtime="torch",
            seeds=range(options.seed, options.seed + options.episodes),
            threads=options.threads,
            progress=progress,
        )
    # Where the policy lay when it was measured is nobody's business but this machine's.
    return dataclasses.replace(card, evaluation=dataclasses.replace(report, actor="policy").as_dict())


def _card_of_run(source: Path, policy: "Policy[Any]", recipe: Recipe) -> "Card":
    """A card from what a run recorded of itself.

    Raises:
        RequestError: the policy lies in no run, so that nobody knows what made it.
    """
    from haltere.agents.checkpoint import VALUES_NAME, read_checkpoint
    from haltere.agents.progress import warn
    from haltere.agents.run_folder import RUN_NAME, RunFolder
    from haltere.deploy.card import Card
    from haltere.deploy.weights import weights_digest

    root = next((folder for folder in source.absolute().parents if (folder / RUN_NAME).is_file()), None)
    if root is None:
        raise RequestError(f"{source}: has no card and lies in no run, so nothing says what made it; export the run")
    run = RunFolder.open(root)
    state = read_checkpoint(source) if (source / VALUES_NAME).is_file() else run.newest_state(warn)
    values = state.values if state is not None else {}
    return Card(
        task=recipe.task_id,
        policy=policy.config.type,
        parameters=sum(parameter.numel() for parameter in policy.parameters()),
        weights=weights_digest(policy),
        command=run.settings.command,
        seed=run.settings.seed,
        steps=int(values.get("steps", 0)),
        wall_s=float(values.get("wall_s", 0.0)),
    )


def as_dict(made: "Manifest") -> dict[str, Any]:
    """What was made, as plain data."""
    parity = made.contract.parity
    return {
        "path": str(made.path),
        "parameters": made.parameters,
        "nodes": made.nodes,
        "size_bytes": made.size_bytes,
        "weights": made.contract.weights,
        "parity": dataclasses.asdict(parity),
    }


def as_text(made: "Manifest") -> str:
    """What was made, for people."""
    parity = made.contract.parity
    return (
        f"{made.path}: {made.parameters:,} parameters, {made.nodes} operators, {made.size_bytes:,} bytes\n"
        f"parity: {parity.max_error:.1e} (at most {parity.tolerance:.0e}) over {parity.inputs:,} random inputs "
        f"at batches {', '.join(map(str, parity.batches))}"
    )
