"""``haltere export``: a policy folder with one ONNX file, or C for a microcontroller; contract, card, parity proven."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from pydantic import ConfigDict

from haltere.agents.cli.common import PROCESSORS, Request, Threads, read_request
from haltere.agents.cli.eval import measure
from haltere.agents.cli.progress import progress_bar, starting
from haltere.agents.cli.quantised import EPISODES, Quantiser
from haltere.agents.cli.words import output_file, write_json
from haltere.agents.options import option
from haltere.agents.recipe import Recipe, policy_changes, task_class
from haltere.configs.errors import RequestError
from haltere.configs.loader import read_yaml, to_yaml
from haltere.deploy.actor_path import actor_path
from haltere.deploy.errors import QuantisationError
from haltere.deploy.runtimes import Precision

if TYPE_CHECKING:
    from haltere.deploy.card import Card
    from haltere.deploy.export import Manifest
    from haltere.deploy.mcu.export import CManifest
    from haltere.deploy.quantise.report import QuantReport
    from haltere.policies.base import Policy

PARTS = ("env", "policy")


@dataclass(frozen=True)
class ExportOptions:
    """Export a trained policy to one ONNX file with its contract inside, or to C99; kept only if parity is proven.

    Settings that the same weights do with may be other ones than in training, and the card says so. Where the policy
    has a memory, they are what that keeps: --policy.slots, --policy.top-k, --policy.window, --policy.span; where it
    plans chunks, how: --policy.executed, and of most --policy.refinements. No other setting can be changed by now.

    Attributes:
        actor: zoo (the task's own), zoo:NAME, a policy folder or a run folder.
        target: onnx, or c: a folder of C99 without dependencies for a microcontroller, with a test and its cost.
        out: the folder to write; export/TASK (export/TASK-c for C) where none is given. Of what exists, only an earlier
            export is replaced.
        tol: largest difference from the trained network, relative to max(1, its output).
        inline: also write policy.inline.onnx, the same without functions, for engines such as OpenVINO, tract and TVM.
        int8: also make policy.int8.onnx, calibrated on recorded flight, and try the kernels with 8-bit weights; each is
            flown beside fp32, and kept only if its success interval overlaps fp32's. quantised.json has the figures.
        bf16: the same for the kernels with bfloat16 weights.
        episodes: evaluate the policy first and write the result to its card; 0 keeps what the source's card says. Also
            how many fp32 and each variant of --int8 and --bf16 fly; 100 where it is 0.
        seed: first episode seed of these evaluations.
        threads: native threads of these evaluations.
        json: write what was made to this file, or to standard output where it is ``-``.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    actor: str = "zoo"
    target: Literal["onnx", "c"] = "onnx"
    out: str | None = None
    tol: Annotated[float, Gt(0)] = 1e-5
    inline: bool = False
    int8: bool = False
    bf16: bool = False
    episodes: Annotated[int, Ge(0), Le(1_000_000)] = 0
    seed: Annotated[int, Ge(0)] = 900_000
    threads: Threads = PROCESSORS
    json: str | None = None


def run(argv: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    request = read_request("export", argv, ExportOptions, PARTS)
    if request is None:
        return 0
    options = request.options
    if options.json not in (None, "-"):
        output_file(str(options.json), "json")
    fewer: QuantReport | None = None
    if options.target == "c":
        written = _export_c(request)
        data, text = written.as_dict(), written.as_text()
    else:
        made, fewer = _export(request)
        data, text = as_dict(made, fewer), as_text(made, fewer)
    if options.json is not None:
        write_json(data, options.json)
    if options.json != "-":
        print(text)
    if fewer is not None and fewer.refused:
        from haltere.deploy.quantise.report import refusal

        raise QuantisationError(f"{refusal(fewer)}; the export is complete without")
    return 0


def _export(request: Request[ExportOptions]) -> "tuple[Manifest, QuantReport | None]":
    """Load, evaluate where asked, and write the folder; the report where fewer bits were asked for."""
    from haltere.deploy.curve import curve_text, read_curve
    from haltere.deploy.export import TaskFacts, check_export, export_folder
    from haltere.deploy.loading import policy_folder
    from haltere.deploy.weights import CONFIG_NAME

    options, recipe = request.options, request.recipe()
    out = Path(options.out or f"export/{recipe.task_name}")
    check_export(out)  # before the evaluation, which takes minutes
    source = policy_folder(actor_path(options.actor, recipe.task_id, recipe.zoo))
    policy, changes = _policy(source, policy_changes(request.overrides))
    quantiser = _quantiser(recipe, policy, options)
    starting("tracing the policy and proving parity, with and without our kernels")
    made = export_folder(
        policy,
        out,
        facts=TaskFacts.of(task_class(recipe.module, recipe.task_id).spec_),
        config=_config_text(source / CONFIG_NAME, changes),
        card=_card(source, policy, recipe, options, changes),
        curve=curve_text(read_curve(source)),
        tol=options.tol,
        inline=options.inline,
        add=quantiser,
    )
    return made, quantiser.report if quantiser else None


def _policy(source: Path, asked: Mapping[str, Any]) -> "tuple[Policy[Any], dict[str, Any]]":
    """The trained policy, set as is asked for where its weights do with that; and what of it is another setting.

    Raises:
        RequestError: another setting of the network is asked for.
    """
    from haltere.deploy.loading import load_policy

    policy = load_policy(source)
    for name in asked:
        if name not in policy.bounds:
            bounds = " and ".join(option(f"policy.{bound}") for bound in policy.bounds)
            what = f"what may change of this one is {bounds}" if bounds else "nothing may change of this one"
            raise RequestError(f"{option(f'policy.{name}')}: an export keeps the network as it was trained; {what}")
    changes = {name: value for name, value in asked.items() if getattr(policy.config, name) != value}
    return (load_policy(source, changes) if changes else policy), changes


def _config_text(path: Path, changes: Mapping[str, Any]) -> str:
    """A resolved configuration, with what was changed."""
    if not changes:
        return path.read_text(encoding="utf-8")
    settings = read_yaml(path, str(path))
    return to_yaml(settings | {"policy": {**settings["policy"], **changes}})


def _quantiser(recipe: Recipe, policy: "Policy[Any]", options: ExportOptions) -> Quantiser | None:
    """What adds the variants that were asked for; None where none was."""
    asked: tuple[tuple[bool, Precision], ...] = ((options.int8, "int8"), (options.bf16, "bf16"))
    precisions = [precision for wanted, precision in asked if wanted]
    if not precisions:
        return None
    seeds = range(options.seed, options.seed + (options.episodes or EPISODES))
    return Quantiser(recipe, policy, precisions, seeds, options.threads)


def _export_c(request: Request[ExportOptions]) -> "CManifest":
    """The same for C."""
    from haltere.deploy.export import TaskFacts
    from haltere.deploy.loading import policy_folder
    from haltere.deploy.mcu.export import check_c_export, export_c

    options, recipe = request.options, request.recipe()
    if options.inline:
        raise RequestError("--inline writes another ONNX file; with --target c there is none")
    if options.int8 or options.bf16:
        name = "int8" if options.int8 else "bf16"
        raise RequestError(f"--{name} is for an exported ONNX file; --target c has float32 alone")
    out = Path(options.out or f"export/{recipe.task_name}-c")
    check_c_export(out)
    source = policy_folder(actor_path(options.actor, recipe.task_id, recipe.zoo))
    policy, changes = _policy(source, policy_changes(request.overrides))
    facts = TaskFacts.of(task_class(recipe.module, recipe.task_id).spec_)
    starting("writing C, compiling it and proving parity")
    return export_c(policy, out, facts=facts, card=_card(source, policy, recipe, options, changes), tol=options.tol)


def _card(
    source: Path, policy: "Policy[Any]", recipe: Recipe, options: ExportOptions, changes: Mapping[str, Any]
) -> "Card":
    """The source's own card, or one from the run that it lies in, and what is changed of it now.

    With a new evaluation where one is asked for, and with none where what was measured was another network.
    """
    from haltere.agents.provenance import card_of_run
    from haltere.deploy.card import CARD_NAME, read_card

    own = source / CARD_NAME
    card = read_card(own) if own.is_file() else card_of_run(source, policy, recipe.task_id)
    if changes:
        card = dataclasses.replace(card, changes={**card.changes, **changes}, evaluation={})
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
            changes=changes,
        )
    # Where the policy lay when it was measured is nobody's business but this machine's.
    return dataclasses.replace(card, evaluation=dataclasses.replace(report, actor="policy").as_dict())


def as_dict(made: "Manifest", fewer: "QuantReport | None" = None) -> dict[str, Any]:
    """What was made, as plain data."""
    parity = made.contract.parity
    return {
        "path": str(made.path),
        "parameters": made.parameters,
        "nodes": made.nodes,
        "size_bytes": made.size_bytes,
        "weights": made.contract.weights,
        "state_kib": made.contract.state_bytes / 1024,
        "parity": dataclasses.asdict(parity),
        "fused": list(made.fused),
        "kernel_error": made.kernel_error,
        "inline": None if made.inline is None else str(made.inline),
        "quantised": None if fewer is None else fewer.as_dict(),
    }


def as_text(made: "Manifest", fewer: "QuantReport | None" = None) -> str:
    """What was made, for people."""
    parity = made.contract.parity
    lines = [
        f"{made.path}: {made.parameters:,} parameters, {made.nodes} operators, {made.size_bytes:,} bytes",
        f"parity: {parity.max_error:.1e} (at most {parity.tolerance:.0e}) over {parity.inputs:,} random inputs "
        f"at batches {', '.join(map(str, parity.batches))}",
    ]
    if parity.recurrent_steps:
        lines[-1] += f"; {parity.recurrent_error:.1e} after {parity.recurrent_steps} steps, each with its own state"
    if made.contract.state:
        kib = made.contract.state_bytes / 1024
        lines.insert(1, f"state: {kib:,.1f} KiB, what one lane remembers between two steps")
    if parity.ties:
        lines.append(f"near-ties: in {parity.ties} of those steps it chose otherwise, where float32 can't tell")
    if made.fused:
        proven = f"not proven here: {made.no_kernel}" if made.kernel_error is None else f"{made.kernel_error:.1e}"
        names = (f"{count} x {name}" if count > 1 else name for name, count in Counter(made.fused).items())
        lines.append(f"kernels: {', '.join(names)}; parity with them: {proven}")
    if made.inline is not None:
        lines.append(f"{made.inline}: the same without functions, checked with the ONNX project's own evaluator")
    if fewer is not None:
        lines += ["", fewer.as_text()]
    return "\n".join(lines)
