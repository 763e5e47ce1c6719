"""From a task's name to its class, and every task known to Gymnasium without importing any of them.

Gymnasium 1.0 dropped its plugin entry points, so that an import has to register: ``import haltere.sims`` does, and so
does the module prefix in ``gymnasium.make("haltere.sims:haltere/SwarmForest-v0")``. Nothing heavy is imported until
``gymnasium.make`` is called.
"""

import re
import warnings
from collections.abc import Mapping
from typing import Any

import gymnasium

from haltere.configs.catalogue import TaskFile, read_task_file, task_names
from haltere.configs.discovery import import_part
from haltere.configs.errors import ConfigError, HaltereError, RequestError, unknown_name
from haltere.configs.installation import needs
from haltere.configs.loader import validate
from haltere.sims.task import TaskVectorEnv, registered_ids, registered_task

SINGLE = "haltere.sims.adapters:GymTask"
VECTOR = "haltere.sims.registration:make_vector"


def register_tasks() -> None:
    """Tell Gymnasium of every task in the catalogue, with the settings of its YAML as defaults.

    A task file that can't be read is left out with a warning: a broken plugin mustn't take the others with it.
    """
    for file in _readable_files():
        if file.task not in gymnasium.registry:
            settings = {"task_id": file.task, **file.env}
            gymnasium.register(file.task, entry_point=SINGLE, vector_entry_point=VECTOR, kwargs=settings)


def load_task(name: str) -> type[TaskVectorEnv[Any]]:
    """The class of a task, by its short name or its Gymnasium id; imports the task's module.

    Raises:
        RequestError: no task has that name or id, or the module that it needs isn't installed.
        ConfigError: the task's file is wrong, or its module doesn't register its id.
    """
    if name in registered_ids():
        return registered_task(name)
    if name in task_names():
        return task_of(read_task_file(name))
    files = {file.task: file for file in _readable_files()}
    if name in files:
        return task_of(files[name])
    looks_like_id = "/" in name or re.search(r"-v\d+$", name)
    raise unknown_name("task", name, files if looks_like_id else task_names(), "haltere list")


def task_of(file: TaskFile) -> type[TaskVectorEnv[Any]]:
    """The class of the task that a task file, or the resolved configuration of a run, is of.

    Raises: what ``task_class`` does.
    """
    return task_class(file.module, file.task, file.source)


def task_class(module: str, task_id: str, source: str = "") -> type[TaskVectorEnv[Any]]:
    """Import a task's module and return the class that it registers.

    Args:
        module: dotted name.
        task_id: Gymnasium id.
        source: the file that names the module, for errors.

    Raises:
        RequestError: a module that it needs isn't installed.
        ConfigError: there is no such module, or it doesn't register the id.
    """
    prefix = f"{source}: " if source else ""
    try:
        import_part(module)
    except ConfigError as error:
        raise ConfigError(f"{prefix}module: {error}") from None
    except ModuleNotFoundError as error:
        raise RequestError(needs(f"task {task_id}", error.name or "a module")) from error
    # Another module may have registered the id before, in this process.
    found = registered_task(task_id) if task_id in registered_ids() else None
    if found is None or not f"{found.__module__}.".startswith(f"{module}."):
        raise ConfigError(f"{prefix}module: {module} registers no task {task_id}")
    return found


def task_config(cls: type[TaskVectorEnv[Any]], settings: Mapping[str, Any], source: str | None = None) -> Any:  # noqa: ANN401 -- an instance of cls.config_type, which only the task knows
    """The typed configuration of a task from plain settings, strictly validated.

    Args:
        cls: the task.
        settings: values of the configuration's fields; fields that are left out keep their defaults.
        source: what to call the settings in an error; the task's id where None.

    Raises:
        ConfigError: a key or a value is wrong.
    """
    return validate(cls.config_type, settings, source or cls.spec_.id, "env")


def make_vector(
    task_id: str, num_envs: int = 1, *, training: bool = False, threads: int = 1, **settings: object
) -> TaskVectorEnv[Any]:
    """What ``gymnasium.make_vec`` calls: W worlds of a task.

    Args:
        task_id: Gymnasium id or short name.
        num_envs: W.
        training: see ``TaskVectorEnv``.
        threads: see ``TaskVectorEnv``.
        settings: fields of the task's configuration.

    Raises:
        RequestError: no such task, or a wrong setting.
    """
    cls = load_task(task_id)
    return cls(task_config(cls, settings), num_envs, training=training, threads=threads)


def _readable_files() -> list[TaskFile]:
    """Every task file that can be read; a warning for each that can't."""
    files = []
    try:
        names = task_names()
    except HaltereError as error:
        warnings.warn(f"no task is registered with Gymnasium: {error}", stacklevel=3)
        return []
    for name in names:
        try:
            files.append(read_task_file(name))
        except HaltereError as error:
            warnings.warn(f"the task '{name}' isn't registered with Gymnasium: {error}", stacklevel=3)
    return files
