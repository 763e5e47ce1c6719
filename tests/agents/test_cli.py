"""The command line's promises: instant help, one sentence for a wrong request, the right exit code, clean JSON."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from haltere.agents.cli import main as entry
from haltere.agents.cli import words as wording
from haltere.agents.cli.common import read_request
from haltere.agents.cli.train import PARTS, TrainOptions
from haltere.agents.cli.words import HELP, split_words
from haltere.agents.progress import Lines
from haltere.agents.recipe import from_yaml, resolve, to_yaml
from haltere.configs import catalogue
from haltere.configs.errors import HaltereError, RequestError
from haltere.deploy import zoo
from haltere.deploy.bench import BenchReport, Timing
from haltere.policies.base import Policy

HEAVY = ("torch", "tyro", "pydantic", "numpy", "yaml", "gymnasium", "mujoco", "onnx", "rich")


class Outcome(NamedTuple):
    """Exit code and what was printed."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def haltere(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process."""

    def call(*words: str) -> Outcome:
        code = entry.main(words)
        return Outcome(code, *capsys.readouterr())

    return call


def test_help_is_instant_and_imports_the_standard_library_alone() -> None:
    """At most 0.6 s of processor time, and nothing of what the edge install lacks; here, far less."""
    code = (
        "import sys; from haltere.agents.cli.main import main; assert main(['--help']) == 0;"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]; assert not loaded, loaded;"
        "import resource; used = resource.getrusage(resource.RUSAGE_SELF); print(used.ru_utime + used.ru_stime)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout.splitlines()[-1]) <= 0.6
    assert all(verb in done.stdout for verb in entry.VERBS)


def test_the_edge_install_has_help_and_names_the_extra() -> None:
    """Without any package of the extras, help works and a verb says in one sentence what to install."""
    blocked = (*HEAVY, "annotated_types", "safetensors", "stable_baselines3")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked!r})); from haltere.agents.cli.main import main;"
        "sys.exit(main(sys.argv[1:]))"
    )

    def edge(*words: str) -> Outcome:
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
        return Outcome(done.returncode, done.stdout, done.stderr)

    assert edge("--help").code == 0
    for verb in ("list", "train", "eval", "export", "bench"):
        outcome = edge(verb, "swarm")
        assert outcome.code == 2
        assert outcome.err.count("\n") == 1
        assert "pip install 'haltere[train]'" in outcome.err


WRONG = [
    (("trian", "swarm"), "no verb named 'trian'; did you mean 'train'?"),
    (("train", "swrm"), "no task named 'swrm'; did you mean 'swarm'?"),
    (("train",), "name the task first: haltere train TASK"),
    (("train", "--seed", "3"), "name the task first: haltere train TASK"),
    (("train", "swarm", "extra"), "unexpected 'extra'; options start with --"),
    (("train", "swarm", "--sede", "3"), "no option --sede; did you mean --seed?"),
    (("train", "swarm", "--seed"), "--seed: must be followed by a value"),
    (("train", "swarm", "--seed", "3", "4"), "--seed: takes one value, got '3 4'"),
    (("train", "swarm", "--seed", "3", "--seed", "4"), "--seed is given twice"),
    (("eval", "manip-mt10", "--env.tasks", "push", "windo-open"), "--env.tasks: value 2 must be one of"),
    (("eval", "manip-mt10", "--env.tasks", "psuh"), "--env.tasks: must be one of reach, push,"),
    (("eval", "manip-fork", "--actor", "zoo:difusion"), "no zoo entry named 'difusion'; did you mean 'diffusion'?"),
    (("eval", "manip-fork", "--actor", "expert", "--policy.executed", "4"), "--policy.* changes a trained"),
    (("eval", "manip-fork", "--actor", __file__), f"{__file__}: is a file; expected a policy"),
    (("train", "swarm", "--seed", "-3"), "--seed: must be at least 0, got -3"),
    (("train", "swarm", "--policy.widht", "16"), "no option --policy.widht; did you mean --policy.width?"),
    (("train", "swarm", "--policy.width", "17"), "--policy.width: must be one of 10, 16, 32 or 256, got 17"),
    (("train", "swarm", "--policy.width", "wide"), "--policy.width: must be one of 10, 16, 32 or 256, got 'wide'"),
    (("train", "swarm", "--policy.type", "swrm"), "--policy.type: no policy named 'swrm'; did you mean 'swarm'?"),
    (("train", "swarm", "--trainer.gamma", "nan"), "--trainer.gamma: must be a finite number, got nan"),
    (("train", "swarm", "--trainer.total-steps", "0"), "--trainer.total-steps: must be at least 1, got 0"),
    (("train", "swarm", "--trainer.total_steps", "1.5"), "--trainer.total-steps: must be a whole number, got 1.5"),
    (("train", "swarm", "--resume", "/no/such"), "--resume: /no/such is no run folder: it has no config.yaml"),
    (("train", "swarm", "--resume", "/no/such", "--seed", "3"), "--seed: can't change with --resume"),
    (("eval", "swarm", "--env.density", "inf"), "--env.density: must be a finite number, got inf"),
    *(
        (
            (verb, "swarm", "--trainer.gamma", "0.9"),
            "no option --trainer.gamma: --trainer.* belongs to haltere train; "
            f"haltere {verb} takes --env.* and --policy.*\n",
        )
        for verb in ("eval", "export", "bench")
    ),
    (("train", "ballet", "--policy.span", "700"), "--policy.span: belongs to memory 'attention'; this policy's memory"),
    (("train", "ballet", "--policy.memory", "lstm", "--policy.top-k", "3"), "--policy.top-k: belongs to memory 'hcam'"),
    (("bench", "ballet", "--policy.fast-hidden", "8"), "--policy.fast-hidden: belongs to memory 'titans'; this"),
    (("bench", "ballet", "--policy.no-memory-grad"), "--policy.memory-grad: matters in training alone\n"),
    (("eval", "ballet", "--policy.span", "700"), "--policy.span: belongs to memory 'attention'; this policy's memory"),
    (("eval", "ballet", "--policy.no-memory-grad"), "--policy.memory-grad: matters in training alone\n"),
    (("train", "ballet", "--trainer.type", "ppo"), "trainer.type: ppo trains policies without memory, and the policy"),
    (("train", "ballet", "--env.curriculum.0.until", "5"), "no option --env.curriculum.0.until; did you mean"),
    (("bench", "ballet", "--sim", "--policy.width", "8"), "--policy.width: has no meaning beside --sim, which"),
    (("eval", "swarm", "--policy.attention", "men"), "--policy.attention: must be one of softmax or mean, got 'men'"),
    (("eval", "swarm", "--actor", "random", "--policy.attention", "mean"), "--policy.* changes a trained network"),
    (("eval", "swarm", "--runtime", "onx"), "--runtime: must be one of torch, onnx, fused or c, got 'onx'; did you"),
    (("eval", "swarm", "--episodes", "0"), "--episodes: must be at least 1, got 0"),
    (("eval", "swarm", "--json", "/"), "--json: must be a file, got the folder /"),
    (("eval", "swarm", "--json", "/no/such/a.json"), "--json: there is no folder /no/such"),
    (("eval", "swarm", "--actor", "/no/such"), "no actor '/no/such'"),
    (("eval", "swarm", "--actor", "zoo:nothing"), "no zoo entry named 'nothing'"),
    (("bench", "swarm", "--actor", "zoo", "--policy.width", "10"), "--policy.width: can't change the trained policy"),
    (("bench", "swarm", "--sim", "--growth"), "--growth: has no meaning beside --sim, which measures the simulator"),
    (("bench", "swarm", "--sim", "--actor", "zoo"), "--actor: has no meaning beside --sim"),
    (("eval", "swarm", "--actor", "random", "--runtime", "onnx"), "--runtime onnx runs a trained network"),
    (("eval", "swarm", "--policy.width", "32"), "--policy.width 32: needs other weights than those of "),
    (("export", "swarm", "--out", "/proc/foo"), "/proc/foo: can't be made in /proc: "),
    (("train", "swarm", "--out", "/proc/foo/run"), "/proc/foo/run: can't be made in /proc: "),
    (("train", "--resume", "/no/such"), "--resume: /no/such is no run folder: it has no config.yaml"),
    (("bench", "swarm", "--rounds", "1"), "--rounds: must be at least 100, got 1"),
    (("bench", "swarm", "--actor", "random"), "no actor 'random' (zoo, zoo:NAME, or a folder or file that exists)"),
    (("bench", "swarm", "--rounds", "1e14"), "--rounds: must be at most 1000000, got 100000000000000"),
    (("eval", "swarm", "--episodes", "1000000000000"), "--episodes: must be at most 1000000, got 1000000000000"),
    (("eval", "swarm", "--threads", "50000"), "--threads: must be at most 1024, got 50000"),
    (("eval", "swarm", "--worlds", "50000"), "--worlds: must be at most 4096, got 50000"),
    (("train", "swarm", "--threads", "50000"), "--threads: must be at most 1024, got 50000"),
    (("train", "swarm", "--trainer.rollout-steps", "1000000000"), "--trainer.rollout-steps: must be at most 10000"),
    (("train", "swarm", "--trainer.torch-threads", "1e12"), "--trainer.torch-threads: must be at most 1024"),
    (("train", "swarm", "--trainer.critic-width", "100000000"), "--trainer.critic-width: must be at most 4096"),
    (("train", "swarm", "--out", "x" * 300), f"{'x' * 300}: File name too long"),
    (("eval", "swarm", "--actor", "x" * 300), f"{'x' * 300}: File name too long"),
    (("eval", "swarm", "--json", "/dev/null"), "--json: must be an ordinary file, got /dev/null"),
    (("list", "--jsn"), "no option --jsn; did you mean --json?"),
    (("export", "swarm", "--tol", "0"), "--tol: must be more than 0, got 0"),
]


@pytest.mark.parametrize(("words", "sentence"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_a_wrong_request_gets_one_sentence(haltere: Run, words: tuple[str, ...], sentence: str) -> None:
    """Exit code 2, one line on standard error, nothing on standard output, no traceback."""
    outcome = haltere(*words)
    assert outcome.code == 2
    assert outcome.err.startswith(sentence)
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""


@pytest.mark.parametrize("verb", ["list", "train", "eval", "export", "bench"])
def test_every_verb_explains_itself(haltere: Run, verb: str) -> None:
    """``haltere VERB --help`` works without a task."""
    outcome = haltere(verb, "--help")
    assert outcome.code == 0
    assert f"usage: haltere {verb}" in outcome.out


@pytest.mark.parametrize("words", [("train",), ("eval",), ("train", "swarm")], ids=" ".join)
def test_help_is_for_people(haltere: Run, words: tuple[str, ...]) -> None:
    """No marks of a docstring, no doubled empty line, and every line of a frame as long as the frame."""
    shown = haltere(*words, "--help").out
    assert "``" not in shown and "{None}" not in shown and "\n\n\n" not in shown
    assert "--out STR" in shown or words == ("eval",)
    assert len({len(line) for line in shown.splitlines() if line[:1] in "╭│╰"}) == 1


def test_help_of_a_task_shows_its_settings_with_their_defaults(haltere: Run) -> None:
    """Typed options of all three parts, and the overrides given so far."""
    outcome = haltere("train", "swarm", "--policy.width", "32", "--help")
    assert outcome.code == 0
    for option in ("--env.drones INT", "--policy.width {10,16,32,256}", "--trainer.total-steps INT", "--out "):
        assert option in outcome.out
    assert "(default: 32)" in re.sub(r"[│\s]+", " ", outcome.out)


def test_hyphens_underscores_and_equals_signs_are_the_same() -> None:
    """However an option is spelled, it is one option."""
    for word in ("--trainer.total-steps", "--trainer.total_steps"):
        assert split_words([word, "3"]) == split_words([f"{word}=3"]) == {"trainer.total_steps": ["3"]}
    with pytest.raises(RequestError, match="given twice"):
        split_words(["--trainer.total-steps", "3", "--trainer.total_steps=4"])


def test_a_resolved_recipe_survives_its_file(tmp_path: Path) -> None:
    """What a run folder stores resolves to what the run had, overrides included."""
    recipe = resolve("swarm", {"policy.width": "32", "env.drones": 3, "env.downwash": "false", "trainer.gamma": "0.5"})
    (tmp_path / "config.yaml").write_text(to_yaml(recipe), encoding="utf-8")
    assert from_yaml(tmp_path / "config.yaml") == recipe
    assert (recipe.policy.width, recipe.env.drones, recipe.env.downwash) == (32, 3, False)


def test_list_shows_every_part(haltere: Run) -> None:
    """Tasks with simulator and period, policies and trainers, as text and as JSON."""
    text = haltere("list")
    assert text.code == 0
    assert "haltere/SwarmForest-v0" in text.out
    assert "10 ms" in text.out
    listing = json.loads(haltere("list", "--json").out)
    swarm = next(task for task in listing["tasks"] if task["name"] == "swarm")
    assert (swarm["sim"], swarm["ctrl_dt_s"]) == ("mujoco", 0.01)
    assert "swarm" in listing["policies"]
    assert "ppo" in listing["trainers"]


def test_list_survives_what_is_broken(haltere: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A broken plugin's row and a damaged zoo entry's say what is wrong; the others are as ever."""
    package = tmp_path / "wreck"
    package.mkdir()
    modules = {"__init__": "", "crash": "raise ValueError('no such\\nluck')", "needy": "import no_such_library"}
    for name, code in modules.items():
        (package / f"{name}.py").write_text(code)
    (package / "unread.yaml").write_text("task: [")
    for name in ("crash", "needy"):
        parts = "env: {}\npolicy: {type: swarm}\ntrainer: {type: ppo}\n"
        (package / f"{name}.yaml").write_text(f"task: wreck/X-v0\nmodule: wreck.{name}\n{parts}")
    monkeypatch.syspath_prepend(tmp_path)
    known = catalogue._packages()
    monkeypatch.setattr(catalogue, "_packages", lambda: known | dict.fromkeys(("crash", "needy", "unread"), "wreck"))
    entry = tmp_path / "zoo" / "bad"
    entry.mkdir(parents=True)
    (entry / "card.json").write_text("[" * 100_000)
    monkeypatch.setattr(zoo, "HERE", entry.parent)
    listing = json.loads(haltere("list", "--json").out)
    tasks = {task["name"]: task for task in listing["tasks"]}
    assert tasks["swarm"]["sim"] == "mujoco"
    assert tasks["crash"]["error"] == "no such luck"
    assert tasks["needy"]["needs"] == "needs no_such_library"
    assert tasks["unread"]["error"].startswith("wreck/unread.yaml: line 1:")
    assert [(row["name"], "manifest.json" in row["error"]) for row in listing["zoo"]] == [("bad", True)]
    text = haltere("list").out
    assert "broken: no such luck" in text
    assert "needs no_such_library" in text


def test_a_file_that_cannot_be_written_is_refused_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before the work, whether it is the folder or the file that is locked."""
    target = tmp_path / "a.json"
    assert wording.output_file(str(target), "json") == target
    target.touch()
    for locked in (tmp_path, target):
        monkeypatch.setattr(os, "access", lambda path, mode, locked=locked: path != locked)
        with pytest.raises(RequestError, match="--json: no permission to write"):
            wording.output_file(str(target), "json")


def test_json_on_standard_output_is_alone(haltere: Run) -> None:
    """With ``--json -`` standard output is one JSON object with the agreed keys."""
    words = ("eval", "swarm", "--actor", "random", "--episodes", "2", "--env.drones", "2", "--env.episode-s", "1")
    outcome = haltere(*words, "--json", "-")
    assert outcome.code == 0
    report = json.loads(outcome.out)
    agreed = {"task", "actor", "runtime", "episodes", "seed", "success", "metrics", "wall_s", "steps", "config_digest"}
    assert agreed | {"version"} <= set(report)
    assert (report["task"], report["actor"], report["episodes"], report["seed"]) == ("swarm", "random", 2, 900_000)
    assert set(report["success"]) == {"mean", "low", "high"}


def test_a_json_file_appears_whole(haltere: Run, tmp_path: Path) -> None:
    """The file holds what standard output would have; nothing else is left beside it."""
    assert haltere("list", "--json", str(tmp_path / "list.json")).code == 0
    assert json.loads((tmp_path / "list.json").read_text()) == json.loads(haltere("list", "--json", "-").out)
    assert [path.name for path in tmp_path.iterdir()] == ["list.json"]


def test_each_kind_of_error_has_its_exit_code(
    haltere: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failed work 1, an interrupt 130, a full disk 1; a bug of ours keeps its traceback."""

    def failing(error: BaseException) -> Callable[..., dict[str, list[str]]]:
        def inventory() -> dict[str, list[str]]:
            raise error

        return inventory

    target = "haltere.agents.cli.list.inventory"
    missing = "list needs carla, which isn't installed: pip install 'haltere[carla]'"
    for error, code, sentence in [
        (HaltereError("the work failed"), 1, "the work failed\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (OSError(28, "No space left on device", "x"), 1, "x: No space left on device\n"),
        (OSError(28, "No space left on device"), 1, "output: No space left on device\n"),
        (OSError(5, "Input/output error", "x"), 1, "x: Input/output error\n"),
        (OSError(36, "File name too long", "x"), 2, "x: File name too long\n"),
        (MemoryError("Unable to allocate 7 TiB"), 1, "out of memory: Unable to allocate 7 TiB\n"),
        (ModuleNotFoundError("no", name="carla.client"), 2, f"{missing}\n"),
    ]:
        monkeypatch.setattr(target, failing(error))
        assert haltere("list") == (code, "", sentence)
    for bug in (ZeroDivisionError("a bug"), ModuleNotFoundError("no", name="haltere.gone"), OSError(5, "I/O error")):
        monkeypatch.setattr(target, failing(bug))
        with pytest.raises(type(bug)):
            haltere("list")


@pytest.mark.parametrize("made_of_it", [HaltereError("can't be exported"), ImportError("initialization failed")])
def test_ctrl_c_stays_one_whatever_others_make_of_it(
    haltere: Run, monkeypatch: pytest.MonkeyPatch, made_of_it: Exception
) -> None:
    """As an import in C does; and without Ctrl-C it is the error that it is."""

    def inventory(interrupted: bool) -> dict[str, list[str]]:
        try:
            if interrupted:
                signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            pass
        raise made_of_it

    monkeypatch.setattr("haltere.agents.cli.list.inventory", lambda: inventory(True))
    assert haltere("list") == (130, "", "interrupted\n")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    monkeypatch.setattr("haltere.agents.cli.list.inventory", lambda: inventory(False))
    if isinstance(made_of_it, HaltereError):
        assert haltere("list") == (1, "", "can't be exported\n")
    else:
        with pytest.raises(ImportError):
            haltere("list")


def test_a_reader_that_leaves_is_no_traceback() -> None:
    """``haltere list | head -0`` ends quietly."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "haltere.agents.cli.main", "--help"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_json_is_never_nan(tmp_path: Path) -> None:
    """JSON has no NaN; whoever tries to write one has a bug, and the file that was there stays."""
    target = tmp_path / "a.json"
    target.write_text("{}")
    with pytest.raises(ValueError, match="not JSON compliant"):
        wording.write_json({"x": float("nan")}, str(target))
    assert target.read_text() == "{}"


def test_ctrl_c_leaves_a_checkpoint_and_130(haltere: Run, tmp_path: Path) -> None:
    """An interrupted run can be resumed, by the task that it is of and no other way."""
    run = tmp_path / "run"
    small = ("--trainer.worlds", "4", "--trainer.rollout-steps", "8", "--env.drones", "2", "--threads", "1")
    command = [sys.executable, "-m", "haltere.agents.cli.main", "train", "swarm", "--out", str(run), *small]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (run / "metrics.jsonl").is_file() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    (checkpoint,) = (run / "checkpoints").iterdir()
    config = from_yaml(checkpoint / "config.yaml")
    assert (config.env.drones, config.trainer.worlds) == (2, 4)
    steps = int(checkpoint.name)
    resumed = haltere("train", "swarm", "--resume", str(run), "--trainer.total-steps", str(steps + 64))
    assert resumed.code == 0, resumed.err
    assert resumed.out.startswith(f"{steps + 64:,} steps")


INTERRUPTED = """
import os, signal, sys
from haltere.agents import runs
from haltere.agents.cli.main import main
start = runs.start_run
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
def start_run(*args, **kwargs):
    trainer = start(*args, **kwargs) if sys.argv[1] == "made" else None
    os.kill(os.getpid(), signal.SIGINT)
    return trainer
runs.start_run = start_run
sys.exit(main(sys.argv[2:]))
"""


def test_ctrl_c_before_the_first_checkpoint_says_what_there_is(haltere: Run, tmp_path: Path) -> None:
    """Nothing before the run folder is made; from then on the same run can be begun anew."""
    run = tmp_path / "run"
    small = "--trainer.worlds 4 --trainer.rollout-steps 8 --env.drones 2 --trainer.total-steps 64 --threads 1".split()
    said = {}
    for when in ("before", "made"):
        words = [sys.executable, "-c", INTERRUPTED, when, "train", "swarm", "--out", str(run), *small]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
        assert (done.returncode, done.stdout) == (130, "")
        said[when] = done.stderr.splitlines()
    assert said["before"] == ["nothing was saved yet, and there is no run to go on with", "interrupted"]
    again = f"haltere train swarm --resume {run}"
    assert said["made"] == [f"nothing was saved yet: {again} begins the same run anew", "interrupted"]
    resumed = haltere(*again.split()[1:])
    assert (resumed.code, resumed.out.splitlines()[0].split(" in ")[0]) == (0, "64 steps"), resumed.err
    assert haltere(*again.split()[1:], "--seed", "1").err.startswith("--seed: can't change with --resume")
    further = haltere(*again.split()[1:], "--threads", "2", "--trainer.total-steps", "128")
    assert (further.code, further.out.splitlines()[0].split(" in ")[0]) == (0, "128 steps"), further.err


@pytest.mark.parametrize("verb", ["eval swarm", "export swarm", "bench swarm", "demo"])
def test_an_actor_that_isnt_there_is_refused_at_once(verb: str) -> None:
    """Before the seconds in which simulators and torch are imported."""
    code = (
        "import sys; from haltere.agents.cli.main import main; assert main(sys.argv[1:]) == 2;"
        "print(*[name for name in ('torch', 'numpy', 'gymnasium', 'mujoco', 'onnx') if name in sys.modules])"
    )
    words = [sys.executable, "-c", code, *verb.split(), "--actor", "nothere.onnx"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
    assert done.stderr.startswith("no actor 'nothere.onnx' (zoo, zoo:NAME, ") and done.stderr.count("\n") == 1


WORDS = st.one_of(
    st.sampled_from(["--seed", "--out", "--policy.width", "--policy.type", "--env.drones", "--env.reward.floor"]),
    st.sampled_from(["--trainer.gamma=0.5", "--env.downwash", "--env.no-downwash", "--no-seed", "--env.reward"]),
    st.sampled_from(["--", "-", "--=", "--policy", "3", "-1", "nan", "1e400", "none", "true", "[1, 2]", "swarm"]),
    st.sampled_from(['{"a": 1}', "16", "", "0x10", "\ud800"]),
    st.text(max_size=6),
)


@given(st.lists(WORDS, max_size=6))
@example(["a\nb"])
@example(["--a\nb", "3"])
@example(["--seed", "3\n4", "5"])
@example(["--policy.type", "a\nb"])
@settings(max_examples=300, deadline=None)
def test_any_words_are_a_request_or_refused(words: list[str]) -> None:
    """Whatever is typed after ``haltere train swarm`` resolves to a recipe or is a request error, nothing else."""
    try:
        request = read_request("train", ["swarm", *(word for word in words if word not in HELP)], TrainOptions, PARTS)
        assert request is not None
        assert request.recipe().task_name == "swarm"
    except RequestError as error:
        assert error.exit_code == 2


def test_bench_times_the_policy_that_was_asked_for(haltere: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """``bench`` hands an untrained policy of the given settings to the benchmark and prints what it measured."""
    seen: dict[str, Any] = {}

    def timed(policy: Policy[Any], **rest: Any) -> BenchReport:  # noqa: ANN401
        seen.update(rest, width=policy.config.width)
        timing = Timing(1.0, 2.0, 3.0, None, None, 0.0)
        return BenchReport(rest["task"], "a processor", 1, rest["calls"], {"ort": timing}, {"ort": 1.0}, {})

    monkeypatch.setattr("haltere.deploy.bench.bench", timed)
    outcome = haltere("bench", "swarm", "--policy.width", "10", "--rounds", "300", "--json", "-")
    assert outcome.code == 0, outcome.err
    assert (seen["width"], seen["calls"], seen["facts"].ctrl_dt_s) == (10, 300, 0.01)
    assert {"task", "cpu", "threads", "runtimes", "ratios"} <= set(json.loads(outcome.out))
    assert "ort" in haltere("bench", "swarm").out


def test_a_log_hears_of_steps_while_no_episode_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first line within ten seconds, the next ones ten apart, and none at the end."""
    now, said = [100.0], list[str]()
    monkeypatch.setattr("haltere.agents.progress.time.monotonic", lambda: now[0])
    lines = Lines("episodes", said.append)
    for second in range(1, 31):
        now[0] = 100.0 + second
        lines.update(0, 50, 1000 * second)
    assert said == [f"0 of 50 episodes, {1000 * second:,} steps" for second in (4, 14, 24)]
    now[0] = 200.0
    lines.update(50, 50, 99)
    lines.update(7, 50)
    assert said[3:] == ["7 of 50 episodes"]


def test_growth_is_refused_before_the_bench(haltere: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy without a memory: nobody waits a minute to hear that."""

    def timed(*_: object, **__: object) -> BenchReport:
        raise AssertionError("it was timed first")

    monkeypatch.setattr("haltere.deploy.bench.bench", timed)
    outcome = haltere("bench", "swarm", "--growth")
    assert outcome.code == 2
    assert outcome.err.splitlines()[-1] == "--growth: a policy of type swarm has no memory that could grow"


def test_bench_of_the_simulator_has_the_agreed_keys(haltere: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """``bench --sim --json`` prints both rates and their ratio under the short name of the task."""
    figures = {"task": "x", "full_steps_per_cpu_s": 2.0, "bare_steps_per_cpu_s": 4.0, "ratio": 0.5}
    target = "haltere.sims.mujoco.swarm.task.SwarmForest.bench_sim"
    monkeypatch.setattr(target, classmethod(lambda cls, config, progress=None: figures))
    assert json.loads(haltere("bench", "swarm", "--sim", "--json").out) == figures | {"task": "swarm"}
    assert "0.50" in haltere("bench", "swarm", "--sim").out


def test_a_single_episode_has_no_interval(haltere: Run) -> None:
    """Neither in the table nor, for means, in the JSON; and a random actor runs on nothing."""
    words = ("eval", "swarm", "--actor", "random", "--episodes", "1", "--threads", "1")
    text = haltere(*words)
    assert text.out.startswith("swarm: random, 1 episode from seed 900000\n")
    assert " to " not in text.out and "95 %" not in text.out
    assert text.err.splitlines()[0] == "flying 1 episode ..."
    report = json.loads(haltere(*words, "--json", "-").out)
    assert report["metrics"]["path_length_m"]["low"] is None
    assert report["success"]["low"] < report["success"]["high"]
