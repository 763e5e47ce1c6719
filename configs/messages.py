"""Pydantic's errors in our words: what was wanted, what was got, and the nearest key that exists."""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args, get_type_hints

from pydantic import ValidationError

from haltere.configs.errors import short

WANTED = {
    "finite_number": "must be a finite number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "none_required": "must be null",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "dataclass_type": "must be a mapping of keys to values",
    "dataclass_exact_type": "must be a mapping of keys to values",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
}


def problem(error: ValidationError, annotation: Any, data: Any) -> tuple[str, str]:  # noqa: ANN401 -- any type, any data
    """Dotted path and sentence of the first thing that is wrong.

    Args:
        error: what pydantic raised.
        annotation: the type that was asked for; where it is a dataclass, its fields are the choices.
        data: what was validated, plain.
    """
    first, *others = error.errors(include_url=False)
    location = _location(first["loc"], data)
    path = dotted(location)
    kind = first["type"]
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        return path, _unknown_key(annotation, [part for part in location if isinstance(part, str)])
    if kind in ("missing", "missing_argument"):
        return path, "is missing"
    if kind == "value_error":
        return path, " ".join(str(first["ctx"]["error"]).split())
    # A union complains once for each of its members, at the same place.
    same_place = [other for other in others if _location(other["loc"], data) == location]
    wanted = " or ".join([_wanted(first), *(_wanted(other).removeprefix("must be ") for other in same_place)])
    return path, f"{wanted}, got {short(first['input'])}{_nearest(first)}"


def dotted(location: Sequence[int | str]) -> str:
    """A location as a dotted path: ``more[1].sigma``; a key that isn't a word is quoted."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            key = part if re.fullmatch(r"[\w-]{1,60}", part, re.ASCII) else short(part)
            path += f".{key}" if path else key
    return path


def _location(location: Sequence[int | str], data: Any) -> list[int | str]:  # noqa: ANN401 -- plain data
    """A pydantic location without the names of union members, which pydantic adds and which aren't in the data."""
    found: list[int | str] = []
    for index, part in enumerate(location):
        inside = (isinstance(data, dict) and part in data) or (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        )
        if inside:
            data = data[part]
        if inside or (index == len(location) - 1 and isinstance(data, (dict, list))):  # the latter is what is missing
            found.append(part)
    return found


def _wanted(error: Mapping[str, Any]) -> str:
    """What the value must be, in words."""
    context = error.get("ctx", {})
    if error["type"] in ("literal_error", "enum"):
        return f"must be one of {context['expected']}".replace("'", "")
    if error["type"] in WANTED:
        return WANTED[error["type"]].format(**{key: _number(value) for key, value in context.items()})
    message = str(error["msg"])
    return message[:1].lower() + message[1:]


def _number(value: Any) -> Any:  # noqa: ANN401 -- a bound of any type
    """A bound as a person writes it: 1 rather than 1.0."""
    return int(value) if isinstance(value, float) and math.isfinite(value) and value.is_integer() else value


def _nearest(error: Mapping[str, Any]) -> str:
    """The nearest choice, where the choices are words."""
    if error["type"] != "literal_error" or not isinstance(error["input"], str):
        return ""
    close = get_close_matches(error["input"], re.findall(r"'([^']*)'", str(error["ctx"]["expected"])), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _unknown_key(annotation: Any, keys: Sequence[str]) -> str:  # noqa: ANN401 -- any annotation
    """The sentence for a key that no field has, with the nearest field of the dataclass that it was given to."""
    owner = annotation
    for key in keys[:-1]:
        owner = _field_type(owner, key)
    valid = [field.name for field in dataclasses.fields(owner)] if dataclasses.is_dataclass(owner) else []
    close = get_close_matches(keys[-1], valid, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"no such key{hint} (valid: {', '.join(valid)})" if valid else "no such key"


def _field_type(owner: Any, key: str) -> Any:  # noqa: ANN401 -- any annotation
    """The dataclass that a field holds, alone or in a union; None where there is none."""
    if not dataclasses.is_dataclass(owner):
        return None
    annotation = get_type_hints(owner).get(key)
    candidates = [annotation, *get_args(annotation)]
    return next((kind for kind in candidates if dataclasses.is_dataclass(kind)), None)
