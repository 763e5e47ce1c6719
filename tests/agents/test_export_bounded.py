"""``haltere export`` with another bound of the memory: the same weights, a smaller state, proven like any export."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from haltere.agents.cli import main as entry
from haltere.agents.cli.export import _policy, as_text
from haltere.agents.recipe import resolve, to_yaml
from haltere.deploy.card import Card, read_card, write_card
from haltere.deploy.export import Manifest
from haltere.deploy.loading import load_policy
from haltere.deploy.runtime import OnnxActor
from haltere.deploy.store import write_folder
from haltere.deploy.weights import save_weights, weights_digest
from haltere.policies.base import Signature
from haltere.policies.registry import build_policy
from haltere.sims.ballet.config import BalletConfig
from haltere.sims.ballet.task import Ballet

SIGNATURE = Signature({"image": (3, 33, 33), "instruction": (14,)}, 8)
CHUNK, SLOTS, WIDTH, BOUND = 8, 12, 8, 3


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy folder as training leaves it: untrained and tiny, with an evaluation in its card."""
    settings = {"width": WIDTH, "heads": 2, "channels": 2, "chunk": CHUNK, "slots": SLOTS, "top_k": 2, "convolution": 0}
    recipe = resolve("ballet", {f"policy.{name}": value for name, value in settings.items()})
    policy = build_policy(recipe.policy, SIGNATURE, seed=3)
    measured = {"episodes": 9, "success": {"mean": 0.5, "low": 0.25, "high": 0.75}}
    card = Card("haltere/Ballet-v0", "memory", 1, weights_digest(policy), "haltere train", 0, 9, 1.0, measured)

    def fill(folder: Path) -> None:
        save_weights(policy, folder / "policy.safetensors")
        (folder / "config.yaml").write_text(to_yaml(recipe), encoding="utf-8")
        write_card(card, folder / "card.json")

    folder = tmp_path_factory.mktemp("bounded") / "source"
    write_folder(folder, fill)
    return folder


@pytest.fixture(scope="module")
def bounded(source: Path) -> Path:
    """The folder that ``haltere export --policy.slots`` makes of it, with what it prints beside it."""
    out = source.parent / "bounded"
    made = str(source.parent / "made.json")
    words = ["--actor", str(source), "--policy.slots", str(BOUND), "--out", str(out), "--json", made]
    assert entry.main(["export", "ballet", *words]) == 0
    return out


def test_every_file_of_a_bounded_export_says_so(source: Path, bounded: Path) -> None:
    """State, contract and configuration are those of the smaller memory; nobody has measured it yet."""
    made = json.loads((source.parent / "made.json").read_text())
    rings = BOUND * (CHUNK + 1) * WIDTH * 4
    assert made["state_kib"] * 1024 == rings + CHUNK * WIDTH * 4 + 8
    before, after = (yaml.safe_load((folder / "config.yaml").read_text()) for folder in (source, bounded))
    assert after == before | {"policy": before["policy"] | {"slots": BOUND}}
    actor, card = OnnxActor(bounded), read_card(bounded / "card.json")
    assert (actor.read_steps, actor.read_after) == (CHUNK, 1)
    assert actor.contract.state_bytes == made["state_kib"] * 1024
    assert card == replace(read_card(source / "card.json"), evaluation={}, changes={"slots": BOUND})
    assert actor.contract.weights == card.weights


def test_what_is_set_as_it_was_is_no_change(source: Path) -> None:
    """However it was typed; and so a card doesn't say that it was changed, and keeps its evaluation."""
    own = load_policy(source).config.slots
    assert _policy(source, {"slots": own, "top_k": 1})[1] == {"top_k": 1}
    assert _policy(source, {"slots": own})[1] == {}


@torch.no_grad()
def test_a_bounded_export_forgets_as_the_network_does(source: Path, bounded: Path) -> None:
    """It is the trained network with that setting, step after step, and the unbounded one until something is lost."""
    actor, rng = OnnxActor(bounded), np.random.default_rng(0)
    policies = [load_policy(source, {"slots": BOUND}), load_policy(source)]
    states = [policy.initial_state(2) for policy in policies]
    errors, differences = [], []
    for _ in range((BOUND + 3) * CHUNK):
        obs = {name: rng.random((2, *shape), np.float32) for name, shape in SIGNATURE.obs.items()}
        actions = []
        for index, policy in enumerate(policies):
            output, states[index] = policy({name: torch.from_numpy(each) for name, each in obs.items()}, states[index])
            actions.append(output["action"].numpy())
        errors.append(np.abs(actor.act(obs)["action"] - actions[0]).max())
        differences.append(np.abs(actions[1] - actions[0]).max())
    assert max(errors) < 1e-5
    full = (BOUND + 1) * CHUNK  # the step that stores one chunk more than there is room for
    assert max(differences[:full]) < 1e-6 < 1e-5 < max(differences[full:])


def test_what_is_read_is_judged_on_every_runtime(bounded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An export carries how its places hold the past: torch and ONNX Runtime retrieve alike, episode by episode."""
    level = ["--env.dancers", "4", "--env.delay", "1", "--env.choice-steps", "3", "--episodes", "12", "--json"]
    got = {}
    for runtime in ("torch", "onnx"):
        assert entry.main(["eval", "ballet", "--actor", str(bounded), "--runtime", runtime, *level]) == 0
        got[runtime] = json.loads(capsys.readouterr().out)["per_episode"]
    assert got["onnx"]["retrieved"] == got["torch"]["retrieved"]
    assert got["onnx"]["read_share"] == pytest.approx(got["torch"]["read_share"], abs=1e-4)
    # A dance is two chunks long; three are left of the eight before the question, the two of the fourth among them.
    env = Ballet(BalletConfig(dancers=4, delay=1, pixels=33), 12)
    env.reset(seed=list(range(900_000, 900_012)))
    target = env.layout.target
    assert set(target) == {0, 1, 2, 3}
    assert got["onnx"]["read_share_chance"] == pytest.approx(np.array([0, 0, 1 / 3, 2 / 3])[target])
    # Two of the three are read: one of them by chance with 2/3, one of two for certain.
    assert got["onnx"]["retrieved_chance"] == pytest.approx(np.array([0, 0, 2 / 3, 1])[target])
    assert not np.array(got["onnx"]["retrieved"])[target < 2].any()
    assert np.array(got["onnx"]["retrieved"])[target == 3].all()


def test_the_size_of_the_state_is_printed(bounded: Path) -> None:
    """Beside parity, also over the steps in which each runtime feeds on its own state."""
    contract = OnnxActor(bounded).contract
    text = as_text(Manifest(bounded / "policy.onnx", contract, 1, 1, 1))
    assert f"state: {contract.state_bytes / 1024:.1f} KiB, what one lane remembers between two steps" in text
    assert "after 500 steps" in text


@pytest.mark.parametrize(
    ("task", "words", "message"),
    [
        ("ballet", ["--policy.heads", "4"], r"--policy.heads: .* what may change of this one is --policy.slots and"),
        ("ballet", ["--policy.span", "9"], r"--policy.span: an export keeps the network as it was trained"),
        ("swarm", ["--policy.attention", "mean"], r"--policy.attention: .* nothing may change of this one"),
        ("ballet", ["--policy.slots", "1"], r"policy.top_k: must be at most policy.slots 1, got 2"),
    ],
)
def test_nothing_else_of_a_trained_network_changes(
    source: Path, task: str, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence that names the option and what may be changed; no folder is left."""
    out = source.parent / "out"
    actor = ["--actor", str(source)] if task == "ballet" else []
    assert entry.main(["export", task, *actor, "--out", str(out), *words]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not out.exists()


def test_help_names_the_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    """In the text, and as options with their types."""
    assert entry.main(["export", "ballet", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--policy.slots, --policy.top-k, --policy.window, --policy.span" in text
    assert text.count("--policy.slots") >= 2
