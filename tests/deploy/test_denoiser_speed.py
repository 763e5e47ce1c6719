"""What the denoiser's kernel gains: stock ONNX Runtime, ONNX Runtime with the kernel, and the kernel alone, by turns.

In one process on one thread, in the thread's own time, which busy neighbours don't take. Ratios alone, never times.
"""

import time
from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from haltere.deploy.bench.contender import quiet
from haltere.deploy.fused import inlined, recorded
from haltere.deploy.kernels.library import instruction_set
from haltere.deploy.kernels.op import PRECISIONS
from haltere.deploy.parity import Arrays, one_thread, random_inputs
from haltere.deploy.runtime.session import open_session
from haltere.deploy.tracing import OPSET, trace
from haltere.policies.base import Signature
from haltere.policies.chunking.transformer import Block
from haltere.policies.diffusion.config import DiffusionConfig
from haltere.policies.registry import build_policy

from .kernel_oracles import Array, denoiser_block
from .toys import stirred

WIDTH, HEADS, LAYERS, TOKENS, REFINEMENTS = 256, 8, 4, 16, 10
WARM_UP, ROUNDS = 5, 60
AT_ONCE = ", unrolled"
SHORTFALL = {"fp32": 1e-4, "bf16": 0.1, "int8": 0.1}
"""Largest error of the chunk, on a scale of one, of what is timed; what flies decides whether it is close enough."""
Ways = dict[str, Callable[[], object]]

pytestmark = pytest.mark.slow


def ratios(ways: Ways) -> dict[str, float]:
    """How many times faster than the first each way is: the median of its rounds, each of ``REFINEMENTS``.

    That is as many calls, or one of a way whose name ends with ``AT_ONCE``.
    """
    took: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(WARM_UP + ROUNDS):
        for name, call in ways.items():
            start = time.thread_time()
            for _ in range(1 if name.endswith(AT_ONCE) else REFINEMENTS):
                call()
            if turn >= WARM_UP:
                took[name].append(time.thread_time() - start)
    median = {name: float(np.median(each)) for name, each in took.items()}
    first = next(iter(median.values()))
    print(f"\n{instruction_set()}: ten refinements of {LAYERS} layers, width {WIDTH}, {HEADS} heads, {TOKENS} tokens")
    for name, seconds in median.items():
        print(f"{name:28} {1e3 * seconds:8.2f} ms  {first / seconds:5.2f} x")
    return {name: first / seconds for name, seconds in median.items()}


def bound(session: onnxruntime.InferenceSession, inputs: Arrays) -> tuple[Callable[[], object], Array]:
    """A call on memory that is bound once, and where its first output lies."""
    binding, names = session.io_binding(), [node.name for node in session.get_outputs()]
    for name, array in inputs.items():
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in session.run(names, inputs)]
    for name, value in zip(names, values, strict=True):
        binding.bind_ortvalue_output(name, value)
    return lambda: session.run_with_iobinding(binding), values[0].numpy()


def ways_of(unrolled: bool) -> Ways:
    """A diffusion policy in ONNX Runtime, without the kernels and with them in every precision.

    A call makes one refinement, or all of them where the loop is ``unrolled``.
    """
    config = DiffusionConfig(
        width=WIDTH, heads=HEADS, layers=LAYERS, horizon=TOKENS, refinements=REFINEMENTS, unrolled=unrolled
    )
    policy = build_policy(config, Signature({"state": (20,)}, 4), seed=0).eval()
    stirred(policy)
    obs, state = policy.random_obs(2, torch.Generator().manual_seed(0)), policy.initial_state(2)
    with torch.no_grad(), recorded() as heard:
        out, _ = policy(obs, state)
    model = trace(policy, obs, state, out, heard)
    blocks = ["SteeredBlock"] * LAYERS * REFINEMENTS if unrolled else ["DenoiserBlock"] * LAYERS
    assert [node.op_type for node in model.graph.node if node.op_type.endswith("Block")] == blocks
    inputs = random_inputs(policy, 1, torch.Generator().manual_seed(1), {})
    inputs |= {f"state.{name}": tensor.numpy() for name, tensor in policy.initial_state(1).items()}
    suffix = AT_ONCE if unrolled else ""
    call, wanted = bound(open_session(inlined(model).SerializeToString()), inputs)
    ways: Ways = {f"stock{suffix}": call}
    for precision in PRECISIONS:
        session = open_session(model.SerializeToString(), fused=True, precision=precision)
        ways[precision + suffix], got = bound(session, inputs)
        assert np.abs(got - wanted).max() <= SHORTFALL[precision]
    return ways


def test_a_diffusion_policy_is_so_many_times_faster() -> None:
    """Whole refinements, all that is around the blocks among them; the loop outside the graph, and unrolled in it."""
    with one_thread():
        found = ratios(ways_of(unrolled=False) | ways_of(unrolled=True))
    for suffix in ("", AT_ONCE):
        assert found[f"fp32{suffix}"] > found[f"stock{suffix}"] and found[f"int8{suffix}"] > found[f"fp32{suffix}"]
    assert all(found[precision + AT_ONCE] > found[precision] for precision in PRECISIONS)
    # What was promised of it, less what a busy neighbour takes from one run to the next.
    assert found[f"fp32{AT_ONCE}"] >= 0.9 * 1.5
    if instruction_set() in ("amx", "avx512bf16"):
        assert found[f"bf16{AT_ONCE}"] >= 0.9 * 2.7


class Blocks(nn.Module):
    """The transformer's blocks and nothing else."""

    def __init__(self) -> None:
        """Build."""
        super().__init__()
        self.blocks = nn.ModuleList(Block(WIDTH, HEADS, 4) for _ in range(LAYERS))

    def forward(self, x: Tensor, steering: Tensor) -> Tensor:
        """(B, T, width) and (B, width) -> (B, T, width)."""
        for block in self.blocks:
            x = block(x, steering)
        return x


def test_the_blocks_alone_are_so_many_times_faster() -> None:
    """As a plain graph in ONNX Runtime, and as kernels that nothing else is between."""
    blocks = Blocks().eval()
    cases = [denoiser_block((TOKENS, HEADS, WIDTH // HEADS), 4 * WIDTH, 1, seed) for seed in range(LAYERS)]
    for block, case in zip(blocks.blocks, cases, strict=True):
        with recorded() as heard, torch.no_grad():
            block(*map(torch.from_numpy, case.inputs))
            for parameter, array in zip(heard[0].call.weights, case.weights, strict=True):
                parameter.copy_(torch.from_numpy(array))
    x, steering = cases[0].inputs
    tensors = (torch.from_numpy(x), torch.from_numpy(steering))
    with quiet():
        program = torch.onnx.export(
            blocks, tensors, dynamo=True, input_names=["x", "steering"], opset_version=OPSET, verbose=False
        )
    assert program is not None
    call, wanted = bound(open_session(program.model_proto.SerializeToString()), {"x": x, "steering": steering})
    ways: Ways = {"stock": call}
    for precision in PRECISIONS:
        rows = [x, *(np.empty_like(x) for _ in cases)]
        calls = []
        for case, one, other in zip(cases, rows, rows[1:], strict=False):
            calls.append(case.op(precision).bind([one, steering], [other]).run)

        def run(calls: list[Callable[[], object]] = calls) -> None:
            for each in calls:
                each()

        run()
        assert np.abs(rows[-1] - wanted).max() <= SHORTFALL[precision] * max(1.0, float(np.abs(wanted).max()))
        ways[precision] = run
    found = ratios(ways)
    assert found["fp32"] > 1.0 and found["int8"] > found["fp32"]
