"""The runtimes that an actor runs on, by name. Standard library alone, so that options can be typed with them."""

from typing import Literal, get_args

Runtime = Literal["torch", "onnx", "fused", "c"]
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)
