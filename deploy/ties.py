"""Choices too close to call: where a network and its export may take another of two things, and neither is wrong.

A memory that reads its K most relevant chunks reads others once the K-th and the next are closer than float32 can
tell, and then its answer is another one altogether. That is no fault of an export, which sums in another order. So
what a difference comes from is looked at in float64: the lanes in which a choice was that close are excused and
counted; all others are held to the tolerance.
"""

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from haltere.deploy.parity import Arrays, Excuse, split
from haltere.policies.base import Policy
from haltere.policies.fused import FusedCall, Tensors, heard_by
from haltere.policies.memory.chunks import ChunkWeights, relevance_of

MOST = 1e-3
"""Share of the compared steps that may be excused. Among random inputs such choices are far rarer, one in some ten
thousand, so that more of them say something else about the export."""
_READ = "aux.read"
_COUNTS = 1e-4  # share of the attention


def near_ties(policy: Policy[Any], tol: float) -> Excuse:
    """The excuse of a policy's lanes, evaluated only where one is needed.

    Args:
        policy: in evaluation mode; copied.
        tol: error of a single step from which on an excuse is needed, and the distance that is too close: a model
            whose outputs are allowed to be so far off can't be expected to tell scores apart that are closer.
    """

    @cache
    def exact() -> Policy[Any]:
        return copy.deepcopy(policy).double()

    def lanes(inputs: Arrays, tol: float) -> NDArray[np.bool_]:
        if not _margins(policy, inputs):  # it makes no choices, and needn't be one that can compute in float64
            return np.zeros(len(next(iter(inputs.values()))), np.bool_)
        wide = {k: array.astype(np.float64) if array.dtype == np.float32 else array for k, array in inputs.items()}
        closest = torch.stack(_margins(exact(), wide)).amin(dim=0)
        close: NDArray[np.bool_] = (closest < tol).numpy()
        return close

    return Excuse(lanes, tol)


def makes_choices(policy: Policy[Any], inputs: Arrays) -> bool:
    """Whether a policy reads the best of several things, and leaves the others out."""
    return bool(_margins(policy, inputs))


def chose_otherwise(wanted: Arrays, got: Arrays) -> NDArray[np.bool_]:
    """In which lanes (B,) other places of the memory were read, by the output ``read`` of both.

    A place that hardly counts on the one side and isn't read on the other is no other choice: leaving it out changes
    as little. A policy without that output is taken at its word: it chose as the other did.
    """
    if _READ not in wanted:
        return np.zeros(len(wanted["action"]), np.bool_)
    ours, theirs = wanted[_READ], got[_READ]
    left_out = ((ours > _COUNTS) & (theirs == 0.0)) | ((theirs > _COUNTS) & (ours == 0.0))
    otherwise: NDArray[np.bool_] = left_out.any(axis=1)
    return otherwise


def _margins(policy: Policy[Any], inputs: Arrays) -> list[Tensor]:
    """Margin (B,) of each choice that a policy makes in a step."""
    margins: list[Tensor] = []

    def listen(call: FusedCall) -> Tensors:
        if call.name in _MARGIN:
            margins.append(_MARGIN[call.name](call))
        with heard_by(FusedCall.compute):
            return call.compute()

    with torch.no_grad(), heard_by(listen):
        policy(*split(inputs))
    return margins


def _chunk_margin(call: FusedCall) -> Tensor:
    """By how much the last chunk that is read is more relevant than the first that isn't, (B,).

    Relative to that relevance where it is above one; infinite where every valid chunk is read.
    """
    query, summary, _, valid = (tensor for tensor in call.inputs if tensor is not None)
    weights, top_k = ChunkWeights(*call.weights), call.attributes["top_k"]
    never = torch.full((len(query),), torch.inf, dtype=query.dtype)
    if summary.shape[1] <= top_k:
        return never
    relevance = relevance_of(query, summary, weights.summary_query_w, weights.summary_query_b, weights.summary_key_w)
    best = torch.where(valid > 0, relevance, -torch.inf).sort(dim=1, descending=True).values
    last, first = best[:, top_k - 1], best[:, top_k]
    return torch.where(first.isfinite(), (last - first) / last.abs().clamp(min=1.0), never)


_MARGIN: dict[str, Callable[[FusedCall], Tensor]] = {"ChunkAttention": _chunk_margin}
