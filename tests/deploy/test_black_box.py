"""The black box: a ring that forgets the oldest, and a file that is whole, readable everywhere, and never trusted."""

import io
import json
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest

from haltere.configs.errors import IntegrityError, RequestError
from haltere.deploy.contract import Tensor
from haltere.deploy.runtime import Decision, Mode, Outcome, read_black_box
from haltere.deploy.runtime.black_box import COLUMNS, REASON_NAME, WATCHDOG, BlackBox

from .hostile import mutate
from .robots import toy_contract


def filled(decisions: int, seconds: float = 0.05) -> BlackBox:
    """A box of five rows that saw so many decisions; every number tells which."""
    box = BlackBox(toy_contract(), seconds)
    for n in range(decisions):
        decision = Decision(n, 1, Outcome.GOOD, Mode.RUNNING, np.full(2, n, np.float32), False)
        obs, action = np.arange(7, dtype=np.float32) + n, np.full(2, -n, np.float32)
        box.record(decision, by=WATCHDOG, begun_ns=10 * n, sent_ns=10 * n + 1, obs=obs, action=action)
    return box


def written(path: Path, decisions: int = 3) -> Path:
    """A file of a few decisions."""
    box = filled(decisions)
    box.write(path, box.snapshot(), {"reason": "a test", "slot": 2})
    return path


@pytest.mark.parametrize("decisions", [0, 1, 4, 5, 6, 13])
def test_the_last_decisions_come_back_oldest_first(tmp_path: Path, decisions: int) -> None:
    """Every column of every row, and never more rows than were set aside."""
    box = filled(decisions)
    box.write(tmp_path / "box.npz", box.snapshot(), {"reason": "a test"})
    recording = read_black_box(tmp_path / "box.npz")
    kept = np.arange(max(0, decisions - 5), decisions)
    np.testing.assert_array_equal(recording.columns["slot"], kept)
    np.testing.assert_array_equal(recording.columns["sent_ns"], 10 * kept + 1)
    np.testing.assert_array_equal(recording.columns["by"], np.full(len(kept), WATCHDOG))
    np.testing.assert_array_equal(recording.command, np.repeat(kept, 2).reshape(-1, 2))
    np.testing.assert_array_equal(recording.action, -recording.command)
    np.testing.assert_array_equal(recording.obs["position"], kept[:, None] + np.arange(3))
    np.testing.assert_array_equal(recording.obs["range"], kept[:, None, None] + np.arange(3, 7).reshape(2, 2))
    assert recording.reason["reason"] == "a test" and recording.reason["weights"] == "0" * 64


def test_a_camera_gets_fewer_rows_rather_than_all_the_memory() -> None:
    """16 MiB of 602 KB images are 27 of them; the ring is copied within a tick."""
    contract = toy_contract(inputs=(Tensor("obs.image", (3, 224, 224)),))
    box = BlackBox(contract, 10.0)
    for n in range(40):
        decision = Decision(n, 1, Outcome.GOOD, Mode.RUNNING, np.zeros(2, np.float32), False)
        box.record(decision, by=WATCHDOG, begun_ns=0, sent_ns=0, obs=None, action=None)
    assert box.snapshot()["slot"].tolist() == list(range(40 - 27, 40))


def test_numpy_and_unzip_open_it_without_us(tmp_path: Path) -> None:
    """No pickle in it: an archive of plain arrays and one JSON object."""
    path = written(tmp_path / "box.npz")
    with np.load(path, allow_pickle=False) as archive:
        assert {*COLUMNS, "obs", "action", "command"} <= set(archive.files)
        np.testing.assert_array_equal(archive["slot"], [0, 1, 2])
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read(REASON_NAME))["inputs"][1]["unit"] == "distance [m]"
    assert [item.name for item in tmp_path.iterdir()] == ["box.npz"]


def test_a_damaged_file_is_refused_and_never_crashes(tmp_path: Path) -> None:
    """500 mutants: whole ones give the rows, everything else is one of our errors."""
    data = written(tmp_path / "box.npz").read_bytes()
    rng, path = random.Random(3), tmp_path / "mutant.npz"
    refused = 0
    for _ in range(500):
        path.write_bytes(mutate(data, rng))
        try:
            assert len(read_black_box(path).command) == 3
        except IntegrityError as error:
            assert str(error).startswith(str(path))
            refused += 1
    assert refused > 300


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (REASON_NAME, b"[]", "not a whole black box"),
        (REASON_NAME, b'{"format": 2}', "format 2, expected 1"),
        (REASON_NAME, b"[" * 100_000, "not a whole black box"),
        ("slot.npy", b"x", "not a whole black box"),
        ("slot.npy", np.zeros(2, np.int64), r"is \(\d"),
        ("obs.npy", np.zeros((3, 6), np.float32), "not a whole black box"),
        ("action.npy", np.zeros((3, 2)), r"action is \(3, 2\) float64"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    tmp_path: Path, name: str, content: bytes | np.ndarray, sentence: str
) -> None:
    """Another format, other sizes, other types, or no JSON."""
    source, path = written(tmp_path / "box.npz"), tmp_path / "changed.npz"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.namelist():
            replaced = content if member == name else old.read(member)
            if isinstance(replaced, np.ndarray):
                buffer = io.BytesIO()
                np.lib.format.write_array(buffer, replaced)
                replaced = buffer.getvalue()
            new.writestr(member, replaced)
    with pytest.raises(IntegrityError, match=sentence):
        read_black_box(path)


def test_objects_in_it_are_never_unpickled(tmp_path: Path) -> None:
    """A pickle can run code; numpy refuses to look."""
    path = tmp_path / "evil.npz"
    np.savez(path, slot=np.array([object()]))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(REASON_NAME, '{"format": 1, "inputs": []}')
    with pytest.raises(IntegrityError, match="allow_pickle"):
        read_black_box(path)


def test_a_bomb_isnt_opened(tmp_path: Path) -> None:
    """Two gigabytes of zeros in a file of two megabytes."""
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("slot.npy", "w") as member:
        for _ in range(130):
            member.write(bytes(1 << 23))
    with pytest.raises(IntegrityError, match="is never larger than"):
        read_black_box(path)


def test_a_missing_file_is_a_wrong_request(tmp_path: Path) -> None:
    """Exit code 2."""
    with pytest.raises(RequestError, match="expected a black box"):
        read_black_box(tmp_path / "none.npz")
