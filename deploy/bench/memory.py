"""Benches of remembering: chunk attention alone, and what a step costs the more there is to remember."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from haltere.configs.errors import RequestError
from haltere.deploy.bench import ort_rows
from haltere.deploy.bench.contender import Contender, Setup, Unavailable
from haltere.deploy.bench.measure import Progress, Samples, bench, setup_of
from haltere.deploy.bench.memory_report import Growth, OperatorTiming
from haltere.deploy.export import TaskFacts
from haltere.deploy.parity import one_thread
from haltere.policies.base import Obs, Output, Policy, Signature, State
from haltere.policies.memory.chunks import chosen, relevance_of
from haltere.policies.memory.hcam import Hcam
from haltere.policies.memory.model import MemoryPolicy
from haltere.policies.registry import build_policy

OPERATOR_RUNTIMES = ("ort_io_binding", "ort_fused", "fused_fp32", "fused_bf16", "fused_int8")
REMEMBERED = (100, 1_000, 10_000)
_RESIZABLE = ("hcam", "trxl", "attention")
"""Memories whose size the weights don't fix."""
_FACTS = TaskFacts("haltere/Bench-v0", 0.01, {})
_SEED = 3


@dataclass(frozen=True)
class ChunkSizes:
    """Sizes of a memory in chunks; the defaults are what the kernel's speed is stated for.

    Attributes:
        chunks: M.
        steps: C.
        width: D.
        heads: of the attention inside a chunk.
        top_k: chunks that are read.
    """

    chunks: int = 32
    steps: int = 16
    width: int = 128
    heads: int = 4
    top_k: int = 4
    type: str = "chunks"


class Reading(Policy[ChunkSizes]):
    """Chunk attention as a policy of its own, so that every runtime can be asked for it. All chunks are full."""

    def __init__(self, config: ChunkSizes) -> None:
        """Draw weights, seeded."""
        part = {"query": (config.width,), "summary": (config.chunks, config.width)}
        part |= {"memory": (config.chunks, config.steps, config.width), "valid": (config.chunks,)}
        super().__init__(config, Signature(part, config.width))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(_SEED)
            self.hcam = Hcam(config.width, config.heads, config.steps, config.chunks, config.top_k)

    def forward(self, obs: Obs, state: State) -> tuple[Output, State]:
        """What is read, and the weight of each chunk."""
        out, weight = self.hcam.read(obs["query"], obs["summary"], obs["memory"], obs["valid"])
        return {"action": out, "read": weight}, {}

    def random_obs(self, batch: int, generator: torch.Generator) -> Obs:
        """A full memory."""
        obs = super().random_obs(batch, generator)
        return obs | {"valid": torch.ones_like(obs["valid"])}


class Scan(Policy[ChunkSizes]):
    """The first level alone: which chunks are read, and with which weights."""

    def __init__(self, config: ChunkSizes) -> None:
        """Draw weights, seeded."""
        obs = {"query": (config.width,), "summary": (config.chunks, config.width)}
        super().__init__(config, Signature(obs, config.top_k))
        generator = torch.Generator().manual_seed(_SEED)
        shape = (config.width, config.width)
        self.query, self.key = (torch.nn.Parameter(torch.randn(shape, generator=generator) / 8) for _ in range(2))

    def forward(self, obs: Obs, state: State) -> tuple[Output, State]:
        """Weights and indices of the chunks."""
        bias = torch.zeros(self.config.width)
        relevance = relevance_of(obs["query"], obs["summary"], self.query, bias, self.key)
        weight, index = chosen(relevance, relevance > -math.inf, self.config.top_k)
        return {"action": weight, "index": index}, {}


def chunk_attention_timing(
    sizes: ChunkSizes,
    *,
    calls: int,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> OperatorTiming:
    """Time chunk attention: ONNX Runtime, ONNX Runtime with the kernel, and the kernel called from C.

    The query is copied to where it is read in each call; the memory stays where it is, as a policy's does.

    Args:
        sizes: of the memory.
        calls: timed calls of each runtime.
        progress: as ``bench``'s.
        say: as ``bench``'s; told about the operator once.

    Raises:
        HaltereError: as ``bench``.
    """
    names, held = OPERATOR_RUNTIMES, ("obs.summary", "obs.memory", "obs.valid")
    if say is not None:
        say(f"timing chunk attention alone: {sizes.chunks} chunks of {sizes.steps} steps, width {sizes.width}")
    report = bench(Reading(sizes), task="", facts=_FACTS, calls=calls, names=names, held=held, progress=progress)
    return OperatorTiming(
        sizes.chunks,
        sizes.steps,
        sizes.width,
        sizes.heads,
        sizes.top_k,
        median_us={name: timing.median_us for name, timing in report.runtimes.items()},
        ratios=report.ratios,
        parity={name: timing.parity for name, timing in report.runtimes.items()},
        other_choices={name: timing.other_choices for name, timing in report.runtimes.items()},
    )


def growth(
    policy: MemoryPolicy,
    *,
    calls: int,
    steps: Sequence[int] = REMEMBERED,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> tuple[Growth, ...]:
    """Time a policy's step with memories of several sizes, each of them full; the weights are the policy's.

    Args:
        policy: a trained or untrained one.
        calls: timed calls of each row.
        steps: sizes of the memory.
        progress: as ``bench``'s.
        say: as ``bench``'s.

    Raises:
        RequestError: its memory has one size only.
        HaltereError: as ``bench``.
    """
    contenders: dict[str, Contender] = {}
    kib: dict[int, float] = {}
    say = say or (lambda what: None)
    with one_thread():
        for count in steps:
            say(f"filling a memory of {count:,} steps")
            setup = setup_of(resized(policy, count), _FACTS, None, count)
            kib[count] = sum(array.nbytes for name, array in setup.inputs[0].items() if "state" in name) / 1024
            contenders |= {f"{name} {count}": each for name, each in _rows(policy, setup, count).items()}
        say(f"timing one step against {', '.join(f'{count:,}' for count in steps)} remembered, {calls:,} calls each")
        samples = Samples(contenders, calls)
        samples.take(progress)
    medians = {name: samples.timing(name, None, None, 0.0).median_us for name in contenders}
    return tuple(
        Growth(
            count,
            kib[count],
            medians[f"in place {count}"],
            medians[f"copied {count}"],
            medians.get(f"kernels {count}"),
            medians[f"scan {count}"] * policy.config.layers if f"scan {count}" in medians else None,
        )
        for count in steps
    )


def check_growth(policy: Policy[Any]) -> None:
    """See that a policy can be timed with memories of several sizes.

    Raises:
        RequestError: it has none, or one of one size only.
    """
    if not isinstance(policy, MemoryPolicy):
        raise RequestError(f"--growth: a policy of type {policy.config.type} has no memory that could grow")
    if policy.config.memory not in _RESIZABLE:
        raise RequestError(f"--growth: a memory of {policy.config.memory} has one size, however much it has seen")


def resized(policy: MemoryPolicy, steps: int) -> MemoryPolicy:
    """The same network with room for so many steps, or a few more.

    Raises:
        RequestError: its memory has one size only.
    """
    check_growth(policy)
    config = policy.config
    sizes = {
        "hcam": {"slots": max(config.top_k, -(-steps // config.chunk))},
        "trxl": {"window": steps},
        "attention": {"span": steps},
    }
    other = build_policy(replace(config, **sizes[config.memory]), policy.signature, seed=0)  # type: ignore[arg-type]
    other.load_state_dict(policy.state_dict())
    assert isinstance(other, MemoryPolicy)
    return other


def _rows(policy: MemoryPolicy, setup: Setup, count: int) -> dict[str, Contender]:
    states = tuple(replace(state, ring=False) for state in setup.contract.state)
    rows = {
        "in place": ort_rows.from_c(setup, setup.model),
        "copied": ort_rows.from_c(replace(setup, contract=replace(setup.contract, state=states)), setup.model),
    }
    if policy.config.memory != "hcam":
        return rows
    try:
        rows["kernels"] = ort_rows.with_kernels(setup, "fp32")
    except Unavailable:
        pass  # a dash in the table; the bench's own rows say why
    chunks = -(-count // policy.config.chunk)
    sizes = ChunkSizes(chunks, 1, policy.config.width, 1, min(policy.config.top_k, chunks))
    scan = replace(setup_of(Scan(sizes), _FACTS, None, 0), held=("obs.summary",))
    return rows | {"scan": ort_rows.from_c(scan, scan.model)}
