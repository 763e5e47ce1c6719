"""The fused kernels compute what they say, on every instruction set of this processor, in every size and precision."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from haltere.deploy.kernels.library import instruction_set, instruction_sets, reserve_threads, use_instruction_set
from haltere.deploy.kernels.op import PRECISIONS, Op

from . import kernel_oracles as oracles
from .kernel_oracles import Array, Case

EPS = 2.0**-24
"""Half a unit in the last place of a float of size one."""

WIDTHS = st.one_of(st.sampled_from([1, 7, 10, 16, 32, 33, 48, 64, 100]), st.integers(1, 80))
SEEDS = st.integers(0, 2**20)


@pytest.fixture(params=instruction_sets())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every instruction set that this processor has, in turn."""
    best = instruction_set()
    use_instruction_set(request.param)
    yield request.param
    use_instruction_set(best)


def on_each_isa(check: Callable[[], object]) -> None:
    """Run ``check()`` once with each instruction set; what hypothesis has instead of the fixture."""
    best = instruction_set()
    try:
        for name in instruction_sets():
            use_instruction_set(name)
            check()
    finally:
        use_instruction_set(best)


def error(case: Case, precision: str = "fp32") -> float:
    """Largest error of any output, on the scale of what is wanted where that is larger than one."""
    got = case.op(precision)(*case.inputs)
    assert [each.shape for each in got] == [each.shape for each in case.wanted]
    return max(float(np.abs(a - b).max() / max(1.0, np.abs(b).max())) for a, b in zip(got, case.wanted, strict=True))


def check_error(case: Case, limit: float) -> None:
    """In single precision, with the instruction set in use."""
    assert error(case) <= limit, instruction_set()


# ---- the swarm policy ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [7, 10, 16, 32, 33, 64, 256])
def test_swarm_policy_is_torchs_to_one_millionth(isa: str, width: int) -> None:
    """The bar: 1e-6 against the network in single precision, at every width that flies."""
    for neighbours, batch in ((2, 70), (1, 1), (8, 5)):
        policy, inputs = oracles.swarm_policy(width, neighbours), oracles.swarm_inputs(neighbours, batch)
        got = Op("SwarmPolicy", oracles.swarm_weights(policy))(*inputs)
        wanted = oracles.torch_outputs(policy, inputs, torch.float32)
        assert max(np.abs(a - b).max() for a, b in zip(got, wanted, strict=True)) <= 1e-6


@settings(max_examples=25)
@given(width=WIDTHS, neighbours=st.integers(1, 8), batch=st.integers(1, 70), seed=SEEDS)
def test_swarm_policy_of_any_size(width: int, neighbours: int, batch: int, seed: int) -> None:
    """Odd widths, every number of neighbours, any batch: against the network in double precision."""
    case = oracles.swarm(width, neighbours, batch, seed)
    on_each_isa(lambda: check_error(case, 1e-6))


def test_swarm_policy_may_see_the_slopes_steepness(isa: str) -> None:
    """A fifth obstacle feature, the squared length of the grid's slope: the same as moving the bias by its share."""
    policy, inputs = oracles.swarm_policy(10, 2), oracles.swarm_inputs(2, 6)
    weights = oracles.swarm_weights(policy)
    extra = oracles.normal(np.random.default_rng(1), 10, 1, scale=0.02)
    wider = [*weights[:4], np.hstack([weights[4], extra]), *weights[5:]]
    got = Op("SwarmPolicy", wider)(*inputs)
    grid = inputs[2].reshape(-1, 3, 3).astype(np.float64)
    slope = np.stack([(grid[:, 2] - grid[:, 0]).mean(axis=1), (grid[:, :, 2] - grid[:, :, 0]).mean(axis=1)]) / 0.2
    for lane, steepness in enumerate((slope**2).sum(axis=0)):
        moved = [*weights[:5], (weights[5] + steepness * extra[:, 0]).astype(np.float32), *weights[6:]]
        alone = Op("SwarmPolicy", moved)(*(each[lane : lane + 1] for each in inputs))
        for a, b in zip(got, alone, strict=True):
            np.testing.assert_allclose(a[lane : lane + 1], b, atol=2e-6)


def test_a_query_of_zeros_is_fixed_attention(isa: str) -> None:
    """How the ablation without learned weights runs."""
    weights = oracles.swarm_weights(oracles.swarm_policy(16, 2))
    weights[6] = np.zeros_like(weights[6])
    np.testing.assert_array_equal(Op("SwarmPolicy", weights)(*oracles.swarm_inputs(2, 3))[1], np.full((3, 2), 0.5))


# ---- the other operators ---------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    name=st.sampled_from(sorted(oracles.ACTIVATIONS)),
    inputs=st.integers(1, 300),
    outputs=WIDTHS,
    batch=st.integers(1, 70),
    bias=st.booleans(),
    seed=SEEDS,
)
def test_dense_of_any_size(name: str, inputs: int, outputs: int, batch: int, bias: bool, seed: int) -> None:
    """A layer stays within what rounding each product and sum once can do."""
    case = oracles.dense(name, inputs, outputs, batch, bias=bias, seed=seed)
    size = np.abs(case.inputs[0]).astype(np.float64) @ np.abs(case.weights[0]).T + np.abs(case.weights[-1]).max()
    # Higham, Accuracy and Stability, section 3.1; then an activation of slope 1.13 at most, with an error of its own.
    bound = 1.13 * (inputs + 1) * EPS * size + 4e-7 * np.maximum(1.0, np.abs(case.wanted[0]))

    def check() -> None:
        assert (np.abs(case.op()(*case.inputs)[0] - case.wanted[0]) <= bound).all()

    on_each_isa(check)


def test_dense_takes_any_dimensions(isa: str) -> None:
    """(..., K) in, (..., N) out, as torch.nn.Linear does."""
    case = oracles.dense("DenseTanh", 9, 5, 24)
    got = case.op()(case.inputs[0].reshape(2, 3, 4, 9))[0]
    assert got.shape == (2, 3, 4, 5)
    np.testing.assert_array_equal(got.reshape(24, 5), case.op()(*case.inputs)[0])


@settings(max_examples=20)
@given(width=WIDTHS, batch=st.integers(1, 70), seed=SEEDS)
def test_two_token_attention_of_any_size(width: int, batch: int, seed: int) -> None:
    """Against softmax attention over both tokens, spelled out."""
    case = oracles.two_token(width, batch, seed)
    on_each_isa(lambda: check_error(case, 4e-6))


@settings(max_examples=20)
@given(
    sizes=st.tuples(WIDTHS, WIDTHS, WIDTHS),
    experts=st.integers(1, 9),
    top_k=st.integers(1, 9),
    lanes=st.one_of(st.tuples(st.integers(1, 40)), st.tuples(st.integers(1, 5), st.integers(1, 20))),
    shared=st.booleans(),
    seed=SEEDS,
)
def test_glu_experts_of_any_size(
    sizes: tuple[int, int, int], experts: int, top_k: int, lanes: tuple[int, ...], shared: bool, seed: int
) -> None:
    """Each lane through its own experts, or all tokens of a lane through the same."""
    top_k, shared = min(top_k, experts), shared and len(lanes) > 1
    case = oracles.glu_experts(sizes, experts, top_k, lanes, shared, seed)
    on_each_isa(lambda: check_error(case, 3e-6))


@settings(max_examples=20)
@given(
    heads=st.integers(1, 9),
    part=st.integers(1, 20),
    chunks=st.integers(1, 40),
    steps=st.integers(1, 35),
    top_k=st.integers(1, 12),
    batch=st.integers(1, 9),
    mask=st.sampled_from(["none", "some", "all"]),
    seed=SEEDS,
)
def test_chunk_attention_of_any_size(
    heads: int, part: int, chunks: int, steps: int, top_k: int, batch: int, mask: str, seed: int
) -> None:
    """Against the published equations, which project every step; among them lanes without any valid chunk."""
    case = oracles.chunk_attention(heads * part, heads, chunks, steps, top_k, batch, mask, seed)
    on_each_isa(lambda: check_error(case, 3e-6))


@settings(max_examples=20)
@given(
    tokens=st.one_of(st.sampled_from([1, 15, 16, 17]), st.integers(1, 70)),
    heads=st.integers(1, 9),
    part=st.integers(1, 20),
    inner=WIDTHS,
    batch=st.integers(1, 5),
    seed=SEEDS,
)
def test_denoiser_block_of_any_size(tokens: int, heads: int, part: int, inner: int, batch: int, seed: int) -> None:
    """Against the published equations, one token and one head at a time; and without the first layer."""
    for block in (oracles.denoiser_block, oracles.steered_block):
        case = block((tokens, heads, part), inner, batch, seed)
        on_each_isa(lambda case=case: check_error(case, 4e-6))


@pytest.mark.parametrize(("tokens", "heads", "part", "inner"), [(256, 8, 64, 64), (256, 2, 16, 300), (16, 8, 32, 1024)])
def test_denoiser_block_as_large_as_policies_are(isa: str, tokens: int, heads: int, part: int, inner: int) -> None:
    """The longest chunk with the widest heads that it goes with, and the size that is measured."""
    check_error(oracles.denoiser_block((tokens, heads, part), inner, 2), 4e-6)
    check_error(oracles.steered_block((tokens, heads, part), inner, 2), 4e-6)


def test_chunk_attention_without_a_valid_chunk_is_zero(isa: str) -> None:
    """Nothing remembered gives nothing, not the output's bias."""
    case = oracles.chunk_attention(32, 2, 5, 4, 3, 2, "all")
    case.inputs[3][0] = 0.0
    out, relevance = case.op()(*case.inputs)
    assert not out[0].any() and not relevance[0].any()
    np.testing.assert_allclose(out[1], case.wanted[0][1], atol=3e-6)


def test_equal_scores_choose_the_first(isa: str) -> None:
    """Ties are broken as numpy's stable sort and ONNX's TopK break them."""
    case = oracles.glu_experts((8, 8, 8), 4, 2, (3,), False)
    case.inputs[1][:] = [[0, 1, 1, 1]]
    alone = oracles.glu_experts((8, 8, 8), 4, 2, (3,), False)
    alone.inputs[1][:] = [[-9, 1, 1, -9]]
    np.testing.assert_array_equal(case.op()(*case.inputs)[0], alone.op()(*alone.inputs)[0])


# ---- functions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["DenseTanh", "DenseGelu", "DenseSilu"])
def test_functions_over_the_whole_range_of_floats(isa: str, name: str) -> None:
    """Small, large, denormal and exactly zero: a few units in the last place of one, or of the value if larger."""
    exponents = np.linspace(-45, 38, 100_003)
    x = np.concatenate([10.0**exponents, np.linspace(0, 12, 200_003)]).astype(np.float32)
    x = np.concatenate([-x, x])[:, None]
    got = Op(name, [np.ones((1, 1), np.float32)])(x)[0][:, 0]
    with np.errstate(over="ignore"):
        wanted = oracles.ACTIVATIONS[name](x[:, 0].astype(np.float64))
    finite = np.abs(x[:, 0]) < 1e30  # beyond, exp overflows in the oracle
    assert (np.abs(got - wanted) <= 4e-7 * np.maximum(np.abs(wanted), 1.0))[finite].all()
    assert np.isfinite(got).all()
    if name == "DenseTanh":
        assert np.abs(got).max() == 1.0
        normal = np.abs(x[:, 0]) > 1e-30
        np.testing.assert_allclose(got[normal], wanted[normal], rtol=4e-7)


# ---- precisions ------------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(inputs=st.integers(1, 900), outputs=WIDTHS, batch=st.integers(1, 20), seed=SEEDS)
def test_bf16_weights_are_off_by_half_a_unit(inputs: int, outputs: int, batch: int, seed: int) -> None:
    """8 bits of each weight, and nothing else, are what is lost."""
    case = oracles.dense("Dense", inputs, outputs, batch, seed=seed)
    size = np.abs(case.inputs[0]).astype(np.float64) @ np.abs(case.weights[0]).T
    bound = (2.0**-8 + (inputs + 1) * EPS) * size + (inputs + 1) * EPS * np.abs(case.weights[1])

    def check() -> None:
        assert (np.abs(case.op("bf16")(*case.inputs)[0] - case.wanted[0]) <= 1.01 * bound + 1e-7).all()

    on_each_isa(check)


def test_bf16_rounds_as_torch_does(isa: str) -> None:
    """Nearest, ties to even, read back one weight at a time."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 4096, dtype=np.uint32)
    bits[:512] = bits[:512] & 0xFFFF0000 | 0x8000  # ties
    w = bits.view(np.float32)
    w = w[np.isfinite(w) & (np.abs(w) < 3e38)][:, None]
    got = Op("Dense", [w], "bf16")(np.ones((1, 1), np.float32))[0][0]
    np.testing.assert_array_equal(got, torch.from_numpy(w[:, 0]).to(torch.bfloat16).float().numpy())


def test_a_denoiser_in_bf16_has_torchs_weights(isa: str) -> None:
    """Weights that are bfloat16 already lose next to nothing, but where activations are rounded to bfloat16, too."""
    case = oracles.denoiser_block((16, 16, 16), 1024, 1)  # queries are scaled by a quarter, which bfloat16 can be
    rounded = [torch.from_numpy(each).to(torch.bfloat16).float().numpy() for each in case.weights]
    case.weights[::2] = rounded[::2]  # biases stay as they are
    wanted, got = (case.op(precision)(*case.inputs)[0] for precision in ("fp32", "bf16"))
    limit = {"avx512bf16": 6e-3, "amx": 6e-3, "avx512vnni": 3e-4}.get(isa, 2e-6)
    assert np.abs(got - wanted).max() <= limit * np.abs(wanted).max()


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_denoisers_sums_never_overflow(isa: str, precision: str) -> None:
    """Every weight as large as the largest, and every product of the same sign."""
    width, inner = 320, 576
    sign = np.where(np.arange(width) % 2, 1.0, -1.0).astype(np.float32)
    steer_b = np.repeat(np.float32([0, 0, 1, 0, 0, 1]), width)  # nothing shifts or scales; gates are open
    layers = [(3 * width, width), (width, width), (inner, width), (width, inner)]
    loud = [np.tile(np.resize(sign, columns), (rows, 1)) for rows, columns in layers]
    loud[1], loud[3] = np.ones_like(loud[1]), np.outer(sign, np.ones(inner, np.float32))
    weights = [np.zeros((6 * width, width), np.float32), steer_b]
    weights += [each for w in loud for each in (w, np.zeros(len(w), np.float32))]
    inputs = [np.tile(sign, (1, 16, 1)), np.zeros((1, width), np.float32)]
    wanted, got = (Op("DenoiserBlock", weights, each, heads=2)(*inputs)[0] for each in ("fp32", precision))
    assert np.abs(wanted).max() > 1e5
    np.testing.assert_allclose(got, wanted, rtol=4e-3)


@settings(max_examples=20)
@given(inputs=st.integers(1, 2000), outputs=WIDTHS, batch=st.integers(1, 20), seed=SEEDS, loud=st.booleans())
def test_int8_is_off_by_half_a_step(inputs: int, outputs: int, batch: int, seed: int, loud: bool) -> None:
    """Half a step of each weight and of each 16-bit activation; the sums themselves are exact."""
    case = oracles.dense("Dense", inputs, outputs, batch, seed=seed)
    w, b = (each.astype(np.float64) for each in case.weights)
    x = case.inputs[0]
    if loud:  # every product as large as it can be: no sum may overflow
        w, x = np.sign(w) * 3.0, np.sign(x) * np.float32(5.0)
        x[0] = np.sign(w[0])
    step = np.abs(w).max(axis=1) / 127
    steps = min(32767, (2**31 - 1) // (127 * inputs))
    x_step = np.abs(x).max(axis=1, keepdims=True) / steps
    bound = np.abs(x).sum(axis=1, keepdims=True) * step / 2 + x_step / 2 * (np.abs(w).sum(axis=1) + inputs * step / 2)
    wanted = x.astype(np.float64) @ w.T + b

    def check() -> None:
        got = Op("Dense", [w.astype(np.float32), case.weights[1]], "int8")(x)[0]
        assert (np.abs(got - wanted) <= 1.001 * bound + 4 * EPS * np.abs(wanted).max() + 1e-6).all()

    on_each_isa(check)


def test_int8_gives_the_same_on_every_instruction_set() -> None:
    """Whole numbers add up to the same in any order; rounding the activations is all that may differ, in ties."""
    case = oracles.dense("Dense", 768, 33, 9)
    results: list[Array] = []
    on_each_isa(lambda: results.append(case.op("int8")(*case.inputs)[0]))
    for each in results[1:]:
        np.testing.assert_allclose(each, results[0], atol=1e-4)


@pytest.mark.parametrize(("precision", "limit"), [("bf16", 3e-3), ("int8", 1e-2)])
def test_swarm_policy_in_fewer_bits_stays_close(isa: str, precision: str, limit: float) -> None:
    """Actions lie in [-1, 1]; what flies decides whether this is close enough, so this only catches what is broken."""
    for width in (10, 33, 256):
        assert error(oracles.swarm(width, 2, 20), precision) <= limit


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_blocks_in_fewer_bits_stay_close(isa: str, precision: str) -> None:
    """As for the policy, on outputs of size one."""
    limit = {"bf16": 6e-3, "int8": 3e-2}[precision]
    for case in (
        oracles.two_token(33, 9),
        oracles.glu_experts((33, 70, 17), 4, 2, (3, 6), True),
        oracles.denoiser_block((17, 3, 11), 70, 5),
        oracles.denoiser_block((16, 8, 32), 1024, 1),
        oracles.steered_block((17, 3, 11), 70, 5),
        oracles.chunk_attention(66, 6, 9, 7, 9, 5),  # every chunk chosen: a changed order isn't an error
    ):
        assert error(case, precision) <= limit


@pytest.mark.parametrize(
    ("tokens", "heads", "part", "inner"),
    [
        (1, 1, 5, 7),
        (3, 3, 7, 33),
        (5, 2, 17, 50),
        (15, 1, 31, 65),
        (16, 2, 24, 300),
        (17, 3, 11, 257),
        (18, 4, 32, 1000),
    ],
)
def test_a_block_in_bfloat16_of_any_size(isa: str, tokens: int, heads: int, part: int, inner: int) -> None:
    """Tokens and widths that fill no tile and no register, and some that do."""
    assert error(oracles.denoiser_block((tokens, heads, part), inner, 3), "bf16") <= 6e-3


# ---- lanes, threads, NaN ---------------------------------------------------------------------------------------------


def some_cases() -> list[Case]:
    """One of each operator, with a batch that no block divides."""
    return [
        oracles.dense("DenseGelu", 40, 33, 70),
        oracles.two_token(33, 70),
        oracles.swarm(33, 3, 70),
        oracles.swarm(16, 2, 37),
        oracles.glu_experts((20, 33, 17), 4, 2, (70,), False),
        oracles.glu_experts((20, 33, 17), 4, 2, (5, 14), True),
        oracles.chunk_attention(36, 3, 6, 5, 2, 37, "some"),
        oracles.denoiser_block((19, 3, 7), 33, 7),
        oracles.steered_block((19, 3, 7), 33, 7),
    ]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_threads_and_batch_change_no_bit(isa: str, precision: str) -> None:
    """One lane alone, in any part of a batch, on one thread or on five: the same bits."""
    reserve_threads(5)
    for case in some_cases():
        op = case.op(precision)
        whole = op(*case.inputs)
        for threads in range(2, 6):
            for a, b in zip(op(*case.inputs, threads=threads), whole, strict=True):
                np.testing.assert_array_equal(a, b)
        lanes = len(case.inputs[0])
        for first, last in ((0, 1), (1, lanes), (lanes - 3, lanes), (lanes // 2, lanes // 2 + 1)):
            part = op(*(np.ascontiguousarray(each[first:last]) for each in case.inputs))
            for a, b in zip(part, whole, strict=True):
                np.testing.assert_array_equal(a, b[first:last])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_nan_reaches_what_depends_on_it_and_no_other_lane(isa: str, precision: str) -> None:
    """A fault mustn't turn into a plausible command: neither a clamp nor a rounding may swallow it."""
    for case in some_cases():
        op = case.op(precision)
        whole = op(*case.inputs)
        for index, each in enumerate(case.inputs):
            if case.name == "ChunkAttention" and index > 0:
                continue  # what isn't chosen may be anything
            if each.ndim == 2 and index == 1 and case.name == "GluExperts" and case.inputs[0].ndim == 3:
                continue  # one row for several lanes
            for value in (math.nan, -math.nan):
                spoiled = [x.copy() for x in case.inputs]
                spoiled[index][2].reshape(-1)[-1] = value
                got = op(*spoiled)
                assert np.isnan(got[0][2]).any(), (case.name, index)
                others = np.arange(len(got[0])) != 2
                np.testing.assert_array_equal(got[0][others], whole[0][others])


def test_nan_among_observations_makes_every_command_nan(isa: str) -> None:
    """Each of the 40 numbers that the swarm policy sees, one at a time, but for the corners that no slope reads."""
    case = oracles.swarm(16, 2, 1)
    op = case.op()
    for index, each in enumerate(case.inputs):
        for at in range(each.size):
            spoiled = [x.copy() for x in case.inputs]
            spoiled[index].reshape(-1)[at] = math.nan
            assert np.isnan(op(*spoiled)[0]).all(), (index, at)


def test_infinity_gives_nan_or_a_bounded_command(isa: str) -> None:
    """Infinite observations may saturate, but leave no command outside [-1, 1]."""
    case = oracles.swarm(16, 2, 1)
    for precision in PRECISIONS:
        op = case.op(precision)
        for index, each in enumerate(case.inputs):
            for at in range(each.size):
                for value in (math.inf, -math.inf, 3e38, -3e38):
                    spoiled = [x.copy() for x in case.inputs]
                    spoiled[index].reshape(-1)[at] = value
                    action = op(*spoiled)[0]
                    assert (np.isnan(action) | (np.abs(action) <= 1.0)).all()
