"""The zoo's policies of manip-fork: from the demonstrations that the documents name, and still what their cards say."""

import json
from pathlib import Path

import pytest

from haltere.agents.cli import main as entry
from haltere.agents.imitation.demonstrations import load
from haltere.deploy.zoo import zoo_entry
from haltere.sims.registration import make_vector

pytestmark = pytest.mark.slow


def test_the_cards_name_the_demonstrations_that_the_readme_records(tmp_path: Path) -> None:
    """Recorded anew, they have the digest on the cards of both."""
    folder = tmp_path / "fork"
    assert entry.main(["demos", "manip-fork", "--episodes", "2000", "--out", str(folder)]) == 0
    digest = load(folder, make_vector("manip-fork", 1), None).digest
    assert [zoo_entry(f"manip-fork-{name}").card.demonstrations for name in ("diffusion", "mlp")] == [digest] * 2


@pytest.mark.parametrize(("actor", "least", "most"), [("zoo:diffusion", 0.9, 1.0), ("zoo:mlp", 0.0, 0.05)])
def test_the_fork_is_passed_both_ways_or_not_at_all(
    actor: str, least: float, most: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """On seeds that neither their demonstrations nor their cards have."""
    words = ["--runtime", "onnx", "--episodes", "200", "--seed", "960000", "--json", "-"]
    assert entry.main(["eval", "manip-fork", "--actor", actor, *words]) == 0
    report = json.loads(capsys.readouterr().out)
    assert least <= report["success"]["mean"] <= most
    if least:
        assert min(report["metrics"][way]["mean"] for way in ("left", "right")) >= 0.25
