"""Parts of a recording: folders that are whole or absent, so that a killed recording goes on where it was.

``FOLDER/.recording`` holds the plan, a lock, and one folder for every ``PART_EPISODES`` seeds that are done.
"""

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from haltere.configs.errors import RequestError
from haltere.sims.datasets.layout import INFO, OURS

PART_EPISODES = 16
"""Seeds of one part, and worlds side by side; the dataset doesn't depend on it."""
WORKSPACE = ".recording"
_PLAN = "plan.json"
_TEMPORARY = ".tmp-"


@dataclass(frozen=True)
class Plan:
    """What is to be recorded; two recordings of one plan are equal byte for byte.

    Attributes:
        task: Gymnasium id.
        module: whose import registers the task.
        env: every setting of the task, plain data.
        env_digest: ``config_digest`` of the two.
        seed: the first episode seed.
        episodes: how many seeds are played.
        keep_failures: whether episodes without success stay.
        version: haltere's.
    """

    task: str
    module: str
    env: dict[str, Any]
    env_digest: str
    seed: int
    episodes: int
    keep_failures: bool
    version: str

    def parts(self) -> int:
        """How many parts there are."""
        return -(-self.episodes // PART_EPISODES)

    def seeds(self, part: int) -> range:
        """Episode seeds of one part."""
        first = self.seed + part * PART_EPISODES
        return range(first, min(first + PART_EPISODES, self.seed + self.episodes))


def part_folder(folder: Path, part: int) -> Path:
    """Where a part lies."""
    return folder / WORKSPACE / f"part-{part:05d}"


@contextmanager
def workspace(folder: Path, plan: Plan) -> Iterator[bool]:
    """Hold a folder for one recording: made where it is new, checked where it isn't.

    Args:
        folder: of the dataset.
        plan: of this recording.

    Yields:
        Whether the dataset is there already, whole.

    Raises:
        RequestError: something else lies in the folder, it can't be made, or another process is recording into it.
        OSError: the folder can't be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"{folder}: must be a folder, and is a file")
    _check(folder, plan)
    inside = folder / WORKSPACE
    try:
        inside.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"{folder}: can't be made or written to: {error.strerror}") from None
    with (inside / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RequestError(f"{folder}: another process is recording into it") from None
        _check(folder, plan)
        for leftover in inside.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        done = (folder / INFO).exists()
        if not done:
            write_whole(inside / _PLAN, json.dumps(asdict(plan), indent=2, sort_keys=True).encode())
        yield done
        if (folder / INFO).exists():
            shutil.rmtree(inside)


def write_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Make a folder that is whole or absent; nothing happens where it is there already.

    Args:
        path: the folder.
        fill: writes the files into the empty folder that it is given.
    """
    temporary = path.with_name(f"{_TEMPORARY}{path.name}-{secrets.token_hex(4)}")
    temporary.mkdir()
    try:
        fill(temporary)
        for item in (*temporary.rglob("*"), temporary):
            sync(item)
        try:
            temporary.rename(path)
        except OSError:
            # A worker that a killed call left behind may have been first, with the same files.
            if not path.exists():
                raise
        sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file that has its old bytes or its new ones."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_bytes(data)
        sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Force a file or a folder's entries to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check(folder: Path, plan: Plan) -> None:
    """See that a folder is new, or holds this recording and nothing else."""
    found = _found(folder)
    inside = {item.name for item in folder.iterdir()} if folder.exists() else set()
    if found is None:
        others = sorted(inside - {WORKSPACE})
        if others:
            raise RequestError(f"{folder}: holds other files ({others[0]}); choose another folder")
        return
    wanted = json.loads(json.dumps(asdict(plan)))
    differing = [key for key in wanted if found.get(key) != wanted[key]]
    if differing:
        key = differing[0]
        old, new = _brief(found.get(key), wanted[key])
        raise RequestError(
            f"{folder}: holds another recording, whose {key} is {old} where {new} is asked for; choose another folder"
        )


def _brief(old: Any, new: Any) -> tuple[str, str]:  # noqa: ANN401 -- values of a plan
    """Two values as text; of two mappings, the first entries that differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        key = next(key for key in sorted({*old, *new}) if old.get(key) != new.get(key))
        return f"{key}={old.get(key)!r:.60}", f"{key}={new.get(key)!r:.60}"
    return f"{old!r:.60}", f"{new!r:.60}"


def _found(folder: Path) -> Mapping[str, Any] | None:
    """The plan of the recording that a folder holds, whole or begun; None where it holds none."""
    for path, key in ((folder / WORKSPACE / _PLAN, None), (folder / INFO, OURS)):
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except ValueError:
            return {}
        found = data.get(key) if key and isinstance(data, dict) else data
        return found if isinstance(found, dict) else {}
    return None
