"""What every verb shares: reading its words into typed options and overrides, and typed help.

tyro draws the help from the dataclasses; reading the words is done here, because a wrong one must get a sentence with
the nearest right one and no box, and because the types of ``--policy.*`` depend on ``--policy.type``.
"""

import contextlib
import dataclasses
import io
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from annotated_types import Ge, Le

from haltere.agents.cli.words import HELP, split_words
from haltere.agents.options import option, unknown_setting
from haltere.agents.recipe import Recipe, resolve, settings
from haltere.agents.values import convert
from haltere.configs.catalogue import task_names
from haltere.configs.errors import RequestError, short, unknown_name
from haltere.configs.loader import ValueProblem, fields_of, validate
from haltere.deploy.actor_path import check_actor_name

OptionsT = TypeVar("OptionsT")
_MARK = re.compile("``")
"""Of code."""
_MAY_BE_NONE = re.compile(r"\{None\}\|([^\s\x1b]+)")
"""The kind of an option that may be left out; ends where a colour does."""
PROCESSORS = len(os.sched_getaffinity(0))
"""That this process may run on."""

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
    """

    task: str
    options: OptionsT
    overrides: dict[str, Any]

    def recipe(self) -> Recipe:
        """The task with its overrides, typed."""
        return resolve(self.task, self.overrides)


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
    _check_actor(typed, options_type, actors)
    chosen = {name: values[0] for name, values in typed.items() if name.endswith(".type") and values}
    known = fields_of(options_type) | {
        path: kind for path, kind in settings(task, chosen).items() if path.split(".")[0] in parts
    }
    values = read_values(typed, known)
    overrides = {path: value for path, value in values.items() if "." in path}
    if asked_help:
        print_help(f"{verb} {task}", options_type, resolve(task, overrides), parts)
        return None
    options = {path: value for path, value in values.items() if "." not in path}
    return Request(task, validate(options_type, options, ""), overrides)


def read_options(verb: str, words: Sequence[str], options_type: type[OptionsT]) -> OptionsT | None:
    """Read the options of a verb without a task; None where help was asked for and has been printed.

    Raises:
        RequestError: no such option, or a value doesn't fit.
    """
    if any(word in HELP for word in words):
        print_help(verb, options_type)
        return None
    typed = split_words(words)
    _check_actor(typed, options_type, ())
    return validate(options_type, read_values(typed, fields_of(options_type)), "")


def _check_actor(typed: Mapping[str, Sequence[str]], options_type: type, actors: Sequence[str]) -> None:
    """Refuse an actor that isn't there now, not after the seconds in which simulators and torch are imported."""
    if "actor" in fields_of(options_type) and len(typed.get("actor", ())) == 1:
        check_actor_name(typed["actor"][0], actors)


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
    except ValueProblem:
        convert(words[0], annotation)  # raises the better complaint where even the first word is wrong
        raise ValueProblem("", f"takes one value, got {short(' '.join(words))}") from None


def print_help(command: str, options_type: type, recipe: Recipe | None = None, parts: Sequence[str] = ()) -> None:
    """Print a verb's options, and those of a task's parts, with types, meanings and defaults.

    Args:
        command: the verb and its task, such as ``train swarm``.
        options_type: dataclass of the verb's own options; its docstring is the text.
        recipe: the task whose parts are shown as well.
        parts: which of its parts.
    """
    import tyro

    shown, default = options_type, options_type()
    if recipe is not None:
        configs = [(part, getattr(recipe, part)) for part in parts]
        extra = [(part, type(config), dataclasses.field(default=config)) for part, config in configs]
        shown = dataclasses.make_dataclass(options_type.__name__, extra, bases=(options_type,), frozen=True)
        shown.__doc__ = options_type.__doc__
        default = shown()
    said = _Said(io.BytesIO(), encoding=sys.stdout.encoding or "utf-8", newline="\n")
    said.is_terminal = sys.stdout.isatty()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        tyro.cli(shown, prog=f"haltere {command}", args=["--help"], default=default)
    said.seek(0)
    print(_plain(said.read()), end="")


class _Said(io.TextIOWrapper):
    """Takes what is printed, with the letters and colours that standard output would have got."""

    is_terminal = False

    def isatty(self) -> bool:
        return self.is_terminal


def _plain(text: str) -> str:
    """The help without marks that a docstring needs and a person doesn't; the frames around it stay straight."""
    lines = []
    for line in re.sub(r"\n{3,}", "\n\n", text).splitlines():
        line = _MAY_BE_NONE.sub(rf"\1{' ' * len('{None}|')}", line)
        while (mark := _MARK.search(line)) is not None:
            rest = line[mark.end() :]
            inside, frame, after = rest.partition("│")
            line = line[: mark.start()] + inside + (" " * len(mark.group()) + frame if frame else "") + after
        lines.append(f"{line}\n")
    return "".join(lines)
