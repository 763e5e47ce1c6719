"""Entries of the zoo by name, and by the last part of it in the task that they are of."""

import shutil
from pathlib import Path

import pytest

from haltere.configs.errors import RequestError
from haltere.deploy import zoo
from haltere.deploy.actor_path import actor_path, check_actor_name

FORK, SWARM = "haltere/ManipFork-v0", "haltere/SwarmForest-v0"


@pytest.fixture
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two tasks that have an entry of one kind, one that is named by nothing but itself; cards alone."""
    for name, task in (("fork-mlp", FORK), ("swarm-mlp", SWARM), ("swarm", SWARM), ("swarm-mode", SWARM)):
        (tmp_path / name).mkdir()
        card = (Path(zoo.__file__).parent / "swarm" / "card.json").read_text()
        (tmp_path / name / "card.json").write_text(card.replace(SWARM, task))
    monkeypatch.setattr(zoo, "HERE", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "task", "entry"),
    [
        ("zoo:mlp", FORK, "fork-mlp"),
        ("zoo:mlp", SWARM, "swarm-mlp"),
        ("zoo:swarm-mlp", SWARM, "swarm-mlp"),
        ("zoo:swarm", FORK, "swarm"),
        ("zoo:mode", SWARM, "swarm-mode"),
    ],
)
def test_an_entry_is_found_in_its_task(name: str, task: str, entry: str, entries: Path) -> None:
    """The whole name is that entry everywhere; the last part is the task's own."""
    check_actor_name(name)
    assert actor_path(name, task, None) == entries / entry


def test_an_entry_of_another_task_is_named(entries: Path) -> None:
    """Where the task has none of that kind; and a name of none at all is as unknown as ever."""
    with pytest.raises(RequestError, match=f"{FORK} has no zoo entry 'mode'; swarm-mode is of another task"):
        actor_path("zoo:mode", FORK, None)
    for call in (lambda: actor_path("zoo:mod", FORK, None), lambda: check_actor_name("zoo:mod")):
        with pytest.raises(RequestError, match="no zoo entry named 'mod'"):
            call()
    # The nearest that would do here, and never what was typed.
    for call in (lambda: actor_path("zoo:mod", SWARM, None), lambda: check_actor_name("zoo:mod", (), SWARM)):
        with pytest.raises(RequestError, match="no zoo entry named 'mod'; did you mean 'mode'"):
            call()
    with pytest.raises(RequestError, match=r"no zoo entry named 'mode' \("):
        zoo.zoo_folder("mode")
    with pytest.raises(RequestError, match=f"{FORK} has no zoo entry 'mode'"):
        check_actor_name("zoo:mode", (), FORK)
    shutil.copytree(entries / "swarm-mode", entries / "other-mode")
    with pytest.raises(RequestError, match="other-mode and swarm-mode may be meant; name one whole"):
        actor_path("zoo:mode", SWARM, None)
    shutil.rmtree(entries / "other-mode")
    shutil.rmtree(entries / "swarm-mode")
    with pytest.raises(RequestError, match="no zoo entry named 'mode'"):
        actor_path("zoo:mode", FORK, None)
