"""Every memory at sizes small enough to follow by hand, and a walk through a sequence step by step."""

import torch
from torch import Tensor

from haltere.policies.base import State
from haltere.policies.memory.config import MemoryConfig
from haltere.policies.memory.convolution import ShortConvolution
from haltere.policies.memory.layers import build_memory
from haltere.policies.memory.module import Memory, Recalled, restarted

WIDTH = 8
SMALL = MemoryConfig(width=WIDTH, heads=2, chunk=3, slots=4, top_k=2, window=5, span=7)
"""Chunks, slots, window and span are all shorter than the sequences here, so that each of them overflows."""

VARIANTS: dict[str, dict[str, object]] = {
    "hcam": {"memory": "hcam"},
    "hcam-token": {"memory": "hcam", "summary": "token"},
    "hcam-stopped": {"memory": "hcam", "memory_grad": False},
    "hcam-one-slot": {"memory": "hcam", "slots": 1, "top_k": 1},
    "hcam-chunks-of-one": {"memory": "hcam", "chunk": 1, "slots": 40, "top_k": 3},
    "trxl": {"memory": "trxl"},
    "trxl-window-of-one": {"memory": "trxl", "window": 1},
    "attention": {"memory": "attention"},
    "lstm": {"memory": "lstm"},
    "aaren": {"memory": "aaren"},
    "titans": {"memory": "titans"},
    "titans-hidden": {"memory": "titans", "fast_hidden": 6},
    "convolution": {"convolution": 3},
}


def built(name: str, dtype: torch.dtype = torch.float64) -> Memory:
    """A variant, every parameter away from its neutral value."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(3)
        config = MemoryConfig(**{**vars(SMALL), **VARIANTS[name]})  # type: ignore[arg-type]
        memory = ShortConvolution(WIDTH, config.convolution) if config.convolution else build_memory(config)
        with torch.no_grad():
            for parameter in memory.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape))
    return memory.to(dtype)


def drawn(batch: int, steps: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Random inputs (B, T, D)."""
    return torch.randn(batch, steps, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def some_starts(batch: int, steps: int, seed: int) -> Tensor:
    """(B, T) bool, about one in nine true."""
    return torch.rand(batch, steps, generator=torch.Generator().manual_seed(seed)) < 0.11


def by_steps(memory: Memory, x: Tensor, state: State, starts: Tensor, told: Tensor | None = None) -> Recalled:
    """What a robot does: one step after the other, with the state put back where an episode starts."""
    initial = memory.initial_state(len(x))
    outs, reads = [], []
    for step in range(x.shape[1]):
        new = None if told is None else told[:, step]
        out, state, read = memory.step(x[:, step], restarted(state, initial, starts[:, step]), told=new)
        outs.append(out)
        reads.append(read)
    kept = [read for read in reads if read is not None]
    return Recalled(torch.stack(outs, dim=1), state, torch.stack(kept, dim=1) if kept else None)
