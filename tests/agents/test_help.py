"""The help of a task's settings: what it shows can be typed, and is there for that task."""

import re
import shlex
from dataclasses import fields

import pytest

from haltere.agents.cli import main as entry
from haltere.agents.cli.common import read_request
from haltere.agents.cli.train import PARTS, TrainOptions
from haltere.agents.recipe import resolve, settings
from haltere.configs.catalogue import task_names


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The help of a command."""
    assert entry.main([*words, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("task", task_names())
def test_a_list_in_the_help_can_be_typed_again(capsys: pytest.CaptureFixture[str], task: str) -> None:
    """Every list of dataclasses is one option, whose default is there to be pasted; its parts are no options."""
    shown = said(capsys, "train", task)
    typed = [shlex.split(line) for line in shown.splitlines() if line.startswith("  --") and line.endswith("]'")]
    recipe = resolve(task)
    listed = {
        f"{part}.{field.name}": getattr(getattr(recipe, part), field.name)
        for part in PARTS
        for field in fields(getattr(recipe, part))
        if "curriculum" in field.name or "narrowed" in field.name
    }
    assert {words[0] for words in typed} == {f"--{path}" for path in listed}
    other = said(capsys, "train", task, *(word for name, _ in typed for word in (name, "[]")))
    for (name, value), members in zip(typed, listed.values(), strict=True):
        assert f"{name} JSON" in shown and f"\n  {name} '[]'\n" in other
        request = read_request("train", [task, name, value], TrainOptions, PARTS)
        assert request is not None and request.recipe() == recipe
        keys = re.findall(r'^  "(\w+)": \w', shown.partition(f"\n  {name} '[")[2].partition("\n\n")[0], re.MULTILINE)
        assert not members or keys == [field.name for field in fields(members[0])]
    assert not re.search(r"--[a-z.-]+\.\d", shown)


@pytest.mark.parametrize("verb", ["train", "eval", "export", "bench"])
@pytest.mark.parametrize("task", task_names())
def test_help_names_no_setting_that_a_task_lacks(capsys: pytest.CaptureFixture[str], verb: str, task: str) -> None:
    """An example above the options is one of them; what only some policies have is said to be theirs."""
    intro = " ".join(said(capsys, verb, task).partition("-h, --help")[0].split())
    condition, _, rest = intro.partition("Where the policy has a memory, they are ")
    for named in re.findall(r"--(?:env|policy|trainer)\.[a-z][a-z.-]*", condition if rest else intro):
        assert named[2:].replace("-", "_") in settings(task)
