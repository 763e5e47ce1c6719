"""Options as they are typed. Standard library alone, because the edge install reads options too."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from haltere.configs.errors import RequestError


def option(path: str) -> str:
    """A dotted path as it is typed: ``trainer.total_steps`` is ``--trainer.total-steps``."""
    text = f"--{path.replace('_', '-')}"
    return text if text.isprintable() else ascii(text)[1:-1]


def unknown_setting(path: str, known: Mapping[str, Any]) -> RequestError:
    """The error for an option that doesn't exist, with the nearest one that does."""
    names = [option(name) for name in known]
    nearest = get_close_matches(option(path), names, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]}?" if nearest else f"the options are {', '.join(names)}"
    return RequestError(f"no option {option(path)}; {hint}")
