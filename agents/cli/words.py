"""The words of a command and what is written for them. Standard library alone: the edge install has nothing else."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from haltere.agents.options import option
from haltere.configs.errors import RequestError, short

HELP = ("--help", "-h")


def split_words(words: Sequence[str]) -> dict[str, list[str]]:
    """Option -> the words after it, up to the next option; ``--name=value`` is one of each.

    Names come back as paths: hyphens and underscores are the same, ``--trainer.total-steps`` is
    ``trainer.total_steps``.

    Raises:
        RequestError: a word belongs to no option, or an option comes twice.
    """
    typed: dict[str, list[str]] = {}
    current: list[str] | None = None
    for word in words:
        if not word.startswith("--"):
            if current is None:
                raise RequestError(f"unexpected {short(word)}; options start with --")
            current.append(word)
            continue
        name, equals, value = word[2:].partition("=")
        path = name.replace("-", "_")
        if path in typed:
            raise RequestError(f"{option(path)} is given twice")
        current = typed[path] = [value] if equals else []
    return typed


def write_json(value: Mapping[str, Any], target: str) -> None:
    """Write one JSON object.

    Args:
        value: plain data without NaN.
        target: a file, replaced in one go, or ``-`` for standard output.

    Raises:
        RequestError: the target can't be a file.
    """
    text = json.dumps(value, indent=2, allow_nan=False)
    if target == "-":
        print(text)
        return
    path = output_file(target, "json")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text + "\n", encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def output_file(target: str, name: str) -> Path:
    """A path that a file can be written to, checked before the work and not after it.

    Args:
        target: as typed.
        name: the option's name.

    Raises:
        RequestError: it is a folder or a device, its folder doesn't exist, or one of the two can't be written to.
    """
    path = Path(target)
    folder = path.absolute().parent
    if path.is_dir():
        raise RequestError(f"{option(name)}: must be a file, got the folder {target}")
    if path.exists() and not path.is_file():
        raise RequestError(f"{option(name)}: must be an ordinary file, got {target}")
    if not folder.is_dir():
        raise RequestError(f"{option(name)}: there is no folder {folder}")
    # The folder as well as the file: a file appears whole by taking the place of the old one.
    if not os.access(folder, os.W_OK | os.X_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise RequestError(f"{option(name)}: no permission to write {target}")
    return path


def say(sentence: str) -> None:
    """Tell the user on standard error, which is never parsed."""
    print(sentence, file=sys.stderr)
