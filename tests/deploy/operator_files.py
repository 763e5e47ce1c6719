"""A model file for each kernel, to be mutated."""

import dataclasses
from pathlib import Path

from onnx import helper, numpy_helper

from haltere.deploy.contract import Contract, Tensor
from haltere.deploy.inspection import DOMAIN
from haltere.deploy.kernels.library import operators
from haltere.deploy.onnx_file import seal

from .hostile import unsealed
from .kernel_oracles import Case, chunk_attention, denoiser_block, dense, glu_experts, steered_block, swarm, two_token
from .misuse import infos

CASES = (
    *(dense(name, 13, 7, 3) for name in ("Dense", "DenseTanh", "DenseGelu", "DenseSilu")),
    two_token(9, 3),
    swarm(10, 2, 3),
    glu_experts((8, 12, 6), 4, 2, (3,), shared=False),
    chunk_attention(12, 3, 4, 3, 2, 3, mask="some"),
    denoiser_block((5, 3, 4), 20, 3),
    steered_block((5, 3, 4), 20, 3),
)


def operator_files(folder: Path, example: Path) -> list[Path]:
    """A file for each kernel, with little more in it than its node; the contract is like that of ``example``."""
    return [_operator_file(case, folder / f"{case.name}.onnx", unsealed(example)[1]) for case in CASES]


def _operator_file(case: Case, path: Path, contract: Contract) -> Path:
    """The function beside the node only has to be there: these files are for the kernels."""
    row = operators()[case.name]
    names = [name.strip("[]") for name in (*row.inputs, *row.weights)]
    obs = [Tensor(f"obs.{name}", each.shape[1:]) for name, each in zip(names, case.inputs, strict=False)]
    moves = next((name for name, each in zip(row.outputs, case.wanted, strict=True) if each.ndim == 2), None)
    results = ["action" if name == moves else f"aux.{name}" for name in row.outputs]
    outputs = [Tensor(name, each.shape[1:]) for name, each in zip(results, case.wanted, strict=True)]
    more = [] if moves else [helper.make_node("Flatten", results[:1], ["action"], axis=1)]
    outputs += [Tensor("action", (case.wanted[0][0].size,)) for _ in more]
    outputs.sort(key=lambda tensor: tensor.name != "action")
    weights = [numpy_helper.from_array(*each) for each in zip(case.weights, names[len(row.inputs) :], strict=False)]
    inputs = [*(tensor.name for tensor in obs), *(tensor.name for tensor in weights)]
    node = helper.make_node(case.name, inputs, results, domain=DOMAIN, **case.attributes)
    body = [helper.make_node("Identity", [names[0]], [f"out_{name}"]) for name in row.outputs]
    function = helper.make_function(
        DOMAIN, case.name, names, [each.output[0] for each in body], body, [helper.make_opsetid("", 20)]
    )
    graph = helper.make_graph([node, *more], "graph", infos(obs), infos(outputs), weights)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(DOMAIN, 1)]
    model = helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=10)
    size = outputs[0].shape[0]
    bounds = {"action_low": (-1.0,) * size, "action_high": (1.0,) * size}
    contract = dataclasses.replace(contract, inputs=tuple(obs), outputs=tuple(outputs), state=(), **bounds)
    path.write_bytes(seal(model.SerializeToString(), contract))
    return path
