"""What can be set about the memory policy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import ConfigDict

_OWN = {
    "hcam": ("chunk", "slots", "top_k", "summary", "local", "memory_grad"),
    "trxl": ("window",),
    "attention": ("span",),
    "lstm": ("reach",),
    "titans": ("fast_hidden",),
}
"""Settings that only one memory has."""


@dataclass(frozen=True)
class MemoryConfig:
    """Encoders, layers with a memory each, and one score for each choice.

    Attributes:
        type: discriminator in a task's YAML.
        memory: ``hcam``: hierarchical attention over chunks of the past. ``trxl``: attention over the last steps.
            ``attention``: over the whole episode. ``lstm``. ``aaren``: attention as a recurrence. ``titans``: fast
            weights, experimental.
        width: units of each layer; even, and a multiple of ``heads``.
        layers: layers, each with a memory and a feed-forward block.
        heads: of every attention; an lstm has none.
        expansion: units of the feed-forward block, as a multiple of the width.
        residual: how a block joins what it adds to: ``sum``, or ``gate`` as in GTrXL.
        convolution: steps of a causal convolution whose outcome each layer's memory stores rather than what is seen
            (an lstm, which has one way in, is given their sum); 0 for none, otherwise at least 2.
        chunk: hcam: steps of a chunk, and of the local attention's window.
        slots: hcam: chunks that are kept; the oldest one makes way.
        top_k: hcam: chunks that are read in each step.
        summary: hcam: what a chunk is found by: the ``mean`` of its steps, or a trained ``token``'s view of it.
        local: hcam: attend to the last ``chunk`` steps as well.
        memory_grad: hcam: whether gradients reach what is stored; the published agent stops them, and has no
            ``convolution``, which could not learn then.
        window: trxl: steps that are kept, the present one among them.
        span: attention: steps that are kept, the present one among them; should be an episode's.
        reach: lstm: longest memory that a cell begins with [steps]; 2 for forget gates that begin half open.
        fast_hidden: titans: hidden units of a head's fast weights; 0 for a single matrix.
        channels: of the image encoder's layers.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    type: Literal["memory"] = "memory"
    memory: Literal["hcam", "trxl", "attention", "lstm", "aaren", "titans"] = "hcam"
    width: Annotated[int, Ge(2), Le(1024)] = 64
    layers: Annotated[int, Ge(1), Le(16)] = 2
    heads: Annotated[int, Ge(1), Le(64)] = 4
    expansion: Annotated[int, Ge(1), Le(8)] = 2
    residual: Literal["sum", "gate"] = "sum"
    convolution: Annotated[int, Ge(0), Le(64)] = 0
    chunk: Annotated[int, Ge(1), Le(1024)] = 16
    slots: Annotated[int, Ge(1), Le(65536)] = 32
    top_k: Annotated[int, Ge(1), Le(64)] = 4
    summary: Literal["mean", "token"] = "mean"
    local: bool = True
    memory_grad: bool = True
    window: Annotated[int, Ge(1), Le(65536)] = 64
    span: Annotated[int, Ge(1), Le(65536)] = 512
    reach: Annotated[int, Ge(2), Le(65536)] = 512
    fast_hidden: Annotated[int, Ge(0), Le(1024)] = 0
    channels: Annotated[int, Ge(1), Le(256)] = 32

    def without_effect(self, training: bool) -> Mapping[str, str]:
        """Setting -> why it does nothing beside the others; see ``haltere.policies.registry``."""
        idle = {
            name: f"belongs to memory '{memory}'; this policy's memory is '{self.memory}'"
            for memory, names in _OWN.items()
            for name in names
            if memory != self.memory
        }
        if self.memory == "lstm":
            idle["heads"] = "is for attention, and memory 'lstm' has none"
        if training:
            return idle
        return {name: "matters in training alone" for name in ("memory_grad", "reach")} | idle
