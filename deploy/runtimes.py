"""The runtimes that an actor runs on and their precisions, by name; standard library alone, for typing options."""

from typing import Literal, get_args

Runtime = Literal["torch", "onnx", "fused", "c"]
Precision = Literal["fp32", "bf16", "int8"]
"""How large matrices are kept; for kernels see ``include/haltere/kernels.h``."""
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
