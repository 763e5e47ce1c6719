"""Strict YAML to frozen dataclasses: no unknown key, no NaN, no silent conversion, and errors that name the place.

YAML here is its plain part: mappings, lists, text, numbers, true/false and null. Merge keys, duplicate keys and other
tags are refused, and so is whatever expands beyond ``MAX_NODES``, so that a hostile file costs nothing.
"""

import dataclasses
import json
import re
import types
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from haltere.configs.errors import ConfigError, RequestError, short
from haltere.configs.messages import dotted, problem

MAX_BYTES = 1 << 20
MAX_NODES = 100_000
MAX_DEPTH = 50
LARGEST = 2**63 - 1
PLAIN_TAGS = ("null", "bool", "int", "float", "str", "seq", "map")

T = TypeVar("T")


class _PlainLoader(yaml.SafeLoader):
    """YAML's plain part, with duplicate and merge keys refused."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse merge keys: nested ones grow exponentially while they are read."""
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, "merge keys (<<) aren't supported", key.start_mark)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a mapping whose keys all differ; PyYAML would keep the last of two without a word."""
        mapping = super().construct_mapping(node, deep=deep)
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                problem = f"the key {short(key.value)} appears twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return mapping


_PlainLoader.yaml_constructors = {
    tag: constructor
    for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.removeprefix("tag:yaml.org,2002:") in PLAIN_TAGS
}
_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# YAML 1.1 reads 1e-4 and 3e8 as text; people who write them mean numbers, as YAML 1.2 does.
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def parse_yaml(text: str, source: str) -> dict[str, Any]:
    """Read one mapping from YAML text.

    Args:
        text: the document.
        source: what to call it in an error, such as ``configs/swarm.yaml``.

    Raises:
        ConfigError: it isn't plain YAML, isn't a mapping, or expands beyond the limits.
    """
    try:
        data = yaml.load(text, Loader=_PlainLoader)  # a subclass of SafeLoader that reads less than it does
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" line {mark.line + 1}:" if mark else ""
        raise ConfigError(f"{source}:{place} {error.problem}") from None
    except (yaml.YAMLError, LookupError, ValueError) as error:
        raise ConfigError(f"{source}: not readable as YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ConfigError(f"{source}: nested deeper than {MAX_DEPTH} levels") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{source}: must be a mapping of keys to values, got {type(data).__name__}")
    _check_plain(data, source)
    return data


def read_yaml(path: Path, source: str | None = None) -> dict[str, Any]:
    """Read a YAML file that holds one mapping.

    Args:
        path: the file, UTF-8, at most ``MAX_BYTES``.
        source: what to call it in an error; the path where None.

    Raises:
        RequestError: the file is missing or can't be read.
        ConfigError: it is too large, isn't UTF-8, or isn't one plain YAML mapping.
    """
    name = source or str(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise RequestError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise RequestError(f"{name}: must be a file, got a folder") from None
    except OSError as error:
        raise RequestError(f"{name}: can't be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{name}: must be at most {MAX_BYTES} bytes")
    try:
        return parse_yaml(content.decode("utf-8"), name)
    except UnicodeDecodeError as error:
        byte = content[error.start]
        raise ConfigError(f"{name}: must be UTF-8 text, got byte {byte:#04x} at {error.start}") from None


def validate(cls: type[T], data: Mapping[str, Any], source: str, path: str = "") -> T:
    """Build a dataclass from plain data, strictly.

    Args:
        cls: a frozen dataclass with ``__pydantic_config__`` that forbids extra keys and NaN.
        data: what YAML gave.
        source: what to call the data's origin in an error, such as ``configs/swarm.yaml``.
        path: dotted path of ``data`` within its origin, such as ``policy``.

    Raises:
        ConfigError: "source: path: what is wrong, got what"; an unknown key gets the nearest one that exists.
    """
    try:
        value: T = check(cls, data)
    except ValueProblem as error:
        place = ".".join(part for part in (path, error.path) if part)
        raise ConfigError(": ".join(part for part in (source, place, error.message) if part)) from None
    return value


class ValueProblem(ConfigError):
    """A value that doesn't fit its type: the dotted path below the checked value, and the sentence without it."""

    def __init__(self, path: str, message: str) -> None:
        """Keep both; ``str()`` joins them."""
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


def check(annotation: Any, data: Any) -> Any:  # noqa: ANN401 -- any annotation in, a value of that type out
    """Convert plain data to a type, strictly: only lists to tuples and whole numbers to floats change type.

    Args:
        annotation: a dataclass or whatever may annotate one of its fields.
        data: plain data.

    Raises:
        ValueProblem: it doesn't fit; with the path below ``data``.
    """
    _check_plain(data, "")
    try:
        # JSON mode is what lets a list become a tuple while "16" stays text and refuses to become a number.
        return _adapter(annotation).validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        raise ValueProblem(*problem(error, annotation, data)) from None


def dump(value: Any) -> dict[str, Any]:  # noqa: ANN401 -- any configuration dataclass
    """Plain data of a configuration dataclass: ``validate`` of it gives an equal one."""
    kind: Any = type(value)
    plain: dict[str, Any] = _adapter(kind).dump_python(value, mode="json")
    return plain


def to_yaml(value: Any) -> str:  # noqa: ANN401 -- any configuration dataclass, or plain data
    """YAML text of a configuration dataclass or of plain data, keys in their own order."""
    plain = dump(value) if dataclasses.is_dataclass(value) else value
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)


def fields_of(cls: type, prefix: str = "") -> dict[str, Any]:
    """Dotted path -> annotation of every field of a dataclass and of the dataclasses within it.

    Args:
        cls: a dataclass.
        prefix: dotted path of ``cls`` itself.
    """
    found: dict[str, Any] = {}
    hints = get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        path = f"{prefix}.{field.name}" if prefix else field.name
        found[path] = hints[field.name]
        for nested in _dataclasses_in(hints[field.name]):
            found |= fields_of(nested, path)
    return found


def _dataclasses_in(annotation: Any) -> Iterator[type]:  # noqa: ANN401 -- any annotation
    """The dataclasses that a field may hold directly: itself, or members of its union."""
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        yield annotation
    elif hasattr(annotation, "__metadata__") or get_origin(annotation) in (Union, types.UnionType):
        for member in get_args(annotation)[: 1 if hasattr(annotation, "__metadata__") else None]:
            yield from _dataclasses_in(member)


@lru_cache(maxsize=256)
def _adapter(annotation: Any) -> TypeAdapter[Any]:  # noqa: ANN401 -- any annotation
    """Pydantic's validator of a type. A dataclass brings its own configuration, anything else gets ours."""
    if dataclasses.is_dataclass(annotation):
        return TypeAdapter(annotation)
    try:
        return TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False))
    except Exception as error:
        if getattr(error, "code", None) != "type-adapter-config-unused":
            raise
        return TypeAdapter(annotation)


def _check_plain(data: Any, source: str) -> None:  # noqa: ANN401 -- whatever YAML gave
    """Refuse what isn't plain data, and what aliases blow up beyond the limits, before anything walks over it."""
    left = MAX_NODES
    stack: list[tuple[Any, tuple[int | str, ...]]] = [(data, ())]
    while stack:
        value, place = stack.pop()
        left -= 1
        if left < 0:
            raise _refusal(source, (), f"more than {MAX_NODES} values")
        if len(place) > MAX_DEPTH:
            raise _refusal(source, (), f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    raise _refusal(source, place, f"every key must be text, got {short(key)}")
                _check_text(key, source, place)
            stack += [(child, (*place, key)) for key, child in value.items()]
        elif isinstance(value, (list, tuple)):
            stack += [(child, (*place, index)) for index, child in enumerate(value)]
        elif isinstance(value, str):
            _check_text(value, source, place)
        elif isinstance(value, int) and abs(value) > LARGEST:
            raise _refusal(source, place, f"must be within +-{LARGEST}")
        elif value is not None and not isinstance(value, (bool, int, float)):
            raise _refusal(source, place, f"must be plain data, got {type(value).__name__}")


def _check_text(text: str, source: str, place: Sequence[int | str]) -> None:
    """Refuse lone surrogates: no file and no JSON can hold them."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise _refusal(source, place, f"must be valid Unicode, got {short(text)}")


def _refusal(source: str, place: Sequence[int | str], message: str) -> ConfigError:
    """The error of ``_check_plain``: with a source for YAML, without one for a value that ``check`` was given."""
    if not source:
        return ValueProblem(dotted(place), message)
    return ConfigError(": ".join(part for part in (source, dotted(place), message) if part))
