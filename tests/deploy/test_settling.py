"""Chunks that need fewer calls than they may have: which lanes stop, what is kept of them, and what it spares."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from haltere.deploy.contract import Chunking, Contract
from haltere.deploy.errors import ContractError
from haltere.deploy.export import TaskFacts, export
from haltere.deploy.loading import torch_actor
from haltere.deploy.runtime.actor import OnnxActor
from haltere.deploy.runtime.chunks import ChunkActor, in_its_loop
from haltere.policies.base import Signature
from haltere.policies.ebt.config import EbtConfig
from haltere.policies.registry import build_policy

SENSED = {"state": (1,)}


class Slope:
    """A model whose gradient falls by one with each call, from what it sensed; it plans the number of its call."""

    def __init__(self) -> None:
        """No calls yet."""
        self.calls, self.count = 0, 0
        self.noise: list[NDArray[Any]] = []

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """All lanes at once."""
        self.count = 0

    def act(self, obs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One refinement."""
        self.calls += 1
        self.count += 1
        if "noise" in obs:
            self.noise.append(obs["noise"].copy())
        gradient = obs["state"][:, -1, :1] - self.count
        chunk = np.full((len(gradient), 2, 1), 0.1 * self.count, np.float32)
        return {"action": chunk[:, 0], "chunk": chunk, "gradient": gradient}


def sensed(*steepness: float) -> dict[str, NDArray[np.float32]]:
    """One number a lane."""
    return {"state": np.array(steepness, np.float32)[:, None]}


def test_each_lane_stops_when_its_own_chunk_has_settled() -> None:
    """At the first gradient below the threshold; what it shows is of that call. Calls end with the last lane."""
    model = Slope()
    made = ChunkActor(model, Chunking(1, 2, 2, 9, 0, 0.5), SENSED, 1).act(sensed(1.0, 4.0, 2.4))
    assert made["calls"].tolist() == [[1], [4], [2]]
    np.testing.assert_allclose(made["chunk"][:, 0, 0], [0.1, 0.4, 0.2], rtol=1e-6)
    np.testing.assert_allclose(made["gradient"][:, 0], [0.0, 0.0, 0.4], atol=1e-6)
    assert model.calls == 4


@pytest.mark.parametrize("settled", [0.0, 0.5])
def test_a_chunk_that_never_settles_takes_all_its_calls(settled: float) -> None:
    """So does every chunk where there is no threshold."""
    model = Slope()
    actor = ChunkActor(model, Chunking(1, 2, 2, 5, 0, settled), SENSED, 1)
    made = actor.act(sensed(99.0 if settled else -99.0, 99.0))
    assert made["calls"].tolist() == [[5], [5]]
    assert model.calls == 5


def test_neighbours_change_neither_plan_nor_noise() -> None:
    """Alone or beside a lane that takes longer, with noise in every call: the same chunks and the same draws."""
    both, alone = Slope(), Slope()
    loop = Chunking(1, 2, 1, 6, 2, 0.5)
    pair, single = ChunkActor(both, loop, SENSED, 1), ChunkActor(alone, loop, SENSED, 1)
    pair.start([3, 4])
    single.start([3])
    for steepness in (1.0, 3.0, 2.0):
        one, other = pair.act(sensed(steepness, 5.0)), single.act(sensed(steepness))
        for name in other:
            np.testing.assert_array_equal(one[name][:1], other[name])
    # Each plan's first calls: 1, 3 and 2 of the lane's own, out of 5 that its neighbour takes.
    drawn = [*both.noise[:1], *both.noise[5:8], *both.noise[10:12]]
    np.testing.assert_array_equal([noise[0] for noise in drawn], [noise[0] for noise in alone.noise])


def test_a_file_stops_when_the_network_does(tmp_path: Path) -> None:
    """The threshold travels in the contract: as many calls in a file as in torch, and fewer than there could be."""
    config = EbtConfig(width=16, layers=1, horizon=4, executed=2, refinements=6, settled=0.4)
    policy = build_policy(config, Signature({"state": (3,)}, 2), seed=1)
    made = export(policy, tmp_path / "policy.onnx", facts=TaskFacts("haltere/Toy-v0", 0.1, {}))
    assert made.contract.chunking == Chunking(2, 4, 2, 6, 1, 0.4)
    assert Contract.from_json(made.contract.to_json()) == made.contract
    model = OnnxActor(made.path)
    actors: list[Any] = [torch_actor(policy), in_its_loop(model)]
    generator, calls = np.random.default_rng(0), []
    for actor in actors:
        actor.start([1, 2, 3])
    for _ in range(12):
        obs = {"state": generator.standard_normal((3, 3)).astype(np.float32)}
        one, other = (actor.act(obs) for actor in actors)
        assert one.keys() == other.keys() >= {"energy", "gradient", "calls"}
        for name in one:
            np.testing.assert_allclose(other[name], one[name], atol=1e-4)
        calls += one["calls"].tolist()
    assert 1 <= min(calls)[0] < max(calls)[0] <= 6
    text = made.contract.to_json().replace('"aux.gradient"', '"aux.other"')
    with pytest.raises(ContractError, match=r"'settled' is for an output 'aux\.gradient'"):
        Contract.from_json(text)


def test_a_threshold_below_nothing_is_refused() -> None:
    """And one where there is no chunk."""
    for wrong in ((1, 2, 2, 5, 0, -0.1), (0, 0, 0, 0, 0, 0.1)):
        with pytest.raises(ContractError, match="contract: Chunking"):
            Chunking(*wrong)
