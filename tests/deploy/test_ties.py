"""A choice too close to call is told from a fault: only there may an export answer otherwise, and it is counted."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor

from haltere.configs.errors import ParityError
from haltere.deploy.parity import Arrays, Excuse, Model, lane_errors, measure, torch_model
from haltere.deploy.proof import prove
from haltere.deploy.ties import near_ties
from haltere.policies.base import Obs, Signature
from haltere.policies.memory import chunks
from haltere.policies.memory.config import MemoryConfig
from haltere.policies.memory.model import MemoryPolicy

from .toys import Remembering, ToyConfig

TOL = 1e-5
CONFIG = MemoryConfig(width=8, heads=2, layers=1, chunk=1, slots=4, top_k=1, local=False)
MEMORY = "state.layer0_memory_"


class Seldom(MemoryPolicy):
    """Sees the same thing twice within its memory about once in a thousand steps; that is a tie to the last bit."""

    pictures = 2500

    def random_obs(self, batch: int, generator: torch.Generator) -> Obs:
        """One of so many pictures a lane."""
        known = torch.randn(self.pictures, 5, generator=torch.Generator().manual_seed(4))
        return {"x": known[torch.randint(self.pictures, (batch,), generator=generator)]}


class Often(Seldom):
    """The same, all the time."""

    pictures = 3


def built(kind: type[MemoryPolicy] = Seldom) -> MemoryPolicy:
    """A policy with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(1)
        return kind(CONFIG, Signature({"x": (5,)}, 3)).eval()


@contextmanager
def noise(size: float) -> Iterator[None]:
    """Relevance as somebody sums it who rounds otherwise: off by up to so much."""
    generator, chosen = torch.Generator().manual_seed(9), chunks.chosen

    def otherwise(relevance: Tensor, valid: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
        return chosen(relevance + size * torch.rand(relevance.shape, generator=generator), valid, top_k)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "chosen", otherwise)
        yield


def rounded_otherwise(policy: MemoryPolicy, size: float) -> Model:
    """The network, as an engine that rounds otherwise computes it."""
    exact = torch_model(policy)

    def step(inputs: Arrays) -> Arrays:
        with noise(size):
            return exact(inputs)

    return step


def test_a_near_tie_is_excused_and_counted() -> None:
    """Without the excuse it looks like a fault; with it, what is left is rounding."""
    policy = built()
    model = rounded_otherwise(policy, 1e-7)
    assert measure(policy, model).max_error > 0.01
    measured = prove(policy, model, TOL)
    assert measured.max_error <= TOL
    assert 1 <= measured.ties <= measured.compared / 1000
    assert measured.compared == 1000 + 3 * 334 + 17 * 59 + 3 * 500


def test_a_fault_is_no_near_tie() -> None:
    """A model that chooses otherwise where float64 can tell is off, whatever else is excused."""
    policy = built()
    with pytest.raises(ParityError, match="off by"):
        prove(policy, rounded_otherwise(policy, 1e-2), TOL)


def test_too_many_near_ties_are_refused() -> None:
    """They would hide whatever else is wrong."""
    policy = built(Often)
    with pytest.raises(ParityError, match=r"chooses otherwise in \d+ of 4,\d+ steps"):
        prove(policy, rounded_otherwise(policy, 1e-7), TOL)


def test_only_lanes_with_a_choice_that_close_are_excused() -> None:
    """Equal chunks at the edge of what is read; not those well above it, below it, or not there at all."""
    policy = built()
    (memory,) = (layer.memories["memory"] for layer in policy._layers())
    obs = {name: tensor.expand(6, -1) for name, tensor in policy.random_obs(1, torch.Generator()).items()}
    with torch.no_grad():
        x = policy.layers[0].norms["memory"](policy.encode(obs))  # type: ignore[index, operator, union-attr]
        asked = memory.summary_key.weight.T @ memory.summary_query.weight @ x[0]  # type: ignore[union-attr, operator]
    along = (asked / asked.norm() * 8**0.5 / asked.norm()).numpy()
    two_left, three = [3, 3, 1, 0], [3, 3, 3, 3]
    scores = np.array([two_left, [3, 2, 2, 0], [3, 3 + 3e-6, 1, 0], [3, 3 + 3e-4, 1, 0], two_left, three])
    steps = np.array([9, 9, 9, 9, 1, 0])  # of the fifth, one chunk is there; of the last, none
    # A full chunk is stored first, in the slot of the oldest: at step 9 in the first, which is to have what it had.
    summary = (scores[:, :, None] * along).astype(np.float32)
    state = {
        "summary": summary,
        "memory": np.zeros((6, 4, 1, 8), np.float32),
        "open": summary[:, :1],
        "steps": steps.astype(np.int64),
    }
    inputs = {f"obs.{k}": t.numpy() for k, t in obs.items()} | {MEMORY + k: array for k, array in state.items()}
    close = near_ties(policy, TOL).lanes(inputs, TOL)
    assert close.tolist() == [True, False, True, False, False, False]


def test_a_policy_without_choices_has_no_excuse() -> None:
    """Nor need it be able to compute in float64."""
    policy = Remembering(ToyConfig())
    generator = torch.Generator().manual_seed(1)
    inputs = {f"obs.{k}": t.numpy() for k, t in policy.random_obs(4, generator).items()}
    inputs |= {f"state.{k}": t.numpy() for k, t in policy.initial_state(4).items()}
    assert not near_ties(policy, TOL).lanes(inputs, TOL).any()


def test_what_isnt_finite_is_never_excused() -> None:
    """Whatever the excuse says."""
    policy = Remembering(ToyConfig())
    exact = torch_model(policy)

    def broken(inputs: Arrays) -> Arrays:
        return {
            name: np.where(array == array, np.nan, array).astype(array.dtype) if name == "action" else array
            for name, array in exact(inputs).items()
        }

    everyone = Excuse(lambda inputs, tol: np.ones(len(inputs["obs.x"]), np.bool_), TOL)
    assert measure(policy, broken, inputs=5, recurrent_steps=5, excuse=everyone).max_error == np.inf


def test_an_error_is_its_lanes_own() -> None:
    """Absolute below one, relative above, the worst of all outputs; another shape or type is infinitely off."""
    wanted = {"a": np.array([[0.5, 100.0], [0.0, 1.0]], np.float32), "b": np.array([1, 2])}
    got = {"a": np.array([[0.5, 101.0], [0.25, 1.0]], np.float32), "b": np.array([1, 2])}
    np.testing.assert_allclose(lane_errors(wanted, got), [0.01, 0.25])
    assert np.isinf(lane_errors(wanted, got | {"b": np.array([1, 2], np.int32)})).all()
    assert np.isinf(lane_errors(wanted, got | {"b": np.array([[1], [2]])})).all()
    got["a"][1, 1] = np.nan
    np.testing.assert_allclose(lane_errors(wanted, got), [0.01, np.inf])
    with pytest.raises(ParityError, match="the model gives a; the network gives a, b"):
        lane_errors(wanted, {"a": got["a"]})
