"""Options of a verb that the edge install has as well: read, checked and explained by the standard library alone."""

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from haltere.agents.cli.words import HELP, split_words
from haltere.agents.options import option, unknown_setting
from haltere.configs.errors import RequestError, short

Reader = Callable[[list[str]], Any]


@dataclass(frozen=True)
class Plain:
    """One option.

    Attributes:
        read: makes a value of the words after it; raises ``ValueError`` with what they must be.
        default: where it isn't given.
        shown: what stands for the value in the help; empty for a switch.
        meaning: the help's text.
    """

    read: Reader
    default: Any
    shown: str
    meaning: str


@dataclass(frozen=True)
class Typed:
    """What was typed after a verb.

    Attributes:
        words: before the first option.
        options: the value of every option, typed or not.
        given: the options that were typed, in that order.
    """

    words: list[str]
    options: dict[str, Any]
    given: tuple[str, ...]


def read_plain(words: Sequence[str], options: Mapping[str, Plain]) -> Typed:
    """Read ``[WORD ...] [--option value ...]``.

    Args:
        words: what came after the verb.
        options: path -> option.

    Raises:
        RequestError: there is no such option, it comes twice, or its value doesn't fit.
    """
    first = next((index for index, word in enumerate(words) if word.startswith("--")), len(words))
    typed = split_words(words[first:])
    values = {path: plain.default for path, plain in options.items()}
    for path, given in typed.items():
        if path not in options:
            raise unknown_setting(path, options)
        try:
            values[path] = options[path].read(given)
        except ValueError as error:
            raise RequestError(f"{option(path)}: {error}") from None
    return Typed(list(words[:first]), values, tuple(typed))


def check_together(given: Sequence[str], goes_with: Mapping[str, tuple[str, Sequence[str]]]) -> None:
    """Refuse an option that another one makes meaningless: nothing that was typed is quietly ignored.

    Args:
        given: the options that were typed.
        goes_with: option -> what it does, and the only others that have a meaning beside it; the first row that was
            typed is the one that complains.

    Raises:
        RequestError: two that contradict each other.
    """
    for name, (does, others) in goes_with.items():
        wrong = [other for other in given if other != name and other not in others]
        if name in given and wrong:
            raise RequestError(f"{option(wrong[0])}: has no meaning beside {option(name)}, which {does}; drop one")


def asks_for_help(words: Sequence[str]) -> bool:
    """Whether one of the words does."""
    return any(word in HELP for word in words)


def plain_help(usage: str, about: str, options: Mapping[str, Plain]) -> str:
    """The help of a verb."""
    lines = [f"usage: haltere {usage}", "", about.strip(), "", "options:"]
    for path, plain in options.items():
        lines.append(f"  {option(path)} {plain.shown}".rstrip())
        lines += textwrap.wrap(plain.meaning, 110, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)


def text(words: list[str]) -> str:
    """One word."""
    if not words:
        raise ValueError("must be followed by a value")
    if len(words) > 1:
        raise ValueError(f"takes one value, got {short(' '.join(words))}")
    return words[0]


def text_or_dash(words: list[str]) -> str:
    """One word, or ``-`` where there is none."""
    return text(words) if words else "-"


def switch(words: list[str]) -> bool:
    """True."""
    if words:
        raise ValueError(f"takes no value, got {short(' '.join(words))}")
    return True


def one_of(*names: str) -> Reader:
    """A reader of one of these words."""

    def read(words: list[str]) -> str:
        word = text(words)
        if word not in names:
            raise ValueError(f"must be one of {', '.join(names)}, got {short(word)}")
        return word

    return read


def whole(least: int, most: int) -> Reader:
    """A reader of whole numbers from ``least`` to ``most``."""

    def read(words: list[str]) -> int:
        word = text(words)
        try:
            value = int(word)
        except ValueError:
            raise ValueError(f"must be a whole number, got {short(word)}") from None
        return int(_between(value, least, most))

    return read


def number(least: float, most: float) -> Reader:
    """A reader of finite numbers from ``least`` to ``most``."""
    return lambda words: _between(_number(text(words)), least, most)


def numbers(words: list[str]) -> list[float]:
    """Finite numbers with commas or spaces between them."""
    parts = [part for word in words for part in word.split(",") if part]
    if not parts:
        raise ValueError("must be followed by a value")
    return [_number(part) for part in parts]


def _number(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        raise ValueError(f"must be a number, got {short(word)}") from None
    if not math.isfinite(value):
        raise ValueError(f"must be a finite number, got {word}")
    return value


def _between(value: float, least: float, most: float) -> float:
    if value < least:
        raise ValueError(f"must be at least {least:g}, got {value:g}")
    if value > most:
        raise ValueError(f"must be at most {most:g}, got {value:g}")
    return value
