"""The trained policies that come with haltere: one policy folder a name, inside the installed package."""

from dataclasses import dataclass
from pathlib import Path

from haltere.configs.errors import IntegrityError, RequestError, unknown_name
from haltere.deploy.card import CARD_NAME, Card, read_card
from haltere.deploy.store import verify_folder

HERE = Path(__file__).parent


@dataclass(frozen=True)
class ZooEntry:
    """A policy folder of the zoo, and what its card says."""

    name: str
    path: Path
    card: Card


def zoo_names() -> list[str]:
    """Names of every entry, sorted; only a folder with a card is one."""
    return sorted(card.parent.name for card in HERE.glob(f"*/{CARD_NAME}"))


def zoo_folder(name: str) -> Path:
    """The policy folder of an entry.

    Raises:
        RequestError: there is no entry of that name.
    """
    if name not in zoo_names():
        raise unknown_name("zoo entry", name, zoo_names(), "haltere list")
    return HERE / name


def zoo_folder_of(task: str, name: str) -> Path:
    """The policy folder of an entry, which a task's own may also be named by the last part of: ``TASK-NAME``.

    Args:
        task: Gymnasium id.
        name: of the entry, or such as ``diffusion`` for the task's entry ``manip-fork-diffusion``.

    Raises:
        RequestError: there is no entry of that name.
        IntegrityError: an entry that may be meant is damaged.
    """
    if name in zoo_names():
        return HERE / name
    meant = [entry for entry in zoo_names() if entry.endswith(f"-{name}")]
    own = [entry for entry in meant if read_card(HERE / entry / CARD_NAME).task == task]
    if len(own) == 1:
        return HERE / own[0]
    if own:
        raise RequestError(f"zoo entry '{name}': {' and '.join(own)} may be meant; name one whole")
    if meant:
        others = f"{', '.join(meant)} {'is' if len(meant) == 1 else 'are'} of another task"
        raise RequestError(f"{task} has no zoo entry '{name}'; {others}")
    endings = sorted({entry.rpartition("-")[2] for entry in zoo_names() if _task_of(entry) == task} - {name})
    raise unknown_name("zoo entry", name, zoo_names(), "haltere list", short_forms=endings)


def _task_of(entry: str) -> str | None:
    """The task of an entry; None where its card is damaged, which whoever asks for another name needn't hear of."""
    try:
        return read_card(HERE / entry / CARD_NAME).task
    except IntegrityError:
        return None


def zoo_entry(name: str) -> ZooEntry:
    """An entry with its card, which is read once every file of the folder is verified.

    Raises:
        RequestError: there is no entry of that name.
        IntegrityError: a file of it is damaged.
    """
    folder = zoo_folder(name)
    return ZooEntry(name, folder, read_card(verify_folder(folder, need=[CARD_NAME])[CARD_NAME]))


def zoo_entries() -> list[ZooEntry]:
    """Every entry with its card, sorted by name.

    Raises:
        IntegrityError: an entry is damaged.
    """
    return [zoo_entry(name) for name in zoo_names()]
