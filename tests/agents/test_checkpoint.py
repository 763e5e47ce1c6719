"""A checkpoint is whole or not there, and a run goes on from the newest whole one."""

import errno
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from haltere.agents import progress
from haltere.agents.checkpoint import read_checkpoint, write_checkpoint
from haltere.agents.logs import METRICS_NAME, MetricsLog, drop_rows_after
from haltere.agents.run_folder import RunFolder, RunSettings
from haltere.agents.trainer import TrainerState
from haltere.configs.errors import ConfigError, HaltereError, IntegrityError, RequestError
from haltere.deploy.store import digest
from haltere.deploy.weights import read_weights, save_arrays
from haltere.policies.base import Signature

SIGNATURE = Signature({"self": (3,)}, 2)


def state(step: int) -> TrainerState:
    """A state of every kind of array that trainers and tasks have, told apart by its step."""
    arrays = {
        "float": np.full((3, 4), step, np.float32),
        "double": np.array(step, np.float64),
        "words": np.array([2**64 - 1, step], np.uint64),
        "bytes": np.arange(5, dtype=np.uint8),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 3), np.int64),
        "turned": np.arange(12, dtype=np.int32).reshape(3, 4).T,
        "slice": np.arange(12, dtype=np.int16)[::3],
    }
    return TrainerState({"weight": np.full(7, step, np.float32)}, arrays, {"steps": step, "big": 2**100, "text": "é"})


def run_folder(path: Path) -> RunFolder:
    """A new run."""
    return RunFolder(path, "config: 1\n", RunSettings(seed=5, threads=2, command="haltere train toy")).make()


def test_state_comes_back_exactly(tmp_path: Path) -> None:
    """Every array comes back with its bits, type and shape, every value with its own."""
    before = state(12)
    write_checkpoint(tmp_path / "12", before, SIGNATURE, "config: 1\n")
    after = read_checkpoint(tmp_path / "12")
    assert after.values == before.values
    for mine, theirs in ((before.policy, after.policy), (before.arrays, after.arrays)):
        assert set(mine) == set(theirs)
        for name, array in mine.items():
            assert theirs[name].dtype == array.dtype and theirs[name].shape == array.shape
            np.testing.assert_array_equal(theirs[name], array, err_msg=name)


def test_checkpoint_is_a_policy_folder(tmp_path: Path) -> None:
    """Whatever takes a policy folder finds what it needs in a checkpoint; nothing in it is a pickle."""
    write_checkpoint(tmp_path / "12", state(12), SIGNATURE, "config: 1\n")
    names = {path.name for path in (tmp_path / "12").iterdir()}
    assert names == {"policy.safetensors", "config.yaml", "trainer.safetensors", "trainer.json", "manifest.json"}
    weights, signature = read_weights(tmp_path / "12" / "policy.safetensors")
    assert signature == SIGNATURE and weights["weight"].tolist() == [12.0] * 7


@pytest.mark.parametrize("name", ["policy.safetensors", "trainer.safetensors", "trainer.json", "manifest.json"])
def test_damage_is_passed_over(tmp_path: Path, name: str) -> None:
    """Where the newest checkpoint is damaged, the one before it is taken, and the user is told which and why."""
    folder = run_folder(tmp_path)
    for step in (10, 20, 30):
        folder.save(state(step), SIGNATURE)
    damaged = tmp_path / "checkpoints" / "30" / name
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    told: list[str] = []
    found = folder.newest_state(told.append)
    assert found is not None and found.values["steps"] == 20
    assert len(told) == 1 and "damaged" in told[0] and "30" in told[0]


def test_all_damaged_is_an_error(tmp_path: Path) -> None:
    """Where no checkpoint is intact, nothing is started over in silence."""
    folder = run_folder(tmp_path)
    for step in (10, 20):
        (folder.save(state(step), SIGNATURE) / "trainer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(IntegrityError, match="none of its 2 checkpoints is intact"):
        folder.newest_state(lambda text: None)


def test_newest_three_are_kept(tmp_path: Path) -> None:
    """Older checkpoints go, by their step as a number and not as text; no file of theirs stays behind."""
    folder = run_folder(tmp_path)
    for step in (5, 80, 900, 1000, 11_000):
        folder.save(state(step), SIGNATURE)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["1000", "11000", "900"]


def test_full_disk_keeps_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up in the middle of a file costs that checkpoint alone; the error says what is left."""
    folder = run_folder(tmp_path)
    folder.save(state(10), SIGNATURE)
    real = Path.write_bytes

    def half(path: Path, data: bytes) -> int:
        if path.name != "trainer.safetensors":
            return real(path, data)
        real(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(HaltereError, match=r"step 20: No space left on device; the last checkpoint is .*10"):
        folder.save(state(20), SIGNATURE)
    monkeypatch.undo()
    found = folder.newest_state(lambda text: pytest.fail(text))
    assert found is not None and found.values["steps"] == 10
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["10"]


def test_policy_is_taken_back_when_a_run_goes_on(tmp_path: Path) -> None:
    """A finished run's policy doesn't stand in for a run that trains further; its checkpoints stay."""
    folder = run_folder(tmp_path)
    folder.save(state(10), SIGNATURE)
    policy = folder.finish(state(10), SIGNATURE)
    assert digest(tmp_path / "policy.safetensors") == digest(policy / "policy.safetensors")
    folder.unfinish()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "config.yaml", "run.json"]
    folder.unfinish()


USED = [("run.json", "already holds a run"), ("manifest.json", "holds a policy"), ("config.yaml", "isn't empty")]


@pytest.mark.parametrize(("name", "reason"), [*USED, (".git", "isn't empty")])
def test_folders_in_use_are_left_alone(tmp_path: Path, name: str, reason: str) -> None:
    """A new run is never made over a run, a policy or anything else, nor where a file is in its way."""
    (tmp_path / name).write_text("{}", encoding="utf-8")
    with pytest.raises(RequestError, match=reason):
        RunFolder(tmp_path, "config: 1\n", RunSettings(seed=5, threads=2)).check_free()
    with pytest.raises(RequestError, match=reason):
        run_folder(tmp_path)
    with pytest.raises(RequestError, match="this is a file"):
        run_folder(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


HOLDER = """
import sys
from pathlib import Path
from haltere.agents.run_folder import RunFolder

folder = RunFolder.open(Path(sys.argv[1]))
folder.lock()
print("locked", flush=True)
sys.stdin.read()
"""


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """While another process trains in a run, nobody else can; the lock goes with it, even where it is killed."""
    folder = run_folder(tmp_path)
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"locked\n"
        try:
            with pytest.raises(RequestError, match="another process is training in it"):
                folder.lock()
        finally:
            other.kill()
    with folder.locked():
        folder.lock()
        with pytest.raises(RequestError):
            RunFolder.open(tmp_path).lock()
    RunFolder.open(tmp_path).lock()
    folder.lock()


def test_a_checkpoint_that_was_written_isnt_called_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the removal of older ones fails, the error says that, and what it was all about is there."""
    folder = run_folder(tmp_path)
    for step in (10, 20, 30):
        folder.save(state(step), SIGNATURE)

    def fails(source: Path, target: Path) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("haltere.agents.run_folder.os.rename", rename_of_old(fails))
    with pytest.raises(HaltereError, match=r"couldn't remove older checkpoints: Permission denied; the last .*40"):
        folder.save(state(40), SIGNATURE)
    monkeypatch.undo()
    found = folder.newest_state(lambda text: pytest.fail(text))
    assert found is not None and found.values["steps"] == 40


def rename_of_old(fails: Callable[[Path, Path], None]) -> Callable[[Path, Path], None]:
    """``os.rename`` that fails for what is being removed alone."""
    real = os.rename
    return lambda source, target: fails(source, target) if str(target).endswith("-old") else real(source, target)


def test_settings_come_back(tmp_path: Path) -> None:
    """Seed, threads, command and configuration are what the run was started with."""
    made, found = run_folder(tmp_path), RunFolder.open(tmp_path)
    assert (found.settings, found.config) == (made.settings, made.config)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    """A folder without a run, and one whose settings are broken, each get a sentence."""
    with pytest.raises(RequestError, match="not a run folder"):
        RunFolder.open(tmp_path)
    run_folder(tmp_path / "run")
    for text in ("[]", "{", '{"seed": "x", "threads": 1, "command": ""}', '{"seed": 1}'):
        (tmp_path / "run" / "run.json").write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match="not the settings of a run"):
            RunFolder.open(tmp_path / "run")


def test_metrics_are_cut_back(tmp_path: Path) -> None:
    """Rows of a future that won't be, and a line cut short, go when a run goes on; NaN is null."""
    log = MetricsLog(tmp_path, 0)
    for steps in (10, 20, 30):
        log.write(steps, {"loss": float("nan") if steps == 20 else 0.5})
    log.close()
    path = tmp_path / METRICS_NAME
    path.write_text(path.read_text(encoding="utf-8") + '{"steps": 40, "lo', encoding="utf-8")
    drop_rows_after(path, 20)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert rows == [{"steps": 10, "loss": 0.5}, {"steps": 20, "loss": None}]


def test_rows_without_a_step_are_dropped(tmp_path: Path) -> None:
    """Whatever JSON a line holds in place of a row, the others are kept."""
    path = tmp_path / METRICS_NAME
    kept = '{"steps": 10}\n'
    path.write_text(kept + '{"steps": null}\n{"steps": "9"}\n{}\n[]\n', encoding="utf-8")
    drop_rows_after(path, 20)
    assert path.read_text(encoding="utf-8") == kept


def test_board_starts_over_with_the_run(tmp_path: Path) -> None:
    """A run that was stopped before its first checkpoint shows nothing of that attempt once it starts over."""
    for value in (1.0, 2.0):
        log = MetricsLog(tmp_path, 0)
        log.write(10, {"loss": value})
        log.close()
    reader = EventAccumulator(str(tmp_path / "tb")).Reload()
    assert [(event.step, event.value) for event in reader.Scalars("loss")] == [(10, 2.0)]


@pytest.mark.parametrize("shape", [(10**10,), (4096, 4097), (10**10, 0), (-1,), (2.5,), (True,), ("3",), (None,)])
def test_hostile_signatures_are_refused(tmp_path: Path, shape: tuple[Any, ...]) -> None:
    """A whole file that asks for a network no machine could hold, or for no shape at all, is refused as damaged."""
    path = tmp_path / "policy.safetensors"
    weights = {"weight": np.zeros(7, np.float32)}
    save_arrays(weights, Signature({"self": (3,), "other": shape}, 2), path)
    with pytest.raises(IntegrityError, match="no signature inside"):
        read_weights(path)
    save_arrays(weights, Signature({"self": (3,)}, shape[0]), path)
    if shape[0] != 4096:
        with pytest.raises(IntegrityError, match="no signature inside"):
            read_weights(path)
    many = Signature({str(index): (2**22,) for index in range(5)}, 2)
    save_arrays(weights, many, path)
    with pytest.raises(IntegrityError, match="elements in a lane"):
        read_weights(path)


def test_board_has_no_duplicates(tmp_path: Path) -> None:
    """TensorBoard's own reader sees each step once, with the later value, after a run went back and on."""
    for start, value in ((0, 1.0), (20, 2.0)):
        log = MetricsLog(tmp_path, start)
        for steps in (start + 10, start + 20, start + 30):
            log.write(steps, {"loss": value})
        log.close()
        time.sleep(1.1)  # event files are ordered by their names, which hold seconds
    reader = EventAccumulator(str(tmp_path / "tb")).Reload()
    seen = [(event.step, event.value) for event in reader.Scalars("loss")]
    assert seen == [(10, 1.0), (20, 1.0), (30, 2.0), (40, 2.0), (50, 2.0)]


def test_progress_off_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a log file there is one line an interval, whole, with steps, speed, time left, return and success."""
    now = iter([0.0, 0.0, *(4.0 * i for i in range(1, 8))])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(now))
    out = io.StringIO()
    shown = progress.TrainingProgress(10_000_000, 0, Console(file=out, force_terminal=False))
    with shown:
        for i in range(1, 7):
            shown.update(400_000 * i, {"episode/return": -1.25, "episode/success": 0.875, "train/loss": 9.0})
    assert out.getvalue().splitlines() == [
        "1,200,000 of 10,000,000 steps, 100,000 steps/s, 88 s left, return -1.25, success 0.875",
        "2,400,000 of 10,000,000 steps, 100,000 steps/s, 76 s left, return -1.25, success 0.875",
    ]


@pytest.mark.parametrize(("seconds", "words"), [(42.4, "42 s"), (99, "99 s"), (720, "12 min"), (11_100, "3 h 05 min")])
def test_duration_in_words(seconds: float, words: str) -> None:
    """Time left reads as people say it."""
    assert progress.duration(seconds) == words


WRITER = """
import os, random, signal, sys, time
from pathlib import Path
import numpy as np
from haltere.agents.run_folder import RunFolder, RunSettings
from haltere.agents.trainer import TrainerState
from haltere.policies.base import Signature

folder = RunFolder(Path(sys.argv[1]), "config: 1", RunSettings(0, 1)).make()

def save(step):
    content = np.full(20000, step, np.float32)
    folder.save(TrainerState({"w": content}, {"a": content}, {"steps": step}), Signature({"self": (3,)}, 2))

begun = time.monotonic()
save(1)
several = max(0.06, 4.0 * (time.monotonic() - begun))  # on a busy machine a save takes its time
random.seed(11)
newest = 1
for attempt in range(50):
    ready, done = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(done, b".")
        for step in range(newest + 1, newest + 1000):
            save(step)
        os._exit(0)
    os.read(ready, 1)
    time.sleep(random.uniform(0.0, several))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(ready), os.close(done)
    state = folder.newest_state(lambda text: sys.exit(text))
    assert state.values["steps"] >= newest, "an older checkpoint than before the kill"
    newest = state.values["steps"]
    assert set(state.policy["w"]) == set(state.arrays["a"]) == {np.float32(newest)}
    print("loadable", flush=True)
print(newest)
"""


def test_fifty_kills_fifty_loadable(tmp_path: Path) -> None:
    """However a run is killed while it writes, its newest checkpoint is whole and none before it is lost."""
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(tmp_path / "run")], capture_output=True, text=True, timeout=100
    )
    *loadable, newest = done.stdout.split() or [""]
    assert loadable == ["loadable"] * 50, done.stderr
    assert int(newest) > 10
