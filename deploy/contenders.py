"""The runtimes that are timed side by side: each as one call on prepared observations."""

import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from haltere.deploy.contract import Contract
from haltere.deploy.parity import Arrays, split, torch_model
from haltere.deploy.runtime.session import BoundModel, open_session
from haltere.policies.base import Policy


class Unavailable(Exception):
    """A runtime can't run here; the message says why."""


@dataclass(frozen=True)
class Setup:
    """What every runtime is given.

    Attributes:
        policy: in evaluation mode.
        model: its export.
        contract: the export's.
        inputs: observations and state of single lanes, by exported names; the calls cycle through them.
    """

    policy: Policy[Any]
    model: bytes
    contract: Contract
    inputs: Sequence[Arrays]


@dataclass(frozen=True)
class Contender:
    """A runtime ready to be timed.

    Attributes:
        step: one control step on the i-th input; what is timed.
        outputs: the same, with its outputs by exported names.
    """

    step: Callable[[int], object]
    outputs: Callable[[int], Arrays]


def torch_eager(setup: Setup) -> Contender:
    """The network as it was trained."""
    return _torch(setup, setup.policy)


def torch_compile(setup: Setup) -> Contender:
    """The network through TorchInductor, which needs a C++ compiler."""
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise Unavailable(f"needs a C++ compiler; there is no {compiler}")
    try:
        with _quiet():
            contender = _torch(setup, torch.compile(setup.policy, dynamic=False, options={"compile_threads": 1}))
            contender.step(0)
    except Exception as error:  # whatever the compiler's many layers raise
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise Unavailable(f"can't compile: {lines[0][:200]}") from error
    return contender


def _torch(setup: Setup, network: Callable[..., Any]) -> Contender:
    prepared = [split(inputs) for inputs in setup.inputs]
    named = torch_model(network)

    def step(index: int) -> object:
        with torch.inference_mode():
            return network(*prepared[index])

    return Contender(step, lambda index: named(setup.inputs[index]))


def ort(setup: Setup) -> Contender:
    """ONNX Runtime as most people call it: numpy arrays in, numpy arrays out."""
    return _session(setup, open_session(setup.model))


def ort_int8(setup: Setup) -> Contender:
    """ONNX Runtime on a copy with dynamically quantised 8-bit weights."""
    return _session(setup, open_session(quantised(setup.model)))


def _session(setup: Setup, session: onnxruntime.InferenceSession) -> Contender:
    names = [node.name for node in session.get_outputs()]

    def step(index: int) -> Any:  # noqa: ANN401 (a list of arrays, but ONNX Runtime has no types)
        return session.run(names, setup.inputs[index])

    return Contender(step, lambda index: dict(zip(names, step(index), strict=True)))


def ort_io_binding(setup: Setup) -> Contender:
    """ONNX Runtime on memory that is bound once, as ``OnnxActor`` runs it; copying the observation in is included."""
    model = BoundModel(open_session(setup.model), setup.contract, batch=1)
    pairs = [
        [(buffer, inputs[f"obs.{key}"]) for key, buffer in model.obs.items()]
        + [(buffer, inputs[name]) for name, buffer in model.state.items()]
        for inputs in setup.inputs
    ]

    def step(index: int) -> None:
        for buffer, array in pairs[index]:
            np.copyto(buffer, array)
        model.run()

    def outputs(index: int) -> Arrays:
        step(index)
        return {name: array.copy() for name, array in (model.outputs | model.following).items()}

    return Contender(step, outputs)


def quantised(model: bytes) -> bytes:
    """A copy with 8-bit weights.

    Constants are folded first, since weights hide from the quantiser behind a Transpose, and the shapes that are
    noted in the graph are dropped, since it would trust those of tensors that it changes.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as name, _quiet():
        folded, small = Path(name) / "folded.onnx", Path(name) / "int8.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(folded)
        options.log_severity_level = 4
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        graph = onnx.load(folded)
        del graph.graph.value_info[:]
        onnx.save(graph, folded)
        quantize_dynamic(folded, small, weight_type=QuantType.QInt8)
        return small.read_bytes()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep compilers and quantisers from talking to the user."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


BUILDERS: dict[str, Callable[[Setup], Contender]] = {
    "torch_eager": torch_eager,
    "torch_compile": torch_compile,
    "ort": ort,
    "ort_io_binding": ort_io_binding,
    "ort_int8": ort_int8,
}
