"""Constants computed ahead, as a quantiser needs them."""

import tempfile
from pathlib import Path

import onnx
import onnxruntime


def folded(model: bytes) -> onnx.ModelProto:
    """A copy with constants computed, functions inlined, and no notes of shapes.

    Weights hide from quantisers behind a Transpose otherwise, and shapes that are noted in the graph would be trusted
    for tensors that change.
    """
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "folded.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        options.log_severity_level = 4
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        flat = onnx.load(path)
    del flat.graph.value_info[:]
    for index, node in enumerate(flat.graph.node):
        node.name = f"{node.op_type}.{index}"
    return flat
