"""From what ``--actor`` says to a folder or file. Standard library alone: a wrong one is refused before torch loads."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from haltere.configs.errors import RequestError
from haltere.deploy.zoo import zoo_folder, zoo_folder_of, zoo_names

UNTRAINED = ("expert", "random")
"""Actors without a file."""


def actor_path(name: str, task: str, zoo: str | None, others: Sequence[str] = ()) -> Path:
    """The folder or file that ``--actor`` names.

    Args:
        name: ``zoo``, ``zoo:NAME``, which may be the last part of the name of an entry of the task, or a path.
        task: Gymnasium id, for errors.
        zoo: the task's default zoo entry.
        others: names that the caller takes as well, for errors.

    Raises:
        RequestError: nothing has that name.
    """
    if name == "zoo":
        if zoo is None:
            raise RequestError(f"{task} has no zoo policy of its own; name one with zoo:NAME (haltere list shows all)")
        return zoo_folder(zoo)
    check_actor_name(name, others, task)
    return zoo_folder_of(task, name.removeprefix("zoo:")) if name.startswith("zoo:") else Path(name)


def check_actor_name(name: str, others: Sequence[str] = (), task: str | None = None) -> None:
    """See that ``--actor`` names something.

    Args:
        name: as for ``actor_path``, or one of ``others``.
        others: likewise.
        task: Gymnasium id, for whose entries a zoo name has to be; None for any task's.

    Raises:
        RequestError: nothing has that name.
    """
    if name.startswith("zoo:"):
        entry = name.removeprefix("zoo:")
        if task is not None:
            zoo_folder_of(task, entry)
        elif not any(each.endswith(f"-{entry}") for each in zoo_names()):
            zoo_folder(entry)
    elif name != "zoo" and name not in others and not Path(name).exists():
        near = get_close_matches(name, ["zoo", *others, *(f"zoo:{entry}" for entry in zoo_names())], n=1)
        question = f"; did you mean '{near[0]}'?" if near else ""
        names = ", ".join(("zoo", "zoo:NAME", *others))
        raise RequestError(f"no actor '{name}'{question} ({names}, or a folder or file that exists)")
