"""Folders that are whole or absent: written aside, digested, synced, renamed; verified before anything is parsed.

``manifest.json`` in a folder holds the SHA-256 and size of every other file. Standard library only, because the edge
install verifies its models with it.
"""

import ctypes
import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from haltere.configs.errors import IntegrityError, RequestError

MANIFEST_NAME = "manifest.json"
TEMPORARY_PREFIX = ".tmp-"
_FORMAT = 1
_MAX_MANIFEST_BYTES = 1 << 20
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Write a folder so that, whenever the process or the machine stops, ``path`` is as before or complete.

    The files are written to a hidden folder beside ``path``, synced to the disk with their manifest, and renamed. An
    older folder of that name is exchanged in one system call where the file system can, and otherwise moved aside to
    ``.old-<name>``, from where ``verify_folder`` reads it until the new one is in place.

    Args:
        path: the folder to make or to replace, whatever lies in it; ``check_replaceable`` comes first where it is a
            user's choice.
        fill: writes the files into the empty folder that it is given; subfolders are fine, links aren't.

    Raises:
        OSError: the disk is full, or the place can't be written; ``path`` is as before.
    """
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{TEMPORARY_PREFIX}{path.name}-{secrets.token_hex(4)}"
    # mkdir rather than tempfile: the folder is read by others, and tempfile's mode 0700 would survive the rename.
    try:
        temporary.mkdir()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    try:
        fill(temporary)
        _seal(temporary)
        _publish(temporary, path)
        _sync(path.parent)
    finally:
        # After an exchange this is the replaced folder; after a failure, what was written so far.
        shutil.rmtree(temporary, ignore_errors=True)


def verify_folder(path: Path, need: Iterable[str] = ()) -> dict[str, Path]:
    """Check every file of a folder against its manifest, before anything of it is parsed.

    Args:
        path: a folder that ``write_folder`` wrote.
        need: files that the manifest must list.

    Returns:
        Path of each file that the manifest lists, by its name relative to the folder. Others aren't to be read.

    Raises:
        IntegrityError: a file is missing, of another size or digest, or the manifest itself isn't whole.
    """
    folder = path if path.exists() or not _aside(path).exists() else _aside(path)
    listed = _read_manifest(folder)
    missing = [name for name in need if name not in listed]
    if missing:
        raise IntegrityError(f"{path}: its manifest doesn't list {', '.join(missing)}")
    return {name: _verify_file(folder, name, entry) for name, entry in listed.items()}


def check_replaceable(path: Path, need: Iterable[str] = (), made: Iterable[str] = ()) -> None:
    """See that writing a folder costs nobody a file: it is new, empty, or whole and holds what is listed alone.

    Args:
        path: the folder that ``write_folder`` would replace.
        need: files that tell such a folder from others with a manifest.
        made: files that somebody makes in such a folder and can make again; they may be there.

    Raises:
        RequestError: it is a file, a link, a folder with anything else in it, or its place can't be written to.
    """
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise RequestError(f"{path}: must be a folder, and this is a {'link' if path.is_symlink() else 'file'}")
    try:
        inside = {item.relative_to(path).as_posix() for item in path.rglob("*")} if path.exists() else set()
        if inside and not (path / MANIFEST_NAME).is_file():
            raise RequestError(f"{path}: holds other files ({min(inside)}), which would be lost; choose another folder")
        listed = {MANIFEST_NAME, *verify_folder(path, need)} if inside else set()
    except (IntegrityError, OSError) as error:
        raise RequestError(f"{path}: isn't empty and can't be replaced: {error}; choose another folder") from None
    listed |= set(made)
    expected = listed | {parent.as_posix() for name in listed for parent in PurePosixPath(name).parents}
    others = sorted(inside - expected)
    if others:
        raise RequestError(f"{path}: also holds {others[0]}, which would be lost; choose another folder")
    check_place(path)


def check_place(path: Path) -> None:
    """See that a folder can be made or replaced at a path, before the work that it is for. Leaves nothing behind.

    Raises:
        RequestError: the nearest folder above that exists can't be written to.
    """
    above = next(parent for parent in path.absolute().parents if parent.exists())
    # Tried rather than asked: permissions don't tell of a read-only file system, or one that isn't for files.
    trial = above / f"{TEMPORARY_PREFIX}{secrets.token_hex(4)}"
    try:
        trial.mkdir()
        trial.rmdir()
    except OSError as error:
        raise RequestError(f"{path}: can't be made in {above}: {error.strerror or error}") from None


def write_file(path: Path, data: bytes) -> None:
    """Write a small file in one go: whenever the machine stops, it has its old bytes or its new ones.

    Raises:
        OSError: it can't be written; it is as before.
    """
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}")
    try:
        temporary.write_bytes(data)
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(parent: Path) -> None:
    """Delete what writers that were killed left in a folder. Only for a folder with no other writer at work."""
    for leftover in parent.glob(f"{TEMPORARY_PREFIX}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _aside(path: Path) -> Path:
    """Where the old folder waits while a file system that can't exchange takes the new one."""
    return path.parent / f".old-{path.name}"


def _seal(folder: Path) -> None:
    """Write the manifest and force files and folders to the disk."""
    entries: dict[str, dict[str, Any]] = {}
    folders = [folder]
    for item in sorted(folder.rglob("*")):
        if item.is_symlink():
            raise OSError(errno.EINVAL, "a folder with a manifest can't hold links", str(item))
        if item.is_dir():
            folders.append(item)
            continue
        entries[item.relative_to(folder).as_posix()] = {"sha256": digest(item), "bytes": item.stat().st_size}
        _sync(item)
    manifest = folder / MANIFEST_NAME
    text = json.dumps({"format": _FORMAT, "files": entries}, indent=2, sort_keys=True)
    manifest.write_text(text + "\n", encoding="utf-8")
    _sync(manifest)
    for item in reversed(folders):
        _sync(item)


def _sync(path: Path) -> None:
    """Force a file or a folder's entries to the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows can't open a folder, and commits its entries with the rename
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _publish(temporary: Path, path: Path) -> None:
    """Give the temporary folder its name."""
    aside = _aside(path)
    if path.exists():
        if _exchange(temporary, path):
            return
        shutil.rmtree(aside, ignore_errors=True)
        os.rename(path, aside)
    os.rename(temporary, path)
    if aside.exists():
        _sync(path.parent)
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two names in one step (Linux, ``renameat2``); False where the system or the file system can't."""
    if not sys.platform.startswith("linux"):
        return False
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    return bool(renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0)


def _read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """The manifest's entries, with their types and names checked."""
    manifest = folder / MANIFEST_NAME
    try:
        if manifest.stat().st_size > _MAX_MANIFEST_BYTES:
            raise IntegrityError(f"{manifest}: larger than {_MAX_MANIFEST_BYTES} bytes; not a manifest")
        data = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise IntegrityError(f"{folder}: has no readable {MANIFEST_NAME} ({_brief(error)})") from None
    files = data.get("files") if isinstance(data, dict) else None
    if not isinstance(files, dict) or data.get("format") != _FORMAT:
        raise IntegrityError(f"{manifest}: not a manifest of format {_FORMAT}")
    for name, entry in files.items():
        whole = isinstance(entry, dict) and isinstance(entry.get("sha256"), str) and isinstance(entry.get("bytes"), int)
        if not whole or not _is_inside(name):
            raise IntegrityError(f"{manifest}: the entry {name!r:.80} isn't a digest and size of a file in this folder")
    return files


def _is_inside(name: str) -> bool:
    """Whether a listed name stays in its folder on every system."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and not any(c in name for c in "\\:\0")


def _verify_file(folder: Path, name: str, entry: dict[str, Any]) -> Path:
    path = folder / name
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise IntegrityError(f"{path}: not a regular file")
        if status.st_size != entry["bytes"]:
            raise IntegrityError(f"{path}: damaged: {status.st_size} bytes, its manifest says {entry['bytes']}")
        found = digest(path)
    except OSError as error:
        raise IntegrityError(f"{path}: listed in the manifest but can't be read ({_brief(error)})") from None
    if found != entry["sha256"]:
        raise IntegrityError(f"{path}: damaged: SHA-256 is {found[:12]}…, its manifest says {entry['sha256'][:12]}…")
    return path


def _brief(error: Exception) -> str:
    """The reason alone, without the path that the message already has."""
    return (error.strerror if isinstance(error, OSError) else None) or f"{type(error).__name__}: {error}"
