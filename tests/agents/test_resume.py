"""A run that was stopped and resumed ends with the same bits as one that never stopped."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from haltere.agents.ppo.trainer import PPOTrainer
from haltere.agents.recipe import from_yaml, resolve
from haltere.agents.run_folder import RunFolder
from haltere.agents.runs import resume_run, start_run
from haltere.agents.trainer import TrainerState
from haltere.configs.errors import ConfigError, IntegrityError, RequestError
from haltere.deploy.store import digest, verify_folder
from tests.toy import toy_recipe

TOTAL = 192 * 40
SETTINGS: dict[str, Any] = {"total_steps": TOTAL, "checkpoint_every": 192 * 5, "target_kl": 0.02}
SEED = 4
CHILD = """
import sys, types
tests = sys.modules["tests"] = types.ModuleType("tests")
tests.__path__ = [sys.argv[1]]
from pathlib import Path
from tests.toy import toy_recipe
from haltere.agents.recipe import resolve
from haltere.agents.runs import resume_run, start_run
run = Path(sys.argv[2])
settings = eval(sys.argv[3])
trainer = resume_run(run) if run.exists() else start_run(toy_recipe(**settings), seed=int(sys.argv[4]), path=run)
trainer.fit()
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that never stops."""
    path = tmp_path_factory.mktemp("whole") / "run"
    start_run(toy_recipe(**SETTINGS), seed=SEED, path=path).fit()
    return path


def states_differ(mine: TrainerState, theirs: TrainerState) -> list[str]:
    """Names of what isn't bit-equal, but for the clocks."""
    different = []
    for ours, others in ((mine.policy, theirs.policy), (mine.arrays, theirs.arrays)):
        assert set(ours) == set(others)
        different += [name for name, array in ours.items() if array.tobytes() != others[name].tobytes()]
    clocks = ("wall_s", "cpu_s")
    kept = [{name: value for name, value in one.values.items() if name not in clocks} for one in (mine, theirs)]
    return different + ([] if kept[0] == kept[1] else ["values"])


def same_run(run: Path, whole: Path) -> None:
    """Equal weights, equal remaining state, and each step's metrics once, equal but for the clocks."""
    assert digest(run / "policy.safetensors") == digest(whole / "policy.safetensors")
    ends = [verify_folder(path / "checkpoints" / str(TOTAL)) for path in (run, whole)]
    assert digest(ends[0]["trainer.safetensors"]) == digest(ends[1]["trainer.safetensors"])
    rows = []
    for path in (run, whole):
        lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        rows.append([{key: value for key, value in row.items() if not key.startswith("time/")} for row in lines])
    assert [row["steps"] for row in rows[0]] == list(range(192, TOTAL + 1, 192))
    assert rows[0] == rows[1]


def killed_child(run: Path, checkpoints: int, wait_s: float) -> None:
    """Train in another process and kill it some time after its folder has seen this many new checkpoints."""
    arguments = [str(Path(__file__).parents[1]), str(run), repr(SETTINGS), str(SEED)]
    child = subprocess.Popen([sys.executable, "-c", CHILD, *arguments], stderr=subprocess.PIPE)
    seen: set[str] = set()
    before = set(os.listdir(run / "checkpoints")) if run.exists() else set()
    while child.poll() is None and len(seen) < checkpoints:
        if (run / "checkpoints").exists():
            seen |= {name for name in os.listdir(run / "checkpoints") if name.isdigit()} - before
        time.sleep(0.004)
    time.sleep(wait_s)
    child.kill()
    _, text = child.communicate()
    assert child.returncode == -signal.SIGKILL, text.decode()


def test_killed_twice_and_resumed(tmp_path: Path, whole: Path) -> None:
    """``kill -9`` at two arbitrary moments, each time resumed from nothing but the folder: the same bits."""
    run, moment = tmp_path / "run", np.random.default_rng()
    killed_child(run, 2, float(moment.uniform(0.0, 0.1)))
    killed_child(run, 2, float(moment.uniform(0.0, 0.1)))
    result = resume_run(run).fit()
    assert result.steps == TOTAL
    same_run(run, whole)


def test_killed_before_the_first_checkpoint(tmp_path: Path, whole: Path) -> None:
    """A run without a checkpoint starts over from its own configuration and seed."""
    start_run(toy_recipe(**SETTINGS), seed=SEED, path=tmp_path / "run")
    resume_run(tmp_path / "run").fit()
    same_run(tmp_path / "run", whole)


def test_ctrl_c_writes_a_checkpoint(tmp_path: Path, whole: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends an iteration, leaves a checkpoint there, says how to go on, and going on is exact."""
    run = tmp_path / "run"
    trainer = start_run(toy_recipe(**SETTINGS), seed=SEED, path=run)
    before = signal.getsignal(signal.SIGINT)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit()
    timer.join()
    assert signal.getsignal(signal.SIGINT) is before
    assert isinstance(trainer, PPOTrainer) and 0 < trainer.steps < TOTAL
    assert f"haltere train toy --resume {run}" in capfd.readouterr().err
    verify_folder(run / "checkpoints" / str(trainer.steps))
    resume_run(run).fit()
    same_run(run, whole)


def test_damaged_newest_is_passed_over(tmp_path: Path, whole: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """From an earlier checkpoint, because the newest is damaged: still the same bits."""
    run = tmp_path / "run"
    start_run(toy_recipe(**{**SETTINGS, "total_steps": TOTAL}), seed=SEED, path=run).fit()
    newest = run / "checkpoints" / str(TOTAL) / "trainer.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    resume_run(run).fit()
    assert "passing over a damaged checkpoint" in capfd.readouterr().err
    same_run(run, whole)


def test_state_is_everything(tmp_path: Path) -> None:
    """A fresh trainer of another seed, given a state, walks on beside the first in every bit of its own state."""
    first = start_run(toy_recipe(**SETTINGS), seed=1, path=tmp_path / "a")
    second = start_run(toy_recipe(**SETTINGS), seed=2, path=tmp_path / "b")
    assert isinstance(first, PPOTrainer) and isinstance(second, PPOTrainer)
    for _ in range(3):
        first._iterate()
    second.load_state_dict(first.state_dict())
    assert states_differ(second.state_dict(), first.state_dict()) == []
    for _ in range(4):
        first._iterate()
    held = second.state_dict()
    assert len(states_differ(held, first.state_dict())) > 10
    for _ in range(4):
        second._iterate()
    assert states_differ(second.state_dict(), first.state_dict()) == []
    assert held.values["steps"] == 3 * 192, "a state is a copy"


def test_swarm_goes_on_exactly(tmp_path: Path) -> None:
    """The swarm itself: native worlds, with their episodes and replays, go on bit for bit from a checkpoint."""
    small = {"worlds": 6, "rollout_steps": 32, "batch_size": 768, "checkpoint_every": 1, "total_steps": 6 * 8 * 32 * 5}
    recipe = resolve("swarm", {f"trainer.{key}": value for key, value in small.items()})
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    start_run(recipe, seed=7, path=whole).fit()
    shutil.copytree(whole, stopped)
    names = sorted(os.listdir(stopped / "checkpoints"), key=int)
    for name in names[1:]:
        shutil.rmtree(stopped / "checkpoints" / name)
    resume_run(stopped).fit()
    for file in ("policy.safetensors", f"checkpoints/{names[-1]}/trainer.safetensors"):
        assert digest(stopped / file) == digest(whole / file)


def test_clocks_and_threads_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wall and processor time add up over sessions; torch's number of threads is the run's, then the caller's again."""
    before, run = torch.get_num_threads(), tmp_path / "run"
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    first = start_run(toy_recipe(total_steps=192, torch_threads=before + 3), seed=0, path=run).fit()
    second = resume_run(run, {"trainer.total_steps": 192 * 2}).fit()
    assert set(asked[0::2]) == {before + 3} and set(asked[1::2]) == {before} and len(asked) % 2 == 0
    assert second.steps == 192 * 2
    assert second.wall_s > first.wall_s > 0 and second.cpu_s > first.cpu_s > 0
    again = resume_run(run).fit()
    assert again.steps == 192 * 2, "the new total is the run's own from then on"


def test_a_new_total_outlives_a_kill(tmp_path: Path) -> None:
    """Given to a resumed run that is killed before its next checkpoint, a setting still stands when it goes on."""
    run = tmp_path / "run"
    start_run(toy_recipe(total_steps=192, checkpoint_every=192), seed=0, path=run).fit()
    before = (run / "config.yaml").read_bytes()
    for total in (192 * 2, 192 * 3):
        resume_run(run, {"trainer.total_steps": total})  # and no fit: nothing but the folder is left of it
    given = (run / "config.yaml").read_bytes()
    assert given != before == (run / "checkpoints" / "192" / "config.yaml").read_bytes()
    assert resume_run(run).fit().steps == 192 * 3
    assert (run / "checkpoints" / str(192 * 3) / "config.yaml").read_bytes() == given
    shutil.rmtree(run / "checkpoints" / str(192 * 2))
    (run / "checkpoints" / str(192 * 3) / "trainer.json").write_text("{}", encoding="utf-8")
    assert resume_run(run).fit().steps == 192 * 3, "from a checkpoint older than the setting"


def test_a_changed_configuration_is_refused(tmp_path: Path) -> None:
    """Edited behind the run's back, its configuration isn't taken for its own; copied back, the run goes on."""
    run = tmp_path / "run"
    start_run(toy_recipe(total_steps=192, checkpoint_every=192), seed=0, path=run).fit()
    root, theirs = run / "config.yaml", run / "checkpoints" / "192" / "config.yaml"
    root.write_text(root.read_text(encoding="utf-8").replace("gamma: 0.9", "gamma: 0.8"), encoding="utf-8")
    assert root.read_bytes() != theirs.read_bytes()
    for overrides in ({}, {"trainer.total_steps": 192 * 2}):
        with pytest.raises(IntegrityError) as caught:
            resume_run(run, overrides)
        assert str(root) in str(caught.value) and str(theirs) in str(caught.value)
    shutil.copy(theirs, root)
    assert resume_run(run, {"trainer.total_steps": 192 * 2}).fit().steps == 192 * 2


def test_a_resumed_run_is_nobody_elses(tmp_path: Path) -> None:
    """From its resumption to the end of its training no other may go on with it; a failed resumption lets go."""
    run = tmp_path / "run"
    first = start_run(toy_recipe(total_steps=192), seed=0, path=run)
    with pytest.raises(ConfigError) as failed:
        resume_run(run, {"trainer.total_steps": 0})
    second = resume_run(run)
    with pytest.raises(RequestError, match="another process"):
        resume_run(run)
    with pytest.raises(RequestError, match="another process"):
        first.fit()
    assert not (run / "metrics.jsonl").exists()
    second.fit()
    assert resume_run(run).fit().steps == 192 and failed


def test_state_of_another_configuration_is_refused(tmp_path: Path) -> None:
    """A state that doesn't fit the worlds, the critic or the policy is refused in one sentence."""
    one = start_run(toy_recipe(), seed=0, path=tmp_path / "one")
    assert isinstance(one, PPOTrainer)
    one._iterate()
    state = one.state_dict()
    for index, changed in enumerate(({"worlds": 5}, {"critic_width": 17})):
        other = start_run(toy_recipe(**changed), seed=0, path=tmp_path / str(index))
        with pytest.raises(IntegrityError):
            other.load_state_dict(state)
    for name in ("noise_generator", "network.log_std", "env.position", "episodes.rows", "optimizer.exp_avg.log_std"):
        arrays = {key: value for key, value in state.arrays.items() if key != name}
        with pytest.raises(IntegrityError, match="not a state of this configuration"):
            one.load_state_dict(TrainerState(state.policy, arrays, state.values))


def test_worlds_that_restore_something_else_are_caught(tmp_path: Path) -> None:
    """A task whose observation isn't the one it had when the state was taken is refused, not resumed inexactly."""
    one = start_run(toy_recipe(), seed=0, path=tmp_path / "one")
    assert isinstance(one, PPOTrainer)
    one._iterate()
    state = one.state_dict()
    state.arrays["env.position"][0, 0, 0] += 1e-6
    with pytest.raises(IntegrityError, match="ToyMass restored other observations"):
        one.load_state_dict(state)


def test_digest_of_weights_is_of_the_file(whole: Path) -> None:
    """The policy folder and the weights beside it are the same file."""
    assert hashlib.sha256((whole / "policy" / "policy.safetensors").read_bytes()).hexdigest() == digest(
        whole / "policy.safetensors"
    )


def test_resuming_says_where_and_refuses_another_network(tmp_path: Path) -> None:
    """From the beginning, from a step or finished; what was changed; and what can't be, each in one sentence."""
    run, told = tmp_path / "run", list[str]()
    start_run(toy_recipe(total_steps=384, checkpoint_every=192), seed=1, path=run)
    resume_run(run, tell=told.append).fit()
    assert "nothing saved yet, so it begins anew" in told.pop()
    resume_run(run, tell=told.append)
    assert told.pop().startswith(f"{run} is finished: 384 steps")
    resume_run(run, {"trainer.total_steps": 768}, told.append)
    assert told == [
        f"going on in {run} from step 384; Ctrl-C stops with a checkpoint",
        "changed: --trainer.total-steps 768 (was 384)",
    ]
    with pytest.raises(RequestError, match=r"--trainer\.total-steps: the run has 384 steps already, got 192"):
        resume_run(run, {"trainer.total_steps": 192})
    assert from_yaml(run / "config.yaml").trainer.total_steps == 768
    own = from_yaml(run / "config.yaml").trainer.critic_width
    with pytest.raises(RequestError) as caught:
        resume_run(run, {"trainer.critic_width": own + 1, "trainer.total_steps": 960})
    assert str(caught.value) == f"--trainer.critic-width: can't change with --resume: the run keeps its own ({own})"


def test_a_resumed_run_may_have_other_threads(tmp_path: Path, whole: Path) -> None:
    """As many as are asked for, which changes no bit, and its own again where nobody asks."""
    run = tmp_path / "run"
    settings = start_run(toy_recipe(**SETTINGS), seed=SEED, path=run, threads=2)._run.settings
    for given, used in ((None, 2), (3, 3), (None, 2)):
        trainer = resume_run(run, threads=given)
        assert trainer._learner.lanes.task_env.threads == used
        assert RunFolder.open(run).settings == settings
        trainer._run.unlock()
    resume_run(run, threads=3).fit()
    same_run(run, whole)


def test_the_first_ctrl_c_is_answered_at_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Before the update that it waits for has ended; a total that no rollout divides is rounded up, as is said."""
    trainer = start_run(toy_recipe(**SETTINGS | {"total_steps": 192 * 40 - 1}), seed=SEED, path=tmp_path / "run")
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit()
    timer.join()
    lines = capfd.readouterr().err.splitlines()
    assert lines[:2] == ["7,679 steps rounded up to whole rollouts of 192: 7,680", "first iteration ..."]
    stopping = lines.index("stopping after this iteration, with a checkpoint; Ctrl-C again stops now, without")
    assert stopping < next(index for index, line in enumerate(lines) if line.startswith("stopped at step"))
