"""``haltere export --int8 --bf16``: made, flown, reported, and found again by ``eval`` and ``run``."""

import json
from pathlib import Path

import pytest

from haltere.agents.cli import main as entry
from haltere.deploy.quantise import acceptance
from haltere.deploy.runtime.kernels import kernel_calls
from haltere.deploy.store import verify_folder

SHORT = ["--env.episode-s", "1"]


def test_an_export_with_fewer_bits_flies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report in the folder is what is printed; each variant flies by name, and what was refused isn't there."""
    out = tmp_path / "swarm"
    words = ["export", "swarm", "--int8", "--bf16", "--episodes", "2", "--out", str(out), "--json", "-", *SHORT]
    assert entry.main(words) == 0
    made = json.loads(capsys.readouterr().out)["quantised"]
    assert {"policy.onnx", "policy.int8.onnx", "quantised.json"} < verify_folder(out).keys()
    assert made == json.loads((out / "quantised.json").read_text())
    assert list(made["variants"]) == ["onnx fp32", "fused fp32", "onnx int8", "fused int8", "fused bf16"]
    assert all(row["kept"] for row in made["variants"].values()) and made["episodes"] == 2

    distance = {}
    flights = {
        "onnx": (out, ["--runtime", "onnx"]),
        "onnx int8": (out, ["--runtime", "onnx", "--precision", "int8"]),
        "by its file": (out / "policy.int8.onnx", ["--runtime", "onnx"]),
        "fused int8": (out, ["--runtime", "fused", "--precision", "int8"]),
        "fused bf16": (out, ["--runtime", "fused", "--precision", "bf16"]),
    }
    for name, (actor, how) in flights.items():
        before = kernel_calls("SwarmPolicy")
        assert entry.main(["eval", "swarm", "--actor", str(actor), *how, "--episodes", "2", "--json", "-", *SHORT]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["runtime"] == ("onnx" if name == "by its file" else name)
        assert (kernel_calls("SwarmPolicy") > before) is name.startswith("fused")
        distance[name] = report["metrics"]["goal_distance_m"]["mean"]
    assert distance["onnx int8"] == distance["by its file"] != distance["onnx"]
    assert len({distance[name] for name in ("onnx", "fused int8", "fused bf16")}) == 3
    assert max(distance.values()) - min(distance.values()) < 0.1

    box = ["--black-box", str(tmp_path / "box"), "--seconds", "0.05"]
    for how in (["--precision", "int8"], ["--runtime", "fused", "--precision", "bf16"]):
        assert entry.main(["run", str(out), *how, *box]) in (0, 1)  # 1: this machine was too busy
        assert "ticks of 10 ms" in capsys.readouterr().out

    monkeypatch.setattr(acceptance, "overlap", lambda first, second: first.mean > second.mean)
    assert entry.main([*words[:2], "--int8", *words[4:]]) == 1
    said = capsys.readouterr()
    assert "not kept: onnx int8 succeeds" in said.err and "the export is complete without" in said.err
    assert json.loads(said.out)["quantised"]["variants"]["onnx int8"]["kept"] is False
    assert "policy.int8.onnx" not in verify_folder(out) and not (out / "policy.int8.onnx").exists()
    assert entry.main(["run", str(out), "--runtime", "fused", "--precision", "int8"]) == 2
    assert "kernels in int8 flew worse than fp32" in capsys.readouterr().err
    assert entry.main(["eval", "swarm", "--actor", str(out), "--runtime", "onnx", "--precision", "int8"]) == 2
    assert "has no policy.int8.onnx" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["export", "swarm", "--int8", "--target", "c"], "--int8 is for an exported ONNX file"),
        (["export", "swarm", "--int8", "--seed", "899950"], "--seed: episode 899984 is among those"),
        (["eval", "swarm", "--precision", "int8"], "--precision int8 is for an exported policy"),
        (["eval", "swarm", "--precision", "bf16", "--runtime", "onnx"], "bf16 needs our kernels"),
        (["eval", "swarm", "--precision", "int4"], "must be one of fp32, bf16 or int8"),
        (["run", "swarm", "--precision", "int4"], "--precision: must be one of fp32, bf16, int8"),
        (["run", "swarm", "--runtime", "fused", "--precision", "int8"], "hasn't flown with kernels in int8"),
    ],
)
def test_a_wrong_request_gets_a_sentence(
    words: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before anything is flown, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    assert entry.main(words) == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
