"""Every error that haltere raises on purpose: what, got, valid choices, nearest match.

The command line prints the message alone and leaves with ``exit_code``; a traceback is a bug of ours.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

LONGEST = 60


class HaltereError(Exception):
    """Root of the tree. ``exit_code`` 1: the work failed."""

    exit_code = 1


class RequestError(HaltereError):
    """The request was wrong: a name, a value, a missing file or extra. Exit code 2."""

    exit_code = 2


class ConfigError(RequestError):
    """A configuration key or value is wrong; the message starts with its dotted path."""


class IntegrityError(HaltereError):
    """A file is damaged: its digest, its layout or its contract isn't what it says. Refused before it is parsed."""


class ParityError(HaltereError):
    """An exported model doesn't compute what the trained network computes; the file isn't kept."""


def unknown_name(
    kind: str, got: str, choices: Iterable[str], hint: str = "", *, short_forms: Iterable[str] = ()
) -> RequestError:
    """Build the error for a name that doesn't exist, with the nearest one that does.

    Args:
        kind: what the name should have been, such as ``"task"``.
        got: the name as typed.
        choices: every valid name.
        hint: where to see them all, such as ``"haltere list"``; shown in brackets.
        short_forms: other names of theirs that would do, among which the nearest is looked for too.
    """
    valid = sorted(choices)
    nearest = get_close_matches(got, [*valid, *short_forms], n=1)
    question = f"; did you mean '{nearest[0]}'?" if nearest else "; "
    if hint:
        rest = f" ({hint} shows {f'all {len(valid)}' if len(valid) > 1 else 'what there is'})"
    else:
        rest = f" (valid: {', '.join(valid) or 'none'})"
    return RequestError(f"no {kind} named '{got}'{question.rstrip() if nearest else ''}{rest}")


def short(value: Any) -> str:  # noqa: ANN401 -- any input
    """A value as typed, cut where it is long."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
