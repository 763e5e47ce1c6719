"""Text from the command line to the type of a setting."""

import json
from contextlib import suppress
from typing import Any

from haltere.configs.loader import ValueProblem, check

WORDS = {"true": True, "false": False, "none": None, "null": None}


def convert(value: Any, annotation: Any) -> Any:  # noqa: ANN401 -- any setting
    """Plain data that fits a setting's type.

    Args:
        value: text, a list of texts (an option with several values), or plain data. Text is taken as it is where
            text fits, else read as a number (``300_000_000``, ``3e8``), ``true``, ``false``, ``none`` or JSON.
        annotation: the setting's type.

    Returns:
        The plain data, not the converted object: the caller validates the whole once more.

    Raises:
        ValueProblem: no reading fits; the sentence is about the likeliest one.
    """
    complaint: ValueProblem | None = None
    for candidate in _readings(value):
        try:
            check(annotation, candidate)
        except ValueProblem as error:
            # That a lone value isn't a list says less than what is wrong with it as the only one of a list.
            if complaint is None or error.path or not complaint.path.startswith("[") or not isinstance(candidate, str):
                complaint = error
        else:
            return candidate
    raise complaint or ValueProblem("", "must have a value")


def _readings(value: Any) -> list[Any]:  # noqa: ANN401 -- plain data
    """What a value may mean, the likeliest last: its complaint is the one that is shown."""
    if isinstance(value, str):
        literals = _literals(value)
        nothing = [None] if None in literals else []
        return [*nothing, [value], *([item] for item in literals), value, *literals]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return [value, [(_literals(item) or [item])[-1] for item in value]]
    return [value]


def _literals(text: str) -> list[Any]:
    """Everything but text that a text may stand for, the most literal last."""
    if text.lower() in WORDS:
        return [WORDS[text.lower()]]
    with suppress(ValueError):
        return [int(text)]
    with suppress(ValueError):
        number = float(text)
        # The whole number twice: the last complaint is the one that is shown, and "3e8" is likeliest a count.
        return [int(number), number, int(number)] if number.is_integer() else [number]
    with suppress(ValueError, RecursionError):
        return [json.loads(text)]
    return []
