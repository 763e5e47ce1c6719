"""What every verb shares: reading its words into typed options and overrides.

tyro draws the help (``help.py``), and reading the words is done here, because a wrong one must get a sentence with the
nearest right one and no box, and because the types of ``--policy.*`` depend on ``--policy.type``.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, TypeVar

from annotated_types import Ge, Le

from haltere.agents.cli.help import print_help
from haltere.agents.cli.words import HELP, split_words
from haltere.agents.options import option, unknown_setting
from haltere.agents.recipe import PARTS, Recipe, resolve, settings
from haltere.agents.values import convert
from haltere.configs.catalogue import read_task_file, read_task_path, task_names
from haltere.configs.errors import RequestError, short, unknown_name
from haltere.configs.loader import ValueProblem, fields_of, validate
from haltere.deploy.actor_path import UNTRAINED, actor_path, check_actor_name

OptionsT = TypeVar("OptionsT")
PROCESSORS = len(os.sched_getaffinity(0))
"""That this process may run on."""

CONFIG_NAME = "config.yaml"
"""As ``haltere.deploy.weights`` has it, which imports torch."""

Threads = Annotated[int, Ge(1), Le(1024)]
"""Native threads of a simulator."""
Episodes = Annotated[int, Ge(1), Le(1_000_000)]
"""Episodes of an evaluation."""


@dataclass(frozen=True)
class Request(Generic[OptionsT]):
    """What a verb was asked.

    Attributes:
        task: short name of the task.
        options: the verb's own options.
        overrides: dotted path -> value of everything under ``--env.*``, ``--policy.*`` and ``--trainer.*``.
        types: the same of what selects their types and wasn't typed: the ``policy.type`` of a trained actor.
    """

    task: str
    options: OptionsT
    overrides: dict[str, Any]
    types: dict[str, Any] = field(default_factory=dict)

    def recipe(self) -> Recipe:
        """The task with its overrides, typed."""
        return resolve(self.task, self.types | self.overrides)


def read_request(
    verb: str, words: Sequence[str], options_type: type[OptionsT], parts: Sequence[str], actors: Sequence[str] = ()
) -> Request[OptionsT] | None:
    """Read ``TASK [--option value ...]``.

    Args:
        verb: for messages.
        words: what came after the verb.
        options_type: dataclass of the verb's own options.
        parts: which of ``env``, ``policy`` and ``trainer`` the verb lets the user override.
        actors: what ``--actor`` may be beside the zoo and a path.

    Returns:
        The request, or None where help was asked for and has been printed.

    Raises:
        RequestError: no such task or option, or a value doesn't fit.
    """
    task = words[0] if words and not words[0].startswith("-") else None
    given = [word for word in words if word not in HELP]
    asked_help = len(given) < len(words)
    if task is None:
        if asked_help:
            print_help(f"{verb} TASK", options_type)
            settings_of_a_task = ", ".join(f"--{part}.*" for part in parts)
            print(f"haltere {verb} TASK --help adds {settings_of_a_task} with the task's defaults.")
            return None
        raise RequestError(f"name the task first: haltere {verb} TASK [options]; tasks: {', '.join(task_names())}")
    if task not in task_names():
        raise unknown_name("task", task, task_names(), "haltere list")
    typed = split_words(given[1:])
    _check_parts(verb, typed, parts)
    _check_actor(typed, options_type, actors, task)
    types = _types_of_actor(task, typed, options_type) if "policy" in parts else {}
    chosen = types | {name: values[0] for name, values in typed.items() if name.endswith(".type") and values}
    known = fields_of(options_type) | {
        path: kind for path, kind in settings(task, chosen).items() if path.split(".")[0] in parts
    }
    values = read_values(typed, known)
    overrides = {path: value for path, value in values.items() if "." in path}
    if asked_help:
        print_help(f"{verb} {task}", options_type, resolve(task, types | overrides), parts)
        return None
    options = {path: value for path, value in values.items() if "." not in path}
    return Request(task, validate(options_type, options, ""), overrides, types)


def read_options(verb: str, words: Sequence[str], options_type: type[OptionsT]) -> OptionsT | None:
    """Read the options of a verb without a task; None where help was asked for and has been printed.

    Raises:
        RequestError: no such option, or a value doesn't fit.
    """
    if any(word in HELP for word in words):
        print_help(verb, options_type)
        return None
    typed = split_words(words)
    _check_actor(typed, options_type)
    return validate(options_type, read_values(typed, fields_of(options_type)), "")


def _check_parts(verb: str, typed: Mapping[str, Sequence[str]], parts: Sequence[str]) -> None:
    """Refuse a setting of a part that only other verbs take, rather than guess at the nearest one of this verb's."""
    for path in typed:
        part, dot, _ = path.partition(".")
        if dot and part in PARTS and part not in parts:
            raise RequestError(
                f"no option {option(path)}: --{part}.* belongs to haltere train; haltere {verb} takes "
                f"{' and '.join(f'--{own}.*' for own in parts)}"
            )


def _check_actor(
    typed: Mapping[str, Sequence[str]], options_type: type, actors: Sequence[str] = (), task: str | None = None
) -> None:
    """Refuse an actor that isn't there now, not after the seconds in which simulators and torch are imported."""
    if "actor" in fields_of(options_type) and len(typed.get("actor", ())) == 1:
        check_actor_name(typed["actor"][0], actors, read_task_file(task).task if task is not None else None)


def _types_of_actor(task: str, typed: Mapping[str, Sequence[str]], options_type: type) -> dict[str, str]:
    """The type of the policy that ``--actor`` names, which may be another than the task's file has."""
    names = typed.get("actor", ()) if "actor" in fields_of(options_type) else ()
    if len(names) != 1 or names[0] in UNTRAINED:
        return {}
    file = read_task_file(task)
    config = actor_path(names[0], file.task, file.zoo, UNTRAINED) / CONFIG_NAME
    own = str(read_task_path(config).policy["type"]) if config.is_file() else file.policy["type"]
    return {} if own == file.policy["type"] else {"policy.type": own}


def read_values(typed: Mapping[str, Sequence[str]], known: Mapping[str, Any]) -> dict[str, Any]:
    """Path -> plain data of the option's type.

    Args:
        typed: what ``split_words`` gave.
        known: path -> annotation of every option there is.

    Raises:
        RequestError: there is no such option, or its value doesn't fit.
    """
    values: dict[str, Any] = {}
    for path, words in typed.items():
        switched_off = _without_no(path)
        if path not in known and switched_off in known and not words:
            path, words = switched_off, ["false"]
        if path not in known:
            raise unknown_setting(path, known)
        if path == "json" and not words:
            words = ["-"]
        try:
            values[path] = _read_value(words, known[path])
        except ValueProblem as error:
            raise RequestError(f"{option(path)}: {error.message}") from None
    return values


def _without_no(path: str) -> str:
    """``trainer.no_fast`` -> ``trainer.fast``: how tyro's help spells a switch that is off."""
    head, _, last = path.rpartition(".")
    return f"{head}.{last.removeprefix('no_')}" if head else last.removeprefix("no_")


def _read_value(words: Sequence[str], annotation: Any) -> Any:  # noqa: ANN401 -- any setting
    """Plain data from the words after an option; no word at all switches a boolean on."""
    if not words:
        try:
            return convert(True, annotation)
        except ValueProblem:
            raise ValueProblem("", "must be followed by a value") from None
    if len(words) == 1:
        return convert(words[0], annotation)
    try:
        return convert(list(words), annotation)
    except ValueProblem as error:
        if error.path.startswith("["):  # a list, and one of its values is wrong
            number = 1 + int(error.path[1:].partition("]")[0])
            raise ValueProblem("", f"value {number} {error.message}") from None
        convert(words[0], annotation)  # raises the better complaint where even the first word is wrong
        raise ValueProblem("", f"takes one value, got {short(' '.join(words))}") from None
