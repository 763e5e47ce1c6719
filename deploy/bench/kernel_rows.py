"""Our own kernels: called from C, called from Python, and called by ONNX Runtime."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from haltere.configs.errors import HaltereError
from haltere.deploy.bench.contender import Contender, Setup, Unavailable, native_contender
from haltere.deploy.bench.native import Buffers, address, kernel_context, library
from haltere.deploy.bench.roofline import Work, swarm_flops
from haltere.deploy.errors import NoFusedOperatorError
from haltere.deploy.kernels import library as kernels
from haltere.deploy.kernels.op import Call, Op
from haltere.deploy.one_operator import OneOperator, one_operator
from haltere.deploy.parity import Arrays

FLOPS: dict[str, Callable[[dict[str, tuple[int, ...]]], float]] = {"SwarmPolicy": swarm_flops}
"""Operations of a kernel from the shapes of its weights; a kernel that isn't here has no place under the roofline."""


def whole_policy(model: bytes) -> OneOperator:
    """The operator that computes all of a model.

    Raises:
        Unavailable: it is none, or several.
    """
    try:
        return one_operator(model)
    except NoFusedOperatorError as error:
        raise Unavailable(str(error)) from error


def fused_fp32(setup: Setup) -> Contender:
    """The kernel with float32 weights, from C."""
    return _from_c(setup, "fp32")


def fused_bf16(setup: Setup) -> Contender:
    """The kernel with its large matrices in bfloat16, from C."""
    return _from_c(setup, "bf16")


def fused_int8(setup: Setup) -> Contender:
    """The kernel with its large matrices in 8 bits, from C."""
    return _from_c(setup, "int8")


def fused_python(setup: Setup) -> Contender:
    """The kernel with float32 weights, from Python by ctypes."""
    _, call, buffers = _bound(setup, "fp32")
    kept = buffers.handed_over()
    pairs = [[(buffers.inputs[name], inputs[name]) for name in setup.moving] + kept for inputs in setup.inputs]
    buffers.begin(setup.inputs[0])

    def step(index: int) -> None:
        for buffer, array in pairs[index]:
            np.copyto(buffer, array)
        call.run()

    def outputs(index: int) -> Arrays:
        buffers.begin(setup.inputs[index])
        step(index)
        return {name: array.copy() for name, array in buffers.outputs.items()}

    return Contender(step, outputs)


def _from_c(setup: Setup, precision: str) -> Contender:
    op, call, buffers = _bound(setup, precision)
    # ``run`` is haltere_call_run with its one argument in place.
    context, keep = kernel_context(address(call.run.func), call.run.args[0].value or 0)
    work, run = _work(whole_policy(setup.model), op), address(library().haltere_bench_run_kernel)
    contender = native_contender(setup, buffers, run, context, (keep, call), work)
    return contender if work else replace(contender, note=f"operations of {op.name} aren't counted: not under the roof")


def _bound(setup: Setup, precision: str) -> tuple[Op, Call, Buffers]:
    node, buffers = whole_policy(setup.model), Buffers.of(setup.contract)
    try:
        if node.name not in kernels.operators():
            raise Unavailable(f"there is no kernel for {node.name}")
        op = Op(node.name, node.weights, precision, **node.attributes)
        inputs = [buffers.inputs[name] for name in node.inputs]
        return op, op.bind(inputs, [buffers.outputs[name] for name in node.outputs]), buffers
    except HaltereError as error:
        raise Unavailable(str(error)) from error


def _work(node: OneOperator, op: Op) -> Work | None:
    if node.name not in FLOPS:
        return None
    names = kernels.operators()[node.name].weights
    shapes = {name: weight.shape for name, weight in zip(names, node.weights, strict=True)}
    return Work(FLOPS[node.name](shapes), op.bytes, float32=op.precision == "fp32")
