"""The loop around a policy that plans chunks: what it sees, when it plans, what it draws; in torch and in a file."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.deploy.contract import Chunking
from haltere.deploy.errors import NonFiniteError, ObservationError
from haltere.deploy.export import TaskFacts, export
from haltere.deploy.loading import torch_actor
from haltere.deploy.runtime.actor import OnnxActor
from haltere.deploy.runtime.chunks import ChunkActor, in_its_loop
from haltere.policies.base import Signature
from haltere.policies.diffusion.config import DiffusionConfig
from haltere.policies.registry import build_policy
from haltere.policies.regression.config import RegressionConfig

SENSED = {"state": (3,)}
SIGNATURE = Signature({"state": (3,), "goal": (2,)}, 2)


class Planner:
    """A model that keeps what it is called with, and plans commands 0.1, 0.2, ... of what it saw last."""

    def __init__(self, horizon: int) -> None:
        """No calls yet."""
        self.horizon = horizon
        self.calls: list[dict[str, NDArray[Any]]] = []
        self.resets = 0
        self.fails_after: int | None = None

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """All lanes at once."""
        assert mask is None
        self.resets += 1

    def act(self, obs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The newest of ``state`` plus a tenth for each command."""
        if self.fails_after is not None:
            if not self.fails_after:
                raise NonFiniteError("no plan")
            self.fails_after -= 1
            return self._planned(obs)
        self.calls.append({name: array.copy() for name, array in obs.items()})
        return self._planned(obs)

    def _planned(self, obs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        steps = 0.1 * np.arange(self.horizon, dtype=np.float32)
        chunk = obs["state"][:, -1, :1, None] + steps[None, :, None]
        return {"action": chunk[:, 0], "chunk": chunk}


def sensed(step: int, lanes: int = 2) -> dict[str, NDArray[np.float32]]:
    """A step's number, plus 100 for each lane."""
    value = step + 100.0 * np.arange(lanes, dtype=np.float32)
    return {"state": np.repeat(value[:, None], 3, axis=1)}


def test_a_chunk_is_carried_out_before_the_next_one_is_planned() -> None:
    """With what was sensed in the last steps, oldest first; the first step stands for those before it."""
    model = Planner(4)
    actor = ChunkActor(model, Chunking(3, 4, 2, 1, 0), SENSED, 1)
    actions = [actor.act(sensed(step))["action"][:, 0] for step in range(5)]
    wanted = [[0.0, 100.0], [0.1, 100.1], [2.0, 102.0], [2.1, 102.1], [4.0, 104.0]]
    np.testing.assert_allclose(actions, wanted, rtol=1e-6)
    assert [call["state"][0, :, 0].tolist() for call in model.calls] == [[0, 0, 0], [0, 1, 2], [2, 3, 4]]
    assert model.resets == 3


def test_what_is_shown_is_what_is_still_to_come() -> None:
    """The chunk moves on with each step, and zeros follow it."""
    actor = ChunkActor(Planner(4), Chunking(1, 4, 3, 1, 0), SENSED, 1)
    shown = [actor.act(sensed(step, 1))["chunk"][0, :, 0].tolist() for step in range(4)]
    wanted = [[0, 0.1, 0.2, 0.3], [0.1, 0.2, 0.3, 0], [0.2, 0.3, 0, 0], [3, 3.1, 3.2, 3.3]]
    np.testing.assert_allclose(shown, wanted, rtol=1e-6)


def test_a_lane_that_is_reset_plans_by_itself() -> None:
    """The other one goes on; nothing of the old episode is seen."""
    model = Planner(4)
    actor = ChunkActor(model, Chunking(2, 4, 4, 1, 0), SENSED, 1)
    actor.act(sensed(0))
    actor.reset(np.array([False, True]))
    actions = actor.act(sensed(7))["action"][:, 0]
    np.testing.assert_allclose(actions, [0.1, 107.0], rtol=1e-6)
    assert len(model.calls) == 2
    assert model.calls[1]["state"][:, :, 0].tolist() == [[107.0, 107.0]]
    actor.reset()
    np.testing.assert_allclose(actor.act(sensed(9))["action"][:, 0], [9.0, 109.0])


@pytest.mark.parametrize("draws", [0, 1, 2])
def test_what_is_refused_leaves_no_trace(draws: int) -> None:
    """A number that is none, also in a step that needs no plan; another name, shape or type; a plan that fails.

    A plan fails in its second call, by when it has drawn noise; what the next one draws is as if there had been none.
    """
    model, equal = Planner(4), Planner(4)
    actor, other = (ChunkActor(each, Chunking(2, 4, 2, 2, draws), SENSED, 1) for each in (model, equal))
    bad = sensed(0)
    bad["state"][1, 2] = np.nan
    wrong = [{"stat": sensed(0)["state"]}, {"state": sensed(0)["state"][:, :1]}, {"state": np.zeros((2, 3))}]
    for step in range(4):
        with pytest.raises(NonFiniteError, match="'state' at \\(1, 2\\) is nan"):
            actor.act(bad)
        for obs in wrong:
            with pytest.raises(ObservationError):
                actor.act(obs)
        if step % 2 == 0:
            model.fails_after = 1
            with pytest.raises(NonFiniteError, match="no plan"):
                actor.act(sensed(99))
            model.fails_after = None
        np.testing.assert_array_equal(actor.act(sensed(step))["chunk"], other.act(sensed(step))["chunk"])
    assert [call["state"][0, :, 0].tolist() for call in model.calls] == [[0, 0], [0, 0], [1, 2], [1, 2]]
    for call, wanted in zip(model.calls, equal.calls, strict=True):
        assert ("noise" in call) == (draws > 0)
        assert all((call[name] == wanted[name]).all() for name in call)


@given(st.integers(0, 2), st.integers(1, 7), st.integers(1, 3), st.data())
def test_a_saved_actor_goes_on_to_the_bit(draws: int, steps: int, lanes: int, data: st.DataObject) -> None:
    """In the middle of a plan too, after lanes were reset each by itself; through a file; with another seed."""
    loop, files = Chunking(2, 4, 3, 2, draws), io.BytesIO()

    def actor(seed: int) -> tuple[Planner, ChunkActor]:
        model = Planner(4)
        return model, ChunkActor(model, loop, SENSED, 1, seed=seed)

    (first, one), (second, other) = actor(3), actor(4)
    one.start(range(lanes))
    for step in range(steps):
        one.act(sensed(step, lanes))
        one.reset(np.array(data.draw(st.lists(st.booleans(), min_size=lanes, max_size=lanes))))
    np.savez(files, **one.state_dict())
    files.seek(0)
    other.load_state_dict(np.load(files))
    first.calls.clear()
    for step in range(steps, steps + 5):
        mine, theirs = one.act(sensed(step, lanes)), other.act(sensed(step, lanes))
        assert mine.keys() == theirs.keys()
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)
    assert [call.keys() for call in first.calls] == [call.keys() for call in second.calls]
    for call, again in zip(first.calls, second.calls, strict=True):
        assert all((call[name] == again[name]).all() for name in call)


def test_the_state_of_another_actor_is_refused() -> None:
    """Of other shapes, or a part of one; and nothing is changed."""
    one, other = (ChunkActor(Planner(4), Chunking(seen, 4, 3, 1, 1), SENSED, 1) for seen in (1, 2))
    for each in (one, other):
        each.act(sensed(0))
    before, wrong = one.state_dict(), other.state_dict()
    short = {name: array for name, array in before.items() if name != "shown.chunk"}
    fewer = {name: array[:1] if name.startswith("shown.") else array for name, array in before.items()}
    unknown = before | {"more": np.zeros(1)}
    scalar = before | {"streams": np.uint64(3), "shown.more": np.zeros(())}
    lost = {name: array for name, array in before.items() if name != "streams"}
    for state in (wrong, short, fewer, unknown, scalar, lost, {"streams": before["streams"]}):
        with pytest.raises(RequestError, match="not the state of such an actor"):
            one.load_state_dict(state)
    after = one.state_dict()
    assert all((after[name] == before[name]).all() for name in before)
    one.load_state_dict({})
    assert one.state_dict() == {}


@pytest.mark.parametrize("draws", [1, 2])
def test_noise_is_of_the_episode_and_the_agent(draws: int) -> None:
    """Not of the other worlds in the batch; standard normal; new for each chunk, the second part for each call."""
    loop, lanes = Chunking(1, 50, 1, 3, draws), 4

    def noise(seeds: list[int], lanes: int) -> NDArray[np.float32]:
        model = Planner(50)
        actor = ChunkActor(model, loop, SENSED, 1)
        actor.start(seeds)
        for step in range(2):
            actor.act(sensed(step, lanes))
        return np.stack([call["noise"] for call in model.calls])

    drawn = noise([5, 900_000], lanes)
    assert drawn.shape == (6, lanes, draws, 50, 1)
    np.testing.assert_array_equal(noise([900_000], 2), drawn[:, 2:])
    begins, added = drawn[:, :, 0], drawn[:, :, 1:]
    assert (begins[:3] == begins[0]).all() and (begins[3:] == begins[3]).all()
    parts = [*begins[0], *begins[3], *(added.reshape(-1, 50, 1) if draws > 1 else ())]
    assert len({part.tobytes() for part in parts}) == len(parts)
    values = np.concatenate(parts)
    assert abs(values.mean()) < 4.0 / np.sqrt(len(values)) and abs(values.std() - 1.0) < 3.0 / np.sqrt(len(values))


@pytest.mark.parametrize(
    "config",
    [
        DiffusionConfig(width=16, layers=1, horizon=6, executed=3, refinements=4),
        DiffusionConfig(width=16, layers=1, horizon=6, executed=3, refinements=4, sampler="ddpm", observed=1),
        RegressionConfig(width=16, horizon=5, executed=5),
        RegressionConfig(width=16, horizon=1, executed=1),
    ],
    ids=["ddim", "ddpm", "chunks", "one at a time"],
)
def test_an_exported_file_flies_as_the_network_does(config: Any, tmp_path: Path) -> None:  # noqa: ANN401
    """Whole chunks over forty steps and a reset, with the same noise."""
    policy = build_policy(config, SIGNATURE, seed=1)
    weights = torch.Generator().manual_seed(2)
    for weight in policy.parameters():
        weight.data.normal_(std=0.3, generator=weights)
    made = export(policy, tmp_path / "policy.onnx", facts=TaskFacts("haltere/Toy-v0", 0.1, {}))
    assert policy.chunking is not None
    assert made.contract.chunking == Chunking(*policy.chunking)
    assert [(tensor.name, tensor.shape) for tensor in made.contract.sensed] == [("obs.state", (3,)), ("obs.goal", (2,))]
    model = OnnxActor(made.path)
    actors = [torch_actor(policy), in_its_loop(model)]
    generator = np.random.default_rng(0)
    for actor in actors:
        actor.start([1, 2, 3])  # type: ignore[attr-defined]
    moved = np.zeros(3)
    for step in range(40):
        sizes = {name: (3, *shape) for name, shape in SIGNATURE.obs.items()}
        obs = {name: generator.standard_normal(shape).astype(np.float32) for name, shape in sizes.items()}
        if step == 17:
            for actor in actors:
                actor.reset(np.array([True, False, True]))
        one, other = (actor.act(obs) for actor in actors)
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_allclose(other[name], one[name], atol=1e-4)
        moved += np.abs(one["action"]).sum(axis=1)
    assert (moved > 1.0).all()
