"""What every memory promises: steps and sequences are the same, episodes don't leak, state is fixed and constant."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from haltere.policies.base import State
from haltere.policies.memory import chunks as chunks_module
from haltere.policies.memory.module import Memory, Recalled
from haltere.policies.memory.ring import pick

from .memories import VARIANTS, WIDTH, built, by_steps, drawn, some_starts

LANES = 4
every_memory = pytest.mark.parametrize("name", VARIANTS)


def warm(memory: Memory, steps: int, dtype: torch.dtype = torch.float64) -> State:
    """A state that occurs: after some steps, with episodes that began at different times."""
    x, starts = drawn(LANES, steps, seed=8, dtype=dtype), some_starts(LANES, steps, seed=8)
    return by_steps(memory, x, memory.initial_state(LANES), starts).state


def assert_same(got: Recalled, wanted: Recalled, tolerance: float) -> None:
    """Outputs, what was read, and every tensor of the state."""
    torch.testing.assert_close(got.out, wanted.out, rtol=0, atol=tolerance)
    assert (got.read is None) == (wanted.read is None)
    if got.read is not None:
        torch.testing.assert_close(got.read, wanted.read, rtol=0, atol=tolerance)
    assert got.state.keys() == wanted.state.keys()
    for key, tensor in wanted.state.items():
        torch.testing.assert_close(got.state[key], tensor, rtol=0, atol=tolerance)


@every_memory
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@torch.no_grad()
def test_a_sequence_is_its_steps(name: str, dtype: torch.dtype, tolerance: float) -> None:
    """From a state that occurs, over resets in the middle, to the same outputs, reads and state; float64: to 1e-12."""
    memory = built(name, dtype)
    for steps in (1, 2, 7, 40):
        for before in (0, 1, 3, 6, 29):
            x, starts = drawn(LANES, steps, seed=steps, dtype=dtype), some_starts(LANES, steps, seed=before)
            state = warm(memory, before, dtype) if before else memory.initial_state(LANES)
            wanted = by_steps(memory, x, state, starts)
            assert_same(memory.sequence(x, state, starts, reading=True), wanted, tolerance)
            unread = memory.sequence(x, state, starts)
            assert unread.read is None
            torch.testing.assert_close(unread.out, wanted.out, rtol=0, atol=tolerance)


@every_memory
@torch.no_grad()
def test_what_is_told_is_what_is_remembered(name: str) -> None:
    """Steps and sequences agree on it, at chosen steps too; what else it is asked with leaves no trace."""
    memory, steps = built(name), 20
    x, told, starts = drawn(LANES, steps, 1), drawn(LANES, steps, 2), some_starts(LANES, steps, 3)
    state = warm(memory, 7)
    wanted = by_steps(memory, x, state, starts, told)
    assert_same(memory.sequence(x, state, starts, told=told, reading=True), wanted, 1e-12)
    at = torch.tensor([[3, 19], [0, 5], [7, 7], [19, 1]])
    some = memory.sequence_at(x, state, starts, at, told=told).out
    torch.testing.assert_close(some, pick(wanted.out, at), rtol=0, atol=1e-12)
    if name == "lstm":  # which has one way in
        return
    assert_same(memory.sequence(x, state, starts, told=x), memory.sequence(x, state, starts), 1e-12)
    if name != "convolution":  # it tells others, and is told by nobody
        other = memory.sequence(x + 1.0, state, starts, told=told).state
        for key, tensor in wanted.state.items():
            torch.testing.assert_close(other[key], tensor, rtol=0, atol=1e-12)


@every_memory
@settings(max_examples=15)
@given(first=st.integers(1, 30), second=st.integers(1, 30), seed=st.integers(0, 10_000))
@torch.no_grad()
def test_a_sequence_may_be_cut_anywhere(name: str, first: int, second: int, seed: int) -> None:
    """Two segments with the state handed over give what the whole gives."""
    memory = built(name)
    x, starts = drawn(LANES, first + second, seed), some_starts(LANES, first + second, seed)
    whole = memory.sequence(x, memory.initial_state(LANES), starts, reading=True)
    head = memory.sequence(x[:, :first], memory.initial_state(LANES), starts[:, :first], reading=True)
    tail = memory.sequence(x[:, first:], head.state, starts[:, first:], reading=True)
    out = torch.cat([head.out, tail.out], dim=1)
    read = None if head.read is None or tail.read is None else torch.cat([head.read, tail.read], dim=1)
    assert_same(Recalled(out, tail.state, read), whole, 1e-12)


@every_memory
def test_nothing_comes_from_the_future_or_from_another_episode(name: str) -> None:
    """Gradients tell: a step depends on no later one, and on none before its episode began."""
    memory, steps, start = built(name), 24, 9
    x = drawn(LANES, steps, seed=1).requires_grad_()
    starts = torch.zeros(LANES, steps, dtype=torch.bool)
    starts[1, start] = True
    out = memory.sequence(x, memory.initial_state(LANES), starts).out
    (slope,) = torch.autograd.grad(out[:, 15].square().sum(), x)
    reached = slope.abs().amax(dim=2) > 0
    assert not reached[:, 16:].any()
    assert not reached[1, :start].any()
    assert reached[:, 15].any() or name.startswith("hcam")


@every_memory
def test_it_remembers(name: str) -> None:
    """What was shown early on changes what comes out later, as far as the memory reaches and no further."""
    memory, lanes = built(name), 32
    reach = {"trxl": 4, "attention": 6, "trxl-window-of-one": 0, "hcam-one-slot": 3, "convolution": 2}.get(name)
    x, starts = drawn(lanes, 10, seed=1), torch.zeros(lanes, 10, dtype=torch.bool)

    def changed(back: int) -> bool:
        """Whether the tenth step's output differs in any lane for something else so many steps before."""
        other = x.clone()
        other[:, 9 - back] += 1.0
        one, two = (memory.sequence(part, memory.initial_state(lanes), starts).out[:, 9] for part in (x, other))
        return bool((one - two).abs().max() > 1e-6)

    assert changed(9 if reach is None else reach)
    assert reach is None or not changed(reach + 1)


@every_memory
def test_state_begins_as_constants_and_keeps_its_shape(name: str) -> None:
    """Each tensor one value, batch first, float or int64; the same shapes and types for ever."""
    memory = built(name, torch.float32)
    state = memory.initial_state(LANES)
    for tensor in state.values():
        assert tensor.shape[0] == LANES
        assert (tensor == tensor.flatten()[0]).all()
        assert tensor.dtype in (torch.float32, torch.int64)
    shapes = {key: (tensor.shape, tensor.dtype) for key, tensor in state.items()}
    x, starts = drawn(LANES, 30, seed=2, dtype=torch.float32), some_starts(LANES, 30, seed=2)
    for following in (memory.sequence(x, state, starts).state, memory.step(x[:, 0], state).state):
        assert {key: (tensor.shape, tensor.dtype) for key, tensor in following.items()} == shapes
    assert set(memory.rings) <= state.keys()


@every_memory
@torch.no_grad()
def test_reusing_the_state_changes_nothing_but_the_state(name: str) -> None:
    """In rollouts the rings are written in place; what comes out is the same to the bit. Otherwise nothing is."""
    memory = built(name)
    x = drawn(LANES, 40, seed=5)
    kept, reused = memory.initial_state(LANES), memory.initial_state(LANES)
    for step in range(40):
        before = {key: tensor.clone() for key, tensor in kept.items()}
        wanted, given = memory.step(x[:, step], kept), reused
        assert all(torch.equal(tensor, before[key]) for key, tensor in kept.items())
        got = memory.step(x[:, step], reused, reuse=True)
        assert torch.equal(got.out, wanted.out)
        assert all(got.state[key] is given[key] for key in memory.rings)
        kept, reused = wanted.state, got.state


@pytest.mark.parametrize("name", ["titans", "titans-hidden", "aaren", "lstm"])
@torch.no_grad()
def test_ten_thousand_steps_leave_numbers(name: str) -> None:
    """What is carried from step to step for ever grows past no bound."""
    memory = built(name, torch.float32)
    state = memory.initial_state(LANES)
    for block in range(100):
        x = 3.0 * drawn(LANES, 100, seed=block, dtype=torch.float32)
        out, state, _ = memory.sequence(x, state, torch.zeros(LANES, 100, dtype=torch.bool))
    assert out.abs().max() < 1e3
    assert all(bool(tensor.isfinite().all()) for tensor in state.values())


@every_memory
def test_every_parameter_learns(name: str) -> None:
    """Over a sequence each has a gradient. Stopping what is stored stops no projection and no token."""
    memory, x = built(name), drawn(LANES, 30, seed=6)
    memory.sequence(x, memory.initial_state(LANES), some_starts(LANES, 30, seed=6)).out.square().sum().backward()
    alone = "window-of-one" in name  # one step leaves a softmax no choice, so nothing that makes the choice learns
    for key, parameter in memory.named_parameters():
        chooses = alone and not key.startswith(("value", "out"))
        only_one = (name == "hcam-one-slot" or name == "hcam-chunks-of-one") and parameter.grad is not None
        learned = parameter.grad is not None and bool(parameter.grad.abs().max() > 0)
        assert learned or chooses or only_one, key


@pytest.mark.parametrize("summary", ["hcam", "hcam-token"])
def test_memory_grad_decides_whether_gradients_reach_what_is_stored(summary: str) -> None:
    """Without it, a step's output has no slope in any earlier step; with it, it has."""
    for grad in (True, False):
        memory = built(summary)
        memory.memory_grad = grad
        x = drawn(LANES, 12, seed=1).requires_grad_()
        starts = torch.zeros(LANES, 12, dtype=torch.bool)
        out = memory.sequence(x, memory.initial_state(LANES), starts).out
        (slope,) = torch.autograd.grad(out[:, 11].square().sum(), x)
        assert bool(slope[:, :9].abs().max() > 0) is grad
        assert slope[:, 11].abs().max() > 0
        assert slope[:, 9:11].abs().max() == 0  # in the chunk that isn't full yet, which nobody reads


@torch.no_grad()
def test_reading_all_chunks_or_the_chosen_ones_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ways to compute one thing, taken by size."""
    memory, x = built("hcam"), drawn(LANES, 40, seed=4)
    starts, found = some_starts(LANES, 40, seed=4), []
    for beyond in (0, 1000):
        monkeypatch.setattr(chunks_module, "GATHER_BEYOND", beyond)
        found.append(memory.sequence(x, memory.initial_state(LANES), starts).out)
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-12)


@torch.no_grad()
def test_an_empty_memory_says_nothing() -> None:
    """Before its first chunk is full, chunk attention gives zeros and reads nothing."""
    memory = built("hcam")
    x, starts = drawn(LANES, 5, seed=1), torch.zeros(LANES, 5, dtype=torch.bool)
    for got in (
        by_steps(memory, x, memory.initial_state(LANES), starts),
        memory.sequence(x, memory.initial_state(LANES), starts, reading=True),
    ):
        assert (got.out[:, :3] == 0).all()
        assert (got.out[:, 3:] != 0).any()
        assert got.read is not None
        torch.testing.assert_close(got.read.sum(dim=2), torch.tensor([0.0, 0, 0, 1, 1]).double().expand(LANES, 5))
        assert (got.read[:, 3:, 1:] == 0).all()


@pytest.mark.parametrize(
    ("name", "where", "place"),
    [("hcam", 7, 7 // 3), ("hcam", 4, 4 // 3), ("trxl", 10, 10 % 5), ("trxl", 11, 11 % 5), ("attention", 8, 8 % 7)],
)
@torch.no_grad()
def test_read_names_the_place_of_what_was_seen(name: str, where: int, place: int) -> None:
    """One step unlike all others, and a query for it: its chunk's slot, or its row in the ring, is what is read.

    Keys are left as they are. In queries the first two units change places, so that a step in which the first stands
    out asks for the one in which the second did, and not for itself.
    """
    memory, steps = built(name), 14
    swapped = torch.eye(WIDTH)[[1, 0, *range(2, WIDTH)]]
    weights = {"key": torch.eye(WIDTH), "summary_key": torch.eye(WIDTH), "query": swapped, "summary_query": swapped}
    for part, weight in weights.items():
        if hasattr(memory, part):
            getattr(memory, part).weight.copy_(weight)
    if name == "trxl":  # by content alone
        for part in (memory.position.weight, memory.content_bias, memory.place_bias):
            part.zero_()
    x = 0.1 * drawn(1, steps, seed=1)
    x[0, where], x[0, -1] = 30.0 * torch.eye(WIDTH)[[1, 0]].double()
    starts = torch.zeros(1, steps, dtype=torch.bool)
    got = memory.sequence(x, memory.initial_state(1), starts, reading=True).read
    assert got is not None
    assert got[0, -1].argmax() == place
    assert got[0, -1, place] > 0.5
