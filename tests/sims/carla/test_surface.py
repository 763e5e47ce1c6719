"""Which methods of CARLA's classes work, as the documentation says: its table is made here.

HALTERE_WRITE=1 writes the table where it isn't what was found.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from haltere.sims.carla.server.embedded import EmbeddedServer

carla = pytest.importorskip("carla", reason="CARLA's client has no wheel for this machine")

from .surface.checks import CHECKS, LAST, PARTLY  # noqa: E402 -- they need the client

PAGE = Path(__file__).parents[3] / "docs" / "carla.md"
BEGIN, END = "<!-- made by tests/sims/carla/test_surface.py -->\n", "<!-- to here -->\n"
LEAST = 0.85


def methods(name: str) -> list[str]:
    """Of a class, without what it inherits."""
    return sorted(each for each in vars(getattr(carla, name)) if not each.startswith("_"))


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    """What failed, of each class."""
    script = Path(__file__).with_name("check_surface.py")
    with EmbeddedServer.of("grid") as server:
        command = [sys.executable, str(script), server.host, str(server.port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    failed: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return failed


def test_every_check_holds(found: dict[str, list[str]]) -> None:
    """A method that has worked works."""
    assert found == {name: [] for name in CHECKS}


def test_checks_are_of_methods_that_there_are() -> None:
    """And so is what is said of them."""
    for name, checks in CHECKS.items():
        assert set(checks) <= set(methods(name))
    assert set(LAST) <= set(methods("Client"))
    assert set(PARTLY) <= {f"{name}.{each}" for name in CHECKS for each in CHECKS[name]}


def test_the_table_says_what_was_found(found: dict[str, list[str]]) -> None:
    """In docs/carla.md, method by method."""
    rows, working, total = [], 0, 0
    for name, checks in CHECKS.items():
        all_of, working_here = methods(name), set(checks) - set(found[name])
        if name == "Client":
            working_here |= set(LAST) - set(found[name])
        partly = [each for each in all_of if each in working_here and f"{name}.{each}" in PARTLY]
        full = [each for each in all_of if each in working_here and each not in partly]
        missing = [each for each in all_of if each not in working_here]
        columns = (", ".join(f"`{each}`" for each in some) for some in (full, partly, missing))
        rows.append(f"| `{name}`, {len(working_here)} of {len(all_of)} | " + " | ".join(columns) + " |")
        working, total = working + len(working_here), total + len(all_of)
    lines = [
        f"{working} of {total} methods and properties, {working / total:.0%}:",
        "",
        "| class | works | partly | not yet |",
        "| --- | --- | --- | --- |",
        *rows,
        "",
        *(f"- `{name}`: {why}." for name, why in PARTLY.items()),
        "",
    ]
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    expected = before + BEGIN + "\n".join(lines) + END + after
    if os.environ.get("HALTERE_WRITE"):
        PAGE.write_text(expected)
    assert working / total >= LEAST and PAGE.read_text() == expected
