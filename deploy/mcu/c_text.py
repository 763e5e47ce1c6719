"""Pieces of C99 as text: numbers that come back bit for bit, arrays, strings, comments, templates."""

import textwrap
from importlib.resources import files
from string import Template

import numpy as np
from numpy.typing import ArrayLike, NDArray

WIDTH = 120
_KEYWORDS = frozenset(
    "auto break case char const continue default do double else enum extern float for goto if inline int long register "
    "restrict return short signed sizeof static struct switch typedef union unsigned void volatile while".split()
)


def template(file: str, /, **values: object) -> str:
    """A file of ``source/`` with its ``$names`` filled in."""
    text = files("haltere.deploy.mcu").joinpath("source", file).read_text(encoding="utf-8")
    return Template(text).substitute({key: str(value) for key, value in values.items()})


def number(value: float) -> str:
    """A float32 as the shortest literal that reads back as the same bits."""
    return f"{np.float32(value)!s}f"


def numbers(values: ArrayLike) -> str:
    """An initialiser with the nesting of the array: ``{{1.0f, 2.0f}, {3.0f, 4.0f}}``."""
    array = np.asarray(values, np.float32)
    if array.ndim == 0:
        return number(float(array))
    return "{" + ", ".join(numbers(item) for item in array) + "}"


def array(name: str, values: NDArray[np.floating]) -> str:
    """A ``static const float`` array of one dimension, in lines of 120 columns."""
    lines = textwrap.wrap(", ".join(number(float(value)) for value in values.ravel()), WIDTH - 2)
    body = "\n".join(f"  {line}" for line in lines)
    return f"static const float {name}[{values.size}] = {{\n{body}\n}};\n"


def string(text: str) -> str:
    """A string literal; what isn't printable ASCII becomes an underscore, and no text ends it early."""
    plain = "".join(letter if " " <= letter <= "~" else "_" for letter in text)
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?")  # no trigraphs
    return f'"{escaped}"'


def comment(text: str, indent: int = 0) -> str:
    """A comment, wrapped; whatever ends a comment early is taken apart."""
    safe = " ".join(text.split()).replace("*/", "* /").replace("/*", "/ *").replace("\\", "/").replace("??", "? ?")
    room = WIDTH - indent
    lines = textwrap.wrap(safe, room - 6) or [""]
    space = " " * indent
    if len(lines) == 1:
        return f"{space}/* {lines[0]} */"
    return f"{space}/* " + f"\n{space} * ".join(lines) + " */"


def is_name(text: str) -> bool:
    """Whether C takes a text as the name of a field."""
    return text.isidentifier() and text.isascii() and text not in _KEYWORDS
