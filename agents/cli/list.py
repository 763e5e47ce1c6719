"""``haltere list``: what there is, with simulator, control period and measured success."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict

from haltere.agents.cli.common import read_options
from haltere.agents.cli.words import write_json
from haltere.agents.recipe import task_class
from haltere.agents.registry import trainer_names
from haltere.configs.catalogue import read_task_file, task_names
from haltere.configs.errors import IntegrityError
from haltere.deploy.zoo import zoo_entry, zoo_names
from haltere.policies.registry import policy_names

NONE = "-"


@dataclass(frozen=True)
class ListOptions:
    """Show tasks, policies, trainers and zoo entries.

    Attributes:
        json: write one JSON object to this file instead, or to standard output where it is ``-``.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    json: str | None = None


def run(argv: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    options = read_options("list", argv, ListOptions)
    if options is None:
        return 0
    listing = inventory()
    if options.json is not None:
        write_json(listing, options.json)
    else:
        print(as_text(listing))
    return 0


def inventory() -> dict[str, Any]:
    """Everything that is installed, as plain data: ``tasks``, ``policies``, ``trainers`` and ``zoo``.

    A task or a zoo entry that is broken has ``error`` in place of what only a whole one knows.
    """
    zoo = [_zoo_entry(name) for name in zoo_names()]
    success = {entry["name"]: entry["success"] for entry in zoo}
    tasks = [_task_entry(name, success) for name in task_names()]
    return {"tasks": tasks, "policies": policy_names(), "trainers": trainer_names(), "zoo": zoo}


def as_text(listing: dict[str, Any]) -> str:
    """The inventory as aligned columns."""
    tasks = [("task", "id", "sim", "period", "zoo", "success (95 %)")]
    for entry in listing["tasks"]:
        period = f"{entry['ctrl_dt_s'] * 1000:g} ms" if "ctrl_dt_s" in entry else NONE
        cells = (entry["name"], entry["id"] or NONE, entry.get("sim", NONE), period, entry["zoo"] or NONE)
        tasks.append((*cells, _last(entry)))
    zoo = [("zoo entry", "task", "policy", "success (95 %)")]
    zoo += [(entry["name"], entry["task"] or NONE, entry["policy"] or NONE, _last(entry)) for entry in listing["zoo"]]
    names = [("policies", ", ".join(listing["policies"])), ("trainers", ", ".join(listing["trainers"]))]
    return "\n\n".join(_columns(rows) for rows in (tasks, zoo, names))


def _task_entry(name: str, success: dict[str, Any]) -> dict[str, Any]:
    """One task; where its simulator isn't installed, what it needs stands in for what only the simulator knows."""
    entry: dict[str, Any] = {"name": name, "id": None, "zoo": None, "success": None}
    try:
        file = read_task_file(name)
        entry |= {"id": file.task, "zoo": file.zoo, "success": success.get(file.zoo or "")}
        spec = task_class(file.module, file.task, file.source).spec_
    except Exception as error:  # a plugin's module may fail in any way, and mustn't take the other rows with it
        if isinstance(error.__cause__, ModuleNotFoundError):
            return entry | {"needs": f"needs {error.__cause__.name}"}
        return entry | {"error": " ".join(str(error).split()) or type(error).__name__}
    return entry | {"sim": spec.sim, "ctrl_dt_s": spec.ctrl_dt_s, "metrics": list(spec.metrics)}


def _zoo_entry(name: str) -> dict[str, Any]:
    """One zoo entry from its card."""
    try:
        card = zoo_entry(name).card
    except IntegrityError as error:
        return {"name": name, "task": None, "policy": None, "parameters": None, "success": None, "error": str(error)}
    return {
        "name": name,
        "task": card.task,
        "policy": card.policy,
        "parameters": card.parameters,
        "success": card.evaluation.get("success"),
    }


def _last(entry: dict[str, Any]) -> str:
    """The last column of a row: the measured success, or why there is none."""
    if "error" in entry:
        return f"broken: {entry['error']}"
    return entry.get("needs") or _interval(entry["success"])


def _interval(success: dict[str, float] | None) -> str:
    """A rate with its interval."""
    return f"{success['mean']:.3f} ({success['low']:.3f} to {success['high']:.3f})" if success else NONE


def _columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows with their columns aligned."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return "\n".join("  ".join(cells).rstrip() for cells in padded)
