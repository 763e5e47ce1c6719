"""The runtimes by name, in the order in which they are built, timed and listed."""

from collections.abc import Callable

from haltere.deploy.bench.contender import Contender, Setup
from haltere.deploy.bench.kernel_rows import fused_bf16, fused_fp32, fused_int8, fused_python
from haltere.deploy.bench.openvino_rows import openvino_bf16, openvino_f32
from haltere.deploy.bench.ort_rows import ort, ort_fused, ort_int8, ort_io_binding, ort_io_binding_python
from haltere.deploy.bench.torch_rows import torch_compile, torch_eager

BUILDERS: dict[str, Callable[[Setup], Contender]] = {
    "torch_eager": torch_eager,
    "torch_compile": torch_compile,
    "ort": ort,
    "ort_io_binding_python": ort_io_binding_python,
    "ort_io_binding": ort_io_binding,
    "ort_int8": ort_int8,
    "openvino_f32": openvino_f32,
    "openvino_bf16": openvino_bf16,
    "ort_fused": ort_fused,
    "fused_python": fused_python,
    "fused_fp32": fused_fp32,
    "fused_bf16": fused_bf16,
    "fused_int8": fused_int8,
}
RUNTIMES = tuple(BUILDERS)
