"""A recipe: everything a run is made of, typed. From a task file and dotted overrides, or from a resolved file.

The task file is validated as it is, each override by the type of its field, and the whole again: an error blames the
file or the option, whichever is wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haltere.agents.options import option, unknown_setting
from haltere.agents.registry import trainer_config_type
from haltere.agents.values import convert
from haltere.configs.catalogue import TaskFile, read_task_file, read_task_path
from haltere.configs.errors import ConfigError, HaltereError
from haltere.configs.loader import ValueProblem, check, dump, fields_of, validate
from haltere.configs.loader import to_yaml as plain_yaml
from haltere.policies.registry import check_effect, policy_config_type

if TYPE_CHECKING:
    from haltere.sims.task import TaskVectorEnv

PARTS = ("env", "policy", "trainer")


@dataclass(frozen=True)
class Recipe:
    """A resolved run configuration.

    Attributes:
        task_name: short name, such as ``swarm``.
        task_id: Gymnasium id, such as ``haltere/SwarmForest-v0``.
        module: module whose import registers the task.
        env: the task's configuration, an instance of its ``config_type``.
        policy: the policy's configuration; ``type`` names the policy.
        trainer: the trainer's configuration; ``type`` names the trainer.
        zoo: the task's default zoo entry, if it has one.
    """

    task_name: str
    task_id: str
    module: str
    env: Any
    policy: Any
    trainer: Any
    zoo: str | None = None

    def worlds(self, wanted: int) -> int:
        """As many worlds of those that are wanted as the task can have at a time."""
        return min(wanted, task_class(self.module, self.task_id).most_worlds(self.env) or wanted)

    def make_env(self, num_envs: int, *, training: bool = False, threads: int = 1) -> "TaskVectorEnv[Any]":
        """Build ``num_envs`` worlds of the task; see ``TaskVectorEnv`` for the arguments."""
        return task_class(self.module, self.task_id)(self.env, num_envs, training=training, threads=threads)


def task_class(module: str, task_id: str, source: str = "") -> "type[TaskVectorEnv[Any]]":
    """``haltere.sims.registration.task_class``, imported when it is called: reading options doesn't need Gymnasium."""
    from haltere.sims import registration

    return registration.task_class(module, task_id, source)


def resolve(task_name: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of a task, with overrides.

    Args:
        task_name: short name, as ``haltere list`` shows it.
        overrides: dotted path -> value, such as ``{"policy.width": 32}``; text is converted to the field's type.
            Another ``policy.type`` or ``trainer.type`` starts from that type's defaults, not from the file's settings.

    Raises:
        RequestError: no task has that name, or no setting that path.
        ConfigError: the task file or an override is wrong.
    """
    return _resolve(read_task_file(task_name), overrides or {})


def from_yaml(path: Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe that a resolved ``config.yaml`` holds.

    Args:
        path: the file, as ``to_yaml`` wrote it.
        overrides: as in ``resolve``.

    Raises:
        RequestError: the file can't be read.
        ConfigError: the file or an override is wrong.
    """
    return _resolve(read_task_path(path), overrides or {})


def to_yaml(recipe: Recipe) -> str:
    """The text of a resolved ``config.yaml``: the task file's keys, every default written out, and ``name``."""
    head = {"name": recipe.task_name, "task": recipe.task_id, "module": recipe.module, "zoo": recipe.zoo}
    return plain_yaml(head | {part: dump(getattr(recipe, part)) for part in PARTS})


def policy_changes(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the overrides that are of the network, by the names of its settings."""
    prefix = "policy."
    return {path.removeprefix(prefix): value for path, value in overrides.items() if path.startswith(prefix)}


def check_overrides(recipe: Recipe, overrides: Mapping[str, Any], *, training: bool) -> None:
    """Refuse overrides of the network that do nothing beside its other settings.

    Args:
        recipe: with the overrides.
        overrides: as in ``resolve``.
        training: whether the network is about to be trained.

    Raises:
        RequestError: there is one.
    """
    check_effect(recipe.policy, policy_changes(overrides), training=training)


def settings(task_name: str, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Dotted path -> annotation of everything that can be overridden, for the types that the overrides select."""
    file = read_task_file(task_name)
    return _settings(_types(file, overrides or {}))


def _settings(types: Mapping[str, type]) -> dict[str, Any]:
    """Dotted path -> annotation of every setting of the three parts."""
    return {path: kind for part, cls in types.items() for path, kind in fields_of(cls, part).items()}


def _types(file: TaskFile, overrides: Mapping[str, Any]) -> dict[str, type]:
    """The configuration class of each part; a ``type`` among the overrides wins over the file's."""
    types: dict[str, type] = {"env": task_class(file.module, file.task, file.source).config_type}
    for part, lookup in (("policy", policy_config_type), ("trainer", trainer_config_type)):
        chosen = overrides.get(f"{part}.type")
        source = f"{file.source}: {part}.type" if chosen is None else f"--{part}.type"
        try:
            types[part] = lookup(str(chosen if chosen is not None else getattr(file, part)["type"]))
        except HaltereError as error:
            raise ConfigError(f"{source}: {error}") from None
    return types


def _resolve(file: TaskFile, overrides: Mapping[str, Any]) -> Recipe:
    """Type the file's parts, then apply the overrides and validate again."""
    types = _types(file, overrides)
    known = _settings(types)
    for path in overrides:
        if path not in known:
            raise unknown_setting(path, known)
    parts: dict[str, Any] = {}
    for part, cls in types.items():
        data = getattr(file, part)
        if part != "env" and overrides.get(f"{part}.type", data["type"]) != data["type"]:
            data = {"type": overrides[f"{part}.type"]}
        # The file alone first, so that its own faults are blamed on it and not on an override.
        parts[part] = validate(cls, data, file.source, part)
        mine = {path: value for path, value in overrides.items() if path.split(".")[0] == part}
        if mine:
            parts[part] = _override(parts[part], mine, known)
    return Recipe(task_name=file.name, task_id=file.task, module=file.module, zoo=file.zoo, **parts)


def _override(config: Any, overrides: Mapping[str, Any], known: Mapping[str, Any]) -> Any:  # noqa: ANN401 -- a part
    """A copy of one part with its overrides, validated as a whole."""
    data = dump(config)
    for path, value in overrides.items():
        try:
            converted = convert(value, known[path])
        except ValueProblem as error:
            raise ConfigError(f"{option(path)}: {error.message}") from None
        _put(data, path.split(".")[1:], converted, path)
    try:
        return check(type(config), data)
    except ValueProblem as error:
        part = next(iter(overrides)).split(".")[0]
        place = option(f"{part}.{error.path}") if error.path else ", ".join(option(path) for path in overrides)
        raise ConfigError(f"{place}: {error.message}") from None


def _put(data: dict[str, Any], keys: Sequence[str], value: Any, path: str) -> None:  # noqa: ANN401 -- plain data
    """Set a nested key; a part that is off (null) is switched on with its defaults."""
    for key in keys[:-1]:
        if data.get(key) is None:
            data[key] = {}
        if not isinstance(data[key], dict):
            raise ConfigError(f"{option(path)}: {key} is {data[key]!r:.60} here and has no settings")
        data = data[key]
    data[keys[-1]] = value
