"""What each kernel should compute, in numpy's double precision and in the plainest form; and random things to run."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import erf

from haltere.deploy.kernels.op import Op
from haltere.policies.base import Signature
from haltere.policies.swarm.config import SwarmConfig
from haltere.policies.swarm.model import SwarmPolicy

Array: TypeAlias = NDArray[Any]


@dataclass
class Case:
    """One op with inputs that fit, and what it should give in exact arithmetic, for each of its outputs."""

    name: str
    weights: list[Array]
    inputs: list[Array]
    wanted: list[Array]
    attributes: dict[str, int] = field(default_factory=dict)

    def op(self, precision: str = "fp32") -> Op:
        """The kernel."""
        return Op(self.name, self.weights, precision, **self.attributes)


def normal(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> Array:
    """Normal numbers as float32."""
    return (scale * rng.standard_normal(shape)).astype(np.float32)


def matrix(rng: np.random.Generator, *shape: int) -> Array:
    """Weights that keep the size of what they multiply."""
    return normal(rng, *shape, scale=shape[-1] ** -0.5)


def softmax(x: Array) -> Array:
    """Over the last axis."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def silu(x: Array) -> Array:
    """Swish with factor one."""
    return np.asarray(x / (1 + np.exp(-x)))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "Dense": lambda x: x,
    "DenseTanh": np.tanh,
    "DenseGelu": lambda x: np.asarray(0.5 * x * (1 + erf(x / np.sqrt(2)))),
    "DenseSilu": silu,
}


def dense(name: str, inputs: int, outputs: int, batch: int, *, bias: bool = True, seed: int = 0) -> Case:
    """One layer."""
    rng = np.random.default_rng(seed)
    w, b, x = matrix(rng, outputs, inputs), normal(rng, outputs), normal(rng, batch, inputs)
    wanted = ACTIVATIONS[name](x.astype(np.float64) @ w.T.astype(np.float64) + (b if bias else 0.0))
    return Case(name, [w, b] if bias else [w], [x], [wanted])


def two_token(width: int, batch: int, seed: int = 0) -> Case:
    """Scaled dot-product attention (arXiv:1706.03762, equation 1) over both tokens, residual, layer norm."""
    rng = np.random.default_rng(seed)
    weights = [matrix(rng, width, width) for _ in range(4)] + [1 + normal(rng, width, scale=0.2), normal(rng, width)]
    first, second = normal(rng, batch, width), normal(rng, batch, width)
    query, key, value, out, norm_w, norm_b = (each.astype(np.float64) for each in weights)
    tokens = np.stack([first, second], axis=1).astype(np.float64)
    weight = softmax((tokens @ query.T) @ (tokens @ key.T).swapaxes(1, 2) / np.sqrt(width))
    x = tokens + weight @ (tokens @ value.T) @ out.T
    spread = np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    wanted = (x - x.mean(axis=-1, keepdims=True)) / spread * norm_w + norm_b
    return Case("TwoTokenAttention", weights, [first, second], [wanted, weight[:, :, 0]])


def glu_experts(
    sizes: tuple[int, int, int], experts: int, top_k: int, lanes: tuple[int, ...], shared: bool, seed: int = 0
) -> Case:
    """Top-k of the logits, softmax over those (arXiv:1701.06538, equations 3 to 5), SwiGLU experts (2002.05202)."""
    inputs, hidden, outputs = sizes
    rng = np.random.default_rng(seed)
    gate, up = matrix(rng, experts, hidden, inputs), matrix(rng, experts, hidden, inputs)
    down = matrix(rng, experts, outputs, hidden)
    x, logits = normal(rng, *lanes, inputs), normal(rng, *(lanes[:1] if shared else lanes), experts)
    wanted = np.zeros((*lanes, outputs))
    for lane in np.ndindex(*lanes):
        row = logits[lane[:1] if shared else lane].astype(np.float64)
        chosen = np.argsort(-row, kind="stable")[:top_k]
        for expert, share in zip(chosen, softmax(row[chosen]), strict=True):
            g, u, d = (w[expert].astype(np.float64) for w in (gate, up, down))
            wanted[lane] += share * (d @ (silu(g @ x[lane]) * (u @ x[lane])))
    return Case("GluExperts", [gate, up, down], [x, logits], [wanted], {"top_k": top_k})


def chunk_attention(
    width: int, heads: int, chunks: int, steps: int, top_k: int, batch: int, mask: str = "none", seed: int = 0
) -> Case:
    """Hierarchical chunk attention (arXiv:2105.14039, section 2.2), every key and value projected as published."""
    rng = np.random.default_rng(seed)
    square = [matrix(rng, width, width) for _ in range(6)]
    bias = [normal(rng, width) for _ in range(4)]
    summary_query, summary_key, query, key, value, out = (each.astype(np.float64) for each in square)
    summary_query_b, query_b, value_b, out_b = (each.astype(np.float64) for each in bias)
    x, summary = normal(rng, batch, width), normal(rng, batch, chunks, width)
    memory = normal(rng, batch, chunks, steps, width)
    valid = np.ones((batch, chunks), np.float32) if mask != "some" else rng.integers(0, 2, (batch, chunks)).astype("f4")
    relevance = np.einsum("bd,bcd->bc", x @ summary_query.T + summary_query_b, summary @ summary_key.T) / np.sqrt(width)
    relevance[valid == 0] = -np.inf
    part = width // heads
    q = (x @ query.T + query_b).reshape(batch, heads, part)
    k = (memory @ key.T).reshape(batch, chunks, steps, heads, part)
    v = (memory @ value.T + value_b).reshape(batch, chunks, steps, heads, part)
    weights, read = np.zeros((batch, chunks)), np.zeros((batch, width))
    for lane in range(batch):
        chosen = [c for c in np.argsort(-relevance[lane], kind="stable")[:top_k] if valid[lane, c]]
        if not chosen:
            continue
        weights[lane, chosen] = softmax(relevance[lane, chosen])
        for c in chosen:
            inside = softmax(np.einsum("hp,thp->ht", q[lane], k[lane, c]) / np.sqrt(part))
            read[lane] += weights[lane, c] * np.einsum("ht,thp->hp", inside, v[lane, c]).reshape(width)
        read[lane] = read[lane] @ out.T + out_b
    names = [square[0], bias[0], square[1], square[2], bias[1], square[3], square[4], bias[2], square[5], bias[3]]
    inputs = [x, summary, memory] if mask == "none" else [x, summary, memory, valid]
    return Case("ChunkAttention", names, inputs, [read, weights], {"heads": heads, "top_k": top_k})


def layer_norm(x: Array, eps: float) -> Array:
    """Over the last axis, without weights."""
    off = x - x.mean(axis=-1, keepdims=True)
    return np.asarray(off / np.sqrt((off**2).mean(axis=-1, keepdims=True) + eps))


def denoiser_block(sizes: tuple[int, int, int], inner: int, batch: int, seed: int = 0) -> Case:
    """A diffusion transformer's block (arXiv:2212.09748, section 3.2, adaLN-Zero), token by token and head by head.

    ``sizes`` are tokens, heads, and a head's part of the width.
    """
    tokens, heads, part = sizes
    width = heads * part
    rng = np.random.default_rng(seed)
    layers = [(6 * width, width), (3 * width, width), (width, width), (inner, width), (width, inner)]
    weights = [each for rows, columns in layers for each in (matrix(rng, rows, columns), normal(rng, rows, scale=0.3))]
    x, steering = normal(rng, batch, tokens, width), normal(rng, batch, width)
    steer, into, out, up, down = (
        (w.astype(np.float64), b.astype(np.float64)) for w, b in zip(weights[::2], weights[1::2], strict=True)
    )
    wanted = x.astype(np.float64)
    for lane in range(batch):
        six = (steer[0] @ silu(steering[lane].astype(np.float64)) + steer[1]).reshape(6, width)
        moved = layer_norm(wanted[lane], 1e-6) * (1 + six[1]) + six[0]
        read = np.zeros((tokens, width))
        for head in range(heads):
            mine = slice(head * part, (head + 1) * part)
            query, key, value = (
                moved @ into[0][kind * width :][mine].T + into[1][kind * width :][mine] for kind in range(3)
            )
            for token in range(tokens):
                read[token, mine] = softmax(key @ query[token] / np.sqrt(part)) @ value
        wanted[lane] += six[2] * (read @ out[0].T + out[1])
        moved = layer_norm(wanted[lane], 1e-6) * (1 + six[4]) + six[3]
        hidden = moved @ up[0].T + up[1]
        hidden *= 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (hidden + 0.044715 * hidden**3)))
        wanted[lane] += six[5] * (hidden @ down[0].T + down[1])
    return Case("DenoiserBlock", weights, [x, steering], [wanted], {"heads": heads})


def steered_block(sizes: tuple[int, int, int], inner: int, batch: int, seed: int = 0) -> Case:
    """``denoiser_block``, given what its first layer makes of the vector that steers."""
    case = denoiser_block(sizes, inner, batch, seed)
    steer_w, steer_b = (weight.astype(np.float64) for weight in case.weights[:2])
    six = silu(case.inputs[1].astype(np.float64)) @ steer_w.T + steer_b
    inputs = [case.inputs[0], six[:, None].astype(np.float32)]
    return Case("SteeredBlock", case.weights[2:], inputs, case.wanted, case.attributes)


def swarm_policy(width: int, neighbours: int, seed: int = 0) -> SwarmPolicy:
    """A policy with random weights and biases."""
    signature = Signature(obs={"self": (19,), "neighbour": (neighbours, 6), "obstacle": (9,)}, action=4)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        policy = SwarmPolicy(SwarmConfig(width=width), signature).eval()
        with torch.no_grad():
            for name, parameter in policy.named_parameters():
                if name.endswith("bias"):
                    parameter += 0.1 * torch.randn_like(parameter)
    return policy


def swarm_weights(policy: SwarmPolicy) -> list[Array]:
    """In the kernel's order."""
    encoders = (policy.self_encoder, policy.neighbour_encoder, policy.obstacle_encoder)
    tensors = [each for encoder in encoders for each in encoder.weights()] + [*policy.attention.weights()]
    tensors += [policy.fuse[0].weight, policy.fuse[0].bias, policy.head[0].weight, policy.head[0].bias]
    return [tensor.detach().numpy() for tensor in tensors]


def swarm_inputs(neighbours: int, batch: int, seed: int = 0) -> list[Array]:
    """Observations about as large as flight gives."""
    rng = np.random.default_rng(seed)
    return [normal(rng, batch, 19), normal(rng, batch, neighbours, 6), normal(rng, batch, 9)]


def torch_outputs(policy: SwarmPolicy, inputs: list[Array], dtype: torch.dtype) -> list[Array]:
    """Action and attention weights by the network itself."""
    tensors = (torch.from_numpy(each).to(dtype) for each in inputs)
    with torch.no_grad():
        outputs, _ = policy.to(dtype)(dict(zip(("self", "neighbour", "obstacle"), tensors, strict=True)), {})
    policy.to(torch.float32)
    return [outputs["action"].numpy(), outputs["attention"].numpy()]


def swarm(width: int, neighbours: int, batch: int, seed: int = 0) -> Case:
    """The whole policy, against torch in double precision."""
    policy, inputs = swarm_policy(width, neighbours, seed), swarm_inputs(neighbours, batch, seed)
    return Case("SwarmPolicy", swarm_weights(policy), inputs, torch_outputs(policy, inputs, torch.float64))
