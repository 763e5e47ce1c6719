"""A task is found by name or id, by us and by Gymnasium, and nothing heavy is imported to find it."""

import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest

from haltere.agents.recipe import resolve
from haltere.configs import catalogue
from haltere.configs.errors import ConfigError, RequestError
from haltere.sims.registration import load_task, make_vector, register_tasks, task_of
from haltere.sims.task import TaskVectorEnv, registered_task, task
from tests.sims.toys import TOY, Drift


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A package with one task file, declared as a plugin for one test."""
    package = tmp_path / "driftpack"
    package.mkdir()
    (package / "__init__.py").touch()
    path = package / "drift.yaml"
    parts = "env: {steps: 9}\npolicy: {type: p}\ntrainer: {type: t}\n"
    path.write_text(f"task: {TOY}\nmodule: tests.sims.toys\n{parts}")
    monkeypatch.syspath_prepend(tmp_path)
    known = catalogue._packages()
    monkeypatch.setattr(catalogue, "_packages", lambda: {**known, "drift": "driftpack"})
    monkeypatch.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))
    monkeypatch.setattr(gymnasium, "registry", gymnasium.envs.registration.registry)
    return path


def fresh(code: str) -> str:
    """Standard output of a new interpreter."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_name_and_id_are_one_task(file: Path) -> None:
    """The short name and the Gymnasium id lead to the same class, and its YAML's settings are the defaults."""
    assert load_task("drift") is load_task(TOY) is Drift
    register_tasks()
    assert gymnasium.spec(TOY).kwargs == {"task_id": TOY, "steps": 9}
    env = gymnasium.make(TOY, agents=None)
    env.reset(seed=0)
    assert [env.step(env.action_space.sample())[3] for _ in range(9)] == [False] * 8 + [True]


@pytest.mark.parametrize(("typed", "nearest"), [("swrm", "swarm"), ("haltere/SwarmForst-v0", "haltere/SwarmForest-v0")])
def test_a_typo_gets_the_nearest(typed: str, nearest: str) -> None:
    """A wrong name gets the nearest name, a wrong id the nearest id."""
    with pytest.raises(RequestError, match=f"no task named '{typed}'; did you mean '{nearest}'"):
        load_task(typed)


def test_a_broken_plugin_is_left_out_alone(file: Path) -> None:
    """One unreadable task file costs a warning and its own id, nobody else's."""
    file.write_text("task: [")
    gymnasium.registry.pop("haltere/SwarmForest-v0", None)
    with pytest.warns(UserWarning, match="the task 'drift' isn't registered with Gymnasium: driftpack/drift.yaml"):
        register_tasks()
    assert "haltere/SwarmForest-v0" in gymnasium.registry
    assert TOY not in gymnasium.registry


def test_a_module_that_is_missing_is_named(file: Path) -> None:
    """No such module, a missing dependency, and a module that registers something else are three clear errors."""
    text = file.read_text()
    (file.parent / "needy.py").write_text("import no_such_library\n")
    (file.parent / "idle.py").touch()
    for module, kind, message in (
        ("driftpack.nowhere", ConfigError, "no module named 'driftpack.nowhere'"),
        ("driftpack.needy", RequestError, "task toy/Other-v0 needs no_such_library, which isn't installed"),
        ("driftpack.idle", ConfigError, "driftpack/drift.yaml: module: driftpack.idle registers no task toy/Other-v0"),
    ):
        file.write_text(text.replace("tests.sims.toys", module).replace(TOY, "toy/Other-v0"))
        with pytest.raises(kind, match=message):
            task_of(catalogue.read_task_file("drift"))
        with pytest.raises(kind, match=message):
            resolve("drift")


def test_gymnasium_finds_it_in_a_fresh_process() -> None:
    """``import haltere.sims``, or its name before the id, is all that plain Gymnasium needs."""
    code = "import gymnasium; print(gymnasium.spec('haltere/SwarmForest-v0').entry_point)"
    assert fresh(f"import haltere.sims; {code}") == "haltere.sims.adapters:GymTask"
    made = "gymnasium.make('haltere.sims:haltere/SwarmForest-v0', drones=2).action_space.shape"
    assert fresh(f"import gymnasium; print({made})") == "(2, 4)"


def test_finding_imports_nothing_heavy() -> None:
    """Registering every task loads no simulator, no torch and no PettingZoo."""
    heavy = "{'mujoco', 'torch', 'pybullet', 'pettingzoo', 'cv2'}"
    assert fresh(f"import sys, haltere.sims; print({heavy} & set(sys.modules))") == "set()"


def test_without_gymnasium_sims_still_imports() -> None:
    """The edge install has no Gymnasium: importing the package is harmless there."""
    fresh(
        "import sys, importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'gymnasium' else real(name, package)\n"
        "import haltere.sims; assert 'gymnasium' not in sys.modules"
    )


def test_vector_env_takes_training_and_settings() -> None:
    """make_vector is the task's class with typed settings; a wrong one names the field."""
    env = make_vector(TOY, 3, training=True, steps=2)
    assert (env.num_envs, env.training, env.config.steps) == (3, True, 2)
    with pytest.raises(ConfigError, match=r"env\.steps"):
        make_vector(TOY, 3, steps="two")


@pytest.mark.parametrize(
    ("metrics", "rates"),
    [(("a",), ()), (("a", "success"), ("success",)), (("success",), ()), (("success",), ("success", "b"))],
)
def test_a_task_declares_success_first(metrics: tuple[str, ...], rates: tuple[str, ...]) -> None:
    """``success`` is every task's first metric and a rate, and rates are metrics; anything else is refused."""
    with pytest.raises(RequestError, match="must begin with 'success'"):
        task("toy/Bad-v0", config=dict, metrics=metrics, rates=rates, ctrl_dt_s=0.1, sim="mujoco", units={})


def test_an_unfinished_task_cannot_be_built() -> None:
    """A task without its state is refused when it is built, not when a run is first resumed."""

    class Half(TaskVectorEnv[dict[str, int]]):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Half({}, 1)  # type: ignore[abstract]


def test_an_id_that_nobody_registered() -> None:
    """The nearest registered id is offered."""
    with pytest.raises(RequestError, match="did you mean 'toy/Drift-v0'"):
        registered_task("toy/Drif-v0")


@pytest.mark.parametrize("seed", [[1, 2], [1, 2, -3], [0.5, 1.0, 2.0], 2**63, -1, [[1, 2, 3]]])
def test_wrong_seeds_are_refused(seed: object) -> None:
    """Seeds are W whole numbers from 0; anything else is named, never cut or wrapped."""
    with pytest.raises(RequestError, match="takes 3 whole numbers"):
        make_vector(TOY, 3).reset(seed=seed)  # type: ignore[arg-type]


def test_a_task_without_film_says_so() -> None:
    """Filming a task that has no film() names the task."""
    with pytest.raises(RequestError, match="toy/Drift-v0 can't be filmed"):
        TaskVectorEnv.film(make_vector(TOY), 0)
