"""The help of a verb and of a task's settings: tyro draws it from the dataclasses, in the words of their docstrings."""

import contextlib
import dataclasses
import inspect
import io
import json
import re
import shlex
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args, get_origin

from haltere.agents.options import option
from haltere.agents.recipe import Recipe
from haltere.configs.loader import dump, fields_of

if TYPE_CHECKING:
    from tyro.constructors import ConstructorRegistry

_MARK = re.compile("``")
"""Of code."""
_MAY_BE_NONE = re.compile(r"\{None\}\|([^\s\x1b]+)")
"""The kind of an option that may be left out; ends where a colour does."""
_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", re.MULTILINE)
"""A field and its meaning in a docstring."""
_WIDTH = 80


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
    configs = {} if recipe is None else {part: getattr(recipe, part) for part in parts}
    if configs:
        extra = [(part, type(config), dataclasses.field(default=config)) for part, config in configs.items()]
        shown = dataclasses.make_dataclass(options_type.__name__, extra, bases=(options_type,), frozen=True)
        shown.__doc__ = options_type.__doc__
        default = shown()
    said = _Said(io.BytesIO(), encoding=sys.stdout.encoding or "utf-8", newline="\n")
    said.is_terminal = sys.stdout.isatty()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        tyro.cli(shown, prog=f"haltere {command}", args=["--help"], default=default, registry=_lists_are_whole())
    said.seek(0)
    print(_plain(said.read()), end="")
    for line in _lists(configs):
        print(line)


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


def _listed(annotation: Any) -> type | None:  # noqa: ANN401 -- any annotation
    """The dataclass that a list is made of; None for whatever else."""
    if hasattr(annotation, "__metadata__"):
        return _listed(get_args(annotation)[0])
    if get_origin(annotation) not in (tuple, list):
        return None
    first = get_args(annotation)[0]
    return first if isinstance(first, type) and dataclasses.is_dataclass(first) else None


def _lists_are_whole() -> "ConstructorRegistry":
    """What has tyro show a list of dataclasses as one option, which is how it is read, and not each of its fields."""
    from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

    registry = ConstructorRegistry()

    @registry.primitive_rule
    def whole(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
        if _listed(info.type) is None:
            return None
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="JSON",
            instance_from_str=lambda words: words[0],
            is_instance=lambda value: isinstance(value, (tuple, list)),
            str_from_instance=lambda value: ["below"],
        )

    return registry


def _lists(configs: Mapping[str, Any]) -> Iterator[str]:
    """Each list of dataclasses outside the frames: a line that can be typed, and what its members are made of."""
    for part, config in configs.items():
        for path, annotation in fields_of(type(config), part).items():
            member = _listed(annotation)
            if member is None:
                continue
            value: Any = dump(config)
            for key in path.split(".")[1:]:
                value = (value or {}).get(key)
            yield f"\n{option(path)} takes the whole list as JSON. Its default:"
            yield f"  {option(path)} {shlex.quote(json.dumps(value))}"
            yield "Each of its members:"
            yield from _members(member)


def _members(cls: type) -> Iterator[str]:
    """The fields of a dataclass as keys of JSON, with their meanings and defaults."""
    meanings = dict(_ATTRIBUTE.findall(inspect.getdoc(cls) or ""))
    for field in dataclasses.fields(cls):
        meaning = " ".join(meanings.get(field.name, "").replace("``", "").split())
        if field.default is not dataclasses.MISSING:
            meaning += f" (default: {json.dumps(field.default)})"
        yield from textwrap.wrap(f'"{field.name}": {meaning}', _WIDTH, initial_indent="  ", subsequent_indent=" " * 6)
