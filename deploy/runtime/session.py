"""ONNX Runtime behind one door: a session whose graph is what its contract says, and buffers bound once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime

from haltere.configs.errors import IntegrityError
from haltere.deploy.contract import Contract, StateTensor, Tensor
from haltere.deploy.errors import ContractError, first_line
from haltere.deploy.runtime.kernels import check_has_kernel, register_kernels
from haltere.deploy.runtimes import Precision

_ORT_TYPE = {"float32": "tensor(float)", "int64": "tensor(int64)", "bool": "tensor(bool)"}
_CPU = ["CPUExecutionProvider"]


def open_session(
    model: bytes, *, threads: int = 1, fused: bool = False, precision: Precision = "fp32"
) -> onnxruntime.InferenceSession:
    """Open a model for a control loop: sequential, ``threads`` threads that sleep between calls, nothing logged.

    Args:
        model: a serialised ONNX model.
        threads: within one call.
        fused: run haltere's kernels where the model has an operator that they compute.
        precision: of those kernels' large matrices.

    Raises:
        IntegrityError: ONNX Runtime can't load it, or a kernel refuses its weights.
        RequestError: ``fused`` on a model without such an operator.
        HaltereError: ``fused`` without a kernel library that works here.
    """
    if hasattr(onnxruntime, "disable_telemetry_events"):
        onnxruntime.disable_telemetry_events()  # a robot tells nobody where it flies
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    # Idle threads that spin would burn the robot's other cores between two control steps.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if fused:
        check_has_kernel(model)
        register_kernels(options, threads=threads, precision=precision)
    try:
        # Its fallback would print to standard output, then try the very same again.
        return onnxruntime.InferenceSession(model, options, providers=_CPU, enable_fallback=0)
    except Exception as error:  # ONNX Runtime's errors have no base of their own but Exception
        raise IntegrityError(f"ONNX Runtime can't load it: {first_line(error)}") from error


def check_graph(session: onnxruntime.InferenceSession, contract: Contract) -> None:
    """Compare the graph's inputs and outputs with the contract's.

    Raises:
        ContractError: a name, shape or type differs, or the batch axis isn't free.
    """
    following = [Tensor(state.out_name, state.shape, state.dtype) for state in contract.state]
    try:
        inputs, outputs = _described(session.get_inputs()), _described(session.get_outputs())
    except UnicodeDecodeError as error:
        raise IntegrityError(f"a name in the graph isn't text: {error}") from error
    _check_side("input", inputs, (*contract.inputs, *contract.state))
    _check_side("output", outputs, (contract.outputs[0], *following, *contract.outputs[1:]))


def _described(nodes: Sequence[Any]) -> list[tuple[str, str, list[int | str | None]]]:
    """Name, type and shape of each input or output; ONNX Runtime decodes the text only when asked for it."""
    return [(node.name, node.type, list(node.shape or [])) for node in nodes]


def _check_side(
    side: str, nodes: Sequence[tuple[str, str, list[int | str | None]]], promised: Sequence[Tensor | StateTensor]
) -> None:
    got, wanted = [name for name, _, _ in nodes], [tensor.name for tensor in promised]
    if got != wanted:
        raise ContractError(f"the contract promises {side}s {wanted}, the graph has {got}")
    for (_, kind, shape), tensor in zip(nodes, promised, strict=True):
        if kind != _ORT_TYPE[tensor.dtype]:
            raise ContractError(f"{tensor.name}: the contract promises {tensor.dtype}, the graph has {kind}")
        free = bool(shape) and not isinstance(shape[0], int)
        if not free or tuple(shape[1:]) != tensor.shape:
            raise ContractError(f"{tensor.name}: the contract promises (batch, *{tensor.shape}), the graph has {shape}")


class BoundModel:
    """One model with the inputs and outputs of B lanes bound to fixed memory: a step copies in, runs, and is done.

    A state that the contract calls a ring is written where it is read, however much is remembered in it. A step that
    isn't followed by ``advance`` has then written a row that doesn't count yet, and that the next step overwrites.

    Attributes:
        batch: B.
        obs: input buffers by key, (B, ...) float32; fill them, then call ``run``.
        state: state buffers by full name; ``advance`` writes the next state into them.
        outputs: output buffers by full name; overwritten by the next ``run``.
        following: the next state's buffers by their output names; likewise. A ring's is the state's own.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, contract: Contract, batch: int, *, in_place: bool = True
    ) -> None:
        """Allocate and bind everything for ``batch`` lanes; rings are written in place unless told otherwise."""
        self.batch = batch
        self._session = session
        self._binding = session.io_binding()
        sizes = [batch * int(np.prod(tensor.shape)) for tensor in contract.inputs]
        # All observations lie in one block, so that one call tells whether any of them isn't finite.
        self._flat = np.zeros(sum(sizes), dtype=np.float32)
        parts = np.split(self._flat, np.cumsum(sizes)[:-1])
        self.obs = {
            tensor.name.removeprefix("obs."): part.reshape(batch, *tensor.shape)
            for tensor, part in zip(contract.inputs, parts, strict=True)
        }
        self.outputs = {t.name: np.zeros((batch, *t.shape), dtype=t.dtype) for t in contract.outputs}
        self.state = {t.name: np.full((batch, *t.shape), t.initial, dtype=t.dtype) for t in contract.state}
        shared = {t.name for t in contract.state if t.ring and in_place}
        self.following = {
            t.out_name: self.state[t.name] if t.name in shared else np.empty_like(self.state[t.name])
            for t in contract.state
        }
        self._hand_over = [
            (self.state[t.name], self.following[t.out_name]) for t in contract.state if t.name not in shared
        ]
        inputs = {f"obs.{key}": array for key, array in self.obs.items()} | self.state
        for name, array in inputs.items():
            self._binding.bind_input(name, "cpu", 0, array.dtype.type, list(array.shape), array.ctypes.data)
        for name, array in (self.outputs | self.following).items():
            self._binding.bind_output(name, "cpu", 0, array.dtype.type, list(array.shape), array.ctypes.data)

    def obs_is_finite(self) -> bool:
        """Whether every element of every observation buffer is a number."""
        return bool(np.isfinite(self._flat).all())

    def run(self) -> None:
        """One step from ``obs`` and ``state`` to ``outputs``; the state stays until ``advance``, as the class has it.

        Raises:
            ContractError: the graph gives other shapes than its contract promises.
        """
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # as in open_session
            raise ContractError(f"the graph doesn't do what its contract says: {first_line(error)}") from error

    def advance(self) -> None:
        """Make the next state the state."""
        for state, following in self._hand_over:
            np.copyto(state, following)
