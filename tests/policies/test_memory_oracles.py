"""Each memory against somebody else's: the published equations in plain numpy, torch's own layers, and autograd."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch.nn import functional as F

from haltere.deploy.kernels.library import operators
from haltere.deploy.kernels.op import Op
from haltere.policies.memory.chunks import ChunkWeights, chunk_attention
from haltere.policies.memory.convolution import ShortConvolution
from haltere.policies.memory.hcam import Hcam
from haltere.policies.memory.layers import Gate, Layer
from haltere.policies.memory.lstm import Lstm
from haltere.policies.memory.module import Memory
from haltere.policies.memory.titans import descent, recalled

from .memories import SMALL, WIDTH, built, by_steps, drawn, some_starts

Array = NDArray[np.float64]
HEADS = SMALL.heads
SIZE = WIDTH // HEADS
STEPS = 40


def arrays(memory: Memory) -> dict[str, Array]:
    """The weights."""
    return {name: tensor.numpy() for name, tensor in memory.state_dict().items()}


def episode(memory: Memory, seed: int) -> tuple[Array, Array, Array | None]:
    """One lane's inputs (T, D), what the memory made of them step by step, and what it read."""
    x, starts = drawn(1, STEPS, seed), torch.zeros(1, STEPS, dtype=torch.bool)
    with torch.no_grad():
        got = by_steps(memory, x, memory.initial_state(1), starts)
    return x[0].numpy(), got.out[0].numpy(), None if got.read is None else got.read[0].numpy()


def softmax(score: Array) -> Array:
    """Of a vector."""
    power = np.exp(score - score.max())
    return power / power.sum()


def code(position: int) -> Array:
    """Sines, then cosines, of one position at wavelengths from 2 pi to 2 pi 10,000."""
    angle = [position / 10_000 ** (2 * i / WIDTH) for i in range(WIDTH // 2)]
    return np.array([*map(math.sin, angle), *map(math.cos, angle)])


@torch.no_grad()
def test_the_convolution_is_torchs() -> None:
    """One padded convolution over the whole episode, its last tap the present step; then a rectifier and a matrix."""
    memory = built("convolution")
    x, got, _ = episode(memory, seed=1)
    taps = memory.mix.weight.unflatten(1, (3, WIDTH)).permute(0, 2, 1)
    line = F.pad(torch.from_numpy(x).T[None], (2, 0))
    wanted = F.conv1d(line, taps, memory.mix.bias)[0].T.relu() @ memory.out.weight.T
    np.testing.assert_allclose(got, wanted.numpy(), rtol=0, atol=1e-12)


@torch.no_grad()
def test_a_convolution_begins_as_what_has_changed() -> None:
    """Nothing comes out while nothing moves, whatever stands there; something does when it moves."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(1)
        memory = ShortConvolution(WIDTH, 2).double()
    x = drawn(1, 1, seed=1).expand(3, 9, WIDTH).clone()
    x[1, 5:] += drawn(1, 1, seed=2)[0, 0]
    out = memory.sequence(x, memory.initial_state(3), torch.zeros(3, 9, dtype=torch.bool)).out
    still = torch.ones(3, 9, dtype=torch.bool)
    still[:, 0] = still[1, 5] = False
    assert out[still].abs().max() < 1e-12 and out[1, 5].abs().max() > 1e-3


@torch.no_grad()
def test_a_layer_tells_its_memory_what_has_changed_and_asks_with_what_is_seen() -> None:
    """Part by part, from the layer's own parts."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(1)
        layer = Layer(replace(SMALL, convolution=2, local=False)).double()
    x = drawn(2, 12, seed=1)
    starts = torch.zeros(2, 12, dtype=torch.bool)
    change, memory = layer.memories["convolution"], layer.memories["memory"]
    told = layer.norms["told"](change.sequence(layer.norms["convolution"](x), change.initial_state(2), starts).out)
    found = memory.sequence(layer.norms["memory"](x), memory.initial_state(2), starts, told=told).out
    seen = x + found
    wanted = seen + layer.think(layer.norms["think"](seen))
    got = layer.sequence(x, layer.initial_state(2), starts).out
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)


def hierarchical(w: dict[str, Array], query: Array, keys: list[Array], chunks: list[Array]) -> tuple[Array, Array]:
    """Hierarchical chunk attention as published, one query, chunks of rows, head by head.

    Source: Lampinen et al. 2021, arXiv:2105.14039, section 3: relevance R = softmax(top-k(keys . query)), and the sum
    over the top k of R_i MHA(query, chunk_i).
    """
    score = np.array([(w["summary_query.weight"] @ query) @ (w["summary_key.weight"] @ key) for key in keys])
    score = score / math.sqrt(WIDTH)
    best = sorted(range(len(keys)), key=lambda i: -score[i])[: SMALL.top_k]
    relevance, total = np.zeros(len(keys)), np.zeros(WIDTH)
    relevance[best] = softmax(score[best])
    for i in best:
        heads = []
        for head in range(HEADS):
            rows = slice(head * SIZE, (head + 1) * SIZE)
            q = (w["query.weight"] @ query + w["query.bias"])[rows]
            k = [(w["key.weight"] @ step)[rows] for step in chunks[i]]
            v = [(w["value.weight"] @ step + w["value.bias"])[rows] for step in chunks[i]]
            share = softmax(np.array([q @ each / math.sqrt(SIZE) for each in k]))
            heads.append(sum(s * each for s, each in zip(share, v, strict=True)))
        total += relevance[i] * (w["out.weight"] @ np.concatenate(heads) + w["out.bias"])
    return total, relevance


@pytest.mark.parametrize("name", ["hcam", "hcam-token"])
def test_chunk_attention_is_the_published_one(name: str) -> None:
    """Step by step to 1e-6 of single-precision codes, over a memory that overflows: outputs and what is read."""
    memory = built(name)
    x, out, read = episode(memory, seed=1)
    w, chunk, slots = arrays(memory), SMALL.chunk, SMALL.slots
    assert read is not None
    for now in range(STEPS):
        full = range(max(0, now // chunk - slots), now // chunk)
        chunks = [np.array([x[n * chunk + i] + code(chunk - 1 - i) for i in range(chunk)]) for n in full]
        keys = [x[n * chunk : (n + 1) * chunk].mean(axis=0) for n in full]
        if name == "hcam-token":
            keys = [softmax(steps @ w["token"] / math.sqrt(WIDTH)) @ steps for steps in chunks]
        if not chunks:
            assert not out[now].any()
            assert not read[now].any()
            continue
        wanted, relevance = hierarchical(w, x[now], keys, chunks)
        np.testing.assert_allclose(out[now], wanted, rtol=0, atol=1e-6)
        by_slot = np.zeros(slots)
        by_slot[[n % slots for n in full]] = relevance
        np.testing.assert_allclose(read[now], by_slot, rtol=0, atol=1e-6)


def test_the_kernel_takes_the_same_inputs_and_weights() -> None:
    """In the same order under the same names, and computes the same, with and without chunks to read."""
    row = operators()["ChunkAttention"]
    assert row.weights == ChunkWeights._fields
    generator = torch.Generator().manual_seed(2)
    shapes = [(3, WIDTH), (3, 6, WIDTH), (3, 6, 4, WIDTH)]
    inputs = [torch.randn(*shape, generator=generator) for shape in shapes]
    valid = (torch.arange(6) < torch.tensor([0, 1, 6])[:, None]).float()
    memory = built("hcam", torch.float32)
    assert isinstance(memory, Hcam)
    weights = ChunkWeights(*(torch.randn(t.shape, generator=generator) for t in memory._weights()))
    wanted = chunk_attention(*inputs, valid, *weights, heads=HEADS, top_k=2)
    op = Op("ChunkAttention", [weight.numpy() for weight in weights], heads=HEADS, top_k=2)
    got = op(*(tensor.numpy() for tensor in (*inputs, valid)))
    for array, tensor in zip(got, wanted, strict=True):
        np.testing.assert_allclose(array, tensor.numpy(), rtol=1e-4, atol=1e-4)


def test_lstm_is_torchs() -> None:
    """``torch.nn.LSTM`` with the same weights, over episodes cut at the starts."""
    memory = built("lstm")
    theirs = torch.nn.LSTM(WIDTH, WIDTH, batch_first=True).double()
    theirs.load_state_dict({f"{name.removeprefix('cell.')}_l0": t for name, t in memory.state_dict().items()})
    x, starts = drawn(3, STEPS, seed=1), some_starts(3, STEPS, seed=1)
    with torch.no_grad():
        got = memory.sequence(x, memory.initial_state(3), starts).out
        for lane in range(3):
            cuts = [0, *(int(i) for i in starts[lane].nonzero()), STEPS]
            for begin, end in pairwise(cuts):
                if end > begin:
                    wanted = theirs(x[lane : lane + 1, begin:end])[0][0]
                    torch.testing.assert_close(got[lane, begin:end], wanted, rtol=0, atol=1e-12)


def test_attention_is_torchs() -> None:
    """``scaled_dot_product_attention`` with a mask: this episode, nothing later, no more than the span.

    Positions are turned as complex numbers, once for each step of the episode.
    """
    memory = built("attention")
    x, starts = drawn(3, STEPS, seed=1), some_starts(3, STEPS, seed=1)
    w = memory.state_dict()
    began = torch.where(starts, torch.arange(STEPS), 0).cummax(dim=1).values
    step = torch.arange(STEPS) - began
    published = 10_000.0 ** (-torch.arange(0, SIZE, 2).double() / SIZE)
    whole = 2 * math.pi / 65536  # of which each rate is a multiple here
    rate = torch.round(published / whole) * whole
    assert (rate - published).abs().max() <= whole / 2
    turn = torch.polar(torch.ones(3, STEPS, 1, SIZE // 2).double(), step[:, :, None, None] * rate)

    def projected(name: str) -> torch.Tensor:
        return (x @ w[f"{name}.weight"].T).view(3, STEPS, HEADS, SIZE)

    def turned(part: torch.Tensor) -> torch.Tensor:
        spun = torch.complex(part[..., : SIZE // 2], part[..., SIZE // 2 :]) * turn
        return torch.cat([spun.real, spun.imag], dim=-1).transpose(1, 2)

    back = torch.arange(STEPS)[:, None] - torch.arange(STEPS)
    mask = (back >= 0) & (back < SMALL.span) & (began[:, :, None] == began[:, None, :])
    values = projected("value").transpose(1, 2)
    mixed = F.scaled_dot_product_attention(turned(projected("query")), turned(projected("key")), values, mask[:, None])
    wanted = mixed.transpose(1, 2).flatten(2) @ w["out.weight"].T
    with torch.no_grad():
        got = by_steps(memory, x, memory.initial_state(3), starts).out
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)


def test_aaren_is_softmax_attention_with_a_fixed_query() -> None:
    """All keys and values so far at once, which the recurrence never holds."""
    memory = built("aaren")
    x, out, _ = episode(memory, seed=1)
    w = arrays(memory)
    key, value = (torch.from_numpy(x @ w[f"{name}.weight"].T).view(STEPS, HEADS, SIZE) for name in ("key", "value"))
    query = torch.from_numpy(w["query"]).expand(STEPS, HEADS, SIZE)
    heads = (part.transpose(0, 1) for part in (query, key, value))
    mixed = F.scaled_dot_product_attention(*heads, is_causal=True).transpose(0, 1).flatten(1)
    np.testing.assert_allclose(out, mixed.numpy() @ w["out.weight"].T, rtol=0, atol=1e-12)


def test_aaren_takes_scores_of_any_size() -> None:
    """Scores in the thousands overflow no exponential."""
    memory = built("aaren")
    with torch.no_grad():
        got = memory.sequence(1e4 * drawn(2, STEPS, seed=1), memory.initial_state(2), some_starts(2, STEPS, seed=1))
    assert all(bool(tensor.isfinite().all()) for tensor in (got.out, *got.state.values()))


def test_trxl_is_attention_over_the_window() -> None:
    """Every step anew from the inputs of its window, with the four terms of the paper.

    Source: Dai et al. 2019, arXiv:1901.02860, section 3.3: A = q k + q (W r) + u k + v (W r).
    """
    memory = built("trxl")
    x, out, _ = episode(memory, seed=1)
    w = arrays(memory)
    for now in range(STEPS):
        window = range(max(0, now - SMALL.window + 1), now + 1)
        heads = []
        for head in range(HEADS):
            rows = slice(head * SIZE, (head + 1) * SIZE)
            q, u, v = (w["query.weight"] @ x[now])[rows], w["content_bias"][head], w["place_bias"][head]
            k = [(w["key.weight"] @ x[then])[rows] for then in window]
            r = [(w["position.weight"] @ code(now - then))[rows] for then in window]
            score = np.array([q @ a + q @ b + u @ a + v @ b for a, b in zip(k, r, strict=True)])
            share = softmax(score / math.sqrt(SIZE))
            heads.append(sum(s * (w["value.weight"] @ x[then])[rows] for s, then in zip(share, window, strict=True)))
        np.testing.assert_allclose(out[now], w["out.weight"] @ np.concatenate(heads), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["titans", "titans-hidden"])
def test_titans_gradient_is_autograds(name: str) -> None:
    """The slope that is written out is that of half the squared error, head by head."""
    generator = torch.Generator().manual_seed(1)
    begin = {key: t for key, t in built(name).state_dict().items() if key.startswith("begin.")}
    fast = {
        key.removeprefix("begin."): torch.randn(3, *t.shape, generator=generator).double().requires_grad_()
        for key, t in begin.items()
    }
    key, value = (torch.randn(3, HEADS, SIZE, generator=generator).double() for _ in range(2))
    loss = 0.5 * (recalled(fast, key) - value).square().sum()
    slopes, _ = descent(fast, key, value)
    wanted = torch.autograd.grad(loss, [fast[name] for name in slopes])
    for got, slope in zip(slopes.values(), wanted, strict=True):
        torch.testing.assert_close(got, slope, rtol=0, atol=1e-12)
    assert slopes.keys() == fast.keys()


@pytest.mark.parametrize("name", ["titans", "titans-hidden"])
def test_titans_bounds_the_curvature(name: str) -> None:
    """No direction in the weights of a head is steeper than it says: Gauss-Newton from autograd's Jacobian."""
    generator = torch.Generator().manual_seed(1)
    begin = {key: t for key, t in built(name).state_dict().items() if key.startswith("begin.")}
    shapes = {key.removeprefix("begin."): (1, 1, *t.shape[1:]) for key, t in begin.items()}
    fast = {key: torch.randn(*shape, generator=generator).double() for key, shape in shapes.items()}
    key, value = (torch.randn(1, 1, SIZE, generator=generator).double() for _ in range(2))
    _, curvature = descent(fast, key, value)
    names = list(fast)
    jacobian = torch.autograd.functional.jacobian(
        lambda *parts: recalled(dict(zip(names, parts, strict=True)), key).flatten(), tuple(fast.values())
    )
    assert isinstance(jacobian, tuple)
    flat = torch.cat([part.flatten(1) for part in jacobian], dim=1)
    steepest = torch.linalg.eigvalsh(flat @ flat.T).max()
    assert steepest <= curvature.item() * (1 + 1e-9)
    assert steepest > 0.1 * curvature.item()


def test_titans_learns_while_it_acts() -> None:
    """One lane, one head at a time, with autograd in the loop; Behrouz et al. 2025, equations 8 to 15."""
    memory = built("titans")
    x, out, _ = episode(memory, seed=1)
    w = memory.state_dict()
    fast = [start.clone() for start in w["begin.down"]]
    momentum = [torch.zeros(SIZE, SIZE).double() for _ in range(HEADS)]
    for now, row in enumerate(torch.from_numpy(x)):
        gates = torch.sigmoid(w["gates.weight"] @ row + w["gates.bias"]).view(3, HEADS)
        said = []
        for head in range(HEADS):
            part = slice(head * SIZE, (head + 1) * SIZE)
            q, k = (F.silu(w[f"{name}.weight"] @ row)[part] for name in ("query", "key"))
            q, k, v = q / q.norm(), k / k.norm(), (w["value.weight"] @ row)[part]
            held = fast[head].clone().requires_grad_()
            (slope,) = torch.autograd.grad(0.5 * (held @ k - v).square().sum(), held)
            learn, keep, forget = gates[:, head]
            momentum[head] = keep * momentum[head] - learn * slope
            fast[head] = (1 - forget) * fast[head] + momentum[head]
            said.append(fast[head] @ q)
        np.testing.assert_allclose(out[now], (w["out.weight"] @ torch.cat(said)).numpy(), rtol=0, atol=1e-10)


def test_the_gate_is_gtrxls() -> None:
    """Parisotto et al. 2020, arXiv:1910.06764, equations 7 to 10, one vector at a time; it begins nearly closed."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(1)
        gate = Gate(WIDTH).double()
    x, y = drawn(2, 5, seed=1)
    w = {name: tensor.detach().numpy() for name, tensor in gate.named_parameters()}
    wr, wz, wg = np.split(w["added.weight"], 3)
    ur, uz = np.split(w["kept.weight"], 2)
    with torch.no_grad():
        got = gate(x, y).numpy()
    for one, other, result in zip(x.numpy(), np.maximum(y.numpy(), 0), got, strict=True):
        r = 1 / (1 + np.exp(-(wr @ other + ur @ one)))
        z = 1 / (1 + np.exp(-(wz @ other + uz @ one - w["bias"])))
        h = np.tanh(wg @ other + w["reset.weight"] @ (r * one))
        np.testing.assert_allclose(result, (1 - z) * one + z * h, rtol=0, atol=1e-12)
    assert np.abs(w["bias"] - 2).max() == 0


def test_an_lstm_begins_with_memories_of_all_lengths() -> None:
    """Left alone, a cell loses 1 / T of what it holds in a step; T is uniform from 2 to the reach, as published.

    Left alone is an input of nothing and no hidden state: the gates are their biases.
    """
    width, reach = 2048, 512
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(1)
        memory = Lstm(width, reach).double()
    cell = torch.ones(1, width, dtype=torch.float64)
    nothing = torch.zeros(1, width, dtype=torch.float64)
    with torch.no_grad():
        memory.cell.weight_ih.zero_()
        memory.cell.weight_hh.zero_()
        kept = memory.step(nothing, {"hidden": nothing, "cell": cell}).state["cell"][0].numpy()
    length = 1.0 / (1.0 - kept)
    assert length.min() >= 2.0 and length.max() <= reach
    assert stats.kstest(length, stats.uniform(2.0, reach - 2.0).cdf).pvalue > 0.01
    let_in = torch.sigmoid(memory.cell.bias_hh[:width] + memory.cell.bias_ih[:width]).detach().numpy()
    np.testing.assert_allclose(let_in, 1.0 - kept, rtol=1e-12)
    np.testing.assert_allclose(Lstm(8, 2).cell.bias_hh[:16].detach(), 0.0)
