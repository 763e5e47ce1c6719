"""Attention of one query over many remembered steps, none of which is projected.

With k = K x and v = V x, a head's score q . (K x) is (K^T q) . x, and its sum of a V x is V (sum of a x). A step then
costs two products with the width's square in place of two for each step that is remembered.
"""

import torch
from torch import Tensor


def split(x: Tensor, heads: int) -> Tensor:
    """(..., D) -> (..., H, D / H)."""
    by_head: Tensor = x.unflatten(-1, (heads, -1))
    return by_head


def carried_back(query: Tensor, key: Tensor) -> Tensor:
    """What each head's query looks for in a step before it is projected.

    Args:
        query: (B, H, D / H).
        key: (D, D), rows by head.

    Returns:
        (B, H, D).
    """
    by_head = key.unflatten(0, (query.shape[1], -1))
    return torch.matmul(query.transpose(0, 1), by_head).transpose(0, 1)


def carried_on(context: Tensor, value: Tensor) -> Tensor:
    """Each head's sum of steps, projected as each of them would have been.

    Args:
        context: (B, H, D).
        value: (D, D), rows by head.

    Returns:
        (B, D), the heads side by side.
    """
    by_head = value.unflatten(0, (context.shape[1], -1))
    return torch.matmul(context.transpose(0, 1), by_head.transpose(1, 2)).transpose(0, 1).flatten(1)


def apart(x: Tensor) -> Tensor:
    """Each head's part in its own place, zeros elsewhere: (B, H, D / H) -> (B, H, D).

    A product with it does a head's work in all of the width, and yet is faster than bringing heads side by side.
    """
    heads = x.shape[1]
    return (x.unsqueeze(2) * torch.eye(heads, dtype=x.dtype, device=x.device).unsqueeze(2)).flatten(2)


def together(x: Tensor) -> Tensor:
    """Each head's own part of what it has in all places: (B, H, D) -> (B, D)."""
    heads = x.shape[1]
    return (split(x, heads) * torch.eye(heads, dtype=x.dtype, device=x.device).unsqueeze(2)).sum(dim=1).flatten(1)


def sinusoids(position: Tensor, width: int) -> Tensor:
    """Sines and cosines of positions at wavelengths from 2 pi to 10,000 times that.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5, with sines before cosines as Dai et al. 2019 have them.

    Args:
        position: (N,).
        width: D, even.

    Returns:
        (N, D) float32.
    """
    rate = 10_000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = position.double()[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], dim=1).float()
