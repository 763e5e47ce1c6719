"""Whatever a task file holds, it becomes a recipe or one of our errors."""

import copy
import math
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from haltere.agents.recipe import from_yaml, to_yaml
from haltere.configs.catalogue import read_task_file
from haltere.configs.errors import HaltereError
from haltere.configs.loader import read_yaml

Spot = tuple[Any, Any]
"""A mapping or list, and a key or index of it."""

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 3, 8, 64, 0.5, -0.5, 1e-300, 1e300, math.nan, math.inf, -math.inf),
    *(2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**400),
    *("", "swarm", "ppo", "softmax", "mix", "8", "1e3", "nan", "\ud800", "\x00", "\u202e", "x" * 10_000),
    *("../..", ".swarm", "a.b"),
    *([], {}, [1, 2], {"type": "ppo"}, {"type": ["ppo"]}, {"": {"": [None, {"a": []}]}}),
)
LINES = (
    *("policy: {type: swarm}", "? [a, b]", "- 1", "<<: *x", "a: &x [*x]", "!!python/object/apply:os.getcwd []", "\t"),
    *("---", "task: !!binary aGVsbG8=", "env: 2026-01-01", "1: 2", "null: 1", "{", "'", "zoo: |\n  x"),
    *("%YAML 9.9", "\ufeff"),
)


def spots(node: Any) -> list[Spot]:  # noqa: ANN401 -- plain data
    """Every place in nested data."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [spot for key, value in items for spot in ((node, key), *spots(value))]


def change(data: dict[str, Any], rng: random.Random) -> None:
    """Replace, wrap, scale, drop, rename, copy or move one value."""
    places = spots(data)
    if not places:
        return
    node, key = rng.choice(places)
    value, kind = node[key], rng.randrange(8)
    if kind <= 1:
        node[key] = copy.deepcopy(rng.choice(VALUES))
    elif kind == 2:
        for _ in range(rng.choice([1, 2, 60])):
            value = rng.choice([[value], {"type": value}, {str(key): value}])
        node[key] = value
    elif kind == 3 and isinstance(value, (int, float)):
        node[key] = value * rng.choice([-1, 0, 2, 0.5, 10**30])
    elif kind == 4:
        del node[key]
    elif kind == 5 and isinstance(node, dict):
        letters = list(str(key))
        letters[rng.randrange(len(letters))] = rng.choice(["", "e", "_", ".", "É", "\n"]) if letters else "x"
        node["".join(letters)] = node.pop(key)
    elif kind == 6 and isinstance(node, dict):
        node[rng.choice([1, 1.5, None, True, "extra", "type"])] = value
    else:
        other, place = rng.choice(places)
        other[place] = copy.deepcopy(value)


def mutant(original: dict[str, Any], rng: random.Random) -> bytes:
    """The text of a file with one to four changes, in its data or, less often, in its text."""
    data = copy.deepcopy(original)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        change(data, rng)
    text = yaml.safe_dump(data, sort_keys=False)
    if rng.random() < 0.3:
        lines = text.splitlines()
        at = rng.randint(0, len(lines))
        lines.insert(rng.randint(0, len(lines)), rng.choice([*LINES, *lines[at : at + 1]]))
        text = "\n".join(lines)
    content = bytearray(text.encode())
    if rng.random() < 0.1:
        content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content)


def survives(count: int, tmp_path: Path) -> None:
    """Try so many mutants; some are accepted, some refused, and what is accepted is the same when written and read."""
    task = read_task_file("swarm")
    original = {"name": task.name, **read_yaml(task.path)}
    path, again, rng = tmp_path / "mutant.yaml", tmp_path / "again.yaml", random.Random(20_230_923)
    accepted = 0
    for index in range(count):
        content = mutant(original, rng)
        path.write_bytes(content)
        try:
            recipe = from_yaml(path)
        except HaltereError as error:
            assert str(error).startswith(str(path)), (index, content)
            assert "\n" not in str(error), (index, content)
        except BaseException as error:
            error.add_note(f"mutant {index}: {content!r}")
            raise
        else:
            accepted += 1
            again.write_text(to_yaml(recipe), encoding="utf-8")
            assert from_yaml(again) == recipe, (index, content)
    assert count // 50 < accepted < count // 2


@pytest.mark.parametrize("module", ["", ".", "../..", ".swarm", "a..b", "a b", "\x00", "\ud800", "x" * 10_000, "json"])
def test_a_module_that_cant_be_one_is_refused(tmp_path: Path, module: str) -> None:
    """Python's import has an error of its own for each kind of wrong name."""
    task = read_task_file("swarm")
    path = tmp_path / "task.yaml"
    path.write_text(yaml.safe_dump({"name": task.name, **read_yaml(task.path), "module": module}), encoding="utf-8")
    with pytest.raises(HaltereError, match="module"):
        from_yaml(path)


def test_a_mutated_task_file_is_a_recipe_or_refused(tmp_path: Path) -> None:
    """Some hundred mutants; see ``survives``."""
    survives(300, tmp_path)


@pytest.mark.slow
def test_ten_thousand_mutated_task_files_are_recipes_or_refused(tmp_path: Path) -> None:
    """As many as are promised."""
    survives(10_000, tmp_path)
