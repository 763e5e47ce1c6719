"""Recording: what the expert saw and did, the same however it came about, and whole or to be gone on with."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from haltere.configs.errors import HaltereError, RequestError
from haltere.sims.datasets import assemble
from haltere.sims.datasets.layout import Sizes
from haltere.sims.datasets.parts import PART_EPISODES, WORKSPACE
from haltere.sims.datasets.reader import open_dataset
from haltere.sims.datasets.record import Plan, plan_recording, record
from haltere.sims.task import FIRST_HELD_OUT_SEED, FIRST_ROLLOUT_SEED
from tests.sims.toys import TOY, DriftConfig

from .toys import MODULE, POINT, Point, PointConfig, Pusher, edit_json, recorded

ROOT = Path(__file__).parents[3]


def digests(folder: Path) -> dict[str, str]:
    """Every file's name and SHA-256."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def plan_of(episodes: int = 20, **settings: Any) -> Plan:  # noqa: ANN401 -- the toy's
    """A plan for the toy."""
    return plan_recording(MODULE, POINT, PointConfig(**settings), seed=0, episodes=episodes)


def test_each_frame_is_what_the_expert_saw_before_what_it_did(tmp_path: Path) -> None:
    """Every episode against one played by hand, alone in its world, bit for bit."""
    dataset = open_dataset(recorded(tmp_path / "d", episodes=18, seed=3))
    assert [episode.seed for episode in dataset.episodes] == [seed for seed in range(3, 21) if seed % 7]
    for episode, arrays in dataset.stream():
        env = Point(PointConfig(), 1)
        obs, _ = env.reset(seed=[episode.seed or 0])
        expert = Pusher(env)
        expert.start([episode.seed or 0])
        for step in range(episode.length):
            action = expert.act(obs)["action"]
            assert np.array_equal(arrays["observation.state"][step], obs["state"][0])
            assert np.array_equal(arrays["observation.goal"][step], obs["goal"][0])
            assert np.array_equal(arrays["action"][step], action[0])
            obs, _, _, truncated, _ = env.step(action)
        assert truncated[0]


def test_failures_stay_only_where_they_are_wanted(tmp_path: Path) -> None:
    """Seeds 0, 7 and 14 fail."""
    without = open_dataset(recorded(tmp_path / "a", episodes=15))
    kept = open_dataset(recorded(tmp_path / "b", episodes=15, keep=True))
    assert (len(without.episodes), len(kept.episodes)) == (12, 15)
    assert [episode.seed for episode in kept.episodes if episode.success == 0.0] == [0, 7, 14]


def test_a_swarm_keeps_its_agents_axis(tmp_path: Path) -> None:
    """Shape (agents, ...) in and out."""
    dataset = open_dataset(recorded(tmp_path / "d", episodes=4, agents=3))
    assert dataset.info.features["action"].shape == (3, 2)
    assert dataset.column("observation.state").shape == (dataset.frames, 3, 4)
    env = Point(PointConfig(agents=3), 1)
    obs, _ = env.reset(seed=[1])
    assert np.array_equal(dataset.column("observation.state")[0], obs["state"][0])


def test_the_number_of_workers_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte for byte, films included."""
    monkeypatch.syspath_prepend(ROOT)  # where a worker finds the toy
    one = recorded(tmp_path / "one", episodes=40, camera=True)
    two = recorded(tmp_path / "two", episodes=40, camera=True, workers=2)
    assert digests(one) == digests(two)


def test_a_killed_recording_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    """``kill -9`` after different numbers of parts, workers and all; the last call is let finish."""
    whole = recorded(tmp_path / "whole", episodes=70, camera=True)
    folder = tmp_path / "killed"
    code = (
        "import sys; from pathlib import Path; from tests.sims.datasets.toys import recorded\n"
        "if __name__ == '__main__': recorded(Path(sys.argv[1]), episodes=70, camera=True, workers=2)"
    )
    kills, workers = 0, set[int]()
    for wanted in (0, 1, 2, 4):
        child = subprocess.Popen([sys.executable, "-c", code, str(folder)], cwd=ROOT)
        while child.poll() is None and len(list((folder / WORKSPACE).glob("part-*"))) < wanted:
            time.sleep(0.002)
        if child.poll() is None:
            time.sleep(0.0 if wanted else 0.5)
            workers |= {int(pid) for pid in Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()}
            child.kill()
        if child.wait() == -signal.SIGKILL:
            kills += 1
            with pytest.raises(RequestError, match="isn't a LeRobot dataset"):
                open_dataset(folder)
    assert kills >= 3 and len(workers) >= 2
    assert all(_ends(pid) for pid in workers), "a worker outlives its parent"
    record(plan_of(70, camera=True), folder)
    assert digests(folder) == digests(whole)


def ran(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A program in a process of its own, which a pool that hangs doesn't keep for ever."""
    words = [sys.executable, "-c", code, str(folder)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def _ends(pid: int) -> bool:
    """Whether a process is gone within some seconds."""
    for _ in range(200):
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_stopped_while_it_is_put_into_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int) -> None:
    """After the data, after the films, and before either: the same call ends what was begun."""
    whole = recorded(tmp_path / "whole", episodes=5, camera=True)
    done = []

    def rename(source: Path, target: Path) -> None:
        if len(done) == moves:
            raise KeyboardInterrupt
        done.append(target)
        source.rename(target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(assemble.os, "rename", rename)
        recorded(tmp_path / "stopped", episodes=5, camera=True)
    assert not (tmp_path / "stopped/meta").exists()
    assert digests(recorded(tmp_path / "stopped", episodes=5, camera=True)) == digests(whole)


def test_what_is_recorded_is_not_played_again(tmp_path: Path) -> None:
    """The second call finds everything there; leftovers of one that was killed at the very end go."""
    folder = recorded(tmp_path / "d", episodes=5)
    before = digests(folder)
    (folder / WORKSPACE / "part-00000").mkdir(parents=True)
    again = record(plan_of(5), folder)
    assert (again.steps, again.episodes, again.played) == (0, 4, 5)
    assert digests(folder) == before


def test_files_are_filled_up_to_their_size(tmp_path: Path) -> None:
    """Several data files in several folders, no episode in two of them, and the same numbers as in one file."""
    sizes = Sizes(data_files_size_in_mb=1, chunks_size=2)
    split = open_dataset(recorded(tmp_path / "a", episodes=60, steps=900, sizes=sizes))
    plain = open_dataset(recorded(tmp_path / "b", episodes=60, steps=900))
    files = sorted(path.relative_to(split.root).as_posix() for path in (split.root / "data").rglob("*.parquet"))
    assert len(files) == 3 and "data/chunk-001/file-000.parquet" in files
    assert all(os.path.getsize(split.root / name) <= 1 << 20 for name in files)
    for key in ("observation.state", "action", "index"):
        assert np.array_equal(split.column(key), plain.column(key))
    for (_, one), (_, other) in zip(split.stream(["action"]), plain.stream(["action"]), strict=True):
        assert np.array_equal(one["action"], other["action"])


@pytest.mark.parametrize(
    ("seed", "episodes"),
    [(FIRST_HELD_OUT_SEED, 1), (FIRST_ROLLOUT_SEED, 1), (FIRST_ROLLOUT_SEED - 5, 6), (-1, 1), (0, 0)],
)
def test_seeds_that_policies_are_tried_on_are_refused(seed: int, episodes: int) -> None:
    """The last one counts as well."""
    with pytest.raises(RequestError, match=r"policies are tried and evaluated on|at least 0"):
        plan_recording(MODULE, POINT, PointConfig(), seed=seed, episodes=episodes)
    plan_recording(MODULE, POINT, PointConfig(), seed=FIRST_ROLLOUT_SEED - 5, episodes=5)


def test_a_task_without_an_expert_is_refused_before_anything_is_played(tmp_path: Path) -> None:
    """In the task's own words."""
    plan = plan_recording("tests.sims.toys", TOY, DriftConfig(), seed=0, episodes=3)
    with pytest.raises(RequestError, match="has no expert"):
        record(plan, tmp_path / "d")


def test_an_expert_that_always_fails_leaves_no_dataset(tmp_path: Path) -> None:
    """Said in a sentence; there is nothing to open."""
    with pytest.raises(HaltereError, match="succeeded in none of 3 episodes"):
        recorded(tmp_path / "d", episodes=3, failing=1)
    assert not (tmp_path / "d/meta").exists()


def test_other_things_in_the_folder_stay(tmp_path: Path) -> None:
    """A file, a folder with files, another recording, a recording of other settings, a dataset of others."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    recorded(tmp_path / "done", episodes=5)
    others = recorded(tmp_path / "others", episodes=5)
    edit_json(others, "meta/info.json", lambda info: info.pop("haltere"))
    before = digests(tmp_path)
    for name, sentence in (
        ("file", "must be a folder"),
        ("full", "holds other files"),
        ("file/below", "can't be made"),
        ("others", "holds other files|another recording"),
    ):
        with pytest.raises(RequestError, match=sentence):
            recorded(tmp_path / name, episodes=5)
    with pytest.raises(RequestError, match="whose episodes is 5 where 6 is asked for"):
        recorded(tmp_path / "done", episodes=6)
    with pytest.raises(RequestError, match="steps=12 where steps=13"):
        recorded(tmp_path / "done", episodes=5, steps=13)
    assert digests(tmp_path) == before


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    """The second says that there is a first."""
    from haltere.sims.datasets.parts import workspace

    with workspace(tmp_path / "d", plan_of(5)), pytest.raises(RequestError, match="another process is recording"):
        recorded(tmp_path / "d", episodes=5)
    recorded(tmp_path / "d", episodes=5)


@pytest.mark.parametrize(("camera", "workers"), [(False, 1), (True, 1), (True, 2)])
def test_a_full_disk_is_one_sentence_and_can_be_gone_on_from(tmp_path: Path, camera: bool, workers: int) -> None:
    """A limit on the size of files stands in for it."""
    code = (
        "import resource, sys; from pathlib import Path; from tests.sims.datasets.toys import recorded\n"
        "from haltere.configs.errors import HaltereError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))\n"
        "if __name__ == '__main__':\n"
        f"    try: recorded(Path(sys.argv[1]), episodes=20, camera={camera}, workers={workers})\n"
        "    except HaltereError as error: print(error)"
    )
    done = ran(code, tmp_path / "d")
    assert "can't be written: File too large; what is recorded stays" in done.stdout, done.stderr
    recorded(tmp_path / "d", episodes=20, camera=camera)
    assert digests(tmp_path / "d") == digests(recorded(tmp_path / "e", episodes=20, camera=camera))


def test_a_worker_that_is_killed_is_one_sentence(tmp_path: Path) -> None:
    """By its pid, from outside."""
    code = (
        "import multiprocessing, os, signal, sys, threading, time; from pathlib import Path\n"
        "from tests.sims.datasets.toys import recorded\n"
        "from haltere.configs.errors import HaltereError\n"
        "def kill():\n"
        "    while not multiprocessing.active_children(): time.sleep(0.01)\n"
        f"    os.kill(multiprocessing.active_children()[0].pid, {int(signal.SIGKILL)})\n"
        "if __name__ == '__main__':\n"
        "    threading.Thread(target=kill, daemon=True).start()\n"
        "    try: recorded(Path(sys.argv[1]), episodes=40, workers=2)\n"
        "    except HaltereError as error: print(error)"
    )
    done = ran(code, tmp_path / "d")
    assert "a worker was killed" in done.stdout, done.stderr


@pytest.mark.parametrize("dies_first", [False, True])
def test_a_worker_that_begins_while_another_dies_is_not_waited_for(dies_first: bool, tmp_path: Path) -> None:
    """The first one dies just before the second is begun, or just after, when the pool doesn't know of it yet."""
    die = f"os.kill(begun[0].pid, {int(signal.SIGKILL)}); begun[0].join(); time.sleep(1.0)"
    code = (
        "import os, sys, time; from multiprocessing.context import SpawnProcess; from pathlib import Path\n"
        "from tests.sims.datasets.toys import recorded\n"
        "from haltere.configs.errors import HaltereError\n"
        "begun, start = [], SpawnProcess.start\n"
        "def later(worker):\n"
        f"    if begun and {dies_first}: {die}\n"
        "    begun.append(worker); start(worker)\n"
        f"    if len(begun) > 1 and not {dies_first}: {die}\n"
        "if __name__ == '__main__':\n"
        "    SpawnProcess.start = later\n"
        "    try: recorded(Path(sys.argv[1]), episodes=40, workers=2)\n"
        "    except HaltereError as error: print(len(begun), error)"
    )
    done = ran(code, tmp_path / "d")
    assert done.stdout.startswith("2 ") and "a worker was killed" in done.stdout, done.stderr


def test_parts_are_small_beside_a_recording() -> None:
    """What a kill costs at most."""
    assert PART_EPISODES <= 16 and plan_of(33).parts() == 3
    assert [len(plan_of(33).seeds(part)) for part in range(3)] == [16, 16, 1]
