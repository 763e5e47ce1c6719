"""Task files: found by directory and entry point, strict at the top, told apart by name."""

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from haltere.configs import discovery
from haltere.configs.catalogue import read_task_file, read_task_path, task_names
from haltere.configs.errors import ConfigError, RequestError

GOOD = "task: x/Y-v0\nmodule: x.y\nenv: {}\npolicy: {type: a}\ntrainer: {type: b}\n"


def test_every_task_file_is_readable() -> None:
    """Each YAML of the package has the right keys and its own name."""
    assert "swarm" in task_names()
    for name in task_names():
        assert read_task_file(name).name == name


def test_a_typo_gets_the_nearest_task() -> None:
    """The sentence of the style guide."""
    with pytest.raises(RequestError, match=r"^no task named 'swrm'; did you mean 'swarm'\? \(haltere list shows"):
        read_task_file("swrm")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (GOOD + "polcy: {}\n", "t.yaml: polcy: no such key; did you mean 'policy'?"),
        (GOOD.replace("module: x.y\n", ""), "t.yaml: module: is missing"),
        (GOOD.replace("type: a", ""), "t.yaml: policy.type: must name a policy, got None"),
        (GOOD.replace("type: b", "type: 3"), "t.yaml: trainer.type: must name a trainer, got 3"),
        (GOOD.replace("env: {}", "env: 3"), "t.yaml: env: must be a mapping, got 3"),
        (GOOD.replace("env: {}", "env: {1: 2}"), "t.yaml: env: every key must be text, got 1"),
        (GOOD + "name: other\n", "t.yaml: name: must be 't', like the file, got 'other'"),
    ],
)
def test_a_wrong_task_file_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    """Keys, types and the two discriminators are checked before anything is imported."""
    (tmp_path / "t.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_task_path(tmp_path / "t.yaml", "t.yaml", "t")
    assert str(caught.value).startswith(sentence)


def test_a_plugin_brings_its_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry point's name is the task, its value the package that holds ``<name>.yaml``."""
    package = tmp_path / "someones_tasks"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "hop.yaml").write_text(GOOD, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    entries = EntryPoints(
        [EntryPoint("hop", "someones_tasks", "haltere.tasks"), EntryPoint("gone", "not_there", "haltere.tasks")]
    )
    monkeypatch.setattr(discovery, "entry_points", lambda group: entries.select(group=group))
    assert {"hop", "gone", "swarm"} <= set(task_names())
    assert read_task_file("hop").task == "x/Y-v0"
    with pytest.raises(ConfigError, match="no package named 'not_there'"):
        read_task_file("gone")
