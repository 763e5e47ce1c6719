"""From a policy to an ONNX graph: torch's exporter, quiet, with our names and nothing about the machine it ran on."""

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from haltere.configs.errors import RequestError
from haltere.deploy.contract import ACTION
from haltere.deploy.fused import Heard, add_functions, as_nodes
from haltere.deploy.inspection import STANDARD
from haltere.deploy.vocabulary import OPERATORS, objection
from haltere.policies.base import Obs, Output, Policy, State
from haltere.policies.fused import Tensors

OPSET = 20
"""LayerNormalization is one operator from 17 on; 20 is the newest that engines other than ONNX Runtime take as well."""
BATCH = torch.export.Dim("batch", min=1, max=1 << 20)


class _Flat(nn.Module):
    """The policy with its outputs in the order of the file: action, state, the rest."""

    def __init__(self, policy: Policy[Any], state_names: tuple[str, ...]) -> None:
        super().__init__()
        self.policy = policy
        self.state_names = state_names

    def forward(self, obs: Obs, state: State) -> tuple[Tensor, ...]:
        """One step, outputs as a flat tuple."""
        out, following = self.policy(obs, state)
        rest = [tensor for name, tensor in out.items() if name != ACTION]
        return (out[ACTION], *(following[name] for name in self.state_names), *rest)


def _names(obs: Mapping[str, Any], state: Mapping[str, Any], out: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    aux = [f"aux.{name}" for name in out if name != ACTION]
    inputs = [f"obs.{name}" for name in obs] + [f"state.{name}" for name in state]
    return inputs, [ACTION, *(f"state_out.{name}" for name in state), *aux]


def trace(policy: Policy[Any], obs: Obs, state: State, out: Output, heard: Sequence[Heard] = ()) -> onnx.ModelProto:
    """Export one control step with a free batch axis.

    Args:
        policy: in evaluation mode.
        obs: observations to trace with, at least two lanes.
        state: state to trace with.
        out: what the policy answers to them; for the names.
        heard: its fused calls at that, as ``recorded`` collects them.

    Raises:
        RequestError: torch can't export it.
    """
    inputs, outputs = _names(obs, state, out)
    axes = {part: {name: {0: BATCH} for name in tree} for part, tree in (("obs", obs), ("state", state))}
    with _translated(type(policy).__name__):
        with as_nodes(heard):
            flat = _Flat(policy.exportable(), tuple(state))
            model = _export(flat, (), {"obs": obs, "state": state}, inputs, outputs, axes)
        add_functions(model, heard, _export_body)
        _check_operators(model)
    return _clean(model)


def _check_operators(model: onnx.ModelProto) -> None:
    """See that no runtime of ours will refuse the file, before anything is measured with it."""
    nodes = (node for block in (model.graph, *model.functions) for node in block.node)
    for node in nodes:
        if node.domain in STANDARD and node.op_type not in OPERATORS:
            raise ValueError(f"it needs {objection(node.op_type)}")


def _export_body(module: nn.Module, tensors: Tensors, names: Sequence[str], lanes: int) -> onnx.ModelProto:
    """Export a fused block: the first ``lanes`` of its tensors have a free batch axis, the others none."""
    axes = ({0: BATCH},) * lanes + (None,) * (len(tensors) - lanes)
    return _export(module, tensors, {}, names, None, {"tensors": axes})


def _export(
    module: nn.Module,
    args: Tensors,
    kwargs: dict[str, Any],
    inputs: Sequence[str],
    outputs: Sequence[str] | None,
    axes: dict[str, Any],
) -> onnx.ModelProto:
    """Torch's exporter, with nothing said."""
    with _quiet():
        program = torch.onnx.export(
            module.eval(),
            args,
            kwargs=kwargs,
            dynamo=True,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=axes,
            opset_version=OPSET,
            verbose=False,
        )
    if program is None:
        raise ValueError("torch gave no program")
    return program.model_proto


@contextlib.contextmanager
def _translated(name: str) -> Iterator[None]:
    """Say what couldn't be exported and why in one sentence, whichever of torch's layers failed."""
    try:
        yield
    except Exception as error:  # torch's exporter raises whatever the layer that failed raises
        cause = error.__cause__ or error
        reason = " ".join(str(cause).split())[:300]
        raise RequestError(f"{name} can't be exported: {reason}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch's exporter from warning users about its own internals and about packages they don't need."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _clean(model: onnx.ModelProto) -> onnx.ModelProto:
    """Take out what the tracer noted about the machine that it ran on: source paths and stack traces."""
    graph = model.graph
    for thing in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        thing.ClearField("metadata_props")
        thing.ClearField("doc_string")
    model.producer_name = "haltere"
    model.producer_version = version("haltere")
    axis = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param == axis:
                dim.dim_param = "batch"
    return model
