"""Where a policy comes from and what it ran on, for cards and reports."""

import contextlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from haltere.agents.checkpoint import VALUES_NAME, read_checkpoint
from haltere.agents.progress import warn
from haltere.agents.registry import trainer_config_type, unit_of_steps
from haltere.agents.run_folder import RUN_NAME, RunFolder
from haltere.configs.catalogue import read_task_path
from haltere.configs.errors import RequestError
from haltere.deploy.card import Card
from haltere.deploy.machine import cpu_name
from haltere.deploy.weights import CONFIG_NAME, weights_digest
from haltere.policies.base import Policy

_SHOWN_VERSIONS = ("haltere", "mujoco", "torch", "onnxruntime", "numpy")


def card_of_run(source: Path, policy: Policy[Any], task_id: str) -> Card:
    """A card, without an evaluation, from what a run recorded of itself.

    Args:
        source: a policy folder or a checkpoint inside a run folder.
        policy: the network that it holds.
        task_id: Gymnasium id of the task.

    Raises:
        RequestError: the policy lies in no run, so that nobody knows what made it.
    """
    root = next((folder for folder in source.absolute().parents if (folder / RUN_NAME).is_file()), None)
    if root is None:
        raise RequestError(f"{source}: has no card and lies in no run, so nothing says what made it; export the run")
    run = RunFolder.open(root)
    state = read_checkpoint(source) if (source / VALUES_NAME).is_file() else run.newest_state(warn)
    values = state.values if state is not None else {}
    return Card(
        task=task_id,
        policy=policy.config.type,
        parameters=sum(parameter.numel() for parameter in policy.parameters()),
        weights=weights_digest(policy),
        command=run.settings.command,
        seed=run.settings.seed,
        steps=int(values.get("steps", 0)),
        wall_s=float(values.get("wall_s", 0.0)),
        unit=unit_of_steps(trainer_config_type(read_task_path(root / CONFIG_NAME).trainer["type"])),
        demonstrations=str(values.get("demonstrations", "")),
    )


def machine() -> dict[str, str]:
    """Versions that make a report's numbers, and this machine; name -> text."""
    versions = {}
    for name in _SHOWN_VERSIONS:
        with contextlib.suppress(PackageNotFoundError):  # a source tree on the path that nobody installed
            versions[name] = version(name)
    return versions | {"Python": platform.python_version(), "on": f"{platform.system()}, {cpu_name()}"}
