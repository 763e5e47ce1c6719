"""A folder is whole or absent, and what is damaged is refused before it is parsed."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from haltere.configs.errors import IntegrityError, RequestError
from haltere.deploy import store
from haltere.deploy.store import (
    MANIFEST_NAME,
    check_replaceable,
    digest,
    remove_leftovers,
    verify_folder,
    write_file,
    write_folder,
)


def fill(text: str) -> Callable[[Path], None]:
    """Two files, one of them in a subfolder."""

    def write(folder: Path) -> None:
        (folder / "model.bin").write_bytes(text.encode() * 100)
        (folder / "sub").mkdir()
        (folder / "sub" / "note.txt").write_text(text, encoding="utf-8")

    return write


def contents(path: Path) -> str:
    """The text that ``fill`` was given, from a folder that verifies."""
    files = verify_folder(path)
    assert set(files) == {"model.bin", "sub/note.txt"}
    text = files["sub/note.txt"].read_text(encoding="utf-8")
    assert files["model.bin"].read_bytes() == text.encode() * 100
    return text


def test_digest_is_sha256_sum(tmp_path: Path) -> None:
    """The digest is the one of FIPS 180-4: its example B.1, SHA-256 of ``abc``."""
    (tmp_path / "file").write_bytes(b"abc")
    assert digest(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("exchange", [True, False])
def test_written_then_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool) -> None:
    """A folder verifies after writing and after replacing, with and without the atomic exchange; nothing is left."""
    if not exchange:
        monkeypatch.setattr(store, "_exchange", lambda first, second: False)
    for text in ("one", "two", "three"):
        write_folder(tmp_path / "deep" / "out", fill(text))
        assert contents(tmp_path / "deep" / "out") == text
    assert os.listdir(tmp_path / "deep") == ["out"]


def test_stop_between_two_renames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file system can't exchange, a stop while the name is free leaves the old folder readable."""
    out = tmp_path / "out"
    write_folder(out, fill("old"))
    monkeypatch.setattr(store, "_exchange", lambda first, second: False)
    real = os.rename

    def rename(source: Path, target: Path) -> None:
        if target == out:
            raise SystemExit
        real(source, target)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(SystemExit):
        write_folder(out, fill("new"))
    assert not out.exists()
    assert contents(out) == "old"
    monkeypatch.undo()
    write_folder(out, fill("new"))
    assert contents(out) == "new"
    assert os.listdir(tmp_path) == ["out"]


def test_full_disk_leaves_the_old_folder(tmp_path: Path) -> None:
    """When the disk is full (a device that really says so), the error comes out and the old folder is as it was."""
    out = tmp_path / "out"
    write_folder(out, fill("old"))

    def too_much(folder: Path) -> None:
        fill("new")(folder)
        with open("/dev/full", "wb") as device:
            device.write(b"one byte too many")

    with pytest.raises(OSError) as caught:
        write_folder(out, too_much)
    assert caught.value.errno == errno.ENOSPC
    assert contents(out) == "old"
    assert os.listdir(tmp_path) == ["out"]


def test_every_flipped_byte_is_refused(tmp_path: Path) -> None:
    """One flipped bit anywhere in a listed file is refused; in the manifest it is refused or changes nothing."""
    out = tmp_path / "out"
    write_folder(out, fill("x"))
    for name in ("model.bin", "sub/note.txt", MANIFEST_NAME):
        whole = (out / name).read_bytes()
        for place in range(len(whole)):
            (out / name).write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            if name != MANIFEST_NAME:
                with pytest.raises(IntegrityError, match="damaged"):
                    verify_folder(out)
                continue
            try:
                listed = verify_folder(out)
            except IntegrityError:
                continue
            assert set(listed) == {"model.bin", "sub/note.txt"}
        (out / name).write_bytes(whole)
    assert contents(out) == "x"


@pytest.mark.parametrize("name", ["model.bin", MANIFEST_NAME])
def test_missing_and_cut_files_are_refused(tmp_path: Path, name: str) -> None:
    """A file that is gone, or shorter than it was, is refused."""
    write_folder(tmp_path / "out", fill("x"))
    whole = (tmp_path / "out" / name).read_bytes()
    (tmp_path / "out" / name).write_bytes(whole[:-3])
    with pytest.raises(IntegrityError):
        verify_folder(tmp_path / "out")
    (tmp_path / "out" / name).unlink()
    with pytest.raises(IntegrityError):
        verify_folder(tmp_path / "out")


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "a/../../secret", "", "c:secret", "a\\b"])
def test_manifest_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    """A manifest that lists a file elsewhere is refused, even with the right digest."""
    (tmp_path / "secret").write_text("s", encoding="utf-8")
    (tmp_path / "out").mkdir()
    entry = {"sha256": digest(tmp_path / "secret"), "bytes": 1}
    manifest = {"format": 1, "files": {name: entry}}
    (tmp_path / "out" / MANIFEST_NAME).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(IntegrityError, match="isn't a digest and size"):
        verify_folder(tmp_path / "out")


def test_links_are_refused(tmp_path: Path) -> None:
    """A link is neither written nor read, wherever it points."""
    (tmp_path / "elsewhere").write_text("x", encoding="utf-8")
    with pytest.raises(OSError, match="links"):
        write_folder(tmp_path / "out", lambda folder: os.symlink(tmp_path / "elsewhere", folder / "link"))
    write_folder(tmp_path / "out", fill("x"))
    shutil.copy(tmp_path / "out" / "model.bin", tmp_path / "copy")
    (tmp_path / "out" / "model.bin").unlink()
    os.symlink(tmp_path / "copy", tmp_path / "out" / "model.bin")
    with pytest.raises(IntegrityError, match="regular"):
        verify_folder(tmp_path / "out")


def test_needed_files_must_be_listed(tmp_path: Path) -> None:
    """A file that isn't listed counts as missing, though it lies in the folder."""
    write_folder(tmp_path / "out", fill("x"))
    (tmp_path / "out" / "extra").write_text("x", encoding="utf-8")
    with pytest.raises(IntegrityError, match="doesn't list extra"):
        verify_folder(tmp_path / "out", need=("model.bin", "extra"))


def test_a_place_that_cant_be_written_to_is_told_before_the_work(tmp_path: Path) -> None:
    """Wherever above it the fault lies, by the name that was asked for; what can be written to is left as it was."""
    with pytest.raises(RequestError, match=r"^/proc/foo/out: can't be made in /proc: "):
        check_replaceable(Path("/proc/foo/out"))
    with pytest.raises(OSError, match="'/proc/foo'"):
        write_folder(Path("/proc/foo"), fill("x"))
    check_replaceable(tmp_path / "new" / "out")
    assert list(tmp_path.iterdir()) == []


def test_only_our_own_folders_are_replaceable(tmp_path: Path) -> None:
    """New, empty, or whole and nothing else; a file, a link, a stranger's or a damaged folder would be a loss."""
    out = tmp_path / "out"
    check_replaceable(out)
    out.mkdir()
    check_replaceable(out)
    write_folder(out, fill("x"))
    check_replaceable(out, need=["model.bin"])
    with pytest.raises(RequestError, match="doesn't list other"):
        check_replaceable(out, need=["other"])
    for extra in (out / "sub" / "notes.md", out / ".hidden"):
        extra.write_text("mine", encoding="utf-8")
        with pytest.raises(RequestError, match=f"{extra.name}, which would be lost"):
            check_replaceable(out)
        extra.unlink()
    (out / "model.bin").write_text("edited", encoding="utf-8")
    with pytest.raises(RequestError, match="damaged"):
        check_replaceable(out)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("mine", encoding="utf-8")
    os.symlink(out, tmp_path / "link")
    refused = {"thesis": "holds other files", "link": "is a link", "thesis/chapter.tex": "is a file"}
    for name, reason in refused.items():
        with pytest.raises(RequestError, match=reason):
            check_replaceable(tmp_path / name)


def test_a_file_has_its_old_bytes_or_its_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Synced before it takes its name; a failure leaves the old bytes and no other file."""
    path, synced = tmp_path / "file", []
    real = os.replace

    def replace(source: Path, target: Path) -> None:
        assert synced == [source]
        real(source, target)

    monkeypatch.setattr(store, "_sync", synced.append)
    monkeypatch.setattr(os, "replace", replace)
    write_file(path, b"old")
    assert synced[1:] == [tmp_path]

    def fails(path: Path) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(store, "_sync", fails)
    with pytest.raises(OSError, match="broken"):
        write_file(path, b"new")
    assert os.listdir(tmp_path) == ["file"] and path.read_bytes() == b"old"


WRITER = """
import os, random, signal, sys, time
from collections.abc import Callable
from pathlib import Path
from haltere.deploy import store

out, exchange, kills = Path(sys.argv[1]), sys.argv[2] == "True", int(sys.argv[3])
if not exchange:
    store._exchange = lambda first, second: False

def write(number):
    def fill(folder):
        for name in ("a", "b"):
            (folder / name).write_bytes(b"%d" % number * 5000)
    store.write_folder(out, fill)

write(0)
random.seed(7)
for attempt in range(kills):
    ready, done = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(done, b".")
        for number in range(1, 1000):
            write(number)
        os._exit(0)
    os.read(ready, 1)
    time.sleep(random.uniform(0.0, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    files = store.verify_folder(out)
    assert files["a"].read_bytes() == files["b"].read_bytes()
    print("loadable", flush=True)
"""


@pytest.mark.parametrize("exchange", [True, False])
def test_random_kills_leave_a_whole_folder(tmp_path: Path, exchange: bool) -> None:
    """However a writer is killed while it replaces a folder, the folder verifies: 50 kills, 50 loadable."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "out"), str(exchange), "50"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["loadable"] * 50, done.stderr
    remove_leftovers(tmp_path)
    assert not list(tmp_path.glob(".tmp-*"))
