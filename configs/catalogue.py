"""The task files: one YAML a task, ours by directory and a plugin's by the entry-point group ``haltere.tasks``."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from haltere.configs.discovery import package_folder, with_plugins
from haltere.configs.errors import ConfigError, RequestError, unknown_name
from haltere.configs.loader import read_yaml, validate

GROUP = "haltere.tasks"
HERE = "haltere.configs"


@dataclass(frozen=True)
class TaskFile:
    """What a task's YAML says, its three parts not yet typed: whoever knows the types validates them.

    Attributes:
        name: short name, as on the command line.
        path: the file.
        source: what to call the file in an error, such as ``configs/swarm.yaml``.
        task: Gymnasium id.
        module: module whose import registers the task.
        zoo: the task's default zoo entry, if it has one.
        env: settings of the task.
        policy: settings of the policy; ``type`` names it.
        trainer: settings of the trainer; ``type`` names it.
    """

    name: str
    path: Path
    source: str
    task: str
    module: str
    zoo: str | None
    env: dict[str, Any]
    policy: dict[str, Any]
    trainer: dict[str, Any]


@dataclass(frozen=True)
class _Layout:
    """The keys of a task file. A resolved run configuration has ``name`` as well."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    task: str
    module: str
    policy: dict[str, Any]
    trainer: dict[str, Any]
    env: dict[str, Any]
    zoo: str | None = None
    name: str | None = None


def task_names() -> list[str]:
    """Short names of every task, sorted; no file is opened."""
    return list(_packages())


def read_task_file(name: str) -> TaskFile:
    """Read a task's YAML by its short name.

    Raises:
        RequestError: no task has that name.
        ConfigError: its file is wrong.
    """
    packages = _packages()
    if name not in packages:
        raise unknown_name("task", name, packages, "haltere list")
    package = packages[name]
    folder = Path(__file__).parent if package == HERE else package_folder(package)
    label = package.removeprefix("haltere.").replace(".", "/")
    return read_task_path(folder / f"{name}.yaml", f"{label}/{name}.yaml", name)


def read_task_path(path: Path, source: str | None = None, name: str | None = None) -> TaskFile:
    """Read a task file, or the resolved ``config.yaml`` of a run or policy folder, by its path.

    Args:
        path: the file.
        source: what to call it in an error; the path where None.
        name: short name of the task; where None, the file must say.

    Raises:
        RequestError: the file can't be read.
        ConfigError: a key or a type is wrong.
    """
    label = source or str(path)
    layout = validate(_Layout, read_yaml(path, label), label)
    for part in ("policy", "trainer"):
        if not isinstance(getattr(layout, part).get("type"), str):
            raise ConfigError(f"{label}: {part}.type: must name a {part}, got {getattr(layout, part).get('type')!r}")
    if name is not None and layout.name not in (None, name):
        raise ConfigError(f"{label}: name: must be '{name}', like the file, got '{layout.name}'")
    known = name or layout.name
    if known is None:
        raise RequestError(f"{label}: name: is missing; a resolved configuration says which task it is of")
    rest = {field.name: getattr(layout, field.name) for field in fields(layout) if field.name != "name"}
    return TaskFile(name=known, path=path, source=label, **rest)


def _packages() -> dict[str, str]:
    """Short name -> package that holds ``<name>.yaml``."""
    builtin = {path.stem: HERE for path in Path(__file__).parent.glob("*.yaml")}
    return with_plugins("task", builtin, GROUP)
