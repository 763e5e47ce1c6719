"""The swarm policy as C99: its matrices folded in float64, packed for a processor that does one number at a time.

Folding changes no result but its rounding. With tokens n and o, d = n - o and the mean taken out by C = I - 1/width:

    score of a query   query(t) . key(d) / sqrt(width)  =  t . M d            with M = query' key / sqrt(width)
    before the norm    C (t + out value (o + w d))      =  C t + V o + w V d  with V = C out value
    after the norm     fuse (gain * z + shift) + bias   =  F z + b            with F = fuse gain, b = bias + fuse shift

Three products of width x width are left of seven, and layer norm has no parameters of its own.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.deploy.mcu.c_text import array, number, template
from haltere.deploy.mcu.registry import Program
from haltere.policies.swarm.model import FAR_M, GRID_PITCH_M, SwarmPolicy

Float64 = NDArray[np.float64]
MOST_ROWS = 16
"""Rows computed side by side: their sums, one input and one weight fit into the 32 registers of a Cortex-M4F."""
_SLOPE = 1.0 / (3 * 2 * GRID_PITCH_M)
"""From the sum of three differences over two cells to a slope."""
_FRAME_BYTES = 256
"""Saved registers, spilled ones and features: more than any function needs beside its vectors of the width."""


def emit(policy: SwarmPolicy) -> Program:
    """Write the network.

    Raises:
        RequestError: a weight isn't finite.
    """
    width, actions = policy.config.width, policy.signature.action
    neighbours = policy.signature.obs["neighbour"][0]
    rows, head_rows = _rows(width), _rows(actions)
    packed = _packed(folded(policy), {"head": head_rows}, rows)
    scores = template("scores.c") if policy.attention.learned else "  const float w_n = 0.5f, w_o = 0.5f;\n"
    code = template(
        "swarm.c",
        width=width,
        neighbours=neighbours,
        actions=actions,
        weights="\n".join(array(name, values) for name, values in packed.items()),
        tanh=template("tanh.c"),
        dense=_product("dense", width, rows) + "\n" + _product("head", actions, head_rows),
        scores=scores.rstrip("\n"),
        far=number(FAR_M),
        epsilon=number(policy.attention.norm.eps),
    )
    return Program(code, stack_bytes=4 * (6 * width + 6 * neighbours + 2 * rows) + _FRAME_BYTES)


def folded(policy: SwarmPolicy) -> dict[str, Float64]:
    """The network's matrices [out, in] and vectors as the C code has them.

    Raises:
        RequestError: one isn't finite.
    """
    saved = policy.state_dict()
    weights: dict[str, Float64] = {name: tensor.cpu().numpy().astype(np.float64) for name, tensor in saved.items()}

    def encoder(name: str) -> Float64:
        return weights[f"{name}_encoder.linear.weight"] * weights[f"{name}_encoder.scale"]

    value = weights["attention.out.weight"] @ weights["attention.value.weight"]
    gain, shift = weights["attention.norm.weight"], weights["attention.norm.bias"]
    joined, width = weights["fuse.0.weight"], len(value)
    matrices = {
        "self_weight": encoder("self"),
        "self_bias": weights["self_encoder.linear.bias"],
        "neighbour_weight": encoder("neighbour"),
        "neighbour_bias": weights["neighbour_encoder.linear.bias"],
        "obstacle_weight": encoder("obstacle") * np.array([1.0, _SLOPE, _SLOPE, _SLOPE]),
        "obstacle_bias": weights["obstacle_encoder.linear.bias"],
        "value_weight": value - value.mean(axis=0),
        "fuse_weight": joined * np.concatenate([np.ones(width), gain, gain]),
        "fuse_bias": weights["fuse.0.bias"] + joined[:, width:] @ np.concatenate([shift, shift]),
        "head_weight": weights["head.0.weight"],
        "head_bias": weights["head.0.bias"],
        "zero": np.zeros(width),
    }
    if policy.attention.learned:
        score = weights["attention.query.weight"].T @ weights["attention.key.weight"] / np.sqrt(width)
        matrices["score_weight"] = 0.5 * score  # sigmoid is a tanh of half its argument
    for name, values in matrices.items():
        with np.errstate(over="ignore"):
            if not np.isfinite(values.astype(np.float32)).all():
                raise RequestError(f"the policy can't be written as C: its {name} isn't finite in float32")
    return matrices


def _rows(outputs: int) -> int:
    """How many rows to compute side by side: as many as fit and leave no rest."""
    return max(rows for rows in range(1, MOST_ROWS + 1) if outputs % rows == 0)


def _packed(matrices: Mapping[str, Float64], rows_of: Mapping[str, int], rows: int) -> dict[str, Float64]:
    """Matrices in the order in which they are read: for each block of rows, for each input, the weights of the rows."""
    packed = dict(matrices)
    for name, values in matrices.items():
        if values.ndim == 2:
            count = rows_of.get(name.removesuffix("_weight"), rows)
            packed[name] = values.reshape(-1, count, values.shape[1]).transpose(0, 2, 1)
    return packed


def _product(name: str, outputs: int, rows: int) -> str:
    """A C function for y = weight x + bias, ``rows`` of its ``outputs`` side by side."""
    return template(
        "dense.c",
        name=name,
        rows=rows,
        outputs=outputs,
        load="\n".join(f"  float y{row} = bias[{row}];" for row in range(rows)),
        step="\n".join(f"    y{row} += weight[{row}] * v;" for row in range(rows)),
        store="\n".join(f"  y[{row}] = y{row};" for row in range(rows)),
    )
