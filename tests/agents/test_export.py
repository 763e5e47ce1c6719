"""``haltere export``: one folder, and on request the copy for engines that know no functions; then flown by name."""

import json
from pathlib import Path

import pytest

from haltere.agents.cli import main as entry
from haltere.deploy.runtime.kernels import kernel_calls
from haltere.deploy.store import verify_folder


def test_an_export_flies_on_every_runtime(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two files with the same contract, all parities small, and ``eval --runtime fused`` really runs the kernel."""
    out = tmp_path / "swarm"
    assert entry.main(["export", "swarm", "--inline", "--out", str(out), "--json", "-"]) == 0
    made = json.loads(capsys.readouterr().out)
    files = verify_folder(out)
    assert {"policy.onnx", "policy.inline.onnx"} < files.keys()
    assert made["inline"] == str(out / "policy.inline.onnx")
    assert made["fused"] == ["SwarmPolicy"]
    assert made["parity"]["max_error"] <= 1e-5 and made["kernel_error"] <= 1e-5
    success = {}
    for actor, runtime in ((out, "onnx"), (out, "fused"), (out / "policy.inline.onnx", "onnx")):
        before = kernel_calls("SwarmPolicy")
        words = ["--actor", str(actor), "--runtime", runtime, "--episodes", "2", "--env.episode-s", "1", "--json", "-"]
        assert entry.main(["eval", "swarm", *words]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["runtime"] == runtime
        success[actor, runtime] = report["metrics"]["goal_distance_m"]["mean"]
        assert (kernel_calls("SwarmPolicy") > before) is (runtime == "fused")
    assert max(success.values()) - min(success.values()) < 1e-3
