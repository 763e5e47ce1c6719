"""``haltere carla``, as typed."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "haltere.agents.cli.main", "carla"]
carla = pytest.importorskip("carla", reason="CARLA's client has no wheel for this machine")


def test_a_server_serves_until_it_is_stopped() -> None:
    """It says where it listens; a client finds the town; Ctrl-C is its end."""
    command = [*COMMAND, "--port", "0", "--headless-log"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        said = next(found for line in lines if (found := re.search(r"Client\('([\d.]+)', (\d+)\)", line)))
        client = carla.Client(said[1], int(said[2]))
        client.set_timeout(20.0)
        assert client.get_world().get_map().name.endswith("grid")
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(20.0) == 0 and "stopped" in rest and "Traceback" not in rest


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--map", "grit"], "no town named 'grit'; did you mean 'grid'"),
        (["--map", "no.xodr"], "no.xodr: No such file"),
        (["--port", "70000"], "port: must be at most 65534, got 70000"),
        (["--host", "256.0.0.1"], "256.0.0.1, port"),
        (["--maps", "grid"], "--maps"),
    ],
)
def test_a_wrong_request_gets_a_sentence(words: list[str], sentence: str, tmp_path: Path) -> None:
    """And exit code 2."""
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 2 and sentence in done.stderr and "Traceback" not in done.stderr
