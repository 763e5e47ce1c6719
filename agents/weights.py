"""Initial weights of what the trainers add to a policy."""

import math
from typing import Literal

import torch
from torch import nn


def init_linear(network: nn.Module, method: Literal["xavier", "orthogonal"], generator: torch.Generator) -> None:
    """Draw the weights of every linear layer anew and zero the biases.

    Xavier: Glorot and Bengio 2010, equation 16. Orthogonal: Saxe et al. 2014, arXiv:1312.6120, with the gain of
    the square root of two that PPO implementations use.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            if method == "xavier":
                nn.init.xavier_uniform_(module.weight, generator=generator)
            else:
                nn.init.orthogonal_(module.weight, gain=math.sqrt(2.0), generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
