"""Exports that many tests look at, made once."""

from pathlib import Path

import pytest

from haltere.deploy.card import Card
from haltere.deploy.export import export, export_folder
from haltere.deploy.mcu.export import CManifest, export_c

from .blocks import Blocks
from .mcu_policies import FACTS as SWARM_FACTS
from .mcu_policies import WIDTHS, mcu_policy
from .toys import CONFIG, FACTS, Remembering, ToyConfig, swarm_policy


@pytest.fixture(scope="session")
def swarm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole policy folder of a swarm policy with random weights."""
    folder = tmp_path_factory.mktemp("swarm") / "policy"
    card = Card("toy/Toy-v0", "swarm", 1204, "0" * 64, "haltere train toy", seed=0, steps=1, wall_s=1.0)
    export_folder(swarm_policy(), folder, facts=FACTS, config=CONFIG, card=card)
    return folder


@pytest.fixture(scope="session")
def recurrent_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported policy that remembers, alone in its folder."""
    path = tmp_path_factory.mktemp("recurrent") / "toy.onnx"
    export(Remembering(ToyConfig(start=0.25)), path, facts=FACTS)
    return path


@pytest.fixture(scope="session")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported policy of fused blocks, and beside it ``inline.onnx``, its copy without functions."""
    path = tmp_path_factory.mktemp("blocks") / "blocks.onnx"
    export(Blocks(ToyConfig()), path, facts=FACTS, inline=path.with_name("inline.onnx"))
    return path


@pytest.fixture(scope="session")
def mcu_exports(tmp_path_factory: pytest.TempPathFactory) -> dict[int, CManifest]:
    """A folder of C for each width, with the cost that its export measured."""
    place = tmp_path_factory.mktemp("mcu")
    return {width: export_c(mcu_policy(width), place / str(width), facts=SWARM_FACTS) for width in WIDTHS}
