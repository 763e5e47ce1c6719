"""Which methods of CARLA's classes work, as the documentation says: its table is made here.

HALTERE_WRITE=1 writes the table where it isn't what was found.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

from haltere.sims.carla.server.embedded import EmbeddedServer
from haltere.sims.carla.server.serving import ServerOptions

carla = pytest.importorskip("carla", reason="CARLA's client has no wheel for this machine")

from .surface.checks import CHECKS, LAST  # noqa: E402 -- they need the client
from .surface.partly import PARTLY  # noqa: E402

PAGE = Path(__file__).parents[3] / "docs" / "carla.md"
BEGIN, END = "<!-- made by tests/sims/carla/test_surface.py -->\n", "<!-- to here -->\n"
LEAST = 0.85


def methods(name: str) -> list[str]:
    """Of a class, without what it inherits."""
    return sorted(each for each in vars(getattr(carla, name)) if not each.startswith("_"))


@contextlib.contextmanager
def logged_in(path: Path) -> Iterator[None]:
    """What is started within writes its log there, as it writes to standard error."""
    kept = os.dup(2)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the server that is checked."""
    return tmp_path_factory.mktemp("surface") / "server.log"


@pytest.fixture(scope="module")
def found(log: Path) -> dict[str, list[str]]:
    """What failed, of each class."""
    script = Path(__file__).with_name("check_surface.py")
    with logged_in(log):
        running = EmbeddedServer(ServerOptions(port=0, recordings=str(log.parent)))
    with running as server:
        command = [sys.executable, str(script), server.host, str(server.port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        with socket.create_connection((server.host, server.port), timeout=20.0) as connection:
            connection.sendall(msgpack.packb([0, 1, "nobody_knows", [[False]]]))
            connection.recv(4096)
    assert done.returncode == 0, done.stderr
    failed: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return failed


def test_every_check_holds(found: dict[str, list[str]]) -> None:
    """A method that has worked works."""
    assert found == {name: [] for name in CHECKS}


def test_no_call_fails_unseen(found: dict[str, list[str]], log: Path) -> None:
    """Neither unknown, nor refused where the client doesn't wait; the last line shows that the log is the server's."""
    lines = log.read_text().splitlines()
    assert found and lines[-1].startswith("call nobody_knows isn't answered")
    assert not [line for line in lines[:-1] if "isn't answered" in line or "failed" in line]


def test_checks_are_of_methods_that_there_are() -> None:
    """And so is what is said of them."""
    for name, checks in CHECKS.items():
        assert set(checks) <= set(methods(name))
    assert set(LAST) <= set(methods("Client"))
    assert set(PARTLY) <= {f"{name}.{each}" for name in CHECKS for each in CHECKS[name]}


def test_the_table_says_what_was_found(found: dict[str, list[str]]) -> None:
    """In docs/carla.md, method by method."""
    rows, working, total, less = [], 0, 0, 0
    for name, checks in CHECKS.items():
        all_of, working_here = methods(name), set(checks) - set(found[name])
        if name == "Client":
            working_here |= set(LAST) - set(found[name])
        partly = [each for each in all_of if each in working_here and f"{name}.{each}" in PARTLY]
        full = [each for each in all_of if each in working_here and each not in partly]
        missing = [each for each in all_of if each not in working_here]
        columns = (", ".join(f"`{each}`" for each in some) for some in (full, partly, missing))
        rows.append(f"| `{name}`, {len(working_here)} of {len(all_of)} | " + " | ".join(columns) + " |")
        working, total, less = working + len(working_here), total + len(all_of), less + len(partly)
    lines = [
        f"{working} of {total} methods and properties, {working / total:.1%}; without the {less} of them that work "
        f"partly, {working - less}, {(working - less) / total:.1%}:",
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
