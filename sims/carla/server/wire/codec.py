"""Values as CARLA's client packs them: a structure is the array of its fields in their order, and nothing is named.

An optional is ``[False]`` or ``[True, value]``. Whoever reads a value says of what type it should be, and gets that or
a ``WireError`` with the place in it: a client can send anything.
"""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from reprlib import repr as short
from types import NoneType, UnionType
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints

from haltere.configs.errors import RequestError

Reader = Callable[[Any, str], Any]
Int32 = NewType("Int32", int)
"""A whole number that may be negative; any other is of 32 bits without a sign."""
Raw = NewType("Raw", object)
"""Whatever came, for who reads it by himself."""
_LARGEST_FLOAT = 3.4e38
"""What four bytes hold: every number that a client sends goes back into a stream as such, sooner or later."""


class WireError(RequestError):
    """A message isn't what its receiver takes; says where."""


def pack(value: Any) -> Any:  # noqa: ANN401 -- any value of a structure
    """Plain data for msgpack.

    Args:
        value: a dataclass, a sequence, an enumeration's member, or what msgpack knows. An optional of a structure is
            packed with it; elsewhere None is none of CARLA's values.
    """
    if is_dataclass(value) and not isinstance(value, type):
        kinds = _hints(type(value))
        return [_field(getattr(value, field.name), kinds[field.name]) for field in fields(value)]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [pack(each) for each in value]
    return value


def _field(value: Any, kind: Any) -> Any:  # noqa: ANN401 -- any value of any type
    if _optional(kind) is None:
        return pack(value)
    return [False] if value is None else [True, pack(value)]


def unpack(kind: Any, data: Any, place: str = "message") -> Any:  # noqa: ANN401 -- any type, any data
    """A value of a type.

    Args:
        kind: a dataclass, ``float``, ``int``, ``Int32``, ``bool``, ``str``, ``bytes``, an enumeration,
            ``tuple[T, ...]`` or ``T | None``.
        data: what msgpack read.
        place: where it stands, for the error.

    Raises:
        WireError: it is another type, has another number of fields, or is larger than what the client may send.
    """
    return reader(kind)(data, place)


@cache
def reader(kind: Any) -> Reader:  # noqa: ANN401 -- any type
    """What reads values of a type; made once.

    Raises:
        TypeError: nothing of the type can stand in a message.
    """
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    inner = _optional(kind)
    if inner is not None:
        return _maybe(reader(inner))
    if get_origin(kind) is tuple and len(get_args(kind)) == 2 and get_args(kind)[1] is ...:
        return _many(reader(get_args(kind)[0]))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _member(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        hints = _hints(kind)
        return _structure(kind, [(field.name, reader(hints[field.name])) for field in fields(kind)])
    raise TypeError(f"{kind} can't stand in a message")


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _optional(kind: Any) -> Any:  # noqa: ANN401 -- any type
    """T of ``T | None``; None for whatever else."""
    if get_origin(kind) not in (Union, UnionType):
        return None
    inner = [each for each in get_args(kind) if each is not NoneType]
    return inner[0] if len(inner) == 1 else None


def _number(data: Any, place: str) -> float:  # noqa: ANN401 -- whatever came
    # Not "greater": a NaN isn't within the limit either.
    if isinstance(data, bool) or not isinstance(data, (int, float)) or not abs(data) <= _LARGEST_FLOAT:
        raise WireError(f"{place}: must be a number that four bytes hold, got {short(data)}")
    return float(data)


def _whole(data: Any, place: str) -> int:  # noqa: ANN401 -- whatever came
    if isinstance(data, bool) or not isinstance(data, int) or not 0 <= data < 2**32:
        raise WireError(f"{place}: must be a whole number of 32 bits, got {short(data)}")
    return data


def _signed(data: Any, place: str) -> int:  # noqa: ANN401 -- whatever came
    if isinstance(data, bool) or not isinstance(data, int) or not -(2**31) <= data < 2**31:
        raise WireError(f"{place}: must be a whole number of 32 bits with a sign, got {short(data)}")
    return data


def _truth(data: Any, place: str) -> bool:  # noqa: ANN401 -- whatever came
    if not isinstance(data, bool):
        raise WireError(f"{place}: must be true or false, got {short(data)}")
    return data


def _text(data: Any, place: str) -> str:  # noqa: ANN401 -- whatever came
    if not isinstance(data, str):
        raise WireError(f"{place}: must be text, got {short(data)}")
    return data


def _octets(data: Any, place: str) -> bytes:  # noqa: ANN401 -- whatever came
    if not isinstance(data, bytes):
        raise WireError(f"{place}: must be bytes, got {short(data)}")
    return data


def _as_it_is(data: Any, place: str) -> Any:  # noqa: ANN401 -- whatever came
    return data


_SIMPLE: dict[Any, Reader] = {
    float: _number,
    int: _whole,
    Int32: _signed,
    bool: _truth,
    str: _text,
    bytes: _octets,
    Raw: _as_it_is,
}


def _maybe(inner: Reader) -> Reader:
    def read(data: Any, place: str) -> Any:  # noqa: ANN401 -- whatever came
        if isinstance(data, (list, tuple)) and len(data) == 2 and data[0] is True:
            return inner(data[1], place)
        if isinstance(data, (list, tuple)) and len(data) == 1 and data[0] is False:
            return None
        raise WireError(f"{place}: must be [false] or [true, value], got {short(data)}")

    return read


def _many(inner: Reader) -> Reader:
    def read(data: Any, place: str) -> tuple[Any, ...]:  # noqa: ANN401 -- whatever came
        if not isinstance(data, (list, tuple)):
            raise WireError(f"{place}: must be a list, got {short(data)}")
        return tuple(inner(each, f"{place}[{number}]") for number, each in enumerate(data))

    return read


def _member(kind: type[Enum]) -> Reader:
    def read(data: Any, place: str) -> Enum:  # noqa: ANN401 -- whatever came
        try:
            return kind(_whole(data, place))
        except ValueError:
            choices = ", ".join(f"{each.value} ({each.name.lower()})" for each in kind)
            raise WireError(f"{place}: must be one of {choices}, got {short(data)}") from None

    return read


def _structure(kind: type, members: list[tuple[str, Reader]]) -> Reader:
    def read(data: Any, place: str) -> Any:  # noqa: ANN401 -- whatever came
        if not isinstance(data, (list, tuple)) or len(data) != len(members):
            wanted = ", ".join(name for name, _ in members)
            raise WireError(f"{place}: must be {kind.__name__} ({wanted}), got {short(data)}")
        return kind(*(inner(each, f"{place}.{name}") for (name, inner), each in zip(members, data, strict=True)))

    return read
