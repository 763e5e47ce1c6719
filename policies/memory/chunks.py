"""Hierarchical chunk attention: which chunks of the past matter, then which steps within them.

Source: Lampinen et al. 2021, arXiv:2105.14039, and the module that its authors released
(google-deepmind/deepmind-research, hierarchical_transformer_memory): one head without biases finds the chunks, a
softmax weighs those that are kept and no others, and ordinary multi-head attention, of the same weights for every
chunk, reads each of them. The same twice: for one step, as one operator, and for all steps of a sequence.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear

from haltere.policies.memory.heads import carried_back, carried_on, split
from haltere.policies.memory.ring import pick

MASKED = -1e6
"""Relevance of a chunk that may not be read."""
GATHER_BEYOND = 16
"""A sequence reads all chunks and weighs most by zero, unless there are more than so many times ``top_k``."""


class ChunkWeights(NamedTuple):
    """What chunk attention has learned, in the order of the kernel ``ChunkAttention``. Matrices are (D, D), [out, in].

    A bias of the keys would add the same to each score of a softmax, so there is none.
    """

    summary_query_w: Tensor
    summary_query_b: Tensor
    summary_key_w: Tensor
    query_w: Tensor
    query_b: Tensor
    key_w: Tensor
    value_w: Tensor
    value_b: Tensor
    out_w: Tensor
    out_b: Tensor


def chosen(relevance: Tensor, valid: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """The most relevant chunks, and a softmax over them alone.

    Args:
        relevance: (..., M).
        valid: (..., M) bool, which may be chosen.
        top_k: how many are, at most.

    Returns:
        Their weights (..., K), zero for those that only make up the number, and their indices (..., K).
    """
    last = relevance.dim() - 1  # by its number: onnx's own evaluator takes a gather along the axis -1 amiss
    best, index = torch.where(valid, relevance, MASKED).topk(min(top_k, relevance.shape[last]), dim=last)
    return best.softmax(dim=last) * valid.gather(last, index).to(relevance.dtype), index


def relevance_of(query: Tensor, summary: Tensor, query_w: Tensor, query_b: Tensor, key_w: Tensor) -> Tensor:
    """How relevant each chunk is to a query, (B, M), valid or not.

    Args:
        query: (B, D).
        summary: (B, M, D).
        query_w: ``summary_query_w`` of ``ChunkWeights``.
        query_b: ``summary_query_b``.
        key_w: ``summary_key_w``.
    """
    asked = torch.matmul(linear(query, query_w, query_b), key_w) / math.sqrt(query.shape[1])
    return torch.matmul(summary, asked.unsqueeze(2)).squeeze(2)


def chunk_attention(
    query: Tensor,
    summary: Tensor,
    memory: Tensor,
    valid: Tensor,
    summary_query_w: Tensor,
    summary_query_b: Tensor,
    summary_key_w: Tensor,
    query_w: Tensor,
    query_b: Tensor,
    key_w: Tensor,
    value_w: Tensor,
    value_b: Tensor,
    out_w: Tensor,
    out_b: Tensor,
    *,
    heads: int,
    top_k: int,
) -> tuple[Tensor, Tensor]:
    """Read the memory for one step; no remembered step is projected, see ``heads``.

    Args:
        query: (B, D).
        summary: (B, M, D) what each chunk is found by.
        memory: (B, M, C, D) steps of each chunk.
        valid: (B, M), above zero where a chunk may be read.
        summary_query_w: see ``ChunkWeights``, as all that follow.
        summary_query_b: (D,).
        summary_key_w: (D, D).
        query_w: (D, D).
        query_b: (D,).
        key_w: (D, D).
        value_w: (D, D).
        value_b: (D,).
        out_w: (D, D).
        out_b: (D,).
        heads: H, of the attention inside a chunk.
        top_k: K, chunks that are read.

    Returns:
        (B, D), zero where no chunk is valid; and the weight of each chunk (B, M).
    """
    relevance = relevance_of(query, summary, summary_query_w, summary_query_b, summary_key_w)
    weight, index = chosen(relevance, valid > 0, top_k)
    steps = pick(memory, index)
    own = split(linear(query, query_w, query_b), heads)
    carried = carried_back(own, key_w) / math.sqrt(own.shape[2])
    score = torch.matmul(carried.unsqueeze(1), steps.transpose(2, 3))
    share = score.softmax(dim=3) * weight[:, :, None, None]
    context = torch.matmul(share.transpose(1, 2).flatten(2), steps.flatten(1, 2))
    out = linear(carried_on(context, value_w) + value_b, out_w, out_b)
    found = (valid.amax(dim=1, keepdim=True) > 0).to(out.dtype)
    return out * found, torch.zeros_like(relevance).scatter(1, index, weight)


class Chunks(NamedTuple):
    """Chunks that some step of a sequence may read.

    Attributes:
        summary: (B, N, D).
        memory: (B, N, C, D).
        visible: (B, T, N) bool, which step may read which.
    """

    summary: Tensor
    memory: Tensor
    visible: Tensor


def chunk_attention_over(
    x: Tensor, chunks: Chunks, weights: ChunkWeights, heads: int, top_k: int
) -> tuple[Tensor, Tensor]:
    """The same for each of T steps (B, T, D): what they read (B, T, D), and the weight of each chunk (B, T, N)."""
    asked = linear(x, weights.summary_query_w, weights.summary_query_b)
    known = linear(chunks.summary, weights.summary_key_w)
    relevance = torch.matmul(asked, known.transpose(1, 2)) / math.sqrt(x.shape[2])
    weight, index = chosen(relevance, chunks.visible, top_k)
    spread = torch.zeros_like(relevance).scatter(2, index, weight)
    query = split(linear(x, weights.query_w, weights.query_b), heads)
    query = query.transpose(1, 2) / math.sqrt(query.shape[3])
    key, value = (linear(chunks.memory, matrix) for matrix in (weights.key_w, weights.value_w))
    if chunks.memory.shape[1] <= GATHER_BEYOND * top_k:
        mixed = _read_all(query, key, value, spread)
    else:
        mixed = _read_chosen(query, key, value, weight, index)
    out = linear(mixed + weights.value_b, weights.out_w, weights.out_b)
    return out * chunks.visible.any(dim=2, keepdim=True).to(out.dtype), spread


def _read_all(query: Tensor, key: Tensor, value: Tensor, weight: Tensor) -> Tensor:
    """Attention inside every chunk, weighed: two large products, where picking chunks would move much memory.

    Args:
        query: (B, H, T, D / H).
        key: (B, N, C, D).
        value: (B, N, C, D).
        weight: (B, T, N).

    Returns:
        (B, T, D).
    """
    heads, steps = query.shape[1], key.shape[2]
    # The chunks side by side, step by step: a softmax along few numbers that lie side by side is five times slower.
    key, value = (split(part.transpose(1, 2).flatten(1, 2), heads).transpose(1, 2) for part in (key, value))
    score = torch.matmul(query, key.transpose(2, 3)).unflatten(3, (steps, -1))
    share = score.softmax(dim=3) * weight[:, None, :, None, :]
    return torch.matmul(share.flatten(3), value).transpose(1, 2).flatten(2)


def _read_chosen(query: Tensor, key: Tensor, value: Tensor, weight: Tensor, index: Tensor) -> Tensor:
    """The same for the chosen chunks alone, ``weight`` and ``index`` (B, T, K)."""
    heads = query.shape[1]
    key, value = (split(pick(part, index), heads) for part in (key, value))
    score = torch.einsum("bhtd,btkchd->bthkc", query, key)
    share = score.softmax(dim=4) * weight[:, :, None, :, None]
    return torch.einsum("bthkc,btkchd->bthd", share, value).flatten(2)
