"""An exported policy as one C++ header: the contract, and of one fused operator the weights and a way to run.

A robot in C++ then needs this header, ``haltere/*.h`` and the kernel library: no ONNX Runtime, no Python, no file at
run time. Standard library, numpy and the kernel library only, so that it can be written on the robot too.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from haltere.configs.errors import HaltereError, IntegrityError, RequestError
from haltere.deploy.contract import ACTION, Contract, Tensor
from haltere.deploy.cpp_contract import contract_header
from haltere.deploy.errors import NoFusedOperatorError
from haltere.deploy.kernels.library import MAX_RANK, operators
from haltere.deploy.kernels.op import FloatArray, Op
from haltere.deploy.mcu.c_text import number
from haltere.deploy.one_operator import OneOperator, one_operator

_ALONE = """
// The contract alone: {reason}.
"""

_NETWORK = """
#include <algorithm>
#include <iterator>
#include <stdexcept>

#include <haltere/kernels.h>

namespace policy {{

// Weights of {name}, row by row, as haltere_op_create takes them.
{arrays}
inline const haltere_tensor kWeights[] = {{  // only read
{tensors}
}};
{attributes}
// What the policy gives for one observation. The action is as the network gives it: the loop holds it within bounds.
struct Outputs {{
{fields}
}};

// The policy as an op of the kernel library: link libhaltere_kernels.so. Made once; a run allocates and locks nothing,
// and several threads may run one Network at once.
//
//     policy::Network network;
//     haltere::ControlLoop loop(policy::kContract, ..., {{.source = ..., .policy = std::ref(network), .sink = ...}});
class Network {{
 public:
  // Throws std::runtime_error where the library is another version's or doesn't take the weights.
  explicit Network(haltere_precision precision = HALTERE_F32) {{
    if (haltere_abi() != HALTERE_ABI) throw std::runtime_error("the kernel library is of another version of haltere");
    op_ = haltere_op_create("{name}", kWeights, {n_weights}, {given_attributes}, precision);
    if (!op_) throw std::runtime_error(haltere_error());
  }}
  ~Network() {{ haltere_op_destroy(op_); }}
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // `obs` has kContract.obs_size() numbers, all observations end to end. False where it failed: see haltere_error().
  bool run(const float* obs, Outputs& out) const {{
    float* in = const_cast<float*>(obs);  // only read
    const haltere_tensor inputs[] = {{{inputs}}};
    const haltere_tensor outputs[] = {{{outputs}}};
    return haltere_op_run(op_, inputs, {n_inputs}, outputs, {n_outputs}, 1) == 0;
  }}

  // The action alone, as haltere::Parts::policy has it.
  bool operator()(const float* obs, float* action) const {{
    Outputs out;
    if (!run(obs, out)) return false;
    std::copy(std::begin(out.action), std::end(out.action), action);
    return true;
  }}

 private:
  haltere_op* op_ = nullptr;
}};

}}  // namespace policy
"""


@dataclass(frozen=True)
class PolicyHeader:
    """A header and what is in it.

    Attributes:
        text: of the file.
        alone: why it holds the contract alone; empty where it holds the whole policy.
    """

    text: str
    alone: str


def policy_header(model: bytes, contract: Contract) -> PolicyHeader:
    """Write a policy as C++: ``policy::kContract``, and ``policy::Network`` where the kernel library has one for it.

    Args:
        model: the exported file.
        contract: its own.

    Raises:
        RequestError: the policy plans chunks of commands.
    """
    if contract.chunking.observed:
        raise RequestError("a policy that plans chunks flies with the Python loop; the C++ one has no plan to follow")
    try:
        network = _network(one_operator(model), contract)
    except HaltereError as error:
        reason = str(error)
        return PolicyHeader(contract_header(contract, _ALONE.format(reason=_one_line(reason))), reason)
    return PolicyHeader(contract_header(contract, network), "")


def _network(node: OneOperator, contract: Contract) -> str:
    """The C++ of an operator, once the library here has taken it."""
    _check(node, contract)
    names = ["k" + "".join(map(str.capitalize, name.strip("[]").split("_"))) for name in operators()[node.name].weights]
    names = names[: len(node.weights)]
    arrays = "".join(_array(name, weight) for name, weight in zip(names, node.weights, strict=True))
    tensors = [
        f"    {_tensor(f'const_cast<float*>({name})', weight.shape)},"
        for name, weight in zip(names, node.weights, strict=True)
    ]
    gives = {tensor.name: tensor for tensor in contract.outputs}
    attributes = "".join(f'    {{"{name}", {value}}},\n' for name, value in node.attributes.items())
    return _NETWORK.format(
        name=node.name,
        arrays=arrays,
        tensors="\n".join(tensors),
        n_weights=len(names),
        attributes=f"inline constexpr haltere_attribute kAttributes[] = {{\n{attributes}}};\n" if attributes else "",
        given_attributes=f"kAttributes, {len(node.attributes)}" if attributes else "nullptr, 0",
        fields="\n".join(f"  float {_field(name)}[{_size(gives[name])}];" for name in node.outputs),
        inputs=_inputs(node, contract),
        n_inputs=len(node.inputs),
        outputs=", ".join(_tensor(f"out.{_field(name)}", (1, *gives[name].shape)) for name in node.outputs),
        n_outputs=len(node.outputs),
    )


def _check(node: OneOperator, contract: Contract) -> None:
    """See that the kernel library takes the operator, and that it leads from the contract's inputs to its outputs.

    Raises:
        HaltereError: it doesn't.
    """
    if contract.state:
        raise NoFusedOperatorError("a policy that remembers can't be one operator of the kernel library")
    takes, gives = ({tensor.name: tensor for tensor in side} for side in (contract.inputs, contract.outputs))
    if set(node.inputs) != takes.keys() or set(node.outputs) != gives.keys():
        raise IntegrityError(f"the operator {node.name} doesn't take and give just what the contract says")
    if any(tensor.dtype != "float32" or len(tensor.shape) >= MAX_RANK for tensor in (*takes.values(), *gives.values())):
        raise NoFusedOperatorError(f"kernels take and give float32 of at most {MAX_RANK - 1} dimensions")
    op = Op(node.name, node.weights, "fp32", **node.attributes)
    made = op.shapes([np.zeros((1, *takes[name].shape), np.float32) for name in node.inputs])
    if made != [(1, *gives[name].shape) for name in node.outputs]:
        raise IntegrityError(f"the operator {node.name} gives other shapes than the contract says")


def _inputs(node: OneOperator, contract: Contract) -> str:
    """The operator's inputs within an observation, in which they lie in the contract's order."""
    offsets = np.cumsum([0, *(_size(tensor) for tensor in contract.inputs)])
    places = {tensor.name: (offset, tensor) for offset, tensor in zip(offsets, contract.inputs, strict=False)}
    given = (places[name] for name in node.inputs)
    return ", ".join(_tensor(f"in + {offset}", (1, *tensor.shape)) for offset, tensor in given)


def _array(name: str, values: FloatArray) -> str:
    lines = textwrap.wrap(", ".join(number(float(value)) for value in values.ravel()), 116)
    body = "\n".join(f"    {line}" for line in lines)
    return f"inline constexpr float {name}[] = {{  // {values.shape}\n{body}\n}};\n"


def _tensor(pointer: str, shape: Sequence[int]) -> str:
    return f"{{{pointer}, {{{', '.join(map(str, shape))}}}, {len(shape)}}}"


def _size(tensor: Tensor) -> int:
    return int(np.prod(tensor.shape))


def _field(name: str) -> str:
    """``action``, and ``aux_<key>`` of the others: letters, digits and underscores, as a contract's names are."""
    return name if name == ACTION else name.replace(".", "_")


def _one_line(reason: str) -> str:
    """For a comment, which must not go on in the next line."""
    return "".join(letter if letter.isprintable() else " " for letter in reason).replace("\\", "/")
